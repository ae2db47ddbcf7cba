"""All checks of one cell, by name."""

from __future__ import annotations

from collections.abc import Callable

from recurra.cells import Cell, get_cell
from recurra.engines import engine
from recurra.errors import ArgumentError, nearest
from recurra.testing import declaring, differentiating, dropping, passing, resetting
from recurra.testing.options import OPTIONS, options_for
from recurra.testing.sampling import Subject

__all__ = ["check_cell", "list_checks", "list_options"]

_Check = Callable[[Subject], None]
_DECLARING: dict[str, _Check] = {check.__name__: check for check in declaring.CHECKS}
_PASSING: dict[str, _Check] = {check.__name__: check for check in (*passing.CHECKS, *resetting.CHECKS)}
_CHECKS = _DECLARING | _PASSING | {check.__name__: check for check in (*dropping.CHECKS, *differentiating.CHECKS)}


def list_checks() -> list[str]:
    """The names of all checks, in the order in which they run."""
    return list(_CHECKS)


def list_options() -> list[str]:
    """The names of the options of a layer under which a cell can be checked."""
    return list(OPTIONS)


def check_cell(
    cell: str | type[Cell] | Cell, *, checks: list[str] | None = None, option: str | None = None
) -> list[str]:
    """Check that a cell is what a layer, an engine or an export may take it for.

    Its parameters, shapes and messages; whole sequences against chunks and steps; padding against single sequences;
    batches, directions, copies and files; first and second derivatives; every engine against the reference.

    cell: a name, a Cell subclass or a cell.
    checks: names from `list_checks()`; None: all of them.
    option: one of `list_options()`: run the checks of passing through time and of derivatives in a layer with it.
    Returns the names of the checks that ran: all but those that the cell's `exempt` names; none where the option means
    nothing for the cell, which the layer then refused in words.
    Raises AssertionError, which names the cell and the check, at the first that fails; ArgumentError for a name of
    no check or no option.

    >>> check_cell("lstm", checks=["the_future_never_changes_the_past"])
    ['the_future_never_changes_the_past']
    """
    cell = get_cell(cell)
    for name in (*(checks or ()), *cell.exempt):
        if name not in _CHECKS:
            raise ArgumentError(f"check {name!r} is unknown; {nearest(name, _CHECKS)}")
    if option is not None and option not in OPTIONS:
        raise ArgumentError(f"option {option!r} is unknown; {nearest(option, OPTIONS)}")
    options = options_for(cell, option) if option else {}
    if option and not options:
        return []
    subject = Subject(cell, options)
    wanted = [name for name in (_CHECKS if checks is None else checks) if not (option and name in _DECLARING)]
    ran = [name for name in wanted if name not in cell.exempt]
    for name in ran:
        for engine_name in subject.engines() if name in _PASSING else ("auto",):
            _run(name, subject, engine_name)
    return ran


def _run(name: str, subject: Subject, engine_name: str) -> None:
    try:
        with engine(engine_name):
            _CHECKS[name](subject)
    except Exception as error:
        under = f" with {dict(subject.options)}" if subject.options else ""
        raise AssertionError(
            f"cell {subject.cell.name!r}{under} fails {name} (engine {engine_name!r}): {error}"
        ) from error
