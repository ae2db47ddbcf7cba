"""Which engine runs a cell, with the reason; never silently."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import NamedTuple

from recurra.cells import Cell
from recurra.engines import native, reference
from recurra.errors import ArgumentError, nearest

__all__ = ["Choice", "available", "choose", "engine", "get_engine"]

# From the fastest to the one that runs anything. Each module has run(...) and refusal(cell).
_ENGINES: dict[str, ModuleType] = {"torch": native, "reference": reference}
_NOT_BUILT = ("compiled", "scan")
_wanted: ContextVar[str] = ContextVar("recurra_engine", default="auto")


class Choice(NamedTuple):
    """The engine that runs a cell, and why it and no other."""

    engine: str
    why: str


def engine(name: str) -> AbstractContextManager[None]:
    """Ask for an engine by name, inside a `with`; this thread or task only.

    name: "auto" (the fastest that can run the cell), "torch" (torch's own kernels), "reference" (the plain loop).
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


def choose(cell: Cell) -> Choice:
    """The engine that runs the cell, as `engine(...)` asks for it here.

    Raises ArgumentError if an engine is asked for by name and cannot run the cell.
    """
    wanted = _wanted.get()
    if wanted != "auto":
        refused = _ENGINES[wanted].refusal(cell)
        if refused:
            raise ArgumentError(
                f"engine {wanted!r} cannot run cell {cell.name!r}: {refused}; ask for one of: "
                f"{', '.join(['auto', *available(cell)])}"
            )
        return Choice(wanted, "asked for by name")
    fastest = available(cell)[0]
    refusals = [f"{name}: {why}" for name, module in _ENGINES.items() if (why := module.refusal(cell))]
    return Choice(fastest, "; ".join(refusals) or f"the fastest that computes {cell.name}")


def available(cell: Cell) -> tuple[str, ...]:
    """The engines that can run the cell, the fastest first; "reference" is always there."""
    return tuple(name for name, module in _ENGINES.items() if module.refusal(cell) is None)


def get_engine(name: str) -> ModuleType:
    """The module that runs: `get_engine(name).run(cell, weights, x, state, lengths=..., reverse=...)`."""
    return _ENGINES[name]


def _check(name: str) -> None:
    if name in _NOT_BUILT:
        raise ArgumentError(f"engine {name!r} is planned and not built yet; use 'auto', 'torch' or 'reference'")
    known = ["auto", *_ENGINES]
    if name not in known:
        raise ArgumentError(f"engine {name!r} is unknown; {nearest(str(name), known)} All: {', '.join(known)}")
