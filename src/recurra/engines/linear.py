"""Recurrences that are linear in their state, and what a layer's conditions make of them: they stay linear."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from recurra.engines.blocks import Matrix, scan

__all__ = ["LinearRecurrence"]


class LinearRecurrence(NamedTuple):
    """s_t = A_t s_(t-1) + b_t for some fields of a state.

    matrix: A; each element (time, batch, unit, ...), or of size 1 where it is the same.
    offsets: b, (time, batch, unit, ...) per field.
    """

    matrix: Matrix
    offsets: Sequence[Tensor]

    def keep(self, kept: Sequence[Tensor | float | None]) -> LinearRecurrence:
        """With units that stay as they were.

        kept: per field, which units are kept, or how much of each; None: nothing.
        """
        matrix, offsets = dict(self.matrix), list(self.offsets)
        for row, share in enumerate(kept):
            if share is None:
                continue
            nothing = offsets[row].new_zeros([1] * offsets[row].dim())
            offsets[row] = _mixed(share, 0.0, offsets[row])
            for column in range(len(offsets)):
                if (row, column) in matrix or row == column:
                    matrix[row, column] = _mixed(share, float(row == column), matrix.get((row, column), nothing))
        return LinearRecurrence(matrix, offsets)

    def begin_anew(self, resets: Tensor, restart: Sequence[Tensor]) -> LinearRecurrence:
        """With steps before which the state is `restart`, (batch, unit, ...) per field.

        resets: which, (time, batch, 1, ...).
        """
        matrix = {place: torch.where(resets, 0, part) for place, part in self.matrix.items()}
        begun = zip(self.step(restart), self.offsets, strict=True)
        return LinearRecurrence(matrix, [torch.where(resets, new, old) for new, old in begun])

    def step(self, before: Sequence[Tensor]) -> list[Tensor]:
        """The state after each step, from those before them."""
        after = list(self.offsets)
        for (row, column), part in self.matrix.items():
            after[row] = after[row] + part * before[column]
        return after

    def run(self, start: Sequence[Tensor], *, reverse: bool) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """The states after each step, and the one after the last step taken, in the widest of all dtypes."""
        everything = (*self.matrix.values(), *self.offsets, *start)
        dtype = reduce(torch.promote_types, [one.dtype for one in everything])
        matrix = {place: part.to(dtype) for place, part in self.matrix.items()}
        offsets, start = ([one.to(dtype) for one in some] for some in (self.offsets, start))
        return scan(matrix, offsets, start, reverse=reverse)


def _mixed(share: Tensor | float, one: float, other: Tensor) -> Tensor:
    """one where a share is kept, other for the rest."""
    return other + share * (one - other) if isinstance(share, float) else torch.where(share, one, other)
