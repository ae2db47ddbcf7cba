"""Backpropagation through all of time with memory for a part of it: segments are computed again on the way back.

Chen et al. 2016, Training deep nets with sublinear memory cost: with segments of sqrt(T) steps, what is kept grows
with sqrt(T), at the price of one more forward pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from recurra.cells import State
from recurra.engines import Conditions

__all__ = ["run_in_segments"]

_Run = Callable[[Tensor, State, Conditions], tuple[Tensor, State]]


def run_in_segments(
    run: _Run, x: Tensor, state: State, conditions: Conditions, *, steps: int | None, reverse: bool
) -> tuple[Tensor, State]:
    """What run(x, state, conditions) returns; its inner values are kept for one segment at a time.

    steps: of a segment; None: the root of the sequence's.
    """
    time = len(x)
    steps = steps or math.isqrt(time - 1) + 1
    if steps >= time or not torch.is_grad_enabled():
        return run(x, state, conditions)
    parts = x.split(steps)  # one split, for slices make the backward pass quadratic in time
    outputs: list[Tensor | None] = [None] * len(parts)
    for index in reversed(range(len(parts))) if reverse else range(len(parts)):
        start = index * steps
        within = conditions.between(start, start + len(parts[index]))
        outputs[index], state = checkpoint(
            run, parts[index], state, within, use_reentrant=False, preserve_rng_state=False
        )
    return torch.cat([y for y in outputs if y is not None]), state
