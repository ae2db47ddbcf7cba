"""Pairs of texts from elsewhere than a file: of a table's columns, of lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from recurra.data.files import Table
from recurra.data.labelled import find_column, read_texts
from recurra.data.lines import quote
from recurra.data.pairs import Pairs
from recurra.errors import ArgumentError, DataError

__all__ = ["check_both_named", "pairs_of_lists", "pairs_of_table", "source_column", "source_texts"]

_SHOWN = 20


def check_both_named(source: str | int | None, target: str | int | None, columns: Callable[[], Sequence[str]]) -> None:
    """Raise ArgumentError where one column was named and the other was not, with those that there are.

    columns: gives the names of the table's columns; not called where columns have numbers.
    """
    if (source is None) == (target is None):
        return
    there = ""
    if isinstance(source or target, str):
        names = columns()
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        there = f"; columns: {', '.join(map(quote, names[:_SHOWN]))}{more}"
    missing = "source" if source is None else "target"
    raise ArgumentError(f"source is {source!r} and target is {target!r}; pass {missing}=..., too{there}")


def pairs_of_lists(sources: Sequence[str], targets: Sequence[str]) -> Pairs:
    """Sources, and the target of each.

    Raises DataError for lists of different lengths or without a pair, and for what is no text or a blank one.
    """
    if len(sources) != len(targets) or not len(sources):
        raise DataError(f"{len(sources)} sources and {len(targets)} targets; pass one for each, one at least")
    for name, side in (("source", sources), ("target", targets)):
        for row, text in enumerate(side):
            if not isinstance(text, str) or not text.strip():
                raise DataError(f"{name} {row} is {text!r}; a text is needed on both sides: remove the pair")
    return Pairs(list(sources), list(targets), "lists", list(range(len(sources))))


def pairs_of_table(table: Table, source: str | int | None, target: str | int | None) -> Pairs:
    """The pairs of a table whose columns have names.

    source, target: the columns; None: the only two.

    Raises DataError when a column or a text is missing; ArgumentError for numbers in place of names.
    """
    names = table.frame.columns
    if isinstance(source, int) or isinstance(target, int):
        raise ArgumentError(f"source is {source!r} and target is {target!r}; columns of a table have names, pass them")
    check_both_named(source, target, lambda: names)
    if source is None or target is None:
        if len(names) != 2:
            raise DataError(
                f"{table.name} has {len(names)} columns, {', '.join(names[:_SHOWN])}; choose two with source=... and "
                "target=..."
            )
        source, target = names
    for name, role in ((source, "source"), (target, "target")):
        find_column(table, name, role=role)
    sides = read_texts(table, source), read_texts(table, target)
    for name, side in zip((source, target), sides, strict=True):
        if side.null_count():
            row = side.is_null().arg_true()[0]
            raise DataError(
                f"{table.at(row)}: column {name!r} is empty, {side.null_count()} in all; remove these rows, for they "
                "teach nothing"
            )
    return Pairs(sides[0].to_list(), sides[1].to_list(), table.name, list(range(table.frame.height)), table)


def source_column(pairs: Pairs, source: str | int | None) -> str | None:
    """The name of the column that the sources came from; None if it had none."""
    if pairs.table is None:
        return None
    return source if isinstance(source, str) else pairs.table.frame.columns[0]


def source_texts(table: Table, column: str | None) -> list[str]:
    """The sources of a table without targets, "" where there is none.

    column: that the sources of training came from; None: of lines without a header.

    Raises DataError if the column is missing, or not known of a table in a text file.
    """
    if column is None and table.text:
        raise DataError(
            f"{table.name}: training had lines without a header, so that none of its columns is known; name that of "
            "the sources with source=..., or pass them as lines"
        )
    name = table.frame.columns[0] if column is None else column
    find_column(table, name, role="source")
    return read_texts(table, name).fill_null("").to_list()
