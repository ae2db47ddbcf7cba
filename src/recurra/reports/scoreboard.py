"""The backtest's table: measures of each forecaster, the best of each marked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from recurra.reports.record import RunRecord, Scores

__all__ = ["Cell", "Row", "Scoreboard", "aligned", "make_scoreboard"]

_HEADINGS = {
    "mae": "MAE",
    "rmse": "RMSE",
    "mase": "MASE",
    "smape": "sMAPE",
    "r2": "R²",
    "coverage": "Coverage",
    "width": "Width",
}
_GLOSSES = {
    "Naive": "the last value, repeated",
    "SeasonalNaive": "the value one season before",
    "Drift": "a line through the first and the last value",
    "ARIMA": "a linear model of past values and errors",
    "Dense": "a dense network on the same windows",
    "CNN": "a convolutional network on the same windows",
}
_NARROWEST_COUNTS = 0.05  # a width is compared if the interval covers its level less this share


class Cell(NamedTuple):
    """One measure as text."""

    text: str
    best: bool


class Row(NamedTuple):
    """One forecaster."""

    name: str
    gloss: str
    is_model: bool
    cells: list[Cell]


class Scoreboard(NamedTuple):
    """The table: headings by measure, and rows by mean absolute error."""

    headings: list[str]
    rows: list[Row]
    level: float
    windows: int
    horizon: int


def make_scoreboard(record: RunRecord) -> Scoreboard | None:
    """The backtest as a table, the lowest mean absolute error first; None if there was no backtest."""
    scores = record.scores
    if scores is None:
        return None
    measures = [m for m in _HEADINGS if any(scores.of(name, m) is not None for name in scores.values)]
    names = sorted(scores.values, key=lambda name: _or_infinite(scores.of(name, "mae")))
    columns = {m: _column(scores, m, names) for m in measures}
    rows = [_row(name, name == record.model, [columns[m][i] for m in measures]) for i, name in enumerate(names)]
    headings = [_HEADINGS[m] for m in measures]
    return Scoreboard(headings, rows, scores.level, scores.windows, scores.horizon)


def _row(name: str, is_model: bool, cells: list[Cell]) -> Row:
    return Row(name, "this model" if is_model else _GLOSSES.get(name, ""), is_model, cells)


def _column(scores: Scores, measure: str, names: list[str]) -> list[Cell]:
    values = {name: scores.of(name, measure) for name in names}
    losses = {name: _loss(scores, name, measure, value) for name, value in values.items() if value is not None}
    least = min(losses.values(), default=math.inf)
    if measure == "coverage":
        texts = {name: "–" if value is None else f"{100 * value:.1f} %" for name, value in values.items()}
    else:
        texts = aligned(values)
    return [Cell(texts[name], len(losses) > 1 and losses.get(name, math.inf) == least < math.inf) for name in names]


def _loss(scores: Scores, name: str, measure: str, value: float) -> float:
    """How far from the best possible: what "best in its column" compares."""
    if measure == "r2":
        return -value
    if measure == "coverage":
        return round(abs(value - scores.level / 100), 6)
    if measure == "width":
        covered = scores.of(name, "coverage")
        return value if covered is not None and covered >= scores.level / 100 - _NARROWEST_COUNTS else math.inf
    return value


def aligned(values: Mapping[str, float | None]) -> dict[str, str]:
    """Numbers with the decimals that give the smallest of them three digits, so that points stand below each other."""
    sizes = [abs(value) for value in values.values() if value]
    smallest, largest = min(sizes, default=1.0), max(sizes, default=1.0)
    if largest >= 1e9 or smallest < 1e-6:
        return {name: "–" if value is None else f"{value:.4g}" for name, value in values.items()}
    decimals = min(6, max(0, 2 - math.floor(math.log10(smallest))))
    return {name: "–" if value is None else f"{value:,.{decimals}f}" for name, value in values.items()}


def _or_infinite(value: float | None) -> float:
    return math.inf if value is None else value
