"""A text run's records read back, and what is said of those that are damaged."""

import json

import pytest

from recurra.errors import ArtifactError, RunError
from recurra.reports.text_record import TextMeasure, TextRecord


def changed(run, name, change):
    value = json.loads((run / name).read_text())
    change(value)
    (run / name).write_text(json.dumps(value))


def test_a_run_folder_is_read_back(text_run):
    record = TextRecord.read(text_run)
    assert (record.model, record.task) == ("LSTM", "classify")
    assert record.compared.measures == (TextMeasure("accuracy", "accuracy", True, True),)
    assert record.compared.values["NaiveBayes"]["accuracy"] == 0.7
    assert record.compared.values["MajorityClass"]["accuracy"] is None
    assert record.predictions.height == 1
    assert record.metrics["stage"].unique(maintain_order=True).to_list() == ["member-0", "member-1"]
    first = record.examples.explanations[0]
    assert (first.tokens, first.contributions, first.truth) == (("buy", "pills"), (0.5, 2.25), "ham")
    assert record.examples.alignments[0].weights == ((0.9, 0.1), (0.25, 0.75))
    assert record.examples.alignments[0].texts == ("ein Haus", "a house", "a building")
    assert record.examples.samples[0].temperature == 0.7
    assert record.examples.sentences[0] == (("Ann", "left"), ("B-place", "O"), ("B-name", "O"), (0.625, 0.99))
    assert record.examples.translations == (("zwei", "", "two"),)


def test_every_part_that_a_task_may_leave_out_may_be_missing(text_run):
    for name in ("examples.json", "predictions.csv", "metrics.jsonl"):
        (text_run / name).unlink()
    record = TextRecord.read(text_run)
    assert record.predictions is None
    assert record.metrics.height == 0
    assert record.examples == ((), (), (), (), (), ())
    (text_run / "examples.json").write_text('{"samples": [{"prompt": "", "text": "a"}]}')
    assert TextRecord.read(text_run).examples.samples[0] == ("", "a", None)


def test_what_is_no_finished_text_run_says_what_to_do(text_run, tmp_path):
    with pytest.raises(RunError, match=r"no run folder \(no config.json\); `recurra fit"):
        TextRecord.read(tmp_path)
    for name in ("scores.json", "summary.json"):
        (text_run / name).unlink()
        with pytest.raises(RunError, match=rf"not finished \(no {name}\); `recurra resume .*` goes on"):
            TextRecord.read(text_run)
    (text_run / "config.json").write_text('{"task": "forecast", "parameters": {}}')
    with pytest.raises(RunError, match="task 'forecast'; reports of texts are drawn for 'classify', 'tag'"):
        TextRecord.read(text_run)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", b'{"task": "classify"}', "it holds no parameters; begin the run again"),
        ("summary.json", b"{", "summary.json is damaged: not JSON"),
        ("summary.json", b"{}", "it names no model"),
        ("scores.json", b"[]", "no JSON object"),
        ("scores.json", b'{"scores": {}}', "KeyError at 'measured_on'"),
        ("examples.json", b'{"explanations": [{"text": "a"}]}', "examples.json is damaged: KeyError at 'tokens'"),
        ("examples.json", b'{"samples": 3}', "examples.json is damaged: TypeError"),
        ("examples.json", b"\xff", "not JSON"),
        ("predictions.csv", b"", "predictions.csv is damaged: it is empty"),
    ],
)
def test_a_damaged_file_is_named_with_the_remedy(text_run, name, content, message):
    (text_run / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=message) as raised:
        TextRecord.read(text_run)
    assert ("`recurra fit" if name == "config.json" else "`recurra resume") in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("scores.json", lambda v: v["scores"].pop("LSTM"), "it holds no scores of LSTM"),
        ("scores.json", lambda v: v["scores"]["LSTM"].update(accuracy="high"), "ValueError"),
        ("scores.json", lambda v: v["details"]["confusion"].pop(), "ValueError at the confusion matrix"),
        ("scores.json", lambda v: v["details"]["confusion"][0].pop(), "ValueError at the confusion matrix"),
        ("scores.json", lambda v: v["details"]["confusion"][0].__setitem__(0, -1), "the confusion matrix"),
        ("scores.json", lambda v: v["details"]["bins"][1].update(right=None), "the bins of confidence"),
        ("examples.json", lambda v: v["alignments"][0]["weights"].pop(), "whose weights do not fit its tokens"),
        ("examples.json", lambda v: v["alignments"][0]["weights"][0].__setitem__(0, 7), "weight that is no share"),
        ("examples.json", lambda v: v["sentences"][0]["truth"].pop(), "whose tags do not fit its words"),
        ("examples.json", lambda v: v["sentences"][0]["confidences"].pop(), "whose tags do not fit its words"),
        ("examples.json", lambda v: v["explanations"][0]["tokens"][0].__setitem__(1, None), "that is no number"),
    ],
)
def test_what_does_not_fit_together_is_named_before_a_page_is_drawn(text_run, name, change, message):
    changed(text_run, name, change)
    with pytest.raises(ArtifactError, match=message):
        TextRecord.read(text_run)
