"""Kernels compiled from a cell's equations: fused, forward and backward, with every option of the layer in them.

A second derivative is taken by the reference, which a Notice says. Under torch.compile the kernels are an operator.
"""

from __future__ import annotations

import os
import warnings
from functools import cache
from typing import Any

import torch
from torch import Tensor

from recurra.cells import Cell, State
from recurra.compiler.forms import Form
from recurra.compiler.program import make_program
from recurra.compiler.toolchain import find_compiler, why_no_compiler
from recurra.compiler.trace import Untraceable
from recurra.engines.conditions import Conditions
from recurra.engines.constant import constant_in_traces
from recurra.engines.kernel import tape_width
from recurra.engines.operator import number_of, run_operator
from recurra.engines.task import Task, form_of
from recurra.engines.weights import Weights
from recurra.errors import Notice

__all__ = [
    "advance",
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


@constant_in_traces
def _lacking(cell: Cell, needs: frozenset[str]) -> str | None:
    """What there is not: a compiler, or a graph of the equations."""
    return why_no_compiler() if find_compiler() is None else _untraceable(cell, needs)


@constant_in_traces
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


@constant_in_traces
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


@constant_in_traces
def _number(cell: Cell, form: tuple[Any, ...]) -> int:
    return number_of(make_program(cell, Form(*form)))  # torch.compile makes no named tuples of constants


def advance(
    cell: Cell,
    weights: Weights,
    x_t: Tensor,
    state: State,
    conditions: Conditions = Conditions(),  # noqa: B008 - a tuple
) -> State:
    """One step: arguments and result are those of `reference.advance`."""
    return run(cell, weights, x_t.unsqueeze(0), state, conditions)[1]


def get_task(cell: Cell, *, projected: bool, reverse: bool) -> Task | None:
    """A recurrence without any condition, for one call or many; None where it has no kernel."""
    return None if _lacking(cell, _PROJECTED if projected else _NOTHING) else _task(cell, projected, reverse)


@cache
def _task(cell: Cell, projected: bool, reverse: bool) -> Task:
    return Task(cell, Form(projected=projected), Conditions(), reverse)


_NOTHING, _PROJECTED = frozenset[str](), frozenset({"projection"})
