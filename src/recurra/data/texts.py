"""Texts that are given as they are: in a list, or in a column of a data frame's library."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import narwhals as nw

from recurra.data.lines import quote
from recurra.errors import ArgumentError, DataError, nearest

__all__ = ["check_path", "given_texts"]

_ARRAYS = {"pandas": "Index", "pyarrow": "Array"}  # that narwhals takes for no Series


def given_texts(data: Any) -> list[str] | None:
    """The texts of a list, or of a Series or Array of polars, pandas or pyarrow; None for anything else.

    Raises ArgumentError with the first that is no text: None, a number, a missing value.

    >>> import polars as pl
    >>> given_texts(pl.Series(["fine", "bad"])), given_texts("reviews.csv")
    (['fine', 'bad'], None)
    """
    values = data if isinstance(data, list) else _values(data)
    if values is None:
        return None
    for place, text in enumerate(values):
        if not isinstance(text, str):
            raise ArgumentError(f"texts[{place}] is {quote(text)}; expected a text")
    return values


def check_path(data: Any, *, example: str = '["..."]') -> None:
    """Raise DataError where a str is the path of no file, and may be a text that was given in place of a list.

    example: how such a list is written.
    """
    if not isinstance(data, str) or _exists(data):
        return
    hint = nearest(Path(data).name, _names_beside(data))
    near = f"{hint} For" if hint.endswith("?") else "for"
    raise DataError(f"{quote(data)} is no file that exists; {near} a text itself pass a list: {example}")


def _values(data: Any) -> list[Any] | None:
    """What a column holds, where it is one."""
    for library, name in _ARRAYS.items():
        module = sys.modules.get(library)  # who has no such library loaded has no array of it
        if module is not None and isinstance(data, getattr(module, name)):
            return list(data.tolist())
    try:
        return list(nw.from_native(data, series_only=True).to_list())
    except TypeError:
        return None


def _exists(path: str) -> bool:
    with contextlib.suppress(OSError, ValueError):  # a text may be longer than any path, or hold what none has
        return bool(path) and Path(path).exists()  # Path("") is the folder one is in
    return False


def _names_beside(path: str) -> Iterable[str]:
    """The files of the folder that a path names, without hidden ones."""
    with contextlib.suppress(OSError, ValueError):
        return sorted(one.name for one in Path(path).parent.iterdir() if not one.name.startswith("."))
    return ()
