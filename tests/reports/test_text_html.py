"""The page and the figures of a text run."""

import json
import re
import struct

import pytest

from recurra.reports.text_html import render_texts, write_text_report
from recurra.reports.text_record import TextRecord
from recurra.reports.text_verdict import make_text_verdict

SCRIPT = "</script><img src=x onerror=alert(1)>"


def changed(run, name, change):
    value = json.loads((run / name).read_text())
    change(value)
    (run / name).write_text(json.dumps(value))


def verdict(run):
    return make_text_verdict(TextRecord.read(run))


def test_the_parts_stand_in_their_order(text_run, page_of):
    page = page_of(write_text_report(text_run).read_text())
    order = [
        "recurra text classification report",
        "kind: 3 classes of texts",
        "mails.csv",
        "2,700 rows to learn from",
        "LSTM's accuracy on 300 rows of mails.csv is 85.0 %, above the 70.0 % of naive Bayes.",
        "Beside the baselines",
        "this model",
        "Share of the answers that are right.",
        "Class by class",
        "What is taken for what",
        "85.0 % are right; most often 'ham' was taken for 'spam', in 15 rows",
        "Can its confidence be believed?",
        "Why it says so",
        "93.0 % sure): wrong, it is ham",
        "What each word was made of",
        "Source ein Haus",
        "Reference a building",
        "Written a house",
        "columns are source tokens",
        "What is written for a text",
        "Source zwei",
        "Reference two",
        "Written (nothing)",
        "What is said of sentences",
        "Ann✗ B-place✓ B-name leftO",
        "1 of 2 tags is wrong.",
        "What it writes",
        "To be or not",
        "Mistakes",
        "87.5 %",
        "Training",
        "What was decided from the data",
        "3.9 % share of the training's steps that are padding",
        "Machine",
        "layer 0: lstm by compiled",
        "Settings",
        "training.seed",
        "Notices",
        "2 texts are empty",
    ]
    text = re.sub(r"\s+", " ", page.text)
    text = text[text.index("recurra text classification") :]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_a_record_without_texts_beside_its_alignment_shows_the_alignment_alone(text_run, page_of):
    def strip(value):
        for name in ("text", "translation", "reference"):
            del value["alignments"][0][name]
        del value["translations"]

    changed(text_run, "examples.json", strip)
    page = page_of(write_text_report(text_run).read_text())
    assert "columns are source tokens" in page.text
    assert "Written" not in page.text


def test_still_figures_lie_beside_the_page(text_run):
    assert write_text_report(text_run) == text_run / "report.html"
    for name in ("confusion.png", "reliability.png", "training.png"):
        head = (text_run / name).read_bytes()[:24]
        assert head[:8] == b"\x89PNG\r\n\x1a\n"
        assert min(struct.unpack(">II", head[16:24])) > 400


def test_names_from_the_data_are_text_wherever_they_stand(tmp_path, make_text_run, page_of):
    page = page_of(write_text_report(make_text_run(tmp_path / "run", mark=SCRIPT)).read_text())
    assert page.count("img") == 0
    assert page.count("script") == 3
    assert f"kind{SCRIPT}: 3 classes of texts" in page.text
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert not any({"src", "href"} & set(a) for tag, a in page.tags if tag != "a")
    assert page.policy.startswith("default-src 'none'; script-src 'sha256-")


def test_charts_are_there_for_each_member_and_for_confidence(text_run, page_of):
    page = page_of(write_text_report(text_run).read_text())
    charts = json.loads(page.scripts[0])
    assert [chart["label"] for chart in charts["training"]] == ["member-0", "member-1"]
    assert [trace["name"] for trace in charts["training"][0]["data"]] == ["loss", "share wrong", "gradient norm"]
    assert charts["training"][0]["alt"].endswith("60 steps; the lowest share wrong is 0.2")
    points = charts["reliability"][0]["data"][2]
    assert (points["x"], points["y"]) == ([0.8], [0.85])
    assert next(a["aria-label"] for _, a in page.tags if a.get("role") == "img").startswith("Reliability diagram of")


def test_the_confusion_matrix_is_a_table_with_its_shares(text_run, page_of):
    page = page_of(write_text_report(text_run).read_text())
    cells = [(a["class"], a["title"]) for tag, a in page.tags if tag == "td" and "title" in a and "-" in a["class"]]
    cells = [cell for cell in cells if cell[0].startswith(("right", "wrong"))]
    assert cells[:3] == [("right-9", "80 %"), ("wrong-3", "15 %"), ("wrong-2", "5 %")]
    assert len(cells) == 9


@pytest.mark.parametrize("task", ["tag", "language", "translate"])
def test_every_task_has_its_page(tmp_path, make_text_run, task, page_of):
    run = make_text_run(tmp_path / "run", task=task)
    page = page_of(write_text_report(run).read_text())
    title = {"tag": "tags of words", "language": "a language model", "translate": "translation"}[task]
    assert f"mails.csv: {title}" in page.text
    assert (run / "confusion.png").exists() == (task == "tag")
    assert ("What is taken for what" in page.text) == (task == "tag")
    judged = {"tag": "accuracy", "language": "perplexity", "translate": "bleu"}[task]
    assert f"LSTM's {judged} on 300 rows of mails.csv is" in page.text
    assert verdict(run).kind == "better"


def test_the_least_that_a_run_records_is_enough(text_run, page_of):
    for name in ("examples.json", "predictions.csv", "metrics.jsonl"):
        (text_run / name).unlink()
    (text_run / "summary.json").write_text('{"model": "LSTM"}')
    changed(text_run, "scores.json", lambda v: v.update(details={}))
    page = page_of(write_text_report(text_run).read_text())
    assert page.count("table") == 1
    assert page.count("figure") == 0
    assert not (text_run / "training.png").exists()


def test_equal_records_give_equal_bytes(text_run):
    record = TextRecord.read(text_run)
    assert render_texts(record) == render_texts(record)


def test_the_verdict_says_worse_where_it_is(text_run):
    changed(text_run, "scores.json", lambda v: v["scores"]["LSTM"].update(accuracy=0.5))
    found = verdict(text_run)
    assert found.kind == "worse"
    assert found.text.startswith(
        "LSTM did worse than naive Bayes: its accuracy on 300 rows of mails.csv is 50.0 %, below the 70.0 % of naive"
    )
    assert found.text.endswith("On average it is 80 % sure of its answers, and 85 % of them are right.")


def test_the_verdict_makes_nothing_of_what_chance_may_do(text_run):
    changed(text_run, "scores.json", lambda v: v["scores"]["LSTM"].update(accuracy=0.74))
    found = verdict(text_run)
    assert found.kind == "mixed"
    assert "above the 70.0 % of naive Bayes. With so few rows, chance alone may make such a difference." in found.text
    changed(text_run, "summary.json", lambda v: v.update(rows_measured=30_000))
    assert verdict(text_run).kind == "better"


def test_the_verdict_names_the_best_of_several_and_lower_is_better_where_it_is(tmp_path, make_text_run):
    run = make_text_run(tmp_path / "run", task="language")
    changed(run, "scores.json", lambda v: v["scores"]["MajorityClass"].update(perplexity=800.0))
    assert "is 90.5, below the 141.2 of naive Bayes, the best of 2 baselines." in verdict(run).text
    changed(run, "scores.json", lambda v: v["scores"]["LSTM"].update(perplexity=None))
    assert verdict(run).text == "LSTM could not be scored: its perplexity is undefined on these rows."
    changed(run, "scores.json", lambda v: v.update(scores={"LSTM": {"perplexity": 90.5}}))
    assert verdict(run) == (
        "LSTM's perplexity on 300 rows of mails.csv is 90.5; there was no baseline to compare it with.", "unknown"
    )  # fmt: skip
