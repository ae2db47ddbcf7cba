"""From what the user asked and what the data show to an architecture: lookback, season, scaling, held-back windows."""

from __future__ import annotations

import warnings
from typing import Literal, NamedTuple

import numpy as np
import pydantic

from recurra.data.scaling import Scaler, ScalingName
from recurra.data.seasonality import find_periods
from recurra.data.series import SeriesSet
from recurra.data.windows import Cutoffs, Windows, rolling_cutoffs, training_cutoffs
from recurra.errors import ArgumentError, DataError, Notice
from recurra.models.window import WindowConfig

__all__ = ["NetworkOptions", "Plan", "make_plan"]

_SMALLEST_SEASON = 4  # shorter periods are read sample by sample
_MOST_SINGLE_STEPS = 100  # of a lookback that is read sample by sample though it has a period
_SEASONS = 8  # of the shortest period, wanted in the lookback, if they are no more than the long period's double
_HELD_BACK_WINDOWS = 100  # wanted in each held-back block, over all series
_HELD_BACK_SHARE = 0.1  # of a series, at most; twice as much where two horizons take more
_YEARS = 4  # that a table must span for the day of the year to be of use
_SPREAD_WINDOWS = 2048  # looked at to find the common spread


class NetworkOptions(pydantic.BaseModel):
    """What a user may ask of the network; None is decided from the data."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    body: Literal["recurrent", "dense", "convolution"] = "recurrent"
    cell: str = "gru"
    hidden_size: int = pydantic.Field(default=64, ge=1)
    num_layers: int = pydantic.Field(default=2, ge=1)
    dropout: float = pydantic.Field(default=0.1, ge=0, lt=1)
    lookback: int | None = pydantic.Field(default=None, ge=1)
    """Past samples the network sees."""
    season: int | None = pydantic.Field(default=None, ge=1)
    """Samples read by one step of the recurrence."""
    periods: tuple[pydantic.PositiveInt, ...] | None = None
    """Periods at which the series repeat, in samples, shortest first; () for none."""
    scaling: ScalingName | None = None

    def __init__(self, **values: object) -> None:
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            message = f"{first['msg'][0].lower()}{first['msg'][1:]}"
            raise ArgumentError(f"{first['loc'][0]} is {values[str(first['loc'][0])]!r}: {message}") from None


class Plan(NamedTuple):
    """What was decided for one set of series; counts are in samples."""

    horizon: int
    periods: tuple[int, ...]
    lookback: int
    season: int
    scaling: ScalingName
    spread: float
    """The size of a horizon's distance from the recent level, over all windows; what "recent" scaling divides by."""
    yearly: bool
    """Whether the network is told the day of the year: only where the table holds enough years to learn it."""
    min_context: int
    """Steps a window's context must hold of its own series."""
    held_back_count: int
    """Windows of each series in a held-back block."""
    held_back_stride: int
    """Steps between their cutoffs."""

    @property
    def long_period(self) -> int:
        """The longest period that the lookback holds; 1 if there is none."""
        return max((p for p in self.periods if p <= self.lookback), default=1)

    @property
    def level_steps(self) -> int:
        """The last steps of a context whose mean is its level.

        A long period; all where samples with a period are read singly; the last one where there is no period.
        """
        return self.lookback if self.season == 1 and self.periods else self.long_period

    @property
    def held_back_steps(self) -> int:
        """Steps of each series that a held-back block takes."""
        return self.horizon + (self.held_back_count - 1) * self.held_back_stride

    def held_back(self, series: SeriesSet, *, after: int) -> Cutoffs:
        """The windows of the held-back block that ends `after` steps before each series' end."""
        return rolling_cutoffs(
            series,
            horizon=self.horizon,
            count=self.held_back_count,
            stride=self.held_back_stride,
            min_context=self.min_context,
            held_back=after,
        )

    def windows(self, series: SeriesSet) -> Windows:
        """The windows of `series` as this plan has them."""
        return Windows(
            series,
            lookback=self.lookback,
            horizon=self.horizon,
            season=min((p for p in self.periods if p < self.lookback), default=1),
            scaler=Scaler(self.scaling, recent=self.level_steps, spread=self.spread),
            yearly=self.yearly,
        )

    def config(self, options: NetworkOptions, series: SeriesSet, *, outputs: int) -> WindowConfig:
        """The architecture for `outputs` quantiles."""
        masked = self.min_context < self.lookback or bool(np.isnan(series.target).any() and not series.interpolated)
        return WindowConfig(
            **options.model_dump(include={"body", "cell", "hidden_size", "num_layers", "dropout"}),
            lookback=self.lookback,
            horizon=self.horizon,
            season=self.season,
            long_period=self.long_period,
            masked=masked,
            past_size=series.past.shape[1],
            future_size=self.windows(series).future_size,
            static_size=series.static.shape[1],
            output_size=outputs,
        )


def make_plan(series: SeriesSet, options: NetworkOptions, *, horizon: int, comparable: bool) -> Plan:
    """Decide what `options` leave open.

    The lookback is twice the longest period, or eight times a short one, as far as the series reach; the season is
    the shortest period if the lookback holds two of them, but 1 if the horizon does not hold one and the lookback is
    short enough to be read sample by sample.

    Args:
        comparable: whether sizes mean the same in all series (one series, or logarithms), so that "recent" scaling
            is the better choice.

    Raises:
        DataError: no series is long enough; the needed and found counts are named.
    """
    lengths = series.lengths
    count, stride = _held_back(lengths, horizon)
    blocks = 2 * (horizon + (count - 1) * stride)
    periods = options.periods if options.periods is not None else find_periods(series)
    typical = int(np.median(lengths[lengths >= np.median(lengths)]))  # the longer half: the shorter is padded
    lookback = options.lookback or _lookback(periods, horizon, room=typical - blocks - horizon)
    _refuse_short(series, lookback=options.lookback, horizon=horizon, blocks=blocks)
    season = options.season or _season(periods, horizon, lookback)
    complete = int(lengths.min()) >= lookback + horizon + blocks
    within = max((p for p in periods if p <= lookback), default=1)
    plan = Plan(
        horizon=horizon,
        periods=tuple(periods),
        lookback=lookback,
        season=min(season, lookback),
        scaling=options.scaling or ("recent" if comparable else "standard"),
        spread=1.0,
        yearly=_spans_years(series),
        min_context=lookback if complete else min(lookback, within),
        held_back_count=count,
        held_back_stride=stride,
    )
    _tell_of_short(series, plan, blocks)
    return plan._replace(spread=_spread(series, plan, blocks))


def _season(periods: tuple[int, ...], horizon: int, lookback: int) -> int:
    season = next((p for p in periods if _SMALLEST_SEASON <= p <= lookback // 2), 1)
    return 1 if horizon < season and lookback <= _MOST_SINGLE_STEPS else season


def _held_back(lengths: np.ndarray, horizon: int) -> tuple[int, int]:
    """How many windows of each series a held-back block has, and their stride."""
    stride = max(1, horizon // 12)
    wanted = -(-_HELD_BACK_WINDOWS // len(lengths))
    typical = float(np.median(lengths))
    room = int(max(_HELD_BACK_SHARE * typical, min(2 * _HELD_BACK_SHARE * typical, 2 * horizon))) - horizon
    return max(1, min(wanted, room // stride + 1)), stride


def _lookback(periods: tuple[int, ...], horizon: int, *, room: int) -> int:
    if not periods:
        return max(1, min(max(2 * horizon, 32), room))
    wanted = 2 * periods[-1]
    if len(periods) == 1 and periods[0] < 50:
        wanted = _SEASONS * periods[0]
    if room >= wanted:
        return wanted
    return max((room // p * p for p in periods if p <= room), default=max(1, room))


def _spans_years(series: SeriesSet) -> bool:
    if series.frequency.integer:
        return False
    return bool((series.times.max() - series.times.min()) >= np.timedelta64(_YEARS * 365, "D"))


def _tell_of_short(series: SeriesSet, plan: Plan, blocks: int) -> None:
    short = np.flatnonzero(series.lengths < plan.min_context + plan.horizon + blocks)
    if len(short):
        needed = plan.min_context + plan.horizon + blocks
        warnings.warn(
            f"{len(short)} of {len(series)} series are shorter than the {needed} steps that choosing and calibrating "
            f"take, such as {series.ids[int(short[0])]!r} with {series.lengths[short[0]]}; the others decide for them",
            Notice,
            stacklevel=2,
        )


def _spread(series: SeriesSet, plan: Plan, blocks: int) -> float:
    """Mean |y - recent level| over the horizons of training windows, or the mean size where that is nothing."""
    cutoffs = training_cutoffs(series, horizon=plan.horizon, min_context=plan.min_context, held_back=blocks)
    if not cutoffs.total:
        return 1.0
    picked = np.linspace(0, cutoffs.total - 1, min(_SPREAD_WINDOWS, cutoffs.total)).round().astype(np.int64)
    windows, cutoffs = plan._replace(scaling="recent").windows(series), cutoffs.take(np.unique(picked))
    location = windows.scaler.of(windows.context(cutoffs)).location
    distance = float(np.nanmean(np.abs(windows.truth(cutoffs) - location[:, None])))
    size = float(np.abs(location).mean())
    return distance if distance > 1e-9 * size else size or 1.0


def _refuse_short(series: SeriesSet, *, lookback: int | None, horizon: int, blocks: int) -> None:
    longest = int(series.lengths.max())
    needed = (lookback or horizon) + horizon + blocks
    if longest >= needed:
        return
    past = f"lookback {lookback}" if lookback else f"at least {horizon} of past"
    raise DataError(
        f"series {series.ids[int(series.lengths.argmax())]!r}, the longest, has {longest} steps; {needed} are needed: "
        f"{past} + horizon {horizon} + {blocks} held back to stop training and to calibrate intervals. "
        f"Give more history or a shorter {'lookback or horizon' if lookback else 'horizon'}"
    )
