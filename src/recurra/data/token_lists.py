"""Sentences of a table whose rows hold lists: of tokens, and of a tag for each."""

from __future__ import annotations

import warnings
from typing import Any

import polars as pl

from recurra.data.files import Table
from recurra.data.labelled import find_column
from recurra.data.lines import quote
from recurra.data.values import likes
from recurra.errors import ArgumentError, DataError, Notice

__all__ = ["read_token_lists"]


def read_token_lists(
    table: Table, *, token: str | int | None = None, tag: str | int | None = None, tagged: bool = True
) -> tuple[list[list[str]], list[list[str]] | None]:
    """Tokens and tags of a table whose rows are sentences, as lists; tags None where they are not wanted.

    token, tag: their columns, by name; None: `tokens`; `tags`, or the only other column of lists. Tags of other types
        become strings.
    tagged: whether tags are read.

    A row without tokens is a sentence of none, and a Notice counts them. Raises DataError with the row of the first
    fault, ArgumentError for a column that cannot be.

    >>> read_token_lists(Table(pl.DataFrame({"tokens": [["Hi", "!"]], "codes": [[7, 3]]})))
    ([['Hi', '!']], [['7', '3']])
    """
    token = "tokens" if token is None else token
    if isinstance(token, int) or isinstance(tag, int):
        raise ArgumentError(f"the columns of {table.name} have names; pass them for token and tag, not numbers")
    find_column(table, token, role="token")
    tokens = _read_list(table, token, "token")
    missing = [row for row, sentence in enumerate(tokens) if sentence is None]
    if missing:
        warnings.warn(
            f"{table.at(missing[0])}: column {token!r} is empty{likes(len(missing) - 1)}. Kept as sentences of no "
            "tokens",
            Notice,
            stacklevel=3,
        )
    sentences = [sentence or [] for sentence in tokens]
    if not tagged:
        return sentences, None
    tag = _choose_tag(table, token) if tag is None else tag
    find_column(table, tag, role="tag")
    if token == tag:
        raise ArgumentError(f"column {tag!r} is both token and tag; give each its own")
    tags = [found or [] for found in _read_list(table, tag, "tag")]
    wrong = [row for row, (one, other) in enumerate(zip(sentences, tags, strict=True)) if len(one) != len(other)]
    if wrong:
        row = wrong[0]
        raise DataError(
            f"{table.at(row)}: {len(sentences[row])} tokens in column {token!r} and {len(tags[row])} tags in {tag!r}"
            f"{likes(len(wrong) - 1)}. Give each token one tag"
        )
    return sentences, tags


def _choose_tag(table: Table, token: str) -> str:
    """The column of the tags where none is named."""
    schema = table.frame.schema
    lists = [name for name, kind in schema.items() if isinstance(kind, pl.List | pl.Array) and name != token]
    if "tags" in table.frame.columns or not lists:
        return "tags"
    if len(lists) > 1:
        raise DataError(
            f"{table.name} has no column 'tags', and lists in {', '.join(map(repr, lists))}; choose one with tag=..."
        )
    return lists[0]


def _read_list(table: Table, column: str, role: str) -> list[list[str] | None]:
    """The lists of a column as strings; every one must be filled."""
    values = table.frame[column]
    kind = values.dtype
    if kind == pl.Null:
        return [None] * len(values)
    if isinstance(kind, pl.Array):
        values, kind = values.arr.to_list(), pl.List(kind.inner)
    inner: Any = kind.inner if isinstance(kind, pl.List) else None
    if inner is None or inner.is_nested():
        raise DataError(f"{table.name}: column {column!r} is of type {kind}; a list of strings a row is needed")
    if role == "token" and inner not in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        raise DataError(f"{table.name}: column {column!r} is of type {kind}; tokens are strings")
    lists: list[list[str] | None] = values.cast(pl.List(pl.String)).to_list()
    for row, found in enumerate(lists):
        for place, value in enumerate(found or ()):
            if not value or "\0" in value:
                held = "is empty" if not value else f"holds a NUL character, {quote(value)}"
                raise DataError(f"{table.at(row)}: {role} {place + 1} in column {column!r} {held}; mend the list")
    return lists
