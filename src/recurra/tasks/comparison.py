"""What was measured of a model on rows that it has not seen, with honest baselines beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import polars as pl

__all__ = ["Comparison", "Measure"]


class Measure(NamedTuple):
    """One column of a comparison."""

    key: str
    title: str
    higher_is_better: bool = True
    share: bool = False
    """Shown as a percentage."""


@dataclass(frozen=True)
class Comparison:
    """The measures of a model and of baselines on the same rows.

    measured_on: what they are, in words.
    measures: the columns, in the order in which they are shown.
    scores: by model, then by measure; the first is the model, None is undefined.
    details: more of the model alone, as plain data: per class, confusion, calibration.
    predictions: one row each of what was measured on, for a file; None if there is nothing to write.
    """

    measured_on: str
    measures: tuple[Measure, ...]
    scores: Mapping[str, Mapping[str, float | None]]
    details: Mapping[str, Any] = field(default_factory=dict)
    predictions: pl.DataFrame | None = None

    def to_frame(self) -> pl.DataFrame:
        """One row a model, one column a measure."""
        keys = [measure.key for measure in self.measures]
        return pl.DataFrame(
            [{"model": name, **{key: row.get(key) for key in keys}} for name, row in self.scores.items()]
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data, all but the predictions."""
        return {
            "measured_on": self.measured_on,
            "measures": [measure._asdict() for measure in self.measures],
            "scores": {name: dict(row) for name, row in self.scores.items()},
            "details": dict(self.details),
        }
