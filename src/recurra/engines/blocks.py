"""The blocked scan: s_t = A_t s_(t-1) + b_t for all t, in few operations one after the other.

Time is cut into blocks, which advance side by side: first from zeros, multiplying up their matrices; then from where
the block before ended, which a scan over the blocks says, itself blocked if they are many. So T steps take some
100 log(T) / log(33) operations one after the other, and not T. Nothing is ever divided by a product of matrices, which
may be 0; where one is too large for its type, steps are taken one by one, as a state need not be too large there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from recurra.engines.constant import constant_in_traces

__all__ = ["Matrix", "is_watched", "scan", "states_before"]

Matrix = Mapping[tuple[int, int], Tensor]
"""The elements of A by (row, column): (time, ...) each, or (1, ...) where they are the same at every step; what is
missing is 0."""

_STEPS = 33  # of a block; no power of two, whose strides share the sets of a cache
# Numbers in a step from which on one operation a step keeps the device as busy as one on many blocks.
_WIDE, _WIDE_ON_A_GPU = 1 << 12, 1 << 20


def scan(
    matrix: Matrix, offsets: Sequence[Tensor], start: Sequence[Tensor], *, reverse: bool = False
) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """The states after each step, (time, ...) per field, and the one after the last step taken.

    offsets: b, (time, ...) per field.
    start: the state before the first step, (...) per field. All are of one dtype.
    reverse: from the last step to the first.
    Differentiable as often as one likes.
    """
    if not len(offsets[0]):
        return offsets, start
    if is_watched():
        states = _run(matrix, offsets, start, reverse)
        return states, [part[_last(reverse)] for part in states]
    found = _Scan.apply(tuple(matrix), reverse, *matrix.values(), *offsets, *start)  # type: ignore[no-untyped-call]
    return found[: len(start)], found[len(start) :]


def states_before(after: Tensor, start: Tensor, *, reverse: bool) -> Tensor:
    """The states before each step, from those after each and the one before the first."""
    return _joined(_but_last(after, reverse), start, not reverse)


def is_watched() -> bool:
    """Whether a compiler, a transform of torch.func or a forward derivative looks on: they know plain operations."""
    return torch.compiler.is_compiling() or _is_transformed()


@constant_in_traces
def _is_transformed() -> bool:
    return torch._C._functorch.peek_interpreter_stack() is not None or forward_ad._current_level >= 0


class _Scan(torch.autograd.Function):
    """The scan, whose derivative is a scan: the transposed recurrence, from the last step taken to the first."""

    @staticmethod
    def forward(ctx: Any, places: tuple[tuple[int, int], ...], reverse: bool, *tensors: Tensor) -> tuple[Tensor, ...]:
        count = len(places)
        fields = (len(tensors) - count) // 2
        matrix, offsets, start = tensors[:count], tensors[count : count + fields], tensors[count + fields :]
        into = [torch.empty_like(offset, memory_format=torch.contiguous_format) for offset in offsets]
        states = _run(dict(zip(places, matrix, strict=True)), offsets, start, reverse, into)
        ctx.places, ctx.fields, ctx.reverse = places, fields, reverse
        ctx.save_for_backward(*matrix, *start, *states)
        return (*states, *(part[_last(reverse)].clone() for part in states))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        places, fields, reverse, saved = ctx.places, ctx.fields, ctx.reverse, ctx.saved_tensors
        count = len(places)
        matrix, start, states = saved[:count], saved[count : count + fields], saved[count + fields :]
        owed = _owed(dict(zip(places, matrix, strict=True)), gradients[:fields], gradients[fields:], reverse)
        dmatrix = [
            _times_before(owed[row], states[column], start[column], reverse).sum_to_size(part.shape) if wanted else None
            for (row, column), part, wanted in zip(places, matrix, ctx.needs_input_grad[2:], strict=False)
        ]
        dstart: list[Tensor | None] = [None] * fields
        first = _last(not reverse)
        for (row, column), part in zip(places, matrix, strict=True):
            share, known = part[first] * owed[row][first], dstart[column]
            dstart[column] = share if known is None else known + share
        return (None, None, *dmatrix, *owed, *dstart)


def _owed(matrix: Matrix, shown: Sequence[Tensor], last: Sequence[Tensor], reverse: bool) -> list[Tensor]:
    """The gradients of the states after each step, from those of what is shown of them and of the last one."""
    ends = [dy[_last(reverse)] + dlast for dy, dlast in zip(shown, last, strict=True)]
    rest = [_but_last(dy, reverse) for dy in shown]
    transposed = {
        (column, row): part if len(part) == 1 else _but_last(part, not reverse)
        for (row, column), part in matrix.items()
    }
    if torch.is_grad_enabled():
        earlier, _ = scan(transposed, rest, ends, reverse=not reverse)
        return [_joined(part, end, reverse) for part, end in zip(earlier, ends, strict=True)]
    owed = [torch.empty_like(dy, memory_format=torch.contiguous_format) for dy in shown]
    for one, end in zip(owed, ends, strict=True):
        one[_last(reverse)] = end
    _run(transposed, rest, ends, not reverse, [_but_last(one, reverse) for one in owed])
    return owed


def _times_before(owed: Tensor, states: Tensor, start: Tensor, reverse: bool) -> Tensor:
    """What is owed after each step times the state before it."""
    if torch.is_grad_enabled():
        return owed * states_before(states, start, reverse=reverse)
    found, first = torch.empty_like(owed), _last(not reverse)
    torch.mul(_but_last(owed, not reverse), _but_last(states, reverse), out=_but_last(found, not reverse))
    torch.mul(owed[first], start, out=found[first])
    return found


def _last(reverse: bool) -> int:
    """Where in time the last step taken stands."""
    return 0 if reverse else -1


def _but_last(value: Tensor, reverse: bool) -> Tensor:
    """All steps but the last one taken."""
    return value[1:] if reverse else value[:-1]


def _joined(value: Tensor, last: Tensor, reverse: bool) -> Tensor:
    """With one more step, taken after the others."""
    last = last.unsqueeze(0)
    return torch.cat([last, value] if reverse else [value, last])


class _Step(NamedTuple):
    """One step of all blocks, (block, ...) each, or (1, ...). into: where its results go, if that is given."""

    matrix: Matrix
    offsets: Sequence[Tensor]
    into: Sequence[Tensor] | None

    def take(self, states: Sequence[Tensor]) -> list[Tensor]:
        """The states after it."""
        after = []
        for row, offset in enumerate(self.offsets):
            total, into = offset, None if self.into is None else self.into[row]
            for column, state in enumerate(states):
                if (row, column) in self.matrix:
                    total = torch.addcmul(total, self.matrix[row, column], state, out=into)
            if total is offset and into is not None:
                total = into.copy_(offset)
            after.append(total)
        return after

    def multiply(self, matrix: Matrix) -> Matrix:
        """Its matrix times another."""
        found: dict[tuple[int, int], Tensor] = {}
        for (row, inner), one in self.matrix.items():
            for (other, column), part in matrix.items():
                if other == inner:
                    known = found.get((row, column))
                    found[row, column] = one * part if known is None else torch.addcmul(known, one, part)
        return found


def _run(
    matrix: Matrix,
    offsets: Sequence[Tensor],
    start: Sequence[Tensor],
    reverse: bool,
    into: Sequence[Tensor] | None = None,
) -> Sequence[Tensor]:
    """The states after each step, written to where they are to go if that is given."""
    time = len(offsets[0])
    blocks = 1 if _is_wide(start[0]) else max(1, time // _STEPS)
    left = 0 if blocks == 1 else time - blocks * _STEPS
    if left:
        return _run_in_two(matrix, offsets, start, reverse, into, left if reverse else time - left)
    steps = _cut(matrix, offsets, into, blocks, reverse)
    states: Sequence[Tensor] | None = None if blocks == 1 else _starts(steps, start, reverse)
    if states is None:
        steps = steps if blocks == 1 else _cut(matrix, offsets, into, 1, reverse)
        states = [part.unsqueeze(0) for part in start]
    taken = []
    for step in steps:
        states = step.take(states)
        taken.append(states)
    if into is not None:
        return into
    if reverse:
        taken.reverse()
    return [torch.stack(field, 1).flatten(0, 1) for field in zip(*taken, strict=True)]


def _is_wide(part: Tensor) -> bool:
    """Whether a step is so wide that blocks bring nothing. What is exported must do for any width."""
    if torch.compiler.is_exporting():
        return False
    return part.numel() >= (_WIDE if part.device.type == "cpu" else _WIDE_ON_A_GPU)


def _run_in_two(
    matrix: Matrix,
    offsets: Sequence[Tensor],
    start: Sequence[Tensor],
    reverse: bool,
    into: Sequence[Tensor] | None,
    edge: int,
) -> Sequence[Tensor]:
    """The steps on one side of an edge, whole blocks, and then those on the other."""
    found = []
    for half in (slice(edge, None), slice(edge)) if reverse else (slice(edge), slice(edge, None)):
        part = {place: one if len(one) == 1 else one[half] for place, one in matrix.items()}
        places = None if into is None else [one[half] for one in into]
        states = _run(part, [one[half] for one in offsets], start, reverse, places)
        start = [one[_last(reverse)] for one in states]
        found.append(states)
    if into is not None:
        return into
    if reverse:
        found.reverse()
    return [torch.cat(field) for field in zip(*found, strict=True)]


def _starts(steps: Sequence[_Step], start: Sequence[Tensor], reverse: bool) -> list[Tensor] | None:
    """The state before the first step of each block; None where products of matrices are not finite."""
    matrix, states = steps[0].matrix, steps[0].offsets
    for step in steps[1:]:
        states = step._replace(into=None).take(states)
        matrix = step.multiply(matrix)
    if not is_watched() and not all(part.sum().isfinite() for part in matrix.values()):
        return None
    ends = _run(matrix, states, start, reverse)
    return [states_before(end, part, reverse=reverse) for end, part in zip(ends, start, strict=True)]


def _cut(
    matrix: Matrix, offsets: Sequence[Tensor], into: Sequence[Tensor] | None, blocks: int, reverse: bool
) -> list[_Step]:
    """The steps of blocks, in the order in which they are taken."""
    count = len(offsets[0]) // blocks

    def steps_of(value: Tensor) -> Sequence[Tensor]:
        return [value] * count if len(value) == 1 else value.unflatten(0, (blocks, count)).unbind(1)

    parts = {place: steps_of(part) for place, part in matrix.items()}
    added, places = [steps_of(offset) for offset in offsets], None if into is None else [steps_of(one) for one in into]
    steps = [
        _Step(
            {place: part[i] for place, part in parts.items()},
            [part[i] for part in added],
            None if places is None else [part[i] for part in places],
        )
        for i in range(count)
    ]
    return steps[::-1] if reverse else steps
