"""Windows over many series: a context to read and a horizon to forecast, taken lazily.

A window is a pair (series, cutoff): its context is the `lookback` steps before the cutoff, its horizon the `horizon`
steps from it. Nothing is copied per window until a batch is asked for; the windows of a table are views of one
padded array. Where a context reaches back before its series' start, or meets a missing value, it is not observed.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor

from recurra.data.calendar import calendar_features, calendar_names
from recurra.data.scaling import FURTHEST, Scaler, Scaling, roughness
from recurra.data.series import SeriesSet

__all__ = ["Batch", "Cutoffs", "Windows", "extend", "rolling_cutoffs", "training_cutoffs"]

Floats = NDArray[np.float64]


class Batch(NamedTuple):
    """Windows ready for a network; values are scaled; holes in the context carry the last value before them, or
    lie on the line between their neighbours in it where the series are `interpolated`."""

    context: Tensor
    """(batch, lookback) float32."""
    observed: Tensor
    """(batch, lookback) float32, 1 where the context was observed."""
    past: Tensor
    """(batch, lookback, past covariates) float32, as distances from their mean in the window."""
    future: Tensor
    """(batch, lookback + horizon, known covariates and calendar) float32."""
    static: Tensor
    """(batch, static covariates) float32."""
    roughness: Tensor
    """(batch,) float32, the mean error of repeating the season within the context, scaled."""
    target: Tensor
    """(batch, horizon) float32, NaN where unknown."""
    scaling: Scaling


class Cutoffs(NamedTuple):
    """Which windows: for each, the number of its series and its first forecast step in the flat arrays."""

    series: NDArray[np.int64]
    position: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64] | slice) -> Cutoffs:
        """The windows in these rows."""
        return Cutoffs(self.series[rows], self.position[rows])

    @property
    def total(self) -> int:
        """How many windows."""
        return len(self.series)


class Windows:
    """All windows of a set of series for one lookback and horizon.

    Args:
        series: the series.
        lookback: past steps the model sees.
        horizon: steps it forecasts.
        season: the period whose repetition gives a window's roughness.
        scaler: how each window is scaled by its context.
        yearly: whether the calendar tells the day of the year.
    """

    def __init__(
        self, series: SeriesSet, *, lookback: int, horizon: int, season: int, scaler: Scaler, yearly: bool = True
    ) -> None:
        self.series, self.lookback, self.horizon = series, lookback, horizon
        self.season, self.scaler, self.yearly = season, scaler, yearly

    def batch(self, cutoffs: Cutoffs) -> Batch:
        """The windows at `cutoffs`, gathered, masked to their own series and scaled."""
        raw = self._target[cutoffs.position]  # window lookback+horizon
        steps = cutoffs.position[:, None] + np.arange(-self.lookback, self.horizon)
        first, end = self.series.offsets[cutoffs.series], self.series.offsets[cutoffs.series + 1]
        inside = (steps >= first[:, None]) & (steps < end[:, None])
        raw = np.where(inside, raw, np.nan)
        context, target = raw[:, : self.lookback], raw[:, self.lookback :]
        scaling = self.scaler.of(context)
        if self.series.interpolated:
            context = _interpolated(context)
        observed = ~np.isnan(context)
        within = inside[:, : self.lookback, None]
        return Batch(
            context=torch.from_numpy(scaling.apply(_filled(context, observed, scaling))),
            observed=torch.from_numpy(observed.astype(np.float32)),
            past=torch.from_numpy(_centred(self._past[cutoffs.position].transpose(0, 2, 1), within)),
            future=torch.from_numpy(np.where(inside[:, :, None], self._future[cutoffs.position].transpose(0, 2, 1), 0)),
            static=torch.from_numpy(self._static[cutoffs.series]),
            roughness=torch.from_numpy(
                np.minimum(roughness(context, self.season) / scaling.scale, FURTHEST).astype(np.float32)
            ),
            target=torch.from_numpy(scaling.apply(target)),
            scaling=scaling,
        )

    def context(self, cutoffs: Cutoffs) -> Floats:
        """What was known: (window, lookback) in the target's units, NaN where not observed."""
        context = self._target[cutoffs.position][:, : self.lookback]
        steps = cutoffs.position[:, None] + np.arange(-self.lookback, 0)
        return np.where(steps >= self.series.offsets[cutoffs.series][:, None], context, np.nan)

    def truth(self, cutoffs: Cutoffs) -> Floats:
        """What happened: (window, horizon) in the target's units, NaN where unknown."""
        truth = self._target[cutoffs.position][:, self.lookback :]
        steps = cutoffs.position[:, None] + np.arange(self.horizon)
        return np.where(steps < self.series.offsets[cutoffs.series + 1][:, None], truth, np.nan)

    @property
    def future_size(self) -> int:
        """Known covariates a step, the calendar's included."""
        return len(calendar_names(self.series.frequency, yearly=self.yearly)) + int(self.series.future.shape[1])

    @cached_property
    def _target(self) -> Floats:
        padded = np.pad(self.series.target, (self.lookback, self.horizon), constant_values=np.nan)
        return sliding_window_view(padded, self.lookback + self.horizon)

    @cached_property
    def _past(self) -> NDArray[np.float32]:
        padded = np.pad(self.series.standardized("past"), ((self.lookback, 0), (0, 0)))
        return sliding_window_view(padded, self.lookback, axis=0)

    @cached_property
    def _static(self) -> NDArray[np.float32]:
        return self.series.standardized("static")

    @cached_property
    def _future(self) -> NDArray[np.float32]:
        calendar = calendar_features(self.series.times, self.series.frequency, yearly=self.yearly)
        known = np.concatenate([calendar, self.series.standardized("future")], axis=1)
        padded = np.pad(known, ((self.lookback, self.horizon), (0, 0)))
        return sliding_window_view(padded, self.lookback + self.horizon, axis=0)


def training_cutoffs(series: SeriesSet, *, horizon: int, min_context: int, held_back: int = 0) -> Cutoffs:
    """Every cutoff with `min_context` steps before it and its whole horizon before the last `held_back` steps."""
    first = series.offsets[:-1] + min_context
    last = series.offsets[1:] - held_back - horizon
    counts = np.maximum(last - first + 1, 0)
    owner = np.repeat(np.arange(len(series)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    cutoffs = Cutoffs(owner, first[owner] + within)
    return cutoffs.take(_observed(series, cutoffs, horizon, min_context))


def rolling_cutoffs(
    series: SeriesSet, *, horizon: int, count: int, stride: int, min_context: int, held_back: int = 0
) -> Cutoffs:
    """The last `count` cutoffs of each series, `stride` apart, with horizons before the last `held_back` steps.

    Cutoffs with less than `min_context` steps before them are left out. Ordered by series, then time.
    """
    back = held_back + horizon + stride * np.arange(count)[::-1]
    position = (series.offsets[1:, None] - back[None, :]).ravel()
    owner = np.repeat(np.arange(len(series)), count)
    long_enough = position - series.offsets[owner] >= max(1, min_context)
    cutoffs = Cutoffs(owner[long_enough], position[long_enough])
    return cutoffs.take(_observed(series, cutoffs, horizon, max(1, min_context)))


def extend(series: SeriesSet, *, horizon: int, future: NDArray[np.floating] | None = None) -> SeriesSet:
    """Each series with `horizon` later times, unknown targets and the covariates `future` (series, horizon, F)."""
    n = len(series)
    times = series.next_times(horizon)  # series horizon
    ends = np.repeat(series.offsets[1:], horizon)
    known = np.zeros((n, horizon, series.future.shape[1])) if future is None else future
    return replace(
        series,
        offsets=series.offsets + horizon * np.arange(n + 1),
        times=np.insert(series.times, ends, times.ravel()),
        target=np.insert(series.target, ends, np.nan),
        past=np.insert(series.past, ends, 0.0, axis=0),
        future=np.insert(series.future, ends, known.reshape(n * horizon, -1), axis=0),
    )


def _observed(series: SeriesSet, cutoffs: Cutoffs, horizon: int, min_context: int) -> NDArray[np.int64]:
    """The rows of the cutoffs with an observed value in the last `min_context` steps and one in the horizon."""
    seen = np.concatenate([[0], np.cumsum(~np.isnan(series.target))])
    now = seen[cutoffs.position]
    return np.flatnonzero((seen[cutoffs.position + horizon] > now) & (now > seen[cutoffs.position - min_context]))


def _centred(past: NDArray[np.float32], within: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Covariates (window, lookback, feature) less their mean over the steps `within` the series; 0 outside."""
    inside = np.where(within, past, np.float32(0))
    mean = inside.sum(axis=1, keepdims=True) / np.maximum(within.sum(axis=1, keepdims=True), 1)
    return np.where(within, inside - mean, 0).astype(np.float32)


def _interpolated(context: Floats) -> Floats:
    """Holes in each context on the straight line between their neighbours in it; the ends are left."""
    seen = ~np.isnan(context)
    if seen.all():
        return context
    steps = np.broadcast_to(np.arange(context.shape[1]), context.shape)
    before = np.maximum.accumulate(np.where(seen, steps, -1), axis=1)
    behind = np.minimum.accumulate(np.where(seen, steps, context.shape[1])[:, ::-1], axis=1)[:, ::-1]
    between = ~seen & (before >= 0) & (behind < context.shape[1])
    low = np.take_along_axis(context, np.maximum(before, 0), axis=1)
    high = np.take_along_axis(context, np.minimum(behind, context.shape[1] - 1), axis=1)
    share = (steps - before) / np.maximum(behind - before, 1)
    return np.where(between, low * (1 - share) + high * share, context)


def _filled(context: Floats, observed: NDArray[np.bool_], scaling: Scaling) -> Floats:
    """The context with gaps carrying the last value before them, and the location where there is none."""
    last = np.maximum.accumulate(np.where(observed, np.arange(context.shape[1]), -1), axis=1)
    carried = np.take_along_axis(context, np.maximum(last, 0), axis=1)
    return np.where(last >= 0, carried, scaling.location[:, None])
