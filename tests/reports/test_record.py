import datetime
import json
from pathlib import Path

import polars as pl
import pytest

from recurra.errors import ArtifactError, RunError
from recurra.reports import RunRecord
from recurra.reports.columns import parse_times, separate_windows


def test_a_run_folder_is_read_back(weekly_run):
    record = RunRecord.read(weekly_run)
    assert (record.model, record.target, record.time, record.series) == ("LSTM", "sales", "week", None)
    assert record.history["week"].dtype == pl.Date
    assert record.history["sales"].null_count() == 2
    assert record.levels(record.forecast, "LSTM") == ["95", "80"]
    assert record.held_out_steps() == 3 * 26
    assert record.scores.of("Naive", "mae") > record.scores.of("LSTM", "mae")
    assert record.metrics["stage"].unique(maintain_order=True).to_list() == ["backtest-select", "select", "fit"]


def test_series_keep_their_names_and_their_order(hostile_run):
    record = RunRecord.read(hostile_run)
    assert record.series == "<i>store</i>"
    assert record.names(2) == ["</script><img src=x onerror=alert(1)>", "<b>bold</b> $x_1$"]
    assert record.rows(record.forecast, "<b>bold</b> $x_1$").height == 26


def test_what_spreadsheets_were_kept_from_running_is_read_as_it_was(weekly_run):
    _rename_target(weekly_run, "=sales")
    text = (weekly_run / "history.csv").read_text().splitlines()
    rows = [text[0].replace("=sales", "'=sales") + ",store", *(f"{line},'-1" for line in text[1:])]
    (weekly_run / "history.csv").write_text("\n".join(rows))
    config = json.loads((weekly_run / "config.json").read_text())
    config["parameters"]["series"] = "store"
    (weekly_run / "config.json").write_text(json.dumps(config))
    record = RunRecord.read(weekly_run)
    assert "=sales" in record.history.columns
    assert record.names(5) == ["-1"]


def test_columns_that_were_not_asked_for_have_the_forecasters_names(weekly_run):
    config = json.loads((weekly_run / "config.json").read_text())
    for role in ("series", "time", "target"):
        del config["parameters"][role]
    (weekly_run / "config.json").write_text(json.dumps(config))
    for name in ("history.csv", "forecast.csv", "backtest.csv"):
        file = weekly_run / name
        file.write_text(file.read_text().replace("week", "ds", 1).replace("sales", "y", 1))
    record = RunRecord.read(weekly_run)
    assert (record.series, record.time, record.target) == (None, "ds", "y")


def test_missing_optional_files_are_no_error(weekly_run):
    for name in ("forecast.csv", "backtest.csv", "scores.json", "metrics.jsonl"):
        (weekly_run / name).unlink()
    record = RunRecord.read(weekly_run)
    assert record.forecast is record.backtest is record.scores is None
    assert record.metrics.height == 0


def test_a_folder_that_is_no_run_says_how_to_make_one(tmp_path):
    with pytest.raises(RunError, match=r"no run folder \(no config.json\); `recurra fit"):
        RunRecord.read(tmp_path)


def test_an_unfinished_run_says_how_to_go_on(weekly_run):
    (weekly_run / "summary.json").unlink()
    with pytest.raises(RunError, match=r"not finished \(no summary.json\); `recurra resume"):
        RunRecord.read(weekly_run)


def test_another_task_is_refused(weekly_run):
    (weekly_run / "config.json").write_text('{"task": "classify"}')
    with pytest.raises(RunError, match="task 'classify'"):
        RunRecord.read(weekly_run)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("summary.json", b'{"model": ', "summary.json is damaged: not JSON"),
        ("summary.json", b"{}", "names no model"),
        ("summary.json", b"\xff\xfe", "not JSON"),
        ("config.json", b'{"task": "forecast"}', "it holds no parameters; begin the run again"),
        ("config.json", b'{"task": "forecast", "parameters": {"time": 3}}', "its parameter time is 3, not a column"),
        ("scores.json", b'{"scores": {"LSTM": {"mae": "x"}}, "level": 90}', "scores.json is damaged"),
        ("history.csv", b"", "history.csv is damaged: it is empty"),
        ("history.csv", b"week,y\n2020-01-01,1\n", "no column 'sales'"),
        ("history.csv", b"week,sales\n2020-01-01,1\nsoon,2\n", "column 'week', row 2, holds 'soon'"),
        ("forecast.csv", b"week,LSTM\n2020-01-01,many\n", "column 'LSTM', row 1, holds 'many'"),
        ("backtest.csv", b"week,sales,LSTM\n2020-01-01,1,1\n", "no column 'cutoff'"),
    ],
)
def test_a_damaged_file_is_named_with_the_remedy(weekly_run, name, content, message):
    (weekly_run / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=message) as raised:
        RunRecord.read(weekly_run)
    assert ("`recurra fit" if name == "config.json" else "`recurra resume") in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_line_of_metrics_cut_off_by_a_kill_ends_the_record(weekly_run):
    file = weekly_run / "metrics.jsonl"
    lines = file.read_text().splitlines()[:5]
    file.write_text("\n".join(lines) + '\n{"stage": "fit", "st')
    assert RunRecord.read(weekly_run).metrics.height == 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("17", 17),
        ("2024-02-29", datetime.date(2024, 2, 29)),
        ("2024-02-29T13:30:00.000000", datetime.datetime(2024, 2, 29, 13, 30)),
        ("2024-02-29 13:30:00+01:00", datetime.datetime(2024, 2, 29, 13, 30)),
    ],
)
def test_times_are_read_in_every_form_that_is_written(text, expected):
    assert parse_times(pl.Series("ds", [text])).to_list() == [expected]


def test_windows_that_overlap_later_ones_are_left_out():
    rows = [{"cutoff": c, "ds": c + step} for c in (0, 2, 4, 6) for step in (1, 2, 3, 4)]
    windows = separate_windows(pl.DataFrame(rows), "ds", 5)
    assert [window["cutoff"][0] for window in windows] == [2, 6]


def _rename_target(run: Path, name: str) -> None:
    for file in ("history.csv", "backtest.csv"):
        (run / file).write_text((run / file).read_text().replace("sales", name, 1))
    config = json.loads((run / "config.json").read_text())
    config["parameters"]["target"] = name
    (run / "config.json").write_text(json.dumps(config))
