"""How much of a gradient survives its way back through a recurrent layer's time steps."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from recurra.cells import State
from recurra.engines import turned
from recurra.errors import ArgumentError
from recurra.layers.forms import Sequences, read_sequences
from recurra.layers.recurrent import Recurrent
from recurra.layers.shapes import check_sequence

__all__ = ["LARGEST_STATE", "GradientFlow", "Radius", "measure_gradients"]

LARGEST_STATE = 512  # numbers in the state of one row, beyond which eigenvalues take too long
_STEPS, _ROWS = 8, 2  # at which Jacobians are taken
_SEED = 0


class Radius(NamedTuple):
    """The largest |eigenvalue| of the Jacobian ds_t / ds_(t-1) of one row, t being the step `lag` before its last."""

    lag: int
    value: float


class GradientFlow(NamedTuple):
    """What one recurrence, a layer in one direction, lets through.

    Norms are listed by lag: the first is at the last step that the recurrence takes (in reverse, the first of x), the
    next at the step before it. They are root mean squares over the rows that have so many steps.
    """

    layer: int
    direction: int
    rows: int
    """That have a step."""
    norms: tuple[float, ...]
    """|dL/ds_t| of the whole state, all fields side by side, L being a random projection of the last output."""
    by_field: Mapping[str, tuple[float, ...]]
    """|dL/dh_t| and the like, the other fields held."""
    by_loss: tuple[float, ...] | None
    """|dL/ds_t| of the loss that was given; None without one."""
    state_size: int
    """Numbers in the state of one row."""
    radii: tuple[Radius, ...]
    """Where Jacobians were taken; () if the state is larger than LARGEST_STATE."""


def measure_gradients(
    layer: Recurrent,
    x: Tensor | PackedSequence,
    *,
    lengths: Tensor | Sequence[int] | None = None,
    state: State | tuple[Any, ...] | None = None,
    loss: Callable[[Any], Tensor] | None = None,
) -> list[GradientFlow]:
    """Send a gradient of norm 1 back from the end of each row and measure it at every step, in each recurrence.

        L = <p, h_T>,  |p| = 1     h_T: the top layer's output at the last step that the direction takes
        dL/ds_t = (ds_T/ds_(T-1) ... ds_(t+1)/ds_t)' dL/ds_T

    The loss asks for the end alone, so the norm at lag k is what survives k steps. A recurrence below the top gets it
    from the top of its own direction.

    x, lengths, state: as for a call of the layer.
    loss: of y, in the form and dtype that the layer returns, to a scalar; measured beside it.

    A copy of the layer is measured, in float64 on the CPU, where neither float32's range nor its rounding hides
    anything; as it stands in training or evaluation, with noise drawn from a fixed seed. The layer, its gradients and
    torch's random state stay as they are.

    Raises ArgumentError if the layer is none of recurra's or dilated, x, lengths or state do not fit it, no row has two
    steps, or the loss returns something else than a scalar made of y.

    >>> layer = Recurrent("elman-linear", 1, 1, dtype=torch.float64)
    >>> _ = torch.nn.init.constant_(layer.weight_hh_l0, 0.5)
    >>> measure_gradients(layer, torch.ones(4, 2, 1, dtype=torch.float64))[0].norms
    (1.0, 0.5, 0.25, 0.125)
    """
    if not isinstance(layer, Recurrent):
        raise ArgumentError(
            f"layer is {type(layer).__name__}; expected a recurrent layer of recurra.nn: pass that of a model, or load "
            f"a torch.nn layer's state_dict into recurra.nn's of the same name"
        )
    sequences, steps = _read(layer, x, lengths)
    given = None if state is None else layer._given(state, sequences.x, sequences.batch)
    twin = copy.deepcopy(layer).to("cpu", torch.float64).requires_grad_()
    twin.batch_first = False  # what it reads is in the one form by now
    inputs = _exact(sequences.x)
    begun = given or twin.initial_state(inputs.shape[1], space=tuple(inputs.shape[3:]))
    start = begun.map(lambda part: _exact(part).requires_grad_())  # for a field that no parameter reaches
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.default_generator.manual_seed(_SEED)
        y, _, watched = twin.watch(inputs, start, lengths=sequences.lengths)
        asked = None if loss is None else _value(loss, sequences.restore(y.to(sequences.x)))
        radii = _radii(twin, inputs, start, steps)
        return [_flow(twin, watched, index, asked, steps, radii[index]) for index in range(len(watched))]


def _flow(
    twin: Recurrent,
    watched: list[list[State]],
    index: int,
    asked: Tensor | None,
    steps: Tensor,
    radii: list[Radius],
) -> GradientFlow:
    """What one recurrence lets through of a gradient from the end of the top layer, and of that which a loss asks."""
    layer, direction = divmod(index, twin.num_directions)
    states, reverse = watched[index], bool(direction)
    end = watched[direction - twin.num_directions][0 if reverse else -1]
    survived = _norms(_projection(end[0]), states, steps, reverse=reverse)
    return GradientFlow(
        layer,
        direction,
        int((steps > 0).sum()),
        _whole(survived),
        dict(zip(end._fields, map(tuple, survived.T.tolist()), strict=True)),
        None if asked is None else _whole(_norms(asked, states, steps, reverse=reverse)),
        _size(states[0]),
        tuple(radii),
    )


def _read(layer: Recurrent, x: Any, lengths: Any) -> tuple[Sequences, Tensor]:
    """The batch in the one form, and the steps of each row."""
    check_sequence(
        x,
        input_size=layer.input_size,
        batch_first=layer.batch_first,
        weight=layer._any_weight(),
        space=layer._space,
    )
    rank = 3 + len(layer._space)
    sequences = read_sequences(x, rank=rank, batch_first=layer.batch_first, lengths=lengths, mask=None)
    time, batch = sequences.x.shape[:2]
    steps = torch.full((batch,), time) if sequences.lengths is None else sequences.lengths
    longest = max(steps.tolist(), default=0)
    if longest < 2:
        raise ArgumentError(
            f"batch has {batch} rows of at most {longest} time steps; expected a row with 2 or more, "
            f"for a gradient to pass from one to the other"
        )
    return sequences, steps


def _exact(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float64)


def _value(loss: Callable[[Any], Tensor], y: Any) -> Tensor:
    value = loss(y)
    if not isinstance(value, Tensor) or value.numel() != 1 or not value.requires_grad:
        came = f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        if isinstance(value, Tensor) and value.numel() == 1:
            came = "a number that no gradient leads back from"
        raise ArgumentError(f"loss returned {came}; expected a scalar tensor made of y, as in lambda y: y[-1].sum()")
    return value.sum()


def _projection(output: Tensor) -> Tensor:
    """<p, output> in a random direction p of norm 1 for each row, summed over rows."""
    direction = torch.randn(output.shape, generator=torch.Generator().manual_seed(_SEED), dtype=output.dtype).flatten(1)
    projected: Tensor = direction / direction.norm(dim=1, keepdim=True) * output.flatten(1)
    return projected.sum()


def _norms(value: Tensor, states: list[State], steps: Tensor, *, reverse: bool) -> Tensor:
    """|d value / d field| by (lag, field), the root mean square over rows."""
    nodes = [part for state in states for part in state]
    gradients = torch.autograd.grad(value, nodes, retain_graph=True, allow_unused=True, materialize_grads=True)
    squares = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients])
    squares = squares.unflatten(0, (len(states), -1)).transpose(1, 2)  # time batch field
    if not reverse:
        squares = turned(squares, steps)
    squares = squares[: int(steps.max())]
    alive = torch.arange(len(squares))[:, None] < steps  # lag batch
    return (torch.where(alive[..., None], squares, 0).sum(1) / alive.sum(1, keepdim=True)).sqrt()


def _whole(norms: Tensor) -> tuple[float, ...]:
    """Of all fields together, from (lag, field)."""
    return tuple(norms.norm(dim=1).tolist())


def _radii(twin: Recurrent, x: Tensor, start: State, steps: Tensor) -> list[list[Radius]]:
    """Of each recurrence, at steps and rows spread evenly; row by row, for a graph of one row is small."""
    rows = [row for row, length in enumerate(steps.tolist()) if length > 1]
    found: list[list[Radius]] = [[] for _ in twin._stack.recurrences]
    for row in _spread(rows, _ROWS):
        begun = start.map(lambda part, row=row: part[:, row : row + 1])  # type: ignore[misc]
        _, _, watched = twin.watch(x[: steps[row], row : row + 1], begun)
        for index, states in enumerate(watched):
            if _size(states[0]) > LARGEST_STATE:
                continue
            taken = states[::-1] if index % twin.num_directions else states
            for t in _spread(range(1, len(taken)), _STEPS):
                radius = _spectral_radius(_jacobian(taken[t], taken[t - 1]))
                found[index].append(Radius(len(taken) - 1 - t, radius))
    return found


def _jacobian(after: State, before: State) -> Tensor:
    """d after / d before of a batch of one row, (unit, unit), the fields of the state side by side."""
    parts = torch.eye(_size(after), dtype=after[0].dtype).split([part.numel() for part in after], 1)
    directions = [part.reshape(-1, *field.shape) for part, field in zip(parts, after, strict=True)]
    rows = torch.autograd.grad(
        list(after),
        list(before),
        directions,
        retain_graph=True,
        allow_unused=True,
        is_grads_batched=True,
    )
    blocks = [
        directions[0].new_zeros(len(directions[0]), field.numel()) if block is None else block.flatten(1)
        for block, field in zip(rows, before, strict=True)
    ]
    return torch.cat(blocks, 1)


def _spectral_radius(matrix: Tensor) -> float:
    """The largest |eigenvalue|; NaN if the matrix is not finite."""
    if not bool(torch.isfinite(matrix).all()):
        return float("nan")
    return float(torch.linalg.eigvals(matrix).abs().max())


def _size(state: State) -> int:
    """Numbers in the state of one row."""
    return sum(part[0].numel() for part in state)


def _spread(values: Sequence[int], count: int) -> list[int]:
    """At most `count` of the values, at even distances, the first and the last among them.

    >>> _spread(range(1, 100), 3)
    [1, 50, 99]
    """
    chosen = torch.linspace(0, len(values) - 1, min(count, len(values))).round().long()
    return [values[place] for place in chosen.tolist()]
