"""Which engine runs a cell, with the reason; never silently."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import NamedTuple

import torch
from torch.autograd import forward_ad

from recurra.cells import Cell
from recurra.engines import compiled, native, reference, scan
from recurra.engines.constant import constant_in_traces
from recurra.errors import ArgumentError, nearest

__all__ = ["Choice", "asked_for", "available", "choose", "engine", "get_engine", "is_plain_call", "tape"]

# From the fastest to the one that runs anything. Each module has run(...), advance(...) and refusal(cell, needs).
_ENGINES: dict[str, ModuleType] = {"compiled": compiled, "torch": native, "scan": scan, "reference": reference}
_wanted: ContextVar[str] = ContextVar("recurra_engine", default="auto")


class Choice(NamedTuple):
    """The engine that runs a cell, and why it and no other."""

    engine: str
    why: str


def engine(name: str) -> AbstractContextManager[None]:
    """Ask for an engine by name, inside a `with`; this thread or task only.

    name: "auto" (the fastest that can run the cell), "compiled" (kernels made from the equations), "torch" (torch's own
        kernels), "scan" (all steps at once, for recurrences that are linear in their state), "reference" (the plain
        loop). What torch.compile has compiled keeps the engine that was asked for then.
    Raises ArgumentError for another name; a layer whose cell the engine cannot run raises it when called.

    >>> from recurra.cells import get_cell
    >>> with engine("reference"):
    ...     choose(get_cell("lstm")).engine
    'reference'
    """
    _check(name)
    return _asking(name)


@contextmanager
def _asking(name: str) -> Iterator[None]:
    token = _wanted.set(name)
    try:
        yield
    finally:
        _wanted.reset(token)


def choose(cell: Cell, needs: frozenset[str] = frozenset()) -> Choice:
    """The engine that runs the cell, as `engine(...)` asks for it here.

    needs: what it must be able to do beside the equations, as `recurra.layers.stack.needs` names it.
    Raises ArgumentError if an engine is asked for by name and cannot run the cell.
    """
    wanted = asked_for()
    if wanted != "auto":
        refused = _ENGINES[wanted].refusal(cell, needs)
        if refused:
            raise ArgumentError(
                f"engine {wanted!r} cannot run cell {cell.name!r}: {refused}; ask for one of: "
                f"{', '.join(['auto', *available(cell, needs)])}"
            )
        return Choice(wanted, "asked for by name")
    refusals: list[str] = []
    for name, module in _ENGINES.items():
        why = module.refusal(cell, needs)
        if why is None:
            if name != "compiled":
                compiled.tell_if_there_is_no_compiler()
            return Choice(name, "; ".join(refusals) or f"the fastest that computes {cell.name}")
        refusals.append(f"{name}: {why}")
    raise AssertionError("the reference runs every cell")


def available(cell: Cell, needs: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """The engines that can run the cell, the fastest first; "reference" is always there."""
    return tuple(name for name, module in _ENGINES.items() if module.refusal(cell, needs) is None)


def tape(name: str, cell: Cell, needs: frozenset[str], hidden: int, dtype: torch.dtype) -> int | None:
    """Bytes that training keeps of each step and row of a layer, beside x and y; None where torch sees to it."""
    return compiled.tape_bytes(cell, needs, hidden, dtype) if name == "compiled" else None


def is_plain_call() -> bool:
    """Whether a call is a compiled kernel's without further questions: no transform, no tracing, no other engine."""
    return (
        _interpreters() is None
        and forward_ad._current_level < 0
        and not _autocasts()
        and asked_for() in ("auto", "compiled")
        and not compiled.is_traced()
    )


_interpreters = torch._C._functorch.peek_interpreter_stack
_autocasts = torch._C._is_any_autocast_enabled


def get_engine(name: str) -> ModuleType:
    """The module that runs: `get_engine(name).run(cell, weights, x, state, conditions, reverse=...)`."""
    return _ENGINES[name]


@constant_in_traces
def asked_for() -> str:
    """The engine that is asked for here, "auto" where none is."""
    return _wanted.get()


def _check(name: str) -> None:
    known = ["auto", *_ENGINES]
    if name not in known:
        near = nearest(str(name), known)
        there = "" if near.startswith("there are") else f" There are: {', '.join(known)}"
        raise ArgumentError(f"engine {name!r} is unknown; {near}{there}")
