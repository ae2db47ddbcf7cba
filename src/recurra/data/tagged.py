"""Sentences of tokens, each token with its tag."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recurra.data.files import Table, kind_of, read_table
from recurra.data.labelled import find_column
from recurra.data.lines import quote, read_lines
from recurra.data.values import likes
from recurra.errors import ArgumentError, DataError, Notice, nearest

__all__ = ["Tagged", "read_tagged"]

_UNIVERSAL = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_ALWAYS = ("upos", "xpos", "deprel")  # `_` in these says that nobody annotated the token
_ID = re.compile(r"\d+([-.]\d+)?", re.ASCII)
_GAPS = re.compile(r"[ \t]+")
_HEADER = "# global.columns ="
_DOCUMENT = "-DOCSTART-"
_WANTED = "a file of CoNLL columns, JSON lines or Parquet"

Lines = Iterable[tuple[int, str]]


@dataclass(frozen=True)
class Tagged:
    """Sentences, token by token.

    tokens: (sentences,) lists of tokens.
    tags: a tag for each token; None where they were not read.
    name: what messages call the file.
    places: the line of each token; or the table whose rows are the sentences.
    rows: of the places, where it is not all of them.

    >>> Tagged([["Hi", "!"]], [["UH", "."]], "a.conll", [[4, 5]]).at(0, 1)
    'a.conll line 5'
    """

    tokens: list[list[str]]
    tags: list[list[str]] | None
    name: str
    places: list[list[int]] | Table
    rows: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Tagged:
        """Some of the sentences, by number; they keep their places."""
        chosen = [int(row) for row in rows]
        tags = None if self.tags is None else [self.tags[row] for row in chosen]
        places = chosen if self.rows is None else [self.rows[row] for row in chosen]
        return replace(self, tokens=[self.tokens[row] for row in chosen], tags=tags, rows=places)

    def at(self, sentence: int, token: int = 0) -> str:
        """The file's name with the place of a token, as messages open."""
        row = sentence if self.rows is None else self.rows[sentence]
        if isinstance(self.places, Table):
            return f"{self.places.at(row)}: token {token + 1}"
        return f"{self.name} line {self.places[row][token]}"


class _Form(NamedTuple):
    """How the columns of a file are found.

    width: columns of each line. tabs: whether tabs are between them, and not spaces.
    ids: the column of CoNLL-U's numbers, if there is one. token, tag: the columns read. tag_name: for messages.
    """

    width: int
    tabs: bool
    ids: int | None
    token: int
    tag: int | None
    tag_name: str


def read_tagged(
    path: str | os.PathLike[str],
    *,
    token: str | int | None = None,
    tag: str | int | None = None,
    tagged: bool = True,
    encoding: str = "utf-8",
) -> Tagged:
    """The sentences of a file of CoNLL columns, or of lists in JSON lines or Parquet.

    path: the file. Columns: a token a line, a blank line after each sentence, tabs or spaces between the columns.
        CoNLL-U is known by its ten columns with a number first; its words are read, ranges (1-2) and empty nodes
        (1.1) are left out. A line `# global.columns = ID FORM ...` names other columns.
    token: the tokens' column. None: FORM, or the first; of lists `tokens`.
    tag: the tags' column, by its name (upos, xpos, deprel, ...) or its number from 1. None: upos, or the last; of
        lists `tags`, or the only other column of lists. Tags of other types become strings.
    tagged: whether tags are read; False for sentences to predict, which may be of tokens alone.
    encoding: of text.

    A line that begins with # is a comment in CoNLL-U; elsewhere where it comes before a sentence and has not the
    columns of a token, so that #tags stay. Lines that begin with -DOCSTART- are left out. Raises DataError with the
    line or row of the first fault, ArgumentError for a column that cannot be.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     size = Path(folder, "a.conll").write_text("I PRP O\\nsaw VBD O\\nAnn NNP B-PER\\n\\nHi UH O\\n")
    ...     data = read_tagged(Path(folder, "a.conll"))
    >>> data.tokens, data.tags
    ([['I', 'saw', 'Ann'], ['Hi']], [['O', 'O', 'B-PER'], ['O']])
    """
    path = Path(path)
    for role, column in (("token", token), ("tag", tag)):
        if isinstance(column, int) and column < 1:
            raise ArgumentError(f"{role} is {column}; columns are counted from 1")
    if kind_of(path) != "text":
        table = read_table(path, encoding=encoding)
        return Tagged(*_read_lists(table, token, tag, tagged), table.name, table)
    lines = enumerate(read_lines(path, encoding=encoding, wanted=_WANTED), 1)
    leading, form = _open(path.name, lines, token, tag, tagged)
    places: list[list[int]] = []
    tokens: list[list[str]] = []
    tags: list[list[str]] = []
    for numbers, words, their_tags in _sentences(path.name, chain(leading, lines), form):
        places.append(numbers)
        tokens.append(words)
        tags.append(their_tags)
    if not tokens:
        raise DataError(f"{path.name} holds no tokens; a token on each line is needed")
    return Tagged(tokens, tags if tagged else None, path.name, places)


def _open(
    name: str, lines: Lines, token: str | int | None, tag: str | int | None, tagged: bool
) -> tuple[list[tuple[int, str]], _Form]:
    """The lines up to the first that is surely a token's, and the form that it has."""
    leading: list[tuple[int, str]] = []
    names: tuple[str, ...] = ()
    for number, line in lines:
        leading.append((number, line))
        if line.lower().startswith(_HEADER):
            names = tuple(line[len(_HEADER) :].lower().split())
        if line.strip() and not line.startswith(("#", _DOCUMENT)):
            break
    full = [one for one in leading if one[1].strip()]
    if not full:
        raise DataError(f"{name} is empty; a token on each line is needed")
    number, line = full[-1] if not full[-1][1].startswith("#") else full[0]
    tabs = "\t" in line
    fields = _cut(line, tabs)
    if not names and tabs and len(fields) == len(_UNIVERSAL) and _ID.fullmatch(fields[0]):
        names = _UNIVERSAL
    if not names and ".conllu" in Path(name).suffixes:
        raise DataError(
            f"{name} line {number}: {len(fields)} column{'s' * (len(fields) > 1)} between tabs where CoNLL-U has ten, "
            "a number first; mend the file or call it .conll"
        )
    place = f"{name} line {number}"
    width = len(names) or len(fields)
    ids = names.index("id") if "id" in names else None
    at = _find(place, "token", token, names, width, names.index("form") if "form" in names else 0)
    if not tagged:
        return leading, _Form(width, tabs, ids, at, None, "")
    if width == 1:
        raise DataError(f"{place}: one column only, {quote(line)}; a token and its tag, a tab or space between")
    last = _find(place, "tag", tag, names, width, names.index("upos") if "upos" in names else width - 1)
    if at == last:
        raise ArgumentError(f"column {at + 1} is both token and tag; give each its own")
    return leading, _Form(width, tabs, ids, at, last, names[last] if names else str(last + 1))


def _find(place: str, role: str, column: str | int | None, names: tuple[str, ...], width: int, default: int) -> int:
    """The place of a column, counted from 0."""
    if column is None:
        return default
    if isinstance(column, str) and column.lower() in names:
        return names.index(column.lower())
    if isinstance(column, str):
        hint = nearest(column.lower(), names) if names else f"its columns have numbers only, 1 to {width}"
        raise DataError(f"{place}: there is no column {column!r} for the {role}; {hint}")
    if column > width:
        raise DataError(f"{place}: there is no column {column} for the {role}; there are {width}")
    return column - 1


def _sentences(name: str, lines: Lines, form: _Form) -> Iterator[tuple[list[int], list[str], list[str]]]:
    """Lines, tokens and tags (none if they are not read) of each sentence."""
    places: list[int] = []
    tokens: list[str] = []
    tags: list[str] = []
    for number, line in lines:
        if not line.strip(" \t"):
            if tokens:
                yield places, tokens, tags
                places, tokens, tags = [], [], []
            continue
        if line.startswith(_DOCUMENT):
            continue
        fields = _cut(line, form.tabs)
        if line.startswith("#") and (form.ids is not None or (not tokens and len(fields) != form.width)):
            continue
        place = f"{name} line {number}"
        if len(fields) != form.width:
            raise DataError(
                f"{place}: {len(fields)} column{'s' * (len(fields) > 1)} where the lines before have {form.width}: "
                f"{quote(line)}. Mend the line; a blank one ends a sentence"
            )
        if form.ids is not None and _is_apart(place, fields[form.ids], len(tokens) + 1):
            continue
        places.append(number)
        tokens.append(_take(place, fields, form.token, "token"))
        if form.tag is not None:
            tags.append(_take(place, fields, form.tag, "tag"))
            if tags[-1] == "_" and form.tag_name in _ALWAYS:
                raise DataError(
                    f"{place}: column {form.tag_name!r} is '_', which says that nobody has annotated "
                    f"{quote(tokens[-1])}; tag it, or choose another column"
                )
    if tokens:
        yield places, tokens, tags


def _cut(line: str, tabs: bool) -> list[str]:
    return [field.strip(" ") for field in line.split("\t")] if tabs else _GAPS.split(line.strip(" \t"))


def _is_apart(place: str, found: str, expected: int) -> bool:
    """Whether the number of a line is a range's or an empty node's, which are no words."""
    if not _ID.fullmatch(found):
        raise DataError(f"{place}: {quote(found)} is no number of a word; 3, a range 3-4 or an empty node 3.1 is one")
    if not found.isdecimal():
        return True
    if int(found) != expected:
        raise DataError(f"{place}: word {found} where {expected} is expected; a blank line ends a sentence")
    return False


def _take(place: str, fields: list[str], column: int, role: str) -> str:
    if not fields[column]:
        raise DataError(f"{place}: the {role} in column {column + 1} is empty; fill it or remove the line")
    return fields[column]


def _read_lists(
    table: Table, token: str | int | None, tag: str | int | None, tagged: bool
) -> tuple[list[list[str]], list[list[str]] | None]:
    """Tokens and tags of a table whose rows are sentences; a row without tokens is a sentence of none."""
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
    lists = [name for name, kind in table.frame.schema.items() if isinstance(kind, pl.List) and name != token]
    if "tags" in table.frame.columns or not lists:
        return "tags"
    if len(lists) > 1:
        raise DataError(
            f"{table.name} has no column 'tags', and lists in {', '.join(map(repr, lists))}; choose one with --tag"
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
    if role == "token" and inner not in (pl.String, pl.Categorical, pl.Null):
        raise DataError(f"{table.name}: column {column!r} is of type {kind}; tokens are strings")
    lists: list[list[str] | None] = values.cast(pl.List(pl.String)).to_list()
    for row, found in enumerate(lists):
        for place, value in enumerate(found or ()):
            if not value or "\0" in value:
                held = "is empty" if not value else f"holds a NUL character, {quote(value)}"
                raise DataError(f"{table.at(row)}: {role} {place + 1} in column {column!r} {held}; mend the list")
    return lists
