"""Many series laid end to end in flat arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from recurra.data.columns import Columns
from recurra.data.covariates import CovariateEncoder
from recurra.data.frequency import Frequency
from recurra.errors import ArgumentError, DataError

__all__ = ["SeriesSet"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class SeriesSet:
    """Many series laid end to end; series i is the slice offsets[i]:offsets[i+1].

    ids: (n,) one an entry, in the original type; offsets: (n+1,) int64.
    times: (N,) datetime64[us] in UTC, or int64; sorted within each series.
    target: (N,) float64, NaN where masked.
    past: (N, P) float64, encoded covariates known up to now; future: (N, F) float64, those known in advance,
        calendar features not among them; static: (n, S) float64, one row a series;
        numbers are as in the table, NaN where unknown: `standardized` gives what a network reads.
    interpolated: windows fill holes in their context by straight lines, where they would else be told of them.
    frequency, columns, encoder: what they were built with; `past_names`, `future_names` and `static_names` name
        the encoded features.

    Raises ArgumentError when the shapes do not agree.
    """

    ids: pl.Series
    offsets: Array
    times: Array
    target: Array
    past: Array
    future: Array
    static: Array
    frequency: Frequency
    columns: Columns
    encoder: CovariateEncoder
    interpolated: bool = False

    def __post_init__(self) -> None:
        rows, series = len(self.times), len(self.ids)
        if len(self.offsets) != series + 1 or self.offsets[0] != 0 or self.offsets[-1] != rows:
            raise ArgumentError(f"offsets are not 0 to {rows} in {series + 1} entries; pass where each series begins")
        for name in ("target", "past", "future"):
            if len(getattr(self, name)) != rows:
                raise ArgumentError(f"{name} has {len(getattr(self, name))} rows, times have {rows}")
        if len(self.static) != series:
            raise ArgumentError(f"static has {len(self.static)} rows, there are {series} series")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> Array:
        """Steps of each series, (n,) int64."""
        return np.diff(self.offsets)

    @property
    def last_times(self) -> Array:
        """The last stamp of each series, (n,)."""
        return np.asarray(self.times[self.offsets[1:] - 1])

    def next_times(self, horizon: int) -> Array:
        """The `horizon` stamps after each series' end, (n, horizon).

        Months keep the latest day of the month that the series has seen: after 30 January and 29 February, 30 March.
        """
        times = self.frequency.next(self.last_times, horizon)
        if not self.frequency.months or self.frequency.month_end:
            return times
        seen = (self.times.astype("M8[D]") - self.times.astype("M8[M]")).astype(np.int64)  # 0 is the first
        day = np.maximum.reduceat(seen, self.offsets[:-1])[:, None]
        month = times.astype("M8[M]")
        length = ((month + 1).astype("M8[D]") - month.astype("M8[D]")).astype(np.int64)
        clock = times - times.astype("M8[D]")
        return np.asarray(month.astype("M8[D]") + np.minimum(day, length - 1) + clock)

    @property
    def past_names(self) -> tuple[str, ...]:
        """Names of the encoded past features, (P,)."""
        return self.encoder.names(self.columns.past)

    @property
    def future_names(self) -> tuple[str, ...]:
        """Names of the encoded future features, (F,)."""
        return self.encoder.names(self.columns.future)

    @property
    def static_names(self) -> tuple[str, ...]:
        """Names of the encoded static features, (S,)."""
        return self.encoder.names(self.columns.static)

    def tail(self, n_steps: int) -> SeriesSet:
        """The last `n_steps` steps of each series, all of those that are shorter."""
        if n_steps < 1:
            raise ArgumentError(f"n_steps is {n_steps}; it is 1 or more")
        lengths = np.minimum(self.lengths, n_steps)
        return self._cut(np.arange(len(self)), self.offsets[1:] - lengths, lengths)

    def head(self, *, drop: int) -> SeriesSet:
        """Each series without its last `drop` steps; series that are left empty are left out.

        Raises DataError with the needed and found counts when none is left.
        """
        if drop < 0:
            raise ArgumentError(f"drop is {drop}; it is 0 or more")
        lengths = self.lengths - drop
        kept = np.flatnonzero(lengths > 0)
        if not len(kept):
            longest = int(self.lengths.max(initial=0))
            raise DataError(f"the longest series has {longest} steps; {drop + 1} are needed to leave out {drop}")
        return self._cut(kept, self.offsets[kept], lengths[kept])

    def until(self, positions: Array) -> SeriesSet:
        """Each series up to a flat position of its own, (n,), which leaves it one step at least."""
        lengths = np.asarray(positions) - self.offsets[:-1]
        if (lengths < 1).any() or (lengths > self.lengths).any():
            raise ArgumentError("positions must leave every series one step at least and lie within it")
        return self._cut(np.arange(len(self)), self.offsets[:-1], lengths)

    def select(self, indices: Sequence[int] | Array) -> SeriesSet:
        """The series at these positions, in their order."""
        chosen = np.atleast_1d(np.asarray(indices, np.int64))
        if len(chosen) and (chosen.min() < 0 or chosen.max() >= len(self)):
            raise ArgumentError(f"indices reach from {chosen.min()} to {chosen.max()}; there are {len(self)} series")
        return self._cut(chosen, self.offsets[chosen], self.lengths[chosen])

    def refit(self) -> SeriesSet:
        """The same series with what is learnt of covariates learnt anew from these rows alone.

        Means, deviations and categories: after `head(drop=...)` nothing of the rows left out remains.
        """
        moments: dict[str, tuple[float, float]] = {}
        seen: set[str] = set()
        for role in ("past", "future", "static"):
            features, columns = getattr(self, role), getattr(self.columns, role)
            moments |= self.encoder.refit(features, columns)
            names = self.encoder.names(columns)
            seen |= {name for name, column in zip(names, features.T, strict=True) if np.nansum(np.abs(column)) > 0}
        vocabulary = {
            name: tuple(word for word in words if f"{name}={word}" in seen)
            for name, words in self.encoder.vocabulary.items()
        }
        return self._encoded_as(CovariateEncoder(numeric=moments, vocabulary=vocabulary))

    def scaled_as(self, other: SeriesSet) -> SeriesSet:
        """The same series with covariates read as another set of the same columns reads them."""
        return self._encoded_as(other.encoder)

    def _encoded_as(self, encoder: CovariateEncoder) -> SeriesSet:
        kept: dict[str, Array] = {}
        for role in ("past", "future", "static"):
            columns = getattr(self.columns, role)
            wanted = set(encoder.names(columns))
            places = [at for at, name in enumerate(self.encoder.names(columns)) if name in wanted]
            kept[role] = getattr(self, role)[:, places]
        return replace(self, encoder=encoder, past=kept["past"], future=kept["future"], static=kept["static"])

    def standardized(self, role: str) -> Array:
        """The covariates of a role ("past", "future", "static") as a network reads them, float32."""
        return self.encoder.standardize(getattr(self, role), getattr(self.columns, role))

    def _cut(self, chosen: Array, starts: Array, lengths: Array) -> SeriesSet:
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        return replace(
            self,
            ids=self.ids.gather(chosen),
            offsets=offsets,
            times=self.times[rows],
            target=self.target[rows],
            past=self.past[rows],
            future=self.future[rows],
            static=self.static[chosen],
        )
