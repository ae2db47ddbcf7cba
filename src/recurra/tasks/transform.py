"""Whether a forecaster models the target or its logarithm, and the way there and back."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from recurra.data.series import SeriesSet
from recurra.errors import ArgumentError, nearest
from recurra.training.contract import Floats

__all__ = ["TRANSFORMS", "TargetTransform", "choose_transform"]

TRANSFORMS = ("auto", "log", "none")
_LEAST_SHARE = 1e-3  # of a series' median: smaller values make logarithms wild, and "auto" leaves them alone


class TargetTransform(NamedTuple):
    """Logarithms, or nothing."""

    log: bool
    floor: float = 1.0
    """Stands for values that have no logarithm, which only tables later than the training's can hold."""

    def apply(self, series: SeriesSet) -> SeriesSet:
        """The series as the model has them."""
        if not self.log:
            return series
        positive = np.where(series.target <= 0, self.floor, series.target)  # NaN stays NaN
        return replace(series, target=np.log(positive))

    def undo(self, values: Floats) -> Floats:
        """The model's values in the table's units."""
        return np.exp(values) if self.log else values


def choose_transform(series: SeriesSet, name: str) -> TargetTransform:
    """The transform called `name`; "auto" takes logarithms of several series that are all well above zero.

    Raises:
        ArgumentError: there is none of that name.
    """
    if name not in TRANSFORMS:
        raise ArgumentError(f"transform is {name!r}; {nearest(name, TRANSFORMS)}")
    lowest = float(np.nanmin(series.target))
    if name == "none" or lowest <= 0 or (name == "auto" and len(series) == 1):
        return TargetTransform(log=False)
    if name == "auto":
        spans = zip(series.offsets[:-1], series.offsets[1:], strict=True)
        parts = [part[~np.isnan(part)] for part in (series.target[a:b] for a, b in spans)]
        if min(part.min() / np.median(part) for part in parts if len(part)) <= _LEAST_SHARE:
            return TargetTransform(log=False)
    return TargetTransform(log=True, floor=lowest)
