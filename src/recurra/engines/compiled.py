"""Kernels compiled from a cell's equations: fused, forward and backward, with every option of the layer in them.

A second derivative is taken by the reference, which a Notice says. Under torch.compile the kernels are an operator.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor

from recurra.cells import Cell, State
from recurra.compiler.forms import Form
from recurra.compiler.program import Program, make_program
from recurra.compiler.toolchain import find_compiler, why_no_compiler
from recurra.compiler.trace import Untraceable
from recurra.engines import reference
from recurra.engines.again import derive_by_reference, needs_reference
from recurra.engines.conditions import Conditions
from recurra.engines.kernel import Gradients, Inputs, Wanted, compute, differentiate, tape_width
from recurra.engines.operator import number_of, run_operator
from recurra.engines.vectors import Recipe, compute_vectors, make_recipe, owed_to_leaves
from recurra.engines.weights import Weights
from recurra.errors import Notice

__all__ = [
    "Task",
    "advance",
    "form_of",
    "get_task",
    "is_traced",
    "refusal",
    "run",
    "tape_bytes",
    "tell_if_there_is_no_compiler",
]

_UNKNOWN = {
    "convolution": "kernels are compiled for products, not for convolutions",
    "CUDA": "kernels are compiled for the CPU",
    "half precision": "kernels are compiled for float32 and float64",
    "autocast": "kernels are compiled for float32 and float64, autocast asks for less",
    "derivatives of time gaps": "kernels give no derivative of time gaps",
    "export": "an exported graph goes to other machines, kernels are compiled for this one",
}


def refusal(cell: Cell, needs: frozenset[str] = frozenset()) -> str | None:
    """Why this engine cannot run the cell; None if it can."""
    for need, why in _UNKNOWN.items():
        if need in needs:
            return why
    if _is_transformed():
        return "kernels know no transforms of torch.func and no forward mode"
    if not torch.compiler.is_compiling() and torch._C._get_tracing_state() is not None:
        return "TorchScript traces no operators with lists of tensors"
    lacking: str | None = _lacking(cell, needs)
    return lacking


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _lacking(cell: Cell, needs: frozenset[str]) -> str | None:
    """What there is not: a compiler, or a graph of the equations."""
    return why_no_compiler() if find_compiler() is None else _untraceable(cell, needs)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def tell_if_there_is_no_compiler() -> bool:
    """Say, once in a process, that kernels cannot be built here; not where RECURRA_CC=none asks for it."""
    if _said or os.environ.get("RECURRA_CC") == "none" or find_compiler() is not None:
        return False
    _said.append(True)
    warnings.warn(f"recurrences run without compiled kernels, slower: {why_no_compiler()}", Notice, stacklevel=2)
    return True


_said: list[bool] = []


def is_traced() -> bool:
    """Whether operations are recorded, or tensors have no values: torch.jit.trace, make_fx, fake tensors."""
    return torch._C._len_torch_dispatch_stack() > 0 or torch._C._get_tracing_state() is not None


@cache
def _untraceable(cell: Cell, needs: frozenset[str]) -> str | None:
    try:
        make_program(cell, _form(cell, needs))
    except Untraceable as why:
        return str(why)
    return None


def _form(cell: Cell, needs: frozenset[str]) -> Form:
    """What is compiled in, as far as the needs say."""
    zoneout = ("drawn",) * len(cell.states) if "zoneout" in needs else ()
    return Form("layer normalisation" in needs, "recurrent dropout" in needs, zoneout, "projection" in needs)


def tape_bytes(cell: Cell, needs: frozenset[str], hidden: int, dtype: torch.dtype) -> int:
    """What training keeps of each step and row."""
    return tape_width(make_program(cell, _form(cell, needs)), hidden, dtype) * dtype.itemsize


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _is_transformed() -> bool:
    """Whether a derivative is taken forward, or a transform of torch.func is under way."""
    stack = torch._C._functorch.get_interpreter_stack()
    return bool(stack) or torch.autograd.forward_ad._current_level >= 0


def run(
    cell: Cell,
    weights: Weights,
    x: Tensor,
    state: State,
    conditions: Conditions = Conditions(),  # noqa: B008 - a tuple
    *,
    reverse: bool = False,
) -> tuple[Tensor, State]:
    """One layer in one direction, by its kernel: arguments and results are those of `reference.run`.

    Raises BuildError if the kernel cannot be built, RecurraError if there is no memory for it.
    """
    task = Task(cell, form_of(conditions, weights), conditions, reverse, weights.connections)
    tensors = task.flatten(weights, x, state)
    if torch.compiler.is_compiling() or is_traced():
        y, *last = run_operator(_number(cell, tuple(task.form)), task.inputs(tensors), reverse)
    else:
        y, last = task(tensors)
    return y, state._make(last)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _number(cell: Cell, form: tuple[Any, ...]) -> int:
    return number_of(make_program(cell, Form(*form)))  # torch.compile makes no named tuples of constants


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _recipe(cell: Cell, form: tuple[Any, ...]) -> Recipe:
    return _recipe_of(cell, Form(*form))


@cache
def _recipe_of(cell: Cell, form: Form) -> Recipe:
    return make_recipe(make_program(cell, form))


def advance(
    cell: Cell,
    weights: Weights,
    x_t: Tensor,
    state: State,
    conditions: Conditions = Conditions(),  # noqa: B008 - a tuple
) -> State:
    """One step: arguments and result are those of `reference.advance`."""
    return run(cell, weights, x_t.unsqueeze(0), state, conditions)[1]


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


def get_task(cell: Cell, *, projected: bool, reverse: bool) -> Task | None:
    """A recurrence without any condition, for one call or many; None where it has no kernel."""
    return None if _lacking(cell, _PROJECTED if projected else _NOTHING) else _task(cell, projected, reverse)


@cache
def _task(cell: Cell, projected: bool, reverse: bool) -> Task:
    return Task(cell, Form(projected=projected), Conditions(), reverse)


_NOTHING, _PROJECTED = frozenset[str](), frozenset({"projection"})


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
