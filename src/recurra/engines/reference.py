"""The truth: a plain loop over a cell's equations, which every faster engine is tested against.

It calls no fused kernel, works in any floating-point type, and is differentiable as often as the equations are. The
feature axis of one step is the one after the batch, whether the projections are products or convolutions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.cells import Cell, State
from recurra.engines.conditions import Conditions
from recurra.engines.weights import Weights
from recurra.errors import ArgumentError

__all__ = ["advance", "refusal", "run"]

_EPSILON = 1e-5  # of layer normalisation, as torch has it
_CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def refusal(cell: Cell, needs: frozenset[str] = frozenset()) -> str | None:
    """Why this engine cannot run the cell: it always can."""
    return None


def run(
    cell: Cell,
    weights: Weights,
    x: Tensor,
    state: State,
    conditions: Conditions = Conditions(),  # noqa: B008 - a tuple
    *,
    reverse: bool = False,
    watch: list[State] | None = None,
) -> tuple[Tensor, State]:
    """One layer in one direction, by the equations.

    x: (time, batch, feature, ...).
    state: before the first step, (batch, hidden, ...) per field; the first field (batch, output, ...).
    conditions: lengths, resets and the like.
    reverse: from the last step to the first; each row then begins at its own end.
    watch: takes the state after each step, in the order of x; each field is a node of its own, through which the output
        passes too: its gradient is the partial one, with the other fields held.
    Returns the outputs (time, batch, output, ...), in the order of x, and the state after the last step taken.
    Raises ArgumentError if the cell's step returns other fields than it declares.
    """
    equations = _Equations(cell, weights, conditions)
    time, spatial = len(x), x.dim() - 3
    alive = conditions.alive(time, x.device)
    if alive is not None:
        alive = _widen(alive, spatial)
        x = torch.where(alive, x, 0)  # 0 * NaN is NaN: without this, padding would reach the weights' gradients
    projected = equations.read(x.flatten(0, 1)).unflatten(0, (time, -1))  # time batch gate*hidden ...
    inputs = projected.unbind(0)  # for indexing with x[t] makes the backward pass quadratic in time
    outputs: list[Tensor | None] = [None] * time
    states: list[State | None] = [None] * time
    for t in reversed(range(time)) if reverse else range(time):
        after = equations.step(inputs[t], state, t)
        if alive is not None:
            lives = alive[t]
            after = after._make(torch.where(lives, new, old) for new, old in zip(after, state, strict=True))
        if watch is not None:
            after = after.map(torch.clone)
        output = after[0] if alive is None else torch.where(alive[t], after[0], 0)
        state, outputs[t], states[t] = after, output, after
    if watch is not None:
        watch.extend(after for after in states if after is not None)
    return torch.stack([output for output in outputs if output is not None]), state


def advance(
    cell: Cell,
    weights: Weights,
    x_t: Tensor,
    state: State,
    conditions: Conditions = Conditions(),  # noqa: B008 - a tuple
) -> State:
    """One step. x_t: (batch, feature, ...). `run` on one step, without its time axis."""
    equations = _Equations(cell, weights, conditions)
    return equations.step(equations.read(x_t), state, 0)


class _Projection(NamedTuple):
    """W x + b, or with a gain  gain * normalised(W x) + b: each gate's units to mean 0 and variance 1 (Ba et al. 2016).

    A product where the weight is (gates*hidden, feature), a convolution where it has a kernel too.
    """

    gates: int
    weight: Tensor
    bias: Tensor | None
    gain: Tensor | None

    def __call__(self, x: Tensor) -> Tensor:
        """(row, feature, ...) to (row, gate*hidden, ...)."""
        raw, spatial = self.bias if self.gain is None else None, self.weight.dim() - 2
        if spatial:
            product = _CONVOLUTIONS[spatial](x, self.weight, raw, padding="same")
        else:
            product = F.linear(x, self.weight, raw)
        if self.gain is None:
            return product
        by_gate = product.unflatten(1, (self.gates, -1))  # row gate hidden ...
        centred = by_gate - by_gate.mean(2, keepdim=True)
        normal = centred * (centred.square().mean(2, keepdim=True) + _EPSILON).rsqrt()
        scaled: Tensor = normal.flatten(1, 2) * _column(self.gain, spatial)
        return scaled if self.bias is None else scaled + _column(self.bias, spatial)

    def of_gates(self, start: int, stop: int) -> _Projection:
        """That of some of the gates."""
        size = len(self.weight) // self.gates
        rows = slice(start * size, stop * size)
        bias, gain = (part if part is None else part[rows] for part in (self.bias, self.gain))
        return _Projection(stop - start, self.weight[rows], bias, gain)


class _Equations:
    """A cell's equations with its weights in their places."""

    def __init__(self, cell: Cell, weights: Weights, conditions: Conditions) -> None:
        self.cell, self.weights, self.conditions = cell, weights, conditions
        self.read = _Projection(len(cell.gates), weights.input, weights.input_bias, weights.input_gain)
        self.spatial = weights.input.dim() - 2
        self.vectors = tuple(_column(vector, self.spatial) for vector in weights.vectors)
        self.known = False  # whether what the equations return has been looked at
        self.first: _Projection | None = None
        self.second: tuple[Callable[[Tensor], Tensor], ...] = ()
        if weights.recurrent is not None:
            gates, first = len(cell.recurrent_gates), len(cell.recurrent_gates) - len(cell.second)
            whole = _Projection(gates, weights.recurrent, weights.recurrent_bias, weights.recurrent_gain)
            self.first = whole if first == gates else whole.of_gates(0, first) if first else None
            self.second = tuple(
                partial(self._project_again, whole.of_gates(gate, gate + 1)) for gate in range(first, gates)
            )

    def step(self, projected: Tensor, before: State, t: int) -> State:
        """One time step. projected: W x_t + b_ih, (batch, gate*hidden, ...)."""
        cell, weights = self.cell, self.weights
        before = self._begun_anew(before, t)
        terms: list[Any] = [self._inputs(projected, t), self._recurrent(before[0]), before]
        if weights.vectors:
            terms.append(cell.by_vector(self.vectors))
        after = self._checked(cell.step(*terms), before)
        if weights.projection is not None:
            shown = F.linear(after[0], weights.projection)
            after = after._replace(**{cell.states[0]: shown})
        if self.conditions.zoneout is None:
            return after
        return after._make(
            new if kept is None else _keep(kept if isinstance(kept, float) else kept[t], old, new)
            for kept, old, new in zip(self.conditions.zoneout, before, after, strict=True)
        )

    def _begun_anew(self, state: State, t: int) -> State:
        resets, restart = self.conditions.resets, self.conditions.restart
        if resets is None or restart is None:
            return state
        anew = _widen(resets[t], self.spatial)
        return state._make(torch.where(anew, fresh, old) for fresh, old in zip(restart, state, strict=True))

    def _inputs(self, projected: Tensor, t: int) -> Any:
        parts = list(projected.chunk(len(self.cell.gates), 1))
        if self.cell.reads_gaps:
            gaps = self.conditions.gaps
            passed = projected.new_ones(projected.shape[0]) if gaps is None else gaps[t].to(projected.dtype)
            parts.append(_widen(passed, self.spatial))
        return self.cell.by_gate(parts)

    def _recurrent(self, output: Tensor) -> Any:
        parts: tuple[Any, ...] = ()
        if self.first is not None:
            parts = self.first(self._thinned(output)).chunk(self.first.gates, 1)
        return self.cell.by_recurrent_gate((*parts, *self.second))

    def _project_again(self, projection: _Projection, value: Tensor) -> Tensor:
        return projection(self._thinned(value))

    def _thinned(self, value: Tensor) -> Tensor:
        return value if self.conditions.dropout is None else value * self.conditions.dropout

    def _checked(self, after: Any, before: State) -> State:
        """What the equations returned, with the fields in the cell's order; looked at closely the first time."""
        cell = self.cell
        if not self.known:
            self._check(after, before)
            self.known = True
        if after._fields == cell.states:
            return after  # type: ignore[no-any-return]
        return cell.by_state(getattr(after, name) for name in cell.states)

    def _check(self, after: Any, before: State) -> None:
        cell = self.cell
        if not isinstance(after, State) or set(after._fields) != set(cell.states):
            found = f"State({', '.join(after._fields)})" if isinstance(after, State) else type(after).__name__
            spelled = ", ".join(f"{name}=..." for name in cell.states)
            raise ArgumentError(f"step of cell {cell.name!r} returned {found}; return State({spelled})")
        expected = (before[0].shape[0], len(self.weights.input) // len(cell.gates))
        for name, part in after._asdict().items():
            came = tuple(part.shape[:2]) if isinstance(part, Tensor) else type(part).__name__
            if came != expected:
                raise ArgumentError(
                    f"step of cell {cell.name!r} returned {name} as {came}; expected {expected}, a number for each row "
                    f"and unit, made of x, u and s"
                )


def _keep(kept: Tensor | float, old: Tensor, new: Tensor) -> Tensor:
    """Zoneout (Krueger et al. 2017): units that stay as they were; in evaluation that share of each."""
    return new + kept * (old - new) if isinstance(kept, float) else torch.where(kept, old, new)


def _column(vector: Tensor, spatial: int) -> Tensor:
    """One number per unit, against (batch, unit, ...)."""
    return vector.view(-1, *([1] * spatial)) if spatial else vector


def _widen(rows: Tensor, spatial: int) -> Tensor:
    """One value per row, (..., batch), against (..., batch, unit, ...)."""
    return rows.view(*rows.shape, 1, *([1] * spatial))
