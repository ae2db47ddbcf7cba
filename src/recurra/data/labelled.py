"""Texts of a table, each with its label."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recurra.data.files import SEPARATORS, Table
from recurra.data.lines import LONGEST, quote
from recurra.data.values import likes
from recurra.errors import ArgumentError, DataError, Notice, nearest

__all__ = [
    "Labelled",
    "check_classes",
    "check_repeated",
    "class_places",
    "find_column",
    "list_classes",
    "note_unique",
    "read_labelled",
    "read_texts",
]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_POINT_ZERO = r"^([+-]?\d+)\.0*$"
_WHOLE = 1 << 53
_SHOWN = 20
_UNIQUE, _ENOUGH = 0.8, 20  # share of labels that occur once, and labels, from which the column may be a wrong one


@dataclass(frozen=True)
class Labelled:
    """Texts, and what each is labelled.

    texts: one a row, "" where there is none.
    labels: one a row; None for texts without labels.
    table: where they came from.
    label: the column of the labels.
    rows: of the table, where it is not all of them.

    >>> table = Table(pl.DataFrame({"text": ["fine", "bad"], "stars": [5, 1]}))
    >>> data = read_labelled(table, label="stars")
    >>> data.labels, data.at(1)
    (['5', '1'], 'frame row 1')
    """

    texts: list[str]
    labels: list[str] | None
    table: Table
    label: str | None = None
    rows: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Labelled:
        """Some of the rows, by number; they keep their places."""
        chosen = [int(row) for row in rows]
        labels = None if self.labels is None else [self.labels[row] for row in chosen]
        places = chosen if self.rows is None else [self.rows[row] for row in chosen]
        return replace(self, texts=[self.texts[row] for row in chosen], labels=labels, rows=places)

    def at(self, row: int) -> str:
        """The table's name with the place of a row, as messages open."""
        return self.table.at(row if self.rows is None else self.rows[row])


def read_labelled(table: Table, *, text: str = "text", label: str | None = "label") -> Labelled:
    """The texts and labels of a table.

    text, label: the columns by name; label None reads texts alone.

    A label may be of any type with one value a row and becomes a string: 3, and 3.0 too, "3"; true "true". So does
    "3.0" as text, as CSV holds it, where all labels are numbers: a file of any type has the same. Spaces within a label
    count. Texts that are missing or blank become "", and a Notice counts them. Raises DataError when
    a column is missing or holds lists, when a label is missing or blank, and where a text holds a NUL character.
    """
    find_column(table, text, role="text")
    if label is None:
        return Labelled(_fill(table, text), None, table)
    if text == label:
        raise ArgumentError(f"column {text!r} is both text and label; give each its own")
    find_column(table, label, role="label")
    labels = _to_strings(table, label)
    missing = (labels.is_null() | (labels.str.strip_chars() == "")).arg_true()
    if len(missing):
        raise DataError(
            f"{table.at(missing[0])}: column {label!r} has no label{likes(len(missing) - 1)}. Label or remove them"
        )
    if all(_to_number(one) is not None for one in labels.unique()):
        labels = labels.str.replace(_POINT_ZERO, "$1")
    return Labelled(_fill(table, text), labels.to_list(), table, label)


def list_classes(data: Labelled) -> list[str]:
    """The classes to train on, numbers first and by value, then the others by the alphabet.

    Raises ArgumentError without labels; DataError where there is one class only.

    >>> list_classes(Labelled(["a", "b", "c"], ["10", "9", "x"], Table(pl.DataFrame())))
    ['9', '10', 'x']
    """
    if data.labels is None:
        raise ArgumentError("the texts were read without labels, which training needs; name their column as label")
    classes = sorted(set(data.labels), key=_order)
    if len(classes) == 1:
        raise DataError(
            f"{data.table.name}: column {data.label!r} holds one class only, {quote(classes[0])}, in all "
            f"{len(data.labels)} rows; two at least are needed. Add rows of another, or name another column"
        )
    return classes


def check_repeated(data: Labelled) -> None:
    """Raises DataError where each of many rows has a label of its own, so that no class has two texts."""
    if len(data) >= _ENOUGH and len(set(data.labels or ())) == len(data):
        raise DataError(
            f"{data.table.name}: column {data.label!r} holds another label in each of {len(data):,} rows, as ids do, "
            "and none can be held back; name the column of the classes as label"
        )


def note_unique(data: Labelled) -> None:
    """Give a Notice where nearly every label occurs once, as in a column of ids that was taken for one of labels."""
    counts = Counter(data.labels or ())
    once = sum(count == 1 for count in counts.values())
    if len(data) >= _ENOUGH and once >= _UNIQUE * len(data):
        warnings.warn(
            f"{data.table.name}: column {data.label!r} holds {len(counts):,} labels in {len(data):,} rows, {once:,} of "
            "them once, as ids and measurements do. If they are no classes, name another column as label",
            Notice,
            stacklevel=3,
        )


def class_places(labels: Sequence[str], classes: Sequence[str]) -> list[int | None]:
    """The place of each label among the classes, None where it is none; a number may be written in another way.

    >>> class_places(["3", "2.50", "x", "3.0"], ["2.5", "3.0", "3"])
    [2, 0, None, 1]
    """
    known: dict[str, int] = {name: place for place, name in enumerate(classes)}
    values = [_to_number(name) for name in classes]
    counts = Counter(values)
    alike = {value: place for place, value in enumerate(values) if value is not None and counts[value] == 1}
    found: dict[str, int | None] = {}
    for label in set(labels):
        value = _to_number(label)
        found[label] = known.get(label, None if value is None else alike.get(value))
    return [found[label] for label in labels]


def check_classes(data: Labelled, classes: Sequence[str]) -> None:
    """Raises DataError with the first label that is none of the classes seen in training; ArgumentError without labels.

    A number may be written in another way, as `class_places` has it.

    >>> check_classes(Labelled(["fine"], ["pos"], Table(pl.DataFrame()), "label"), ["neg", "pos"])
    """
    if data.labels is None:
        raise ArgumentError("the texts were read without labels, which evaluation needs; name their column as label")
    unseen = [row for row, place in enumerate(class_places(data.labels, classes)) if place is None]
    if not unseen:
        return
    label = data.labels[unseen[0]]
    same = sum(data.labels[row] == label for row in unseen)
    others = len(unseen) - same
    more = f"{likes(same - 1)}{f'; {others} more with other unseen labels' if others else ''}"
    raise DataError(
        f"{data.at(unseen[0])}: column {data.label!r} holds {quote(label)}, which training did not see{more}; "
        f"{_name_known(label, classes)} Mend the label, remove the row, or train with it"
    )


def find_column(table: Table, name: str, *, role: str) -> None:
    """Raises DataError with the nearest names when a table lacks a column.

    role: what the column is for, and the argument that names it.
    """
    if name not in table.frame.columns:
        raise DataError(
            f"{table.name} has no column {name!r} for the {role}; {_name_known(name, table.frame.columns)} "
            f"{_unsplit(table)}Choose one with {role.replace(' ', '_')}=..."
        )


def read_texts(table: Table, column: str) -> pl.Series:
    """A column as strings, null where there is no text or a blank one.

    Raises DataError with the first row that holds a NUL character or is longer than any text, and for a column of lists
    or bytes.
    """
    texts = _to_strings(table, column)
    bad = texts.str.contains("\0", literal=True).arg_true()
    if len(bad):
        raise DataError(
            f"{table.at(bad[0])}: column {column!r} holds a NUL character, which no text has{likes(len(bad) - 1)}. "
            "Remove it"
        )
    long = (texts.str.len_chars() > LONGEST).arg_true()
    if len(long):
        raise DataError(
            f"{table.at(long[0])}: column {column!r} is longer than {LONGEST:,} characters{likes(len(long) - 1)}. "
            "Break it into texts"
        )
    return texts.set(texts.str.strip_chars() == "", None)


def _fill(table: Table, column: str) -> list[str]:
    texts = read_texts(table, column)
    empty = texts.is_null().arg_true()
    if len(empty):
        warnings.warn(
            f"{table.at(empty[0])}: column {column!r} is empty{likes(len(empty) - 1)}. Kept as texts without a word",
            Notice,
            stacklevel=3,
        )
    return texts.fill_null("").to_list()


def _to_strings(table: Table, column: str) -> pl.Series:
    """The values as strings; a number without decimals is written as an integer, NaN is null."""
    values = table.frame[column]
    if values.dtype.is_nested() or values.dtype in (pl.Binary, pl.Object):
        raise DataError(
            f"{table.name}: column {column!r} is of type {values.dtype}; one text, number or date a row is needed"
        )
    if values.dtype.is_float():
        # Of float32 0.1 is 0.1, not 0.10000000149011612.
        short = values.cast(pl.String).cast(pl.Float64) if values.dtype == pl.Float32 else values
        numbers = [None if value is None or value != value else _write(value) for value in short.to_list()]
        return pl.Series(column, numbers, pl.String)
    return values.cast(pl.String)


def _write(value: float) -> str:
    return str(int(value)) if abs(value) < _WHOLE and value == int(value) else repr(value)


def _to_number(label: str) -> float | None:
    return float(label) if _NUMBER.fullmatch(label.strip()) else None


def _order(label: str) -> tuple[bool, float, str]:
    number = _to_number(label)
    return (True, 0.0, label) if number is None else (False, number, label)


def _unsplit(table: Table) -> str:
    """The sentence of a text file's only column whose name seems to be several; else nothing."""
    names = table.frame.columns
    marks = [mark for mark in SEPARATORS if table.text and len(names) == 1 and mark in names[0]]
    if not marks:
        return ""
    return f"Pass --separator {'tab' if marks[0] == chr(9) else repr(marks[0])} if that stands between names. "


def _name_known(name: str, known: Sequence[str]) -> str:
    """The sentence of the names that might be meant, or of the first ones."""
    hint = nearest(name, known)
    if hint.endswith("?"):
        return hint
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"there are: {', '.join(quote(one) for one in known[:_SHOWN])}{more}."
