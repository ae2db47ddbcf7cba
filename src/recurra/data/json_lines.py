"""JSON lines, one object a line, as a frame."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recurra.data.lines import quote, read_lines
from recurra.errors import DataError

__all__ = ["read_json_lines"]

_INT64 = 1 << 63


def read_json_lines(
    path: str | os.PathLike[str], *, encoding: str = "utf-8"
) -> tuple[pl.DataFrame, np.ndarray[Any, Any]]:
    """The frame of a file with one JSON object a line, and the line of each of its rows.

    path: the file, also packed by gzip. encoding: of the text.

    Keys are columns, in the order in which they first come; a missing key is a null. The values of a key inside an
    object within are the column `outer.inner`. A column holds integers, numbers, booleans, strings, or lists of one of
    these; where they mix, strings, each value other than a string as JSON writes it. Blank lines are passed over.
    Raises DataError with the line that is no JSON object.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     count = Path(folder, "a.jsonl").write_text('{"text": "fine", "label": 1}\\n{"label": "no"}')
    ...     read_json_lines(Path(folder, "a.jsonl"))[0].rows()
    [('fine', '1'), (None, 'no')]
    """
    name = Path(path).name
    columns: dict[str, list[Any]] = {}
    lines: list[int] = []
    for number, line in enumerate(read_lines(path, encoding=encoding), 1):
        if not line.strip():
            continue
        for key, value in _parse(f"{name} line {number}", line).items():
            column = columns.setdefault(key, [])
            column.extend([None] * (len(lines) - len(column)))
            column.append(value)
        lines.append(number)
    if not lines:
        raise DataError(f"{name} is empty; a JSON object on each line is needed")
    if not columns:
        raise DataError(f"{name} line {lines[0]}: objects without keys; a key for each column is needed")
    for column in columns.values():
        column.extend([None] * (len(lines) - len(column)))
    return pl.DataFrame([_to_series(key, values) for key, values in columns.items()]), np.asarray(lines)


def _parse(place: str, line: str) -> dict[str, Any]:
    """The object on a line, objects within laid flat."""
    try:
        found = json.loads(line, object_pairs_hook=_unique)
        if "\\u" in line:
            json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{place}: half of a surrogate pair is no character; remove or complete it") from error
    except RecursionError as error:
        raise DataError(f"{place}: nested too deeply; one flat object a line is needed") from error
    except json.JSONDecodeError as error:
        if line.lstrip().startswith("["):
            raise DataError(f"{place}: a list opens; write one object a line, as jq -c '.[]' does") from error
        raise DataError(
            f"{place}: no JSON object ({error.msg} at character {error.pos + 1}): {quote(line.strip())}; mend it"
        ) from error
    except ValueError as error:
        raise DataError(f"{place}: {error}; mend it") from error
    if not isinstance(found, dict):
        if isinstance(found, list):
            raise DataError(f"{place}: a list; write one object a line, as jq -c '.[]' does")
        raise DataError(f'{place}: {quote(found)} is no JSON object; write one a line, such as {{"text": ...}}')
    return _flatten(place, found)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {quote(twice)} stands twice")
    return found


def _flatten(place: str, found: dict[str, Any]) -> dict[str, Any]:
    if not any(isinstance(value, dict) for value in found.values()):
        return found
    flat: dict[str, Any] = {}
    for key, value in found.items():
        inner = _flatten(place, value) if isinstance(value, dict) else {"": value}
        for end, part in inner.items():
            name = f"{key}.{end}" if isinstance(value, dict) else key
            if name in flat:
                raise DataError(f"{place}: the key {quote(name)} stands twice, inside an object and beside it; mend it")
            flat[name] = part
    return flat


def _to_series(name: str, values: list[Any]) -> pl.Series:
    present = [value for value in values if value is not None]
    if present and all(isinstance(value, list) for value in present):
        kind = _kind([part for value in present for part in value if part is not None])
        if kind == pl.String:
            values = [None if value is None else [_to_text(part) for part in value] for value in values]
        return pl.Series(name, values, pl.List(kind))
    kind = _kind(present) if present else pl.Null()
    return pl.Series(name, [_to_text(value) for value in values] if kind == pl.String else values, kind, strict=False)


def _kind(values: Sequence[Any]) -> pl.DataType:
    """What holds all of the values."""
    types = {type(value) for value in values}
    if types == {bool}:
        return pl.Boolean()
    if types == {int} and all(-_INT64 <= value < _INT64 for value in values):
        return pl.Int64()
    if types in ({float}, {int, float}) and all(abs(value) < _INT64 for value in values if type(value) is int):
        return pl.Float64()
    return pl.String()


def _to_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
