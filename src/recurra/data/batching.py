"""Which rows make the batch of a training step, with rows of like length together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count, check_seed

__all__ = ["LengthBatches", "padded"]

_POOL = 50  # batches that are sorted by length together: more pad less, fewer mix rows better

Integers = NDArray[np.int64]


class _Epoch(NamedTuple):
    number: int
    order: Integers
    """(rows,) row numbers, batch after batch."""
    bounds: Integers
    """(batches + 1,) where batches begin in it."""
    turns: Integers
    """(batches,) which batch each step takes."""


class LengthBatches:
    """Batches of an epoch, of rows of about the same length, so that little is padded.

    An epoch puts all rows in random order, sorts pools of some fifty batches by length (every second pool downwards,
    so that neighbours are alike where pools meet), cuts batches, and takes them in random order. Each row comes once
    an epoch. What batch a step has is a function of (seed, step) alone, so that training goes on where it stopped.

    lengths: (row,) steps of each row, at least 0.
    batch_size: rows of a batch; the last one cut may have fewer.
    seed: of the random order.
    tokens: instead of batch_size: steps of a batch, padding not counted, about: a batch has less or more by up to one
        row's length. An empty row counts as one step.

    Raises ArgumentError for lengths that are not such numbers, and unless one of batch_size and tokens is given.

    >>> batches = LengthBatches([3, 1, 2, 3, 1, 2], 2)
    >>> batches.per_epoch
    3
    >>> sorted(sorted(batches.at(step).tolist()) for step in range(3))
    [[0, 3], [1, 4], [2, 5]]
    >>> batches.padding_share()
    0.0
    """

    def __init__(
        self, lengths: ArrayLike, batch_size: int | None = None, *, seed: int = 0, tokens: int | None = None
    ) -> None:
        self.lengths = _read(lengths)
        if (batch_size is None) == (tokens is None):
            raise ArgumentError(
                f"batch_size is {batch_size!r} and tokens is {tokens!r}; pass one of them, as batch_size=32"
            )
        check_seed(seed)
        if seed is None:
            raise ArgumentError("seed is None; pass an int, by which the batches can be made again")
        self.batch_size, self.seed, self.tokens = batch_size, seed, tokens
        self._cost = np.maximum(self.lengths, 1)
        if batch_size is not None:
            self.per_epoch = -(-len(self.lengths) // check_count("batch_size", batch_size))
        else:
            share = int(self._cost.sum()) / check_count("tokens", tokens)
            self.per_epoch = min(max(1, round(share)), len(self.lengths))
        self._latest: _Epoch | None = None

    def at(self, step: int) -> Integers:
        """The row numbers of the batch of training step `step`, from 0, over all epochs."""
        if isinstance(step, bool) or not isinstance(step, int | np.integer) or step < 0:
            raise ArgumentError(f"step is {step!r}; expected an int of at least 0")
        number, place = divmod(int(step), self.per_epoch)
        epoch = self._epoch(number)
        batch = epoch.turns[place]
        return epoch.order[epoch.bounds[batch] : epoch.bounds[batch + 1]]

    def padding_share(self, epoch: int = 0, *, plain: bool = False) -> float:
        """The share of an epoch's steps that are padding, each batch padded to its longest row.

        plain: of as many batches of rows drawn at random, for comparison.
        """
        drawn = self._epoch(epoch)
        order, bounds = drawn.order, drawn.bounds
        if plain:
            order = self._generator(epoch).permutation(len(self.lengths))
            bounds = self._cuts(np.ones(len(order), np.int64)) if self.batch_size is None else bounds
        longest = np.maximum.reduceat(self.lengths[order], bounds[:-1])
        steps = int((longest * np.diff(bounds)).sum())
        return 1 - int(self.lengths.sum()) / steps if steps else 0.0

    def _epoch(self, number: int) -> _Epoch:
        latest = self._latest
        if latest is None or latest.number != number:
            generator = self._generator(number)
            order = self._pooled(generator.permutation(len(self.lengths)))
            latest = _Epoch(number, order, self._bounds(order), generator.permutation(self.per_epoch))
            latest.order.setflags(write=False)
            self._latest = latest
        return latest

    def _generator(self, epoch: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, epoch])

    def _pooled(self, order: Integers) -> Integers:
        """The rows sorted by length within pools, up and down in turn; rows of one length stay in random order."""
        size = _POOL * (self.batch_size or -(-len(order) // self.per_epoch))
        pool = np.arange(len(order)) // size
        lengths = self.lengths[order]
        return order[np.lexsort((np.where(pool % 2, -lengths, lengths), pool))]

    def _bounds(self, order: Integers) -> Integers:
        if self.batch_size is not None:
            return np.minimum(np.arange(self.per_epoch + 1) * self.batch_size, len(order))
        return self._cuts(self._cost[order])

    def _cuts(self, cost: Integers) -> Integers:
        """Where batches of about equal cost begin, each with one row at least, and where the last one ends."""
        count, total = self.per_epoch, np.cumsum(cost)
        quotas = np.arange(1, count) * (total[-1] / count)
        inner = np.searchsorted(total - cost / 2, quotas)
        inner = np.maximum.accumulate(inner - np.arange(count - 1)) + np.arange(count - 1)
        inner = np.clip(inner, np.arange(1, count), len(cost) - count + np.arange(1, count))
        return np.concatenate([[0], inner, [len(cost)]])


def padded(codes: Sequence[Sequence[int] | NDArray[Any]]) -> tuple[Tensor, Tensor]:
    """Rows of codes as one batch, padded with 0 behind, and how many steps each has.

    codes: for each row, its codes.

    Returns the batch (time, batch) int64, of one time step at least, and the lengths (batch,) int64.

    Raises ArgumentError if there is no row, or a row is no sequence of integers.

    >>> batch, lengths = padded([[5, 6, 7], [8]])
    >>> batch.T, lengths
    (tensor([[5, 6, 7],
            [8, 0, 0]]), tensor([3, 1]))
    """
    if not len(codes):
        raise ArgumentError("codes has no row; a batch has one at least")
    rows = [np.asarray(row) for row in codes]
    for place, row in enumerate(rows):
        if row.ndim != 1 or (row.size and not np.issubdtype(row.dtype, np.integer)):
            raise ArgumentError(f"codes[{place}] has shape {row.shape} of {row.dtype}; expected (time,) of integers")
    lengths = np.array([len(row) for row in rows], np.int64)
    batch = np.zeros((max(1, int(lengths.max())), len(rows)), np.int64)
    batch.T[np.arange(len(batch)) < lengths[:, None]] = np.concatenate([row.astype(np.int64) for row in rows])
    return torch.from_numpy(batch), torch.from_numpy(lengths)


def _read(lengths: ArrayLike) -> Integers:
    read = np.asarray(lengths)
    if read.ndim != 1 or not read.size or not np.issubdtype(read.dtype, np.integer):
        raise ArgumentError(
            f"lengths has shape {read.shape} of {read.dtype}; expected one integer a row, of one row at least"
        )
    if (read < 0).any():
        row = int((read < 0).argmax())
        raise ArgumentError(f"lengths[{row}] is {read[row]}; a row has 0 steps or more")
    return read.astype(np.int64)
