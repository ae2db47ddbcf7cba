"""Rows that begin anew, for kernels that know no resets: time is cut where any row does."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from recurra.cells import State
from recurra.engines.conditions import Conditions

__all__ = ["run_between_resets"]

_Run = Callable[[Tensor, State, Conditions], tuple[Tensor, State]]


def run_between_resets(run: _Run, x: Tensor, state: State, conditions: Conditions) -> tuple[Tensor, State]:
    """What `reference.run` returns for the same arguments, forward in time; in as many calls as there are steps before
    which rows begin anew.

    run: takes x (steps, batch, feature), the state before it, and conditions without resets.
    """
    resets, restart = conditions.resets, conditions.restart
    if resets is None or restart is None:
        return run(x, state, conditions)
    alive = conditions.alive(len(x), x.device)
    resets = resets if alive is None else resets & alive
    cuts = resets.any(1).nonzero().squeeze(1).tolist()
    edges = sorted({0, *cuts, len(x)})
    outputs = []
    parts = x.split([stop - start for start, stop in itertools.pairwise(edges)])
    for start, part in zip(edges, parts, strict=False):
        anew = resets[start].unsqueeze(-1)
        state = state._make(torch.where(anew, fresh, old) for fresh, old in zip(restart, state, strict=True))
        within = conditions.between(start, start + len(part))._replace(resets=None, restart=None)
        y, state = run(part, state, within)
        outputs.append(y)
    return torch.cat(outputs), state
