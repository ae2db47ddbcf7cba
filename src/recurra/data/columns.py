"""Which column of a table plays which role."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from recurra.errors import ArgumentError, DataError, nearest

if TYPE_CHECKING:
    from recurra.data.files import Table

__all__ = ["Columns"]

_ARGUMENTS = {"id": "series"}  # of the roles that are not called as they are


@dataclass(frozen=True)
class Columns:
    """Which column of a long table plays which role.

    id: the series each row belongs to; None says that the table is one series.
    time: the stamp of the row, a date, a date with a clock, or a whole number.
    target: the number to forecast.
    future: covariates known in advance (holidays, prices, plans).
    past: covariates known only up to now (weather as measured, visits).
    static: covariates with one value a series (region, type).

    Raises ArgumentError when a column has two roles.

    >>> Columns(target="units", future=["price"]).names
    ('unique_id', 'ds', 'units', 'price')
    """

    id: str | None = "unique_id"
    time: str = "ds"
    target: str = "y"
    future: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    static: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for role in ("future", "past", "static"):
            given = getattr(self, role)
            if isinstance(given, str):
                raise ArgumentError(f"{role} is the text {given!r}; pass a list of columns, [{given!r}]")
            object.__setattr__(self, role, tuple(given))
        taken: dict[str, str] = {}
        for role, name in self._pairs():
            if name in taken:
                raise ArgumentError(f"column {name!r} is both {taken[name]} and {role}; give it one role")
            taken[name] = role

    @property
    def names(self) -> tuple[str, ...]:
        """Every column that is used, in the order of the roles."""
        return tuple(name for _, name in self._pairs())

    @property
    def covariates(self) -> tuple[str, ...]:
        """The future, past and static columns, in this order."""
        return (*self.future, *self.past, *self.static)

    def resolve(self, table: Table, *, roles: Iterable[str] | None = None) -> Columns:
        """These columns as the table has them: `id` becomes None where its default name is absent.

        roles: the roles that must be there, all of them by default.
        Raises DataError with the nearest names when a column is missing.
        """
        present = table.frame.columns
        wanted = self
        if self.id == Columns.id and self.id not in present:
            wanted = replace(self, id=None)
        for role, name in wanted._pairs():
            if (roles is None or role in roles) and name not in present:
                hint = nearest(name, present)
                hint = hint if hint.endswith("?") else f"{hint}."
                raise DataError(
                    f"{table.name} has no column {name!r} for the {role}; {hint} "
                    f"Choose one with {_ARGUMENTS.get(role, role)}=..."
                )
        return wanted

    def _pairs(self) -> Iterable[tuple[str, str]]:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, str):
                yield field.name, value
            elif value is not None:
                yield from ((field.name, name) for name in value)
