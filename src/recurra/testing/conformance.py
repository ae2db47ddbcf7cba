"""All checks of one cell, by name."""

from __future__ import annotations

from collections.abc import Callable

from recurra.cells import Cell, get_cell
from recurra.engines import available, engine
from recurra.errors import ArgumentError, nearest
from recurra.testing import declaring, differentiating, passing

__all__ = ["check_cell", "list_checks"]

_Check = Callable[[Cell], None]
_PASSING: dict[str, _Check] = {check.__name__: check for check in passing.CHECKS}
_CHECKS: dict[str, _Check] = {
    check.__name__: check for check in (*declaring.CHECKS, *passing.CHECKS, *differentiating.CHECKS)
}


def list_checks() -> list[str]:
    """The names of all checks, in the order in which they run."""
    return list(_CHECKS)


def check_cell(cell: str | type[Cell] | Cell, *, checks: list[str] | None = None) -> list[str]:
    """Check that a cell is what a layer, an engine or an export may take it for.

    Its parameters, shapes and messages; whole sequences against chunks and steps; padding against single sequences;
    batches, directions, copies and files; first and second derivatives; every engine against the reference.

    cell: a name, a Cell subclass or a cell.
    checks: names from `list_checks()`; None: all of them.
    Returns the names of the checks that ran: all but those that the cell's `exempt` names.
    Raises AssertionError, which names the cell and the check, at the first that fails; ArgumentError for a name of
    no check.

    >>> check_cell("lstm", checks=["the_future_never_changes_the_past"])
    ['the_future_never_changes_the_past']
    """
    cell = get_cell(cell)
    for name in (*(checks or ()), *cell.exempt):
        if name not in _CHECKS:
            raise ArgumentError(f"check {name!r} is unknown; {nearest(name, _CHECKS)}")
    ran = [name for name in (_CHECKS if checks is None else checks) if name not in cell.exempt]
    for name in ran:
        for engine_name in available(cell) if name in _PASSING else ("auto",):
            _run(name, cell, engine_name)
    return ran


def _run(name: str, cell: Cell, engine_name: str) -> None:
    try:
        with engine(engine_name):
            _CHECKS[name](cell)
    except Exception as error:
        raise AssertionError(f"cell {cell.name!r} fails {name} (engine {engine_name!r}): {error}") from error
