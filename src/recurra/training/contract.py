"""What every forecaster of the house is: the recurrent ones, the dense ones and the naive ones alike."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recurra.data.series import SeriesSet
from recurra.data.windows import Cutoffs
from recurra.models.plan import Plan

__all__ = ["Floats", "ForecastModel"]

Floats = NDArray[np.float64]


class ForecastModel(Protocol):
    """Learns from many series and forecasts the plan's horizon from any cutoff."""

    name: str

    def fit(self, series: SeriesSet, plan: Plan, *, held_back: int = 0) -> None:
        """Learn from all but the last `held_back` steps of each series, choosing what there is to choose."""

    def refit(self, series: SeriesSet) -> None:
        """Learn again from every step, choosing nothing anew: for use after `fit` and a look at what was held back."""

    def predict(self, series: SeriesSet, cutoffs: Cutoffs) -> Floats:
        """Forecasts (window, horizon, quantile), or (window, horizon, 1) for a point, in the target's units.

        Reads of each series only what lies before the cutoff, and known covariates.
        """
