"""Backpropagation through all of time with memory for a part of it: segments are computed again on the way back.

Chen et al. 2016, Training deep nets with sublinear memory cost: with segments of sqrt(T) steps, what is kept beside
the outputs grows with sqrt(T), at the price of one more forward pass. Nothing of a segment's graph is kept, not even
its nodes, which for a loop over equations are most of it; so that this is a function of its own and not
`torch.utils.checkpoint`, whose nodes stay.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils.checkpoint import checkpoint

from recurra.cells import State
from recurra.engines import Conditions, Weights

__all__ = ["run_in_segments"]

_Run = Callable[[Weights, Tensor, State, Conditions], tuple[Tensor, State]]


def run_in_segments(
    run: _Run, weights: Weights, x: Tensor, state: State, conditions: Conditions, *, steps: int | None, reverse: bool
) -> tuple[Tensor, State]:
    """What run(weights, x, state, conditions) returns; its inner values are kept for one segment at a time.

    steps: of a segment; None: the root of the sequence's. Under torch.func, which cannot compute again, all is kept.
    """
    time = len(x)
    steps = steps or math.isqrt(time - 1) + 1
    transformed = torch._C._functorch.peek_interpreter_stack() is not None
    if steps >= time or not torch.is_grad_enabled() or transformed:
        return run(weights, x, state, conditions)
    starts = range(0, time, steps)
    outputs: list[Tensor | None] = [None] * len(starts)
    parts = x.split(steps)  # one split, for slices make the backward pass quadratic in time
    for index in reversed(range(len(starts))) if reverse else range(len(starts)):
        start = starts[index]
        within = conditions.between(start, start + len(parts[index]))
        outputs[index], state = _run_again_when_needed(run, (weights, parts[index], state, within))
    return torch.cat([y for y in outputs if y is not None]), state


def _run_again_when_needed(run: _Run, arguments: tuple[Weights, Tensor, State, Conditions]) -> tuple[Tensor, State]:
    if torch.compiler.is_compiling():  # the compiler knows torch's own way
        y, state = checkpoint(run, *arguments, use_reentrant=False, preserve_rng_state=False)
        return y, state
    leaves, tree = pytree.tree_flatten(arguments)
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]

    def call(given: Sequence[Tensor]) -> tuple[Tensor, ...]:
        rest = iter(given)
        filled = [next(rest) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        y, state = run(*pytree.tree_unflatten(filled, tree))
        return (y, *state)

    y, *parts = _Again.apply(call, *tensors)  # type: ignore[no-untyped-call]
    return y, arguments[2]._make(parts)


class _Again(torch.autograd.Function):
    """A function of tensors that keeps its arguments and no inner value; the derivative calls it once more."""

    @staticmethod
    def forward(ctx: Any, call: Callable[[Sequence[Tensor]], tuple[Tensor, ...]], *tensors: Tensor) -> Any:
        ctx.call, device = call, tensors[0].device.type
        ctx.cast = (device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device))
        ctx.save_for_backward(*tensors)
        return call(tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        tensors, twice = ctx.saved_tensors, torch.is_grad_enabled()
        device, dtype, enabled = ctx.cast
        wanted = ctx.needs_input_grad[1:]
        with torch.enable_grad(), torch.autocast(device, dtype, enabled):
            # Views, so that what one argument owes to another is left to the graph that they came from.
            given = [
                tensor if not want else tensor.view_as(tensor) if twice else tensor.detach().requires_grad_()
                for tensor, want in zip(tensors, wanted, strict=True)
            ]
            results = ctx.call(given)
        pairs = [(y, gradient) for y, gradient in zip(results, gradients, strict=True) if y.requires_grad]
        found = iter(
            torch.autograd.grad(
                [y for y, _ in pairs],
                [tensor for tensor, want in zip(given, wanted, strict=True) if want],
                [gradient for _, gradient in pairs],
                create_graph=twice,
                allow_unused=True,
            )
        )
        return (None, *[next(found) if want else None for want in wanted])
