import json

import pytest

from recurra.reports import RunRecord
from recurra.reports.scoreboard import make_scoreboard
from recurra.reports.verdict import make_verdict


def scored(run, coverage=0.91, **errors):
    """The run with these mean absolute errors."""
    scores = {name: {"mae": error, "coverage": coverage} for name, error in errors.items()}
    (run / "scores.json").write_text(json.dumps({"horizon": 26, "windows": 3, "level": 90, "scores": scores}))
    return RunRecord.read(run)


@pytest.mark.parametrize(
    ("errors", "kind", "start"),
    [
        (
            {"LSTM": 0.69, "Naive": 1.5, "SeasonalNaive": 1.0},
            "better",
            "LSTM's mean absolute error is 31 % below the seasonal naive's, the lowest of 3 forecasters; its 90 % "
            "intervals covered 91 % of 78 held-out steps.",
        ),
        (
            {"LSTM": 0.8, "SeasonalNaive": 1.0, "ARIMA": 0.6},
            "mixed",
            "LSTM's mean absolute error is 20 % below the seasonal naive's, but ARIMA did better: its error is 25 % "
            "below LSTM's; ",
        ),
        (
            {"LSTM": 1.2, "SeasonalNaive": 1.0, "ARIMA": 0.6},
            "worse",
            "LSTM did worse than ARIMA, the best of 3 forecasters: its mean absolute error is 100 % above ARIMA's and "
            "20 % above the seasonal naive's; ",
        ),
        (
            {"LSTM": 1.2, "Naive": 1.0},
            "worse",
            "LSTM did worse than the naive forecast: its mean absolute error is 20 % above the naive forecast's; ",
        ),
        (
            {"LSTM": 0.6, "SeasonalNaive": 1.0, "ARIMA": 0.601},
            "mixed",
            "LSTM's mean absolute error is 40 % below the seasonal naive's, and within 1 % of that of ARIMA, the best "
            "baseline; ",
        ),
        ({"LSTM": 0.5, "SeasonalNaive": 0.0}, "worse", "LSTM did worse than the seasonal naive: "),
        ({"LSTM": 0.0, "SeasonalNaive": 0.0}, "mixed", "LSTM's mean absolute error is equal to the seasonal naive's; "),
        ({"LSTM": 0.5}, "unknown", "LSTM's mean absolute error is 0.5; there was no baseline to compare it with; "),
        ({"LSTM": None, "Naive": 1.0}, "unknown", "LSTM could not be scored"),
    ],
)
def test_the_sentence_says_how_the_model_did(weekly_run, errors, kind, start):
    verdict = make_verdict(scored(weekly_run, **errors))
    assert verdict.text.startswith(start)
    assert verdict.kind == kind


@pytest.mark.parametrize(
    ("coverage", "end"),
    [(0.7, "too narrow."), (0.99, "wider than they need to be."), (None, "over 78 held-out steps.")],
)
def test_the_sentence_says_when_intervals_miss_their_level(weekly_run, coverage, end):
    assert make_verdict(scored(weekly_run, coverage, LSTM=0.5, Naive=1.0)).text.endswith(end)


def test_without_a_backtest_nothing_is_claimed(bare_run):
    verdict = make_verdict(RunRecord.read(bare_run))
    assert verdict.kind == "unknown"
    assert verdict.text.startswith("No backtest was made")


def test_the_best_of_each_column_is_marked(weekly_run):
    scores = {
        "LSTM": {"mae": 2.0, "r2": 0.9, "coverage": 0.88, "width": 5.0, "mase": None},
        "Naive": {"mae": 1234.5, "r2": 0.1, "coverage": 0.99, "width": 9.0, "mase": None},
        "ARIMA": {"mae": 1.5, "r2": 0.8, "coverage": 0.60, "width": 2.0, "mase": None},
    }
    (weekly_run / "scores.json").write_text(json.dumps({"horizon": 26, "windows": 3, "level": 90, "scores": scores}))
    board = make_scoreboard(RunRecord.read(weekly_run))
    assert board.headings == ["MAE", "R²", "Coverage", "Width"]
    assert [row.name for row in board.rows] == ["ARIMA", "LSTM", "Naive"]
    assert [row.cells[0].text for row in board.rows] == ["1.50", "2.00", "1,234.50"]
    best = {heading: [row.name for row in board.rows if row.cells[i].best] for i, heading in enumerate(board.headings)}
    assert best == {
        "MAE": ["ARIMA"],
        "R²": ["LSTM"],
        "Coverage": ["LSTM"],
        "Width": ["LSTM"],
    }  # narrow alone is no merit
