"""One recurrence as a task of its kernel: which tensors go in, and what all of them are owed on the way back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor

from recurra.cells import Cell, State
from recurra.compiler.forms import Form
from recurra.compiler.program import Program, make_program
from recurra.engines import reference
from recurra.engines.again import derive_by_reference, needs_reference
from recurra.engines.conditions import Conditions
from recurra.engines.constant import constant_in_traces
from recurra.engines.inputs import Gradients, Inputs, Wanted
from recurra.engines.kernel import compute, differentiate
from recurra.engines.vectors import Recipe, compute_vectors, make_recipe, owed_to_leaves
from recurra.engines.weights import Weights

__all__ = ["Task", "form_of"]


class Task:
    """A program, and all of a call's arguments that have no derivative."""

    def __init__(
        self, cell: Cell, form: Form, conditions: Conditions, reverse: bool, connections: Tensor | None = None
    ) -> None:
        self.cell, self.form, self.conditions, self.reverse = cell, form, conditions, reverse
        self.connections = connections

    @cached_property
    def program(self) -> Program:
        """What is compiled."""
        return make_program(self.cell, self.form)

    @property
    def recipe(self) -> Recipe:
        """How the program's vectors are made."""
        recipe: Recipe = _recipe(self.cell, tuple(self.form))
        return recipe

    def flatten(self, weights: Weights, x: Tensor, state: State) -> list[Tensor | None]:
        """All tensors that may have a derivative: x, the state, where resets go back to, then the weights."""
        restart = self.conditions.restart or ()
        *first, vectors, gain_input, gain_recurrent, _ = weights
        return [x, *state, *restart, *first, gain_input, gain_recurrent, *vectors]

    def unflatten(self, tensors: Sequence[Any]) -> tuple[Weights, Tensor, State, State | None]:
        """The inverse."""
        states = len(self.cell.states)
        x, start, rest = tensors[0], tensors[1 : 1 + states], tensors[1 + states :]
        restart = None
        if self.conditions.restart is not None:
            restart, rest = self.cell.by_state(rest[:states]), rest[states:]
        weight, recurrent, bias, recurrent_bias, projection, gain, recurrent_gain, *vectors = rest
        weights = Weights(weight, recurrent, bias, recurrent_bias, projection, tuple(vectors), gain, recurrent_gain)
        return weights, x, self.cell.by_state(start), restart

    def wanted(self, wanted: Sequence[bool]) -> Wanted:
        """Which gradients are. wanted: of each tensor, in the order in which `flatten` has them."""
        first = 1 + len(self.cell.states) * (2 if self.conditions.restart is not None else 1)
        return Wanted(wanted[0], wanted[1 : 1 + len(self.cell.states)], wanted[first], wanted[first + 1])

    def __call__(self, tensors: Sequence[Tensor | None]) -> tuple[Tensor, list[Tensor]]:
        """The outputs and the fields of the last state. tensors: in the order in which `flatten` has them."""
        if torch.is_grad_enabled() and any(one is not None and one.requires_grad for one in tensors):
            y, *last = _Sequence.apply(self, *tensors)  # type: ignore[no-untyped-call]
        else:
            y, last, _ = compute(self.program, self.inputs(tensors), reverse=self.reverse, keep=False)
        return y, last

    def run_reference(self, tensors: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
        """The outputs and the fields of the last state, step by step."""
        weights, x, start, restart = self.unflatten(tensors)
        conditions = self.conditions._replace(restart=restart)
        y, last = reference.run(self.cell, weights, x, start, conditions, reverse=self.reverse)
        return (y, *last)

    def vectors(self, weights: Weights) -> list[Tensor]:
        """Those of the program."""
        kept = zip(self.cell.states, self.conditions.zoneout or (), strict=False)
        shares = {name: one for name, one in kept if isinstance(one, float)}
        return compute_vectors(self.recipe, self.cell, weights, shares)

    def inputs(self, tensors: Sequence[Tensor | None], vectors: Sequence[Tensor] | None = None) -> Inputs:
        """What the kernel takes. vectors: if they are known already."""
        weights, x, start, restart = self.unflatten(tensors)
        conditions = self.conditions
        kept = [one.contiguous() if isinstance(one, Tensor) else None for one in conditions.zoneout or ()]
        x = x.resolve_neg()
        return Inputs(
            x if x.stride(2) == 1 or x.shape[2] == 1 else x.contiguous(),
            [part.resolve_neg().contiguous() for part in start],
            weights.input.contiguous(),
            _contiguous(weights.recurrent),
            _contiguous(weights.input_bias),
            _contiguous(weights.recurrent_bias),
            _contiguous(weights.projection),
            [vector.contiguous() for vector in (self.vectors(weights) if vectors is None else vectors)],
            None if conditions.lengths is None else conditions.lengths.to("cpu", torch.int64),
            _contiguous(conditions.resets) if restart is not None else None,
            [part.contiguous() for part in restart or ()],
            None if conditions.gaps is None else conditions.gaps.to(x.dtype).contiguous(),
            None if conditions.dropout is None else conditions.dropout.to(x.dtype).contiguous(),
            kept if any(one is not None for one in kept) else [],
            _contiguous(self.connections),
        )


def form_of(conditions: Conditions, weights: Weights) -> Form:
    """What must be compiled in for such a call."""
    kinds = [
        "" if kept is None else "drawn" if isinstance(kept, Tensor) else "share" for kept in conditions.zoneout or ()
    ]
    return Form(
        layer_norm=weights.input_gain is not None,
        thinned=conditions.dropout is not None,
        zoneout=tuple(kinds) if any(kinds) else (),
        projected=weights.projection is not None,
    )


@constant_in_traces
def _recipe(cell: Cell, form: tuple[Any, ...]) -> Recipe:
    return _recipe_of(cell, Form(*form))


@cache
def _recipe_of(cell: Cell, form: Form) -> Recipe:
    return make_recipe(make_program(cell, form))


class _Sequence(torch.autograd.Function):
    """A sequence and its derivative, both by the kernel."""

    @staticmethod
    def forward(ctx: Any, task: Task, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        ctx.task = task
        ctx.leaves = ctx.vectors = None
        vectors: list[Tensor] | None = None
        if task.recipe.leaves is None:
            ctx.leaves = [one if one is None else one.detach().requires_grad_() for one in tensors]
            with torch.enable_grad():
                ctx.vectors = task.vectors(task.unflatten(ctx.leaves)[0])
            vectors = [vector.detach() for vector in ctx.vectors]
        y, last, tape = compute(task.program, task.inputs(tensors, vectors), reverse=task.reverse, keep=True)
        ctx.count = len(tensors)
        ctx.save_for_backward(*tensors, *(vectors or ()), y, tape)
        ctx.set_materialize_grads(False)
        return (y, *last)

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, *dlast: Tensor | None) -> tuple[Tensor | None, ...]:
        task: Task = ctx.task
        tensors, vectors, (y, tape) = _split(ctx.saved_tensors, ctx.count, -2)
        if needs_reference((dy, *dlast)):
            wanted = ctx.needs_input_grad[1:]
            return (None, *derive_by_reference(task.cell, task.run_reference, tensors, wanted, (dy, *dlast)))
        inputs = task.inputs(tensors, vectors or None)
        found = differentiate(
            task.program, inputs, y, tape, dy, dlast, reverse=task.reverse, wanted=task.wanted(ctx.needs_input_grad[1:])
        )
        gradients = _gathered(task, found)
        if ctx.vectors:
            _add_vectors(gradients, ctx.leaves, ctx.vectors, found.vectors)
        return (None, *(one if want else None for one, want in zip(gradients, ctx.needs_input_grad[1:], strict=True)))


def _split(saved: Sequence[Any], first: int, last: int) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
    return saved[:first], saved[first:last], saved[last:]


def _gathered(task: Task, found: Gradients) -> list[Tensor | None]:
    """The gradients in the order of the flattened tensors; those through vectors are still to come."""
    bias_input, bias_recurrent = found.bias_input, found.bias_recurrent
    leaves = task.recipe.leaves
    owed = owed_to_leaves(leaves, task.cell, found.vectors) if leaves else {}
    if task.form.layer_norm:
        bias_input, bias_recurrent = owed.get("bias_ih"), owed.get("bias_hh")
    weights = (found.weight_input, found.weight_recurrent, bias_input, bias_recurrent, found.projection)
    gains = (owed.get("gain_ih"), owed.get("gain_hh"))
    return [found.x, *found.start, *found.restart, *weights, *gains, *map(owed.get, task.cell.vectors)]


def _add_vectors(
    gradients: list[Tensor | None], leaves: list[Tensor | None], vectors: list[Tensor], dvectors: Tensor
) -> None:
    """What parameters owe to the vectors that were made of them."""
    pairs = [(v, d) for v, d in zip(vectors, dvectors.unbind(0), strict=True) if v.requires_grad]
    places = [place for place, leaf in enumerate(leaves) if leaf is not None]
    found = torch.autograd.grad(
        [vector for vector, _ in pairs],
        [leaf for leaf in leaves if leaf is not None],
        [gradient for _, gradient in pairs],
        retain_graph=True,
        allow_unused=True,
    )
    for place, gradient in zip(places, found, strict=True):
        if gradient is not None:
            known = gradients[place]
            gradients[place] = gradient if known is None else known + gradient


def _contiguous(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()
