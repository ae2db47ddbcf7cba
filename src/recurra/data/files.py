"""Tables from CSV, JSON lines and Parquet files, with the line of every row remembered."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from recurra.data.json_lines import read_json_lines
from recurra.data.lines import check_encoding, check_file, is_utf_8, is_wide, other_encoding
from recurra.errors import ArgumentError, DataError

__all__ = ["SEPARATORS", "Table", "kind_of", "read_table"]

SEPARATORS = (",", ";", "\t", "|")
_NEWLINE, _QUOTE = 10, 34
_HEAD = 4096  # bytes that are looked at for what no text has
_CONTROLS = re.compile(rb"[\x01-\x08\x0e-\x19\x1c-\x1f]")  # of ASCII; NUL apart
_WANTED = "a CSV, JSON lines or Parquet file"


@dataclass(frozen=True)
class Table:
    """A frame that can say where each of its rows came from.

    frame: the values; the columns of a CSV file are all strings.
    name: what messages call it, `sales.csv` or `frame`.
    text: whether rows are lines of a text file.
    lines: (rows,) line of each row, where it is not simply the row + 2 (blank lines, line breaks inside quotes).
    decimal: the decimal mark of the numbers held as text, `.` or `,`.

    >>> Table(pl.DataFrame({"y": [1.0]}), "sales.csv", text=True).at(0)
    'sales.csv line 2'
    """

    frame: pl.DataFrame
    name: str = "frame"
    text: bool = False
    lines: np.ndarray[Any, Any] | None = None
    decimal: str = "."

    def place(self, row: int) -> str:
        """Where a row (counted from 0) is: `line 1042` of a text file, else `row 1040`."""
        if not self.text:
            return f"row {row}"
        return f"line {row + 2 if self.lines is None else self.lines[row]}"

    def at(self, row: int) -> str:
        """The table's name with the place of a row, as messages open."""
        return f"{self.name} {self.place(row)}"


def read_table(
    path: str | os.PathLike[str], *, encoding: str = "utf-8", separator: str | None = None, decimal: str = "."
) -> Table:
    """The table in a CSV (.csv, .tsv), JSON lines (.jsonl, .ndjson, .json) or Parquet file; text also packed by gzip.

    path: the file.
    encoding: of a text file; a UTF-8 byte order mark is accepted anyway.
    separator: between the fields of a text file; None finds `,` `;` tab or `|` in the header line.
    decimal: the decimal mark in a text file; `,` also drops dots that group thousands.

    The columns of CSV are kept as text, so that a value that is no number can be named with its line. A line of JSON
    lines is one object, its keys the columns; see `recurra.data.json_lines`.
    Raises DataError when the file is missing, empty, damaged, ragged or in another encoding.
    """
    path = Path(path)
    if decimal not in (".", ","):
        raise ArgumentError(f"decimal is {decimal!r}; it is '.' or ','")
    if separator is not None and (len(separator) != 1 or not separator.isascii() or separator in '"\r\n'):
        raise ArgumentError(f"separator is {separator!r}; it is one ASCII character such as ';'")
    check_encoding(encoding)
    check_file(path, _WANTED)
    kind = kind_of(path)
    if kind == "json":
        frame, lines = read_json_lines(path, encoding=encoding)
        return Table(frame, path.name, text=True, lines=lines, decimal=decimal)
    data = _read_bytes(path)
    if kind == "parquet" or data[:4] == b"PAR1":
        return _read_parquet(path.name, data)
    data = _to_utf8(path.name, data, encoding)
    return _read_text(path.name, data, separator=separator, decimal=decimal)


def kind_of(path: str | os.PathLike[str]) -> Literal["json", "parquet", "text"]:
    """What a file is by its name, without .gz, and by its first bytes: JSON lines, Parquet or other text.

    >>> kind_of("pairs.jsonl.gz"), kind_of("pairs.tsv")
    ('json', 'text')
    """
    path = Path(path)
    suffix = Path(path.stem if path.suffix.lower() == ".gz" else path.name).suffix.lower()
    if suffix in (".parquet", ".pq"):
        return "parquet"
    # What cannot be opened is for whoever reads the file to say, with the remedy; of a pipe what is read is gone.
    with contextlib.suppress(OSError):
        if path.is_file() and _first_bytes(path, 4) == b"PAR1":
            return "parquet"
    return "json" if suffix in (".jsonl", ".ndjson", ".json") else "text"


def _first_bytes(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path.name} is a damaged gzip file ({error}); fetch or compress it again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    if not data.strip():
        raise DataError(f"{path.name} is empty; a header line and rows are needed")
    return data


def _read_parquet(name: str, data: bytes) -> Table:
    try:
        frame = pl.read_parquet(io.BytesIO(data))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        why = str(error).splitlines()[0]
        raise DataError(f"{name} is not a whole Parquet file ({why}); write or fetch it again") from error
    if frame.height == 0:
        raise DataError(f"{name} has columns and no rows")
    return Table(frame, name)


def _to_utf8(name: str, data: bytes, encoding: str) -> bytes:
    if is_utf_8(encoding):
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise DataError(f"{name} byte offset 0: {data[:2]!r} opens UTF-16 text; pass --encoding utf-16")
        data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in data[:_HEAD] and not is_wide(encoding):
        if _CONTROLS.search(data, 0, _HEAD):  # a spreadsheet, an archive, an image
            raise DataError(f"{name} holds bytes that no text has; save it as CSV or Parquet")
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise DataError(
            f"{name} line {line}: holds a NUL character, which no text has; remove it, or pass --encoding utf-16 if it "
            "is that"
        )
    try:
        if data.isascii():
            return data
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line, byte = data.count(b"\n", 0, error.start) + 1, data[error.start]
        raise DataError(
            f"{name} line {line}: the byte {byte:#04x} at byte offset {error.start} is not {encoding}; "
            f"{other_encoding(encoding)}"
        ) from error
    return text.encode("utf-8") if encoding.lower() not in ("utf-8", "utf8") else data


def _read_text(name: str, data: bytes, *, separator: str | None, decimal: str) -> Table:
    if b"\r" in data and b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    starts, ends, lines = _records(name, data)
    blank = _is_blank(data, starts, ends)
    if blank.any():
        kept = ~blank
        pieces = [data[s:e] for s, e in zip(starts[kept].tolist(), ends[kept].tolist(), strict=True)]
        lines, data = lines[kept], b"\n".join(pieces) + b"\n"
        starts, ends, _ = _records(name, data)
    header = data[starts[0] : ends[0]].decode("utf-8")
    separator = separator or _separator(header)
    names = _header(name, header, separator)
    if len(starts) == 1:
        raise DataError(f"{name} has a header and no rows")
    other = _other_separator(header, separator)
    remedy = f"pass --separator {_option(other)}, which the header seems to have" if other else ""
    if other and len(set(_count_fields(data, starts, other).tolist())) == 1:
        raise DataError(f"{name} line 1: one field with the separator {separator!r}; {remedy}, or leave it out")
    remedy = remedy or f"pass --separator if it is not {separator!r}"
    _check_ragged(name, _count_fields(data, starts, separator), lines, width=len(names), remedy=remedy)
    try:
        frame = pl.read_csv(data, separator=separator, infer_schema=False, has_header=True, new_columns=names)
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"{name} is not readable as CSV with {len(names)} field{'s' * (len(names) > 1)} a line and {separator!r} "
            f"between them; check its quotes, or {remedy}"
        ) from error
    if frame.height != len(starts) - 1:
        raise DataError(f"{name} holds {len(starts) - 1} records, {frame.height} were read; check its quotes")
    plain = bool((lines == np.arange(1, len(lines) + 1)).all())
    return Table(frame, name, text=True, lines=None if plain else lines[1:], decimal=decimal)


def _records(name: str, data: bytes) -> tuple[Any, Any, Any]:
    """Start, end (without the line break) and first line of each record; breaks inside quotes do not end one."""
    raw = np.frombuffer(data, np.uint8)
    breaks = np.flatnonzero(raw == _NEWLINE)
    if b'"' in data:
        quotes = np.flatnonzero(raw == _QUOTE)
        if len(quotes) % 2:
            line = int(np.searchsorted(breaks, _open_quote(raw, quotes))) + 1
            raise DataError(f'{name} line {line}: a quote (") is opened and never closed; close or remove it')
        outside = np.searchsorted(quotes, breaks) % 2 == 0
    else:
        outside = np.ones(len(breaks), bool)
    ends = breaks[outside]
    first_line = np.concatenate([[1], np.flatnonzero(outside) + 2])
    if not len(ends) or ends[-1] != len(raw) - 1:
        ends = np.append(ends, len(raw))
    starts = np.concatenate([[0], ends[:-1] + 1])
    return starts, ends, first_line[: len(starts)]


def _open_quote(raw: np.ndarray[Any, Any], quotes: np.ndarray[Any, Any]) -> int:
    """The likeliest stray quote: the first closing one with text after it, else the last one."""
    after = raw[np.minimum(quotes[1::2] + 1, len(raw) - 1)]
    closes = np.isin(after, [_NEWLINE, 13, _QUOTE, *map(ord, SEPARATORS)])
    stray = np.flatnonzero(~closes)
    return int(quotes[2 * stray[0]] if len(stray) else quotes[-1])


def _is_blank(data: bytes, starts: np.ndarray[Any, Any], ends: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Whether a record of at most one byte is empty or a lone carriage return."""
    raw = np.frombuffer(data, np.uint8)
    first: np.ndarray[Any, Any] = raw[np.minimum(starts, len(raw) - 1)]
    return np.asarray((ends == starts) | ((ends == starts + 1) & np.isin(first, [13, 32, 9])))


def _separator(header: str) -> str:
    plain = "".join(header.split('"')[::2])
    counts = {mark: plain.count(mark) for mark in SEPARATORS}
    return max(counts, key=lambda mark: counts[mark])


def _other_separator(header: str, separator: str) -> str | None:
    """The separator that a header seems to have, if it has not this one."""
    plain = "".join(header.split('"')[::2])
    found = _separator(header)
    return found if separator not in plain and found in plain else None


def _option(separator: str) -> str:
    return "tab" if separator == "\t" else repr(separator)


def _header(name: str, header: str, separator: str) -> list[str]:
    try:
        names = [field.strip() for field in next(csv.reader([header], delimiter=separator))]
    except csv.Error as error:
        raise DataError(f"{name} line 1: the header cannot be read; check its quotes") from error
    twice = [field for field in dict.fromkeys(names) if names.count(field) > 1]
    if twice:
        where = " and ".join(str(i + 1) for i, field in enumerate(names) if field == twice[0])
        raise DataError(f"{name} line 1: the column name {twice[0]!r} stands at positions {where}; rename one")
    return names


def _count_fields(data: bytes, starts: np.ndarray[Any, Any], separator: str) -> np.ndarray[Any, Any]:
    """How many fields each record has; separators inside quotes do not count."""
    raw = np.frombuffer(data, np.uint8)
    marks = np.flatnonzero(raw == ord(separator))
    if b'"' in data:
        marks = marks[np.searchsorted(np.flatnonzero(raw == _QUOTE), marks) % 2 == 0]
    return np.asarray(np.diff(np.append(np.searchsorted(marks, starts), len(marks))) + 1)


def _check_ragged(
    name: str, fields: np.ndarray[Any, Any], lines: np.ndarray[Any, Any], *, width: int, remedy: str
) -> None:
    """Raise DataError where a record has not so many fields as the header."""
    wrong = np.flatnonzero(fields != width)
    if len(wrong):
        first, more = wrong[0], len(wrong) - 1
        others = f"; {more} line{'s' * (more > 1)} like it" if more else ""
        raise DataError(
            f"{name} line {lines[first]}: {fields[first]} fields where the header has {width}{others}. "
            f"Mend them, or {remedy}"
        )
