"""The truth: a plain loop over a cell's equations, which every faster engine is tested against.

It calls no fused kernel, works in any floating-point type, and is differentiable as often as the equations are.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.cells import Cell, State
from recurra.engines.weights import Weights
from recurra.errors import ArgumentError

__all__ = ["refusal", "run"]


def refusal(cell: Cell) -> str | None:
    """Why this engine cannot run the cell: it always can."""
    return None


def run(
    cell: Cell, weights: Weights, x: Tensor, state: State, *, lengths: Tensor | None = None, reverse: bool = False
) -> tuple[Tensor, State]:
    """One layer in one direction, by the equations.

    x: (time, batch, feature).
    state: before the first step, (batch, hidden) per field.
    lengths: steps that each row has, 0 to time, (batch,); None: all of them. Past its end a row's state stands still
        and its output is 0; whatever x holds there reaches neither results nor gradients.
    reverse: from the last step to the first; each row then begins at its own end.
    Returns the outputs (time, batch, hidden), in the order of x, and the state after the last step taken.
    Raises ArgumentError if the cell's step returns other fields than it declares.
    """
    alive = None
    if lengths is not None:
        alive = _alive(lengths.to(x.device), len(x))  # time batch 1
        x = torch.where(alive, x, 0)  # 0 * NaN is NaN: without this, padding would reach the weights' gradients
    projected = F.linear(x, weights.input, weights.input_bias)  # time batch gate*hidden
    # unbind, for indexing with x[t] makes the backward pass quadratic in time.
    inputs = list(zip(projected.unbind(0), (None,) * len(x) if alive is None else alive.unbind(0), strict=True))
    outputs = []
    for x_t, alive_t in reversed(inputs) if reverse else inputs:
        after = _advance(cell, weights, x_t, state)
        output = after.h
        if alive_t is not None:
            after = state._make(torch.where(alive_t, new, old) for new, old in zip(after, state, strict=True))
            output = torch.where(alive_t, output, 0)
        state = after
        outputs.append(output)
    if reverse:
        outputs.reverse()
    return torch.stack(outputs), state


def _advance(cell: Cell, weights: Weights, projected: Tensor, state: State) -> State:
    """One time step. projected: W x_t + b_ih, (batch, gate*hidden)."""
    recurrent = F.linear(state.h, weights.recurrent, weights.recurrent_bias)  # batch gate*hidden
    count = len(cell.gates)
    after = cell.step(cell.by_gate(projected.chunk(count, -1)), cell.by_gate(recurrent.chunk(count, -1)), state)
    if getattr(after, "_fields", None) == cell.states:
        return after
    if not isinstance(after, State) or set(after._fields) != set(cell.states):
        came = f"State({', '.join(after._fields)})" if isinstance(after, State) else type(after).__name__
        expected = ", ".join(f"{name}=..." for name in cell.states)
        raise ArgumentError(f"step of cell {cell.name!r} returned {came}; return State({expected})")
    return cell.by_state(getattr(after, name) for name in cell.states)


def _alive(lengths: Tensor, time: int) -> Tensor:
    """Whether row b still has step t: (time, batch, 1)."""
    return (torch.arange(time, device=lengths.device)[:, None] < lengths).unsqueeze(-1)
