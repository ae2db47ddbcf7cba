"""Dilated recurrence: a step reads the state of d steps ago (Chang et al. 2017, Dilated recurrent neural networks).

The steps t, t + d, t + 2d, ... are a sequence of their own. Folding lays those d sequences side by side in the batch,
so that any engine runs them at once, d times fewer steps one after the other.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from recurra.cells import State
from recurra.engines import Conditions, turned

__all__ = ["run_dilated"]

_Run = Callable[[Tensor, State, Conditions], tuple[Tensor, State]]


def run_dilated(
    run: _Run, x: Tensor, state: State, conditions: Conditions, *, dilation: int, reverse: bool
) -> tuple[Tensor, State]:
    """One layer in one direction with dilation d.

    run: takes what an engine takes, in forward order.
    state: (d, batch, unit, ...) per field, those of the last d steps, the oldest first.
    conditions: as for an engine, without gaps; zoneout is drawn for the folded sequence, (time/d, d*batch, ...).
    Returns the outputs and the last d states, the oldest first.
    """
    time, batch = x.shape[:2]
    lengths = conditions.lengths
    if reverse:
        x = turned(x, lengths)
        turned_resets = None if conditions.resets is None else turned(conditions.resets, lengths)
        conditions = conditions._replace(resets=turned_resets)
    steps = torch.full((batch,), time) if lengths is None else lengths
    folded = _fold_conditions(conditions, steps, time, dilation)
    y, last = run(_fold(x, dilation), state.map(lambda part: part.flatten(0, 1)), folded)
    y = y.unflatten(1, (dilation, batch)).flatten(0, 1)[:time]
    slots = last.map(lambda part: part.unflatten(0, (dilation, batch)))
    final = _oldest_first(slots, steps.to(x.device), dilation)
    final = _reset_what_slept(final, conditions, steps.to(x.device), dilation)
    return (turned(y, lengths) if reverse else y), final


def _fold(value: Tensor, dilation: int) -> Tensor:
    """(time, batch, ...) as (time/d, d*batch, ...): row k*batch + b has the steps k, k + d, ... of row b."""
    missing = -len(value) % dilation
    if missing:
        value = torch.cat([value, value.new_zeros(missing, *value.shape[1:])])
    folded: Tensor = value.unflatten(0, (-1, dilation)).flatten(1, 2)
    return folded


def _fold_conditions(conditions: Conditions, steps: Tensor, time: int, dilation: int) -> Conditions:
    slot = torch.arange(dilation, device=steps.device)[:, None]
    lengths = ((steps - slot + dilation - 1) // dilation).clamp(min=0).flatten()  # d*batch

    def repeated(value: Tensor) -> Tensor:
        return value.repeat(dilation, *([1] * (value.dim() - 1)))

    resets = conditions.resets
    if resets is not None:  # a slot begins anew if any did since its last step
        counted = resets.long().cumsum(0)
        before = torch.cat([torch.zeros_like(counted[:dilation]), counted[:-dilation]])[: len(counted)]
        resets = _fold(counted > before, dilation)
    return conditions._replace(
        lengths=None if conditions.lengths is None and time % dilation == 0 else lengths,
        resets=resets,
        restart=None if conditions.restart is None else conditions.restart.map(repeated),
        dropout=None if conditions.dropout is None else repeated(conditions.dropout),
    )


def _oldest_first(slots: State, steps: Tensor, dilation: int) -> State:
    """Slot k took the steps k, k + d, ...: the one that comes next, of the row's length modulo d, is the oldest."""
    order = (steps + torch.arange(dilation, device=steps.device)[:, None]) % dilation  # d batch
    return slots.map(lambda part: part.gather(0, order.view(*order.shape, *([1] * (part.dim() - 2))).expand_as(part)))


def _reset_what_slept(final: State, conditions: Conditions, steps: Tensor, dilation: int) -> State:
    """Slots that took no step since their row began anew begin anew too."""
    if conditions.resets is None or conditions.restart is None:
        return final
    resets = conditions.resets
    time = torch.arange(len(resets), device=resets.device)[:, None]
    total = torch.cat([resets.new_zeros(1, resets.shape[1]), resets & (time < steps)]).long().cumsum(0)
    age = torch.arange(dilation, device=resets.device)[:, None]
    taken = (steps - dilation + age + 1).clamp(min=0)  # steps up to and with the slot's last one
    anew = total[-1] > total.gather(0, taken)  # d batch

    def begun(fresh: Tensor, old: Tensor) -> Tensor:
        return torch.where(anew.view(*anew.shape, *([1] * (old.dim() - 2))), fresh, old)

    return final._make(begun(fresh, old) for fresh, old in zip(conditions.restart, final, strict=True))
