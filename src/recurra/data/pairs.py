"""Pairs of texts, the second of which says what the first does."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recurra.data.faulty_lines import Fault, read_faulty_lines
from recurra.data.files import Table, kind_of, read_table
from recurra.data.labelled import find_column, read_texts
from recurra.data.lines import check_file, quote, read_lines
from recurra.data.values import likes
from recurra.errors import ArgumentError, DataError, Notice

__all__ = ["Pairs", "read_pairs", "read_sources"]

_WANTED = "a file of pairs: TSV, CSV, JSON lines or Parquet, or one of two text files"


@dataclass(frozen=True)
class Pairs:
    """Sources, and the target of each.

    sources, targets: (pairs,) texts, none of them blank.
    name: what messages call the file.
    rows: (pairs,) the row of each in the file, counted from 0, since pairs with a blank side are left out.
    table: the table they came from, None for lines of text.

    >>> Pairs(["a dog"], ["ein Hund"], "pairs.tsv", [3]).at(0)
    'pairs.tsv line 4'
    """

    sources: list[str]
    targets: list[str]
    name: str
    rows: list[int]
    table: Table | None = None

    def __len__(self) -> int:
        return len(self.sources)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Pairs:
        """Some of the pairs, by number; they keep their places."""
        chosen = [int(row) for row in rows]
        sources, targets = ([side[row] for row in chosen] for side in (self.sources, self.targets))
        return replace(self, sources=sources, targets=targets, rows=[self.rows[row] for row in chosen])

    def at(self, pair: int) -> str:
        """The file's name with the place of a pair, as messages open."""
        row = self.rows[pair]
        return self.table.at(row) if self.table else f"{self.name} line {row + 1}"


def read_pairs(
    path: str | os.PathLike[str],
    *,
    source: str | int | None = None,
    target: str | int | None = None,
    target_path: str | os.PathLike[str] | None = None,
    encoding: str = "utf-8",
    separator: str | None = None,
) -> Pairs:
    """The pairs of texts in a file, or in two with one text a line.

    path: JSON lines or Parquet, or CSV or TSV with a header, whose columns `source` and `target` name; TSV without a
        header, whose columns are numbered from 1; or, with `target_path`, the sources.
    source, target: the columns. None: the table's two columns if it has no more; columns 1 and 2 of text that is
        neither .csv nor named.
    target_path: the targets, line by line beside the sources.
    encoding: of text. separator: between the fields of a text file with a header; see `read_table`.

    In TSV without a header quotes are characters as others are. Pairs with a blank side teach nothing and are left
    out; a Notice counts them. Raises DataError when a column or a side is missing, lines are ragged, two files have
    not the same count of lines, or no pair is left; ArgumentError for columns that do not go together.
    """
    path = Path(path)
    check_file(path, _WANTED)
    if target_path is not None:
        if source is not None or target is not None:
            raise ArgumentError("source or target was passed beside target_path; two files have no columns, omit them")
        return _read_parallel(path, Path(target_path), encoding)
    if (source is None) != (target is None) or isinstance(source, int) != isinstance(target, int):
        raise ArgumentError(f"source is {source!r} and target is {target!r}; pass two names, two numbers or neither")
    if source is not None and source == target:
        raise ArgumentError(f"column {source!r} is both source and target; give each its own")
    headed = isinstance(source, str) or (source is None and ".csv" in [end.lower() for end in path.suffixes[-2:]])
    if headed or kind_of(path) != "text":
        return _read_columns(read_table(path, encoding=encoding, separator=separator), source, target)
    return _read_tabbed(path, 1 if source is None else int(source), 2 if target is None else int(target), encoding)


def read_sources(
    path: str | os.PathLike[str], place: int, *, alone: bool = True, encoding: str = "utf-8"
) -> Iterator[list[str | Fault]]:
    """The sources alone of a text file without a header, one a line, in lists; see `read_faulty_lines`.

    place: of the source between the tabs of a line, counted from 1. A line with too few fields is a Fault.
    alone: whether a line without a tab is a source itself, wherever it stands in others.

    Raises DataError for a file that is missing or damaged.
    """
    name, number = Path(path).name, 0
    for lines in read_faulty_lines(path, encoding=encoding, wanted=_WANTED):
        yield [_field(f"{name} line {row}", line, place, alone) for row, line in enumerate(lines, number + 1)]
        number += len(lines)


def _field(at: str, line: str | Fault, place: int, alone: bool) -> str | Fault:
    if isinstance(line, Fault) or not line.strip() or (alone and "\t" not in line):
        return line
    fields = line.split("\t")
    if len(fields) < place:
        counted = f"{len(fields)} field{'s' * (len(fields) > 1)}"
        return Fault(f"{at}: {counted} between tabs, {place} are needed; choose another with source=...")
    return fields[place - 1]


def _read_columns(table: Table, source: str | int | None, target: str | int | None) -> Pairs:
    """The pairs of a table, by the names of its columns."""
    if source is None or target is None:
        names = table.frame.columns
        if len(names) != 2:
            shown = ", ".join(map(quote, names[:20]))
            raise DataError(
                f"{table.name} has {len(names)} columns, {shown}; choose two with source=... and target=..."
            )
        source, target = names
    if isinstance(source, int) or isinstance(target, int):
        raise ArgumentError(f"source is {source!r}; the columns of {table.name} have names, pass them")
    find_column(table, source, role="source")
    find_column(table, target, role="target")
    sides = pl.DataFrame({"source": read_texts(table, source), "target": read_texts(table, target)})
    whole = sides.with_row_index("row").drop_nulls()
    rows = whole["row"].to_list()
    pairs = Pairs(whole["source"].to_list(), whole["target"].to_list(), table.name, rows, table)
    blank = sides.select(pl.any_horizontal(pl.all().is_null())).to_series().arg_true().to_list()
    return _report(pairs, blank[:1], len(blank))


def _read_tabbed(path: Path, source: int, target: int, encoding: str) -> Pairs:
    """The pairs of lines with tabs between their fields."""
    if min(source, target) < 1:
        raise ArgumentError(f"source is {source} and target is {target}; columns are counted from 1")
    pairs = Pairs([], [], path.name, [])
    blank: list[int] = []
    count = width = 0
    for row, line in enumerate(read_lines(path, encoding=encoding)):
        fields = line.split("\t")
        if line.strip():
            if not width:
                width = _check_width(path.name, row, fields, source, target)
            if len(fields) != width:
                raise DataError(
                    f"{path.name} line {row + 1}: {len(fields)} fields between tabs where the lines before have "
                    f"{width}: {quote(line)}. Mend it, or pass source=... and target=... if the file has a header"
                )
            if fields[source - 1].strip() and fields[target - 1].strip():
                _add(pairs, row, fields[source - 1], fields[target - 1])
                continue
        count += 1
        blank = blank or [row]
    return _report(pairs, blank, count)


def _check_width(name: str, row: int, fields: list[str], source: int, target: int) -> int:
    need = max(source, target)
    if len(fields) < need:
        raise DataError(
            f"{name} line {row + 1}: {len(fields)} field{'s' * (len(fields) > 1)} between tabs, {need} are needed: "
            f"{quote(fields[0])}. Put a tab between source and target, or pass --target-file for two files"
        )
    if len(fields) > 2 and (source, target) == (1, 2):
        warnings.warn(
            f"{name} line {row + 1}: {len(fields)} fields between tabs; the first is taken as source, the second as "
            "target. Choose others with source=... and target=...",
            Notice,
            stacklevel=4,
        )
    return len(fields)


def _read_parallel(path: Path, target_path: Path, encoding: str) -> Pairs:
    """The pairs of two files, one text a line."""
    pairs = Pairs([], [], path.name, [])
    blank: list[int] = []
    count = 0
    sources = read_lines(path, encoding=encoding, wanted=_WANTED)
    targets = read_lines(target_path, encoding=encoding, wanted="the text file of the targets")
    read = [0, 0]
    for row, (source, target) in enumerate(zip_longest(sources, targets)):
        read = [read[0] + (source is not None), read[1] + (target is not None)]
        if source is None or target is None:
            continue
        if source.strip() and target.strip():
            _add(pairs, row, source, target)
        else:
            count += 1
            blank = blank or [row]
    if read[0] != read[1]:
        raise DataError(
            f"{path.name} has {read[0]} lines and {target_path.name} {read[1]}; each line of the one must be the "
            "target of the same line of the other. Mend the shorter one"
        )
    return _report(pairs, blank, count)


def _add(pairs: Pairs, row: int, source: str, target: str) -> None:
    pairs.rows.append(row)
    pairs.sources.append(source)
    pairs.targets.append(target)


def _report(pairs: Pairs, blank: list[int], count: int) -> Pairs:
    """The pairs, after a Notice of those left out; blank: the row of the first."""
    if not len(pairs):
        raise DataError(f"{pairs.name} holds no pair with a text on both sides; one at least is needed")
    if count:
        place = Pairs([], [], pairs.name, blank, pairs.table).at(0)
        warnings.warn(
            f"{place}: source or target is empty{likes(count - 1)}. Left out, since they teach nothing",
            Notice,
            stacklevel=4,
        )
    return pairs
