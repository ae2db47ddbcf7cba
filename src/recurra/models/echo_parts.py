"""What an echo state network carries from part to part of a sequence, and what it learns from of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from recurra.models.reservoir_group import Starts

__all__ = ["EchoState", "choose", "keep", "last_step", "pairs"]


class EchoState(NamedTuple):
    """Where an echo state network is between two steps.

    reservoirs: a State of each layer of each reservoir.
    steps: how many were read so far, (batch,), or () without a batch; the washout goes by them.
    y: what is fed back at the next step, (batch, feature): the last output, or the last target if it was learned from;
        None without feedback, or where the target is still to come.
    waiting: what the readout reads of the last step, (batch, unit), if its target, the next x, is still to come.
    """

    reservoirs: Starts
    steps: Tensor
    y: Tensor | None = None
    waiting: Tensor | None = None


def pairs(
    features: Tensor, x: Tensor, y: Tensor | None, state: EchoState, counts: Tensor | None, washout: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """What the readout reads of a part, and targets: y, or if it is None the next x, also of the part before's end.

    state: where the part begins. counts: steps of each row; None: all.
    """
    if y is not None:
        yield choose(features, y, state.steps, counts, washout)
        return
    if state.waiting is not None:
        known = None if counts is None else counts.clamp(max=1)
        yield choose(state.waiting[None], x[:1], state.steps - 1, known, washout)
    yield choose(features[:-1], x[1:], state.steps, None if counts is None else counts - 1, washout)


def choose(
    features: Tensor, targets: Tensor, passed: Tensor, counts: Tensor | None, washout: int
) -> tuple[Tensor, Tensor]:
    """Those of steps that are behind the washout and no padding. passed: steps of each row before the first."""
    skipped = (washout - passed).clamp(min=0)  # batch
    if counts is None and not skipped.any():
        return features, targets
    number = torch.arange(len(features)).view(-1, *[1] * skipped.dim())
    kept = (number >= skipped) if counts is None else (number >= skipped) & (number < counts)  # time batch
    kept = kept.to(features.device)
    return features[kept], targets[kept]


def last_step(values: Tensor, counts: Tensor | None, before: Tensor | None) -> Tensor:
    """The last step of each row, (batch, feature) of (time, batch, feature); of a row without any, what was before."""
    if counts is None:
        return values[-1].clone()  # all others need not stay in memory
    counts = counts.to(values.device)
    place = (counts - 1).clamp(min=0)
    found = values[place, torch.arange(len(place), device=values.device)] if place.dim() else values[place]
    return found.where((counts > 0).unsqueeze(-1), torch.zeros_like(found) if before is None else before)


def keep(there: Tensor, after: EchoState, before: EchoState) -> EchoState:
    """The state after a step in rows that have one, before it in others; with an output to feed back in both."""
    mask = there.unsqueeze(-1)  # batch 1
    reservoirs = tuple(
        tuple(
            new._make(one.where(mask, other) for one, other in zip(new, old, strict=True))
            for new, old in zip(layers, starts, strict=True)
        )
        for layers, starts in zip(after.reservoirs, before.reservoirs, strict=True)
    )
    y = None if after.y is None or before.y is None else after.y.where(mask, before.y)
    return EchoState(reservoirs, after.steps.where(there.cpu(), before.steps), y)
