"""Rows that begin anew, for kernels that know no resets: each part of a row becomes a row of its own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from recurra.cells import State

__all__ = ["run_parts"]

_Run = Callable[[Tensor, State, Tensor], tuple[Tensor, State]]


def run_parts(
    run: _Run, x: Tensor, state: State, lengths: Tensor | None, resets: Tensor, restart: State
) -> tuple[Tensor, State]:
    """What `reference.run` returns for the same arguments, forward in time.

    run: takes x (time, part, feature), the states that parts begin with, and their lengths (part,), all above 0.
    """
    time, batch = x.shape[:2]
    steps = torch.full((batch,), time, device=x.device) if lengths is None else lengths.to(x.device)
    begins = resets.clone()
    begins[0] = True
    begins &= torch.arange(time, device=x.device)[:, None] < steps
    row, start = begins.T.nonzero(as_tuple=True)  # part: row by row, in time
    if not len(row):
        return x.new_zeros(time, batch, state[0].shape[-1]), state
    last = torch.cat([row[1:] != row[:-1], row.new_ones(1, dtype=torch.bool)])
    end = torch.where(last, steps[row], start.roll(-1))
    count = end - start
    within = torch.arange(int(count.max()), device=x.device)[:, None]  # step within the part
    there = (start + within).clamp(max=time - 1)  # step part
    fresh = resets[start, row].unsqueeze(-1)
    begin = state._make(
        torch.where(fresh, new.index_select(0, row), old.index_select(0, row))
        for new, old in zip(restart, state, strict=True)
    )
    shown, finals = run(x[there, row], begin, count)
    alive = within < count
    place = (there * batch + row)[alive]
    y = shown.new_zeros(time * batch, shown.shape[-1]).index_copy(0, place, shown[alive]).unflatten(0, (time, batch))
    return y, state._make(
        old.to(new.dtype).index_copy(0, row[last], new[last]) for old, new in zip(state, finals, strict=True)
    )
