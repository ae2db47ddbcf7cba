"""`recurra bench kernels`."""

import pytest

from recurra.bench import QUICK, list_rows
from recurra.bench.sizes import Size
from recurra.bench.timing import Pace


@pytest.fixture
def tiny(monkeypatch):
    """Makes --quick quicker."""
    settings = QUICK._replace(sizes=(Size(3, 2, 1, 5),), pace=Pace(0.0, 1, 1), long=20)
    monkeypatch.setattr("recurra.bench.QUICK", settings)


def test_help_names_every_row(shell):
    said = shell.does("bench", "kernels", "--help").out
    assert f"Rows: {', '.join(list_rows())}" in " ".join(said.split())


def test_one_row_is_printed_with_goal_and_verdict(shell, tiny):
    said = shell.does("bench", "kernels", "--quick", "--rows", "train", "--threads", 1)
    assert "Training step against torch.nn (train)" in said.out
    (line,) = [line for line in said.out.splitlines() if "LSTM, 1 thread, geometric mean" in line]
    assert ">= 1.8x" in line
    assert "met" in line or "missed" in line
    assert "2 threads" not in said.out
    assert said.err.splitlines() == ["train: 3/3"]


def test_rows_come_as_json_with_the_machine_and_each_engine(shell, tiny):
    said = shell.does("bench", "kernels", "--quick", "--rows", "step", "--rows", "train", "--json", "--quiet")
    assert said.err == ""
    assert said.json["machine"]["cores"] >= 1
    assert [row["row"] for row in said.json["rows"]] == ["train", "step"]
    record = said.json["rows"][0]["records"][0]
    assert record["time, batch, input, hidden"] == [3, 2, 1, 5]
    assert record["peer / ours"] == pytest.approx(record["peer, s"] / record["ours, s"], rel=0.01)
    assert record["engine"].startswith("layer 0: lstm by ")
    check = said.json["rows"][0]["checks"][0]
    assert check["verdict"] == ("met" if check["measured"] >= check["goal"] else "missed")


def test_tables_come_as_markdown(shell, tiny):
    lines = shell.does("bench", "kernels", "--quick", "--rows", "scan", "--markdown", "--quiet").out.splitlines()
    assert lines[0].startswith("Machine: ")
    assert "### minGRU's training step against our GRU's, same H" in lines
    assert lines[-1].startswith("| 20, 16, 64, 64 | ")


def test_an_unknown_row_and_no_threads_are_refused(shell):
    assert "did you mean 'step'?" in shell.refuses("bench", "kernels", "--rows", "stp")
    assert "'--threads': Input should be greater than or equal to 1" in shell.refuses(
        "bench", "kernels", "--threads", 0
    )
