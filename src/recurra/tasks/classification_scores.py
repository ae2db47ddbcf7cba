"""What a classifier is compared by, and the table of its answers beside the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from recurra.tasks.comparison import Measure
from recurra.training.classification import ClassScores

__all__ = ["ANSWERS", "MEASURES", "beside", "row_of_scores"]

ANSWERS = ("predicted", "confidence")
"""Columns that hold what is said."""
MEASURES = (
    Measure("accuracy", "accuracy", share=True),
    Measure("precision", "precision", share=True),
    Measure("recall", "recall", share=True),
    Measure("f1", "F1", share=True),
    Measure("log_loss", "log loss", higher_is_better=False),
    Measure("calibration_error", "calibration error", higher_is_better=False, share=True),
)


def row_of_scores(found: ClassScores) -> dict[str, float | None]:
    """The measures of one model."""
    return {
        "accuracy": found.accuracy,
        **found.macro._asdict(),
        "log_loss": found.log_loss,
        "calibration_error": found.calibration_error,
    }


def beside(columns: Mapping[str, Sequence[Any]], answers: Sequence[Any]) -> pl.DataFrame:
    """The columns, with `predicted` and `confidence` behind them; "model_" stands before a name that is taken.

    >>> beside({"text": ["a"], "predicted": ["no"]}, (["yes"], [0.9])).columns
    ['text', 'predicted', 'model_predicted', 'confidence']
    """
    found = dict(columns)
    for name, values in zip(ANSWERS, answers, strict=True):
        while name in found:
            name = f"model_{name}"
        found[name] = values
    return pl.DataFrame(found)
