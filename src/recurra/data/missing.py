"""Gaps and empty cells: refused, or put on the grid, masked or dropped by the policy that was asked for.

Nothing here looks ahead: a hole in the target stays NaN, since what would fill it lies after it; windows fill it from
what they hold themselves (`recurra.data.windows`). Covariates known only up to now carry their last value; those known
in advance are interpolated.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recurra.data.frequency import Frequency
from recurra.data.grid import Rows
from recurra.data.values import likes
from recurra.errors import ArgumentError, DataError, Notice

__all__ = ["POLICIES", "Observed", "complete"]

Array = np.ndarray[Any, Any]
POLICIES = ("interpolate", "mask", "drop")


@dataclass(frozen=True)
class Observed:
    """What was read of the rows, in their order.

    offsets: (n+1,); times: (N,); target: (N,) float64.
    features: (N, P+F+S) float64, the encoded covariates; `words` (P+F+S,) is true where a feature is a category.
    owners: the covariate column of each feature.
    """

    offsets: Array
    times: Array
    target: Array
    features: Array
    words: Array
    owners: tuple[str, ...]


def complete(rows: Rows, observed: Observed, steps: Array, frequency: Frequency, *, missing: str | None) -> Observed:
    """The observed rows without gaps, by a policy.

    steps: (N,) the place of each row on its series' grid.
    missing: None refuses gaps and empty cells; `interpolate` and `mask` fill the grid and leave NaN in the target,
        which each window then interpolates or is told of; `drop` leaves out rows with an empty cell and closes gaps,
        so that times are those observed. Of the covariates, numbers known in advance are interpolated over steps,
        categories take the last one seen (at the start of a series the first), and those known up to now take the
        last one seen, and are unknown (NaN) before the first.

    Warns with a Notice that counts what was treated. Raises DataError with the first place and the counts.
    """
    if missing is not None and missing not in POLICIES:
        raise ArgumentError(f"missing is {missing!r}; pass --missing {'|'.join(POLICIES)}")
    faults = _faults(rows, observed, steps, frequency)
    if not faults:
        return observed
    if missing is None:
        raise DataError(f"{'; also '.join(faults)}. Clean them, or pass --missing {'|'.join(POLICIES)}")
    _check_any(rows, observed)
    warnings.warn(f"{'; also '.join(faults)}. Treated by --missing {missing}", Notice, stacklevel=4)
    if missing == "drop":
        return _drop(observed)
    grid = _fill_grid(rows, observed, steps, frequency)
    owner = np.repeat(np.arange(len(grid.offsets) - 1), np.diff(grid.offsets))
    for column, name in enumerate(grid.owners):
        past = name in rows.columns.past
        carry = past or bool(grid.words[column])
        grid.features[:, column] = _fill(grid.features[:, column], grid.offsets, owner, carry=carry, backwards=not past)
    return grid


def _faults(rows: Rows, observed: Observed, steps: Array, frequency: Frequency) -> list[str]:
    faults = []
    jumps = np.diff(steps) - 1
    jumps[observed.offsets[1:-1] - 1] = 0
    where = np.flatnonzero(jumps)
    if len(where):
        k = int(where[0])
        series = len(np.unique(np.searchsorted(observed.offsets, where, side="right")))
        faults.append(
            f"{rows.at(k + 1)}: {rows.label(k)} jumps from {rows.time(k)} to {rows.time(k + 1)}; {int(jumps.sum())} "
            f"steps of {frequency} are missing in {series} of {len(rows.ids)} series"
        )
    empty = [(rows.columns.target, np.isnan(observed.target))]
    for name in dict.fromkeys(observed.owners):
        first = observed.owners.index(name)
        empty.append((name, np.isnan(observed.features[:, first])))
    for name, cells in empty:
        holes = np.flatnonzero(cells)
        if len(holes):
            k = int(holes[np.argmin(rows.source[holes])])
            value = rows.table.frame[name][int(rows.source[k])]
            held = f"holds {value!r}" if isinstance(value, str) and value.strip() else "is empty"
            more = likes(len(holes) - 1)
            faults.append(f"{rows.at(k)}: column {name!r} {held}{more}")
    return faults


def _check_any(rows: Rows, observed: Observed) -> None:
    """Every series needs one value at least of the target and of each covariate."""
    cells = {rows.columns.target: observed.target}
    cells |= {name: observed.features[:, observed.owners.index(name)] for name in dict.fromkeys(observed.owners)}
    for name, values in cells.items():
        seen = np.add.reduceat(~np.isnan(values), observed.offsets[:-1])
        bare = np.flatnonzero(seen == 0)
        if len(bare):
            k = int(observed.offsets[bare[0]])
            more = likes(len(bare) - 1, noun="series")
            raise DataError(f"{rows.at(k)}: {rows.label(k)} has no value of {name!r} at all{more}. Remove it")


def _drop(observed: Observed) -> Observed:
    kept = ~(np.isnan(observed.target) | np.isnan(observed.features).any(axis=1))
    lengths = np.add.reduceat(kept, observed.offsets[:-1], dtype=np.int64)
    if (lengths == 0).any():
        series = int(np.flatnonzero(lengths == 0)[0]) + 1
        raise DataError(f"--missing drop leaves nothing of series number {series}; pass --missing interpolate or mask")
    return replace(
        observed,
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        times=observed.times[kept],
        target=observed.target[kept],
        features=observed.features[kept],
    )


def _fill_grid(rows: Rows, observed: Observed, steps: Array, frequency: Frequency) -> Observed:
    """The same values on the whole grid, NaN where there was no row."""
    lengths = steps[observed.offsets[1:] - 1] + 1
    total = int(lengths.sum())
    if total == len(steps):
        return replace(observed, features=observed.features.copy())
    if total > 50 * len(steps) + 100_000:
        k = int(np.argmax(np.diff(steps, prepend=0)))
        raise DataError(
            f"{rows.at(k)}: {rows.label(k)} at {rows.time(k)} is so far off that {total} steps of {frequency} would be "
            f"needed for {len(steps)} rows; mend the stamp, or pass --freq"
        )
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    begin = np.repeat(offsets[:-1], lengths)
    start = np.repeat(observed.times[observed.offsets[:-1]], lengths)
    to = np.repeat(offsets[:-1], np.diff(observed.offsets)) + steps
    target = np.full(total, np.nan)
    target[to] = observed.target
    features = np.full((total, observed.features.shape[1]), np.nan)
    features[to] = observed.features
    times = frequency.advance(start, np.arange(total) - begin)
    return replace(observed, offsets=offsets, times=times, target=target, features=features)


def _fill(values: Array, offsets: Array, owner: Array, *, carry: bool, backwards: bool) -> Array:
    """NaN replaced within each series: linearly between its neighbours, or by the one before with `carry`.

    backwards: whether a series' first value stands for the NaN before it.
    """
    holes = np.flatnonzero(np.isnan(values))
    if not len(holes):
        return values
    seen = np.flatnonzero(~np.isnan(values))
    after = np.searchsorted(seen, holes)
    before = seen[np.maximum(after - 1, 0)]
    behind = seen[np.minimum(after, len(seen) - 1)]
    first = (before >= holes) | (before < offsets[owner[holes]])  # nothing seen earlier in this series
    last = (behind <= holes) | (behind >= offsets[owner[holes] + 1])  # nothing seen later in it
    before, behind = np.where(first, behind, before), np.where(last, before, behind)
    share = (holes - before) / np.where(behind == before, 1, behind - before)
    low, high = values[before], values[behind]
    filled = values.copy()
    between = low if carry else np.where(behind == before, low, low * (1 - share) + high * share)
    filled[holes] = between if backwards else np.where(first, np.nan, between)
    return filled
