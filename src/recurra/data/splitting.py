"""Holding rows back at random: for stopping a training, for measuring what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.errors import ArgumentError

__all__ = ["split_rows"]

Rows = NDArray[np.int64]


def split_rows(
    count: int, share: float, *, seed: int, groups: Sequence[Any] | None = None, name: str | None = None
) -> tuple[Rows, Rows]:
    """The rows to learn from and those held back, each in order; a function of its arguments alone.

    count: rows.
    share: of the rows to hold back, 0 to below 1; a share above 0 holds back one row at least.
    groups: of each row, as its label: each group is held back in the same share, and keeps one row to learn from.
    name: what messages call the rows' file.

    Raises ArgumentError for a share that is none, or one that leaves nothing to learn from.

    >>> kept, held = split_rows(6, 0.34, seed=0, groups=["a", "a", "a", "b", "b", "b"])
    >>> len(kept), len(held)
    (4, 2)
    """
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
        raise ArgumentError(f"the share held back is {share!r}; it lies between 0 and 1, such as 0.1")
    order = np.random.default_rng(seed).permutation(count)
    if not share:
        return np.arange(count), np.zeros(0, np.int64)
    held = _first_of_all(order, share) if groups is None else _first_of_each(order, share, groups)
    if not len(held) or len(held) == count:
        place = "" if name is None else f"{name}: "
        raise ArgumentError(
            f"{place}{share:g} of {count} rows cannot be held back; give more rows, or files of their own"
        )
    return np.setdiff1d(np.arange(count), held), np.sort(held)


def _first_of_all(order: Rows, share: float) -> Rows:
    return order[: max(1, round(share * len(order)))]


def _first_of_each(order: Rows, share: float, groups: Sequence[Any]) -> Rows:
    """Of each group its share, the fractions of a row spread over the groups."""
    members: dict[Any, list[int]] = {}
    for row in order.tolist():
        members.setdefault(groups[row], []).append(row)
    held: list[int] = []
    owed = 0.0
    for rows in members.values():
        owed += share * len(rows)
        taken = min(int(owed + 1e-9), len(rows) - 1)
        held += rows[:taken]
        owed -= taken
    if not held:
        held = [rows[0] for rows in members.values() if len(rows) > 1][:1]
    return np.array(held, np.int64)
