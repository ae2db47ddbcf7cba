"""Forecasts that need no training: the last value, the last season, the line through the ends."""

from __future__ import annotations

import numpy as np

from recurra.data.series import SeriesSet
from recurra.data.windows import Cutoffs, rolling_cutoffs
from recurra.models.plan import Plan
from recurra.training.contract import Floats
from recurra.training.metrics import mase, seasonal_scale

__all__ = ["Drift", "Naive", "SeasonalNaive"]


class Naive:
    """The last observed value, kept: f_(t+k) = y_t."""

    name = "Naive"

    def fit(self, series: SeriesSet, plan: Plan, *, held_back: int = 0) -> None:
        """Take note of the horizon; there is nothing to learn."""
        self.horizon = plan.horizon

    def refit(self, series: SeriesSet) -> None:
        """Nothing to learn again."""

    def predict(self, series: SeriesSet, cutoffs: Cutoffs) -> Floats:
        """Forecasts (window, horizon, 1) in the target's units."""
        last = _carried(series)[cutoffs.position - 1]
        return np.repeat(last[:, None], self.horizon, axis=1)[:, :, None]


class SeasonalNaive(Naive):
    """The last season, repeated: f_(t+k) = y_(t+k-p), for the period p of the plan with the smaller error in `fit`.

    Without a period it is the naive forecast; a step whose season lies before the start takes the last value.
    """

    name = "SeasonalNaive"

    def fit(self, series: SeriesSet, plan: Plan, *, held_back: int = 0) -> None:
        """Choose the period by the mean absolute scaled error of its forecasts before the last `held_back` steps."""
        super().fit(series, plan, held_back=held_back)
        self.period, self._shortest, self._held_back = 1, min(plan.periods, default=1), held_back
        if not plan.periods:
            return
        cutoffs = rolling_cutoffs(
            series,
            horizon=plan.horizon,
            count=10,
            stride=plan.horizon,
            min_context=max(plan.periods),
            held_back=held_back,
        )
        self.period = min(plan.periods, key=lambda period: self._error(series, cutoffs, period))

    def predict(self, series: SeriesSet, cutoffs: Cutoffs) -> Floats:
        """Forecasts (window, horizon, 1) in the target's units."""
        return self._forecast(series, cutoffs, self.period)[:, :, None]

    def _forecast(self, series: SeriesSet, cutoffs: Cutoffs, period: int) -> Floats:
        ahead = np.arange(self.horizon) % period - period
        steps = cutoffs.position[:, None] + ahead  # window horizon
        inside = steps >= series.offsets[cutoffs.series][:, None]
        return _carried(series)[np.where(inside, steps, cutoffs.position[:, None] - 1)]

    def _error(self, series: SeriesSet, cutoffs: Cutoffs, period: int) -> float:
        if not cutoffs.total:
            return float(period)
        truth = series.target[cutoffs.position[:, None] + np.arange(self.horizon)]
        spans = zip(series.offsets[:-1], series.offsets[1:], strict=True)
        histories = (series.target[a : max(a, b - self._held_back)] for a, b in spans)
        scale = np.array([seasonal_scale(history, self._shortest) for history in histories])
        return mase(truth, self._forecast(series, cutoffs, period), scale[cutoffs.series])


class Drift(Naive):
    """The line through the first and the last observed value, continued: f_(t+k) = y_t + k (y_t - y_1) / (t - 1)."""

    name = "Drift"

    def predict(self, series: SeriesSet, cutoffs: Cutoffs) -> Floats:
        """Forecasts (window, horizon, 1) in the target's units."""
        seen = np.flatnonzero(~np.isnan(series.target))
        start = series.offsets[cutoffs.series]
        first = seen[np.minimum(np.searchsorted(seen, start), len(seen) - 1)]
        last = seen[np.maximum(np.searchsorted(seen, cutoffs.position) - 1, 0)]
        first, last = np.maximum(first, start), np.maximum(last, start)  # nothing seen: a flat line
        rise = np.nan_to_num(series.target[last] - series.target[first])
        slope = np.where(last > first, rise / np.maximum(last - first, 1), 0.0)
        ahead = cutoffs.position[:, None] + np.arange(self.horizon) - last[:, None]
        level = _carried(series)[cutoffs.position - 1]
        return np.asarray((level[:, None] + slope[:, None] * ahead)[:, :, None])


def _carried(series: SeriesSet) -> Floats:
    """Each target value, or the last observed one before it in its series; 0 before the first."""
    seen = ~np.isnan(series.target)
    start = np.repeat(series.offsets[:-1], series.lengths)
    last = np.maximum.accumulate(np.where(seen, np.arange(len(seen)), -1))
    return np.where(last >= start, series.target[np.maximum(last, 0)], 0.0)
