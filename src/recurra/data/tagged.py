"""Sentences of tokens, each token with its tag."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra.data.files import Table, kind_of, read_table
from recurra.data.lines import quote, read_lines
from recurra.data.token_lists import read_token_lists
from recurra.errors import ArgumentError, DataError, nearest

__all__ = ["Tagged", "read_tagged", "tagged_lines"]

_UNIVERSAL = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_ALWAYS = ("upos", "xpos", "deprel")  # `_` in these says that nobody annotated the token
_ID = re.compile(r"\d+([-.]\d+)?", re.ASCII)
_GAPS, _FIELD = re.compile(r"[ \t]+"), re.compile(r"[^ \t]+")
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
    names: of the columns, where a file says them. ids: the column of CoNLL-U's numbers, if there is one.
    token, tag: the columns read. tag_name: for messages.
    """

    width: int
    tabs: bool
    names: tuple[str, ...]
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
        lists = read_token_lists(table, token=token, tag=tag, tagged=tagged)
        return Tagged(*lists, table.name, table)
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


def tagged_lines(
    path: str | os.PathLike[str],
    lines: Sequence[Sequence[int]],
    tags: Sequence[Sequence[str]],
    *,
    token: str | int | None = None,
    tag: str | int | None = None,
    encoding: str = "utf-8",
) -> list[str] | None:
    r"""The text of each sentence of a file of CoNLL columns with other tags in it, and all else as it stands: comments,
    numbers, ranges, other columns.

    lines: of each sentence's tokens, the `places` that `read_tagged` found. tags: of each token.
    token, tag, encoding: as of `read_tagged`. Tags go into the column `tag`; where that is None, into upos if columns
        have names, else behind the last one, so that nothing is lost. None is returned if columns have names, and none
        has this one.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     size = Path(folder, "a.conll").write_text("# id = 1\nI PRP\nsaw VBD\n\nHi UH\n")
    ...     tagged_lines(Path(folder, "a.conll"), [[2, 3], [5]], [["O", "O"], ["O"]])
    ['# id = 1\nI PRP O\nsaw VBD O\n', 'Hi UH O\n']
    """
    path = Path(path)
    new = {
        number: said
        for numbers, row in zip(lines, tags, strict=True)
        for number, said in zip(numbers, row, strict=True)
    }
    numbered = enumerate(read_lines(path, encoding=encoding, wanted=_WANTED), 1)
    leading, form = _open(path.name, numbered, token, None, tagged=False)
    place = _tag_place(form, tag)
    if place is None and form.names:
        return None
    found: list[list[str]] = []
    kept: list[str] = []  # of the sentence that is read
    has_tokens = False
    for number, line in chain(leading, numbered):
        blank = not line.strip(" \t")
        if blank and has_tokens:
            found.append(kept)
            kept, has_tokens = [], False
        elif not blank or kept:
            kept.append(_put(line, new[number], place, form) if number in new else line)
        has_tokens = has_tokens or number in new
    if has_tokens or not found:
        found.append(kept)
    elif kept:
        found[-1] += ["", *kept]
    return ["".join(f"{line}\n" for line in each) for each in found]


def _tag_place(form: _Form, tag: str | int | None) -> int | None:
    """The place of the column that tags are written into; None for one behind the last."""
    if isinstance(tag, int):
        place = tag - 1 if tag <= form.width else None
    else:
        name = "upos" if tag is None else tag.lower()
        place = form.names.index(name) if name in form.names else None
    return None if place == form.token else place


def _put(line: str, tag: str, place: int | None, form: _Form) -> str:
    """The line with a tag in a column."""
    if form.tabs:
        fields = line.split("\t")
        return "\t".join([*fields, tag] if place is None else [*fields[:place], tag, *fields[place + 1 :]])
    if place is None:
        return line.rstrip(" \t") + ("\t" if form.width == 1 else " ") + tag
    begin, end = list(_FIELD.finditer(line))[place].span()
    return line[:begin] + tag + line[end:]


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
        return leading, _Form(width, tabs, names, ids, at, None, "")
    if width == 1:
        raise DataError(f"{place}: one column only, {quote(line)}; a token and its tag, a tab or space between")
    last = _find(place, "tag", tag, names, width, names.index("upos") if "upos" in names else width - 1)
    if at == last:
        raise ArgumentError(f"column {at + 1} is both token and tag; give each its own")
    return leading, _Form(width, tabs, names, ids, at, last, names[last] if names else str(last + 1))


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
            plain = "" if form.tag is not None or form.tabs else ", and lines of plain text go to the standard input"
            raise DataError(
                f"{place}: {len(fields)} column{'s' * (len(fields) > 1)} where the lines before have {form.width}: "
                f"{quote(line)}. Mend the line; a blank one ends a sentence{plain}"
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
