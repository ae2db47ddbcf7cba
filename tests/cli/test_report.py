"""`recurra report`: drawn again from what the run recorded, or refused with the record's name."""

import pytest


def test_the_report_is_drawn_again_from_the_records(shell, trained):
    before = (trained / "report.html").read_bytes()
    (trained / "report.html").unlink()
    said = shell.does("report", "run")
    assert (said.out, said.err) == ("report     run/report.html\n", "")
    assert len((trained / "report.html").read_bytes()) == len(before)
    assert shell.does("report", "run", "--json").json == {"report": "run/report.html"}
    assert shell.does("report", "run", "--quiet").out == ""


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("summary.json", "{", "run/summary.json is damaged: not JSON"),
        ("summary.json", None, "run is not finished (no summary.json); `recurra resume run` goes on"),
        ("config.json", None, "run is no run folder (no config.json)"),
        ("config.json", '{"task": "dance"}', "run is a run of task 'dance'"),
        ("forecast.csv", "ds,GRU\n2024-04-10,x\n", "run/forecast.csv"),
        ("history.csv", "", "run/history.csv"),
    ],
)
def test_damaged_records_are_named(shell, trained, name, content, line):
    if content is None:
        (trained / name).unlink()
    else:
        (trained / name).write_text(content)
    assert shell.refuses("report", "run").startswith(line)
