"""Long sequences laid end to end on the rows of a batch, and read a chunk at a time."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count

__all__ = ["Chunk", "SequenceStream"]

Array = NDArray[Any]


class Chunk(NamedTuple):
    """Some steps of every row. Floating-point numbers keep their type, integers (tokens, classes) are int64."""

    x: Tensor
    """(time, batch, feature, ...), or (time, batch); 0 where a row has ended."""
    target: Tensor | None
    """(time, batch, ...), likewise."""
    resets: Tensor
    """(time, batch): True where a sequence begins, or the piece of one that a row begins with."""
    present: Tensor
    """(time, batch): True where the row has a step; the rows end at different times."""

    def between(self, start: int, stop: int) -> Chunk:
        """The steps from start to stop, counted in the chunk; views."""
        return self._map(lambda part: part[start:stop])

    def like(self, weight: Tensor) -> Chunk:
        """The same on the device of a weight, floating-point numbers in its type."""
        return self._map(lambda part: part.to(weight.device, weight.dtype if part.is_floating_point() else None))

    def _map(self, function: Callable[[Tensor], Tensor]) -> Chunk:
        target = None if self.target is None else function(self.target)
        return Chunk(function(self.x), target, function(self.resets), function(self.present))


class SequenceStream:
    """Sequences longer than memory, on the rows of one batch: `read(start, stop)` gives any steps of all rows.

    Whole sequences follow one another on a row, in the order given; they are spread, the longest first, each on the
    shortest row so far, so that rows are about equally long. Where there are fewer sequences than rows, the longest are
    cut into contiguous pieces, one a row, as language models cut their one text.

    sequences: (time, feature, ...), or (time,) for tokens; of any lengths, one type and the same features; numpy arrays
        or tensors. They are views throughout: of a np.memmap, no more is read than the chunk asked for.
    batch_size: rows.
    targets: for each sequence, (time, ...), what is to be predicted at each of its steps. To predict what comes next:
        `SequenceStream([x[:-1]], 16, targets=[x[1:]])`.

    Raises ArgumentError for sequences or targets that do not fit one another, or have fewer steps than there are rows.

    >>> stream = SequenceStream([np.arange(5), np.arange(10, 13), np.arange(20, 22)], 2)
    >>> stream.read(0, len(stream)).x.T
    tensor([[ 0,  1,  2,  3,  4],
            [10, 11, 12, 20, 21]])
    """

    def __init__(
        self, sequences: Sequence[Array | Tensor], batch_size: int, *, targets: Sequence[Array | Tensor] | None = None
    ) -> None:
        check_count("batch_size", batch_size)
        self.batch_size = batch_size
        self._x = _Source("sequences", sequences)
        self._target = None if targets is None else _Source("targets", targets)
        lengths = [len(array) for array in self._x.arrays]
        if self._target is not None:
            _check_targets(lengths, [len(array) for array in self._target.arrays])
        if sum(lengths) < batch_size:
            raise ArgumentError(
                f"batch_size is {batch_size}, the sequences have {sum(lengths)} steps in all; a row needs one at least"
            )
        self._rows = _spread(_cut(lengths, batch_size), batch_size)
        self._steps = max(row[-1].stop for row in self._rows)

    def __len__(self) -> int:
        """Steps of the longest row."""
        return self._steps

    @property
    def has_targets(self) -> bool:
        """Whether chunks have a target."""
        return self._target is not None

    @property
    def restarts(self) -> bool:
        """Whether a sequence begins on a row after its first step."""
        return any(len(row) > 1 for row in self._rows)

    def read(self, start: int, stop: int) -> Chunk:
        """The steps from start to stop of every row.

        Raises ArgumentError unless 0 <= start < stop <= len(stream).
        """
        if not 0 <= start < stop <= len(self):
            raise ArgumentError(f"steps {start} to {stop} were asked for; the stream has 0 to {len(self)}")
        sources = [self._x] if self._target is None else [self._x, self._target]
        buffers = [source.zeros(stop - start, self.batch_size) for source in sources]
        resets, present = np.zeros((2, stop - start, self.batch_size), dtype=np.bool_)
        for row, pieces in enumerate(self._rows):
            for piece in _within(pieces, start, stop):
                first, last = max(start, piece.start), min(stop, piece.stop)
                here = slice(first - start, last - start)
                there = slice(piece.first + first - piece.start, piece.first + last - piece.start)
                for buffer, source in zip(buffers, sources, strict=True):
                    buffer[here, row] = source.arrays[piece.sequence][there]
                present[here, row] = True
                if piece.start >= start:
                    resets[piece.start - start, row] = True
        x, *target = map(torch.from_numpy, buffers)
        return Chunk(x, target[0] if target else None, torch.from_numpy(resets), torch.from_numpy(present))


class _Piece(NamedTuple):
    """A sequence, or a contiguous part of it, on its row."""

    sequence: int
    first: int
    """Its first step, counted in the sequence."""
    length: int
    start: int = 0
    """Its first step, counted on the row."""

    @property
    def stop(self) -> int:
        return self.start + self.length


class _Source:
    """Arrays of one type with the same features, and zeros to read them into."""

    def __init__(self, name: str, given: object) -> None:
        if not isinstance(given, Sequence) or isinstance(given, str):
            raise ArgumentError(f"{name} is {type(given).__name__}; pass a list, of one sequence as [x]")
        if not given:
            raise ArgumentError(f"{name} is empty; pass one at least")
        self.arrays = [_viewed(f"{name}[{index}]", value) for index, value in enumerate(given)]
        first = self.arrays[0]
        for index, array in enumerate(self.arrays):
            if array.shape[1:] != first.shape[1:] or array.dtype != first.dtype:
                raise ArgumentError(
                    f"{name}[{index}] has steps {array.shape[1:]} of {array.dtype}, {name}[0] {first.shape[1:]} of "
                    f"{first.dtype}; give all the same features and type"
                )
        self.dtype = np.dtype(np.int64) if first.dtype.kind in "iu" else first.dtype.newbyteorder("=")
        self.features = first.shape[1:]

    def zeros(self, time: int, batch: int) -> Array:
        return np.zeros((time, batch, *self.features), dtype=self.dtype)


def _viewed(name: str, value: object) -> Array:
    """The value as a plain array on the same memory."""
    if isinstance(value, Tensor) and (value.device.type != "cpu" or value.dtype == torch.bfloat16):
        raise ArgumentError(f"{name} is {value.dtype} on {value.device}; keep it on the CPU, in a type that numpy has")
    array = value.detach().numpy() if isinstance(value, Tensor) else value
    if not isinstance(array, np.ndarray):
        raise ArgumentError(f"{name} is {type(value).__name__}; expected a numpy array or a tensor")
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise ArgumentError(f"{name} has dtype {array.dtype}; expected numbers of at most 8 bytes")
    if array.ndim == 0 or len(array) == 0:
        raise ArgumentError(f"{name} has shape {array.shape}, no time step; leave it out")
    return array.view(np.ndarray)


def _check_targets(lengths: list[int], targets: list[int]) -> None:
    if len(lengths) != len(targets):
        raise ArgumentError(f"there are {len(targets)} targets and {len(lengths)} sequences; pass one for each")
    for index, (steps, found) in enumerate(zip(lengths, targets, strict=True)):
        if steps != found:
            raise ArgumentError(f"targets[{index}] has {found} steps, its sequence {steps}; pass one for each step")


def _cut(lengths: list[int], rows: int) -> list[_Piece]:
    """Whole sequences; or, if they are fewer than the rows, as many pieces as rows, the longest ones halved, thirded
    and so on."""
    counts = [1] * len(lengths)
    longest = [(-float(length), index) for index, length in enumerate(lengths)]
    heapq.heapify(longest)
    for _ in range(rows - len(lengths)):
        index = longest[0][1]
        counts[index] += 1
        heapq.heapreplace(longest, (-lengths[index] / counts[index], index))
    pieces = []
    for index, (length, count) in enumerate(zip(lengths, counts, strict=True)):
        edges = [length * part // count for part in range(count + 1)]
        pieces += [_Piece(index, first, last - first) for first, last in pairwise(edges)]
    return pieces


def _spread(pieces: list[_Piece], rows: int) -> list[list[_Piece]]:
    """The pieces of each row: the longest piece first, each to the row that is shortest so far (Graham 1969)."""
    spread: list[list[_Piece]] = [[] for _ in range(rows)]
    shortest = [(0, row) for row in range(rows)]
    for piece in sorted(pieces, key=lambda piece: -piece.length):
        steps, row = shortest[0]
        spread[row].append(piece)
        heapq.heapreplace(shortest, (steps + piece.length, row))
    return [_end_to_end(sorted(row)) for row in spread]


def _within(pieces: list[_Piece], start: int, stop: int) -> list[_Piece]:
    """Those of a row that have steps from start to stop."""
    first = bisect_right(pieces, start, key=lambda piece: piece.stop)
    behind = bisect_left(pieces, stop, key=lambda piece: piece.start)
    return pieces[first:behind]


def _end_to_end(pieces: list[_Piece]) -> list[_Piece]:
    placed, start = [], 0
    for piece in pieces:
        placed.append(piece._replace(start=start))
        start += piece.length
    return placed
