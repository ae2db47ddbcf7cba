"""Tagged sentences as a tagger takes them: schemes of tags, parts held back, and what is no tag."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recurra.data.files import Table
from recurra.data.lines import quote
from recurra.data.splitting import split_rows
from recurra.data.tagged import Tagged
from recurra.data.values import likes
from recurra.errors import ArgumentError, DataError, Notice, nearest
from recurra.training.spans import Span, convert_tags, spans_of_tags

__all__ = ["Tagset", "as_columns", "check_tokens", "find_tagset", "of_lists", "read_lists", "split_tagged"]

_SHOWN = 20
_OTHER_LETTERS = {"L": "E", "U": "S", "M": "I"}  # BILUO's last and unit, BMES's middle
_OTHER_SCHEMES = (frozenset("OBILU"), frozenset("OBMES"))
_BREAKS = re.compile(r"\s+")


@dataclass(frozen=True)
class Tagset:
    """The tags that a tagger tells apart.

    names: in the order of their codes.
    scheme: "bio" or "bioes", in which they say spans; "none": they say none.
    """

    names: tuple[str, ...]
    scheme: str

    @property
    def says_spans(self) -> bool:
        """Whether spans are what is looked for."""
        return self.scheme != "none"

    def rewrite(self, tags: Sequence[Sequence[str]]) -> list[list[str]]:
        """The tags of sentences in this scheme; of those that `check` lets pass."""
        return [_convert(row, self.scheme) if self.says_spans else list(row) for row in tags]

    def encode(self, tags: Sequence[Sequence[str]]) -> list[list[int]]:
        """The codes of the tags of sentences, in this scheme."""
        codes = {name: code for code, name in enumerate(self.names)}
        return [[codes[tag] for tag in row] for row in self.rewrite(tags)]

    def decode(self, codes: Sequence[Sequence[int] | NDArray[np.int64]]) -> list[list[str]]:
        """The tags of codes."""
        return [[self.names[code] for code in row] for row in codes]

    def check(self, data: Tagged) -> None:
        """Raise DataError with the first tag that training did not see; ArgumentError for sentences without tags."""
        seen = set(self.names)
        if self.says_spans:
            seen = {tag for row in _tags(data) for tag in set(row) if self._has(tag)}
        unseen = [
            (row, place) for row, tags in enumerate(_tags(data)) for place, tag in enumerate(tags) if tag not in seen
        ]
        if not unseen:
            return
        row, place = unseen[0]
        tag = _tags(data)[row][place]
        same = sum(_tags(data)[row][place] == tag for row, place in unseen)
        more = f"; {len(unseen) - same} more with other unseen tags" if len(unseen) > same else ""
        hint = nearest(tag, self.names)
        if not hint.endswith("?"):
            rest = f" and {len(self.names) - _SHOWN} more" if len(self.names) > _SHOWN else ""
            hint = f"there are: {', '.join(map(quote, self.names[:_SHOWN]))}{rest}."
        raise DataError(
            f"{data.at(row, place)}: {quote(data.tokens[row][place])} has the tag {quote(tag)}, which training did not "
            f"see{likes(same - 1, noun='token')}{more}; {hint} Mend the tag, remove the sentence, or train with it"
        )

    def _has(self, tag: str) -> bool:
        """Whether a tag in any scheme says what these say."""
        spans = _read(_spelt(tag))
        return spans is not None and all(self._begins(span.type) in self.names for span in spans)

    @staticmethod
    def _begins(kind: str) -> str:
        return f"B-{kind}" if kind else "B"


def find_tagset(data: Tagged, scheme: str, *, quiet: bool = False) -> Tagset:
    """The tags of sentences to learn from, in a scheme as `TaggingParameters` has it.

    BILUO's L- and U- are read as E- and S-, BMES's M- as I-, where all tags are of that scheme.

    Raises DataError where there is no token, one tag only, or a tag that says no span though the scheme is one of
    spans; ArgumentError without tags. Unless quiet, a Notice tells of tags that have to be rewritten though nobody
    asked for it, and of tags that say no span where most do.
    """
    found = _check(data)
    strange = _strange(found)
    if scheme == "none" or (scheme == "auto" and strange):
        if scheme == "auto" and not quiet:
            _tell_strange(data, found, strange)
        return Tagset(tuple(sorted(found)), "none")
    if strange:
        row, place, tag = _places(data, strange)[0]
        raise DataError(
            f"{data.at(row, place)}: the tag {quote(tag)} says no span, which scheme {scheme!r} needs: 'O', or B-, I-, "
            "E- or S- and a type, as 'B-person'. Mend it, name another column, or leave the scheme out"
        )
    spelt = {_spelt(tag) for tag in found}
    if scheme == "auto":
        scheme = "bioes" if any(tag[0] in "ES" for tag in spelt) else "bio"
        if not quiet:
            _tell_rewritten(data, scheme)
    kinds = sorted({span.type for tag in spelt for span in _read(tag) or ()})
    letters = "BIES" if scheme == "bioes" else "BI"
    names = [f"{letter}-{kind}" if kind else letter for kind in kinds for letter in letters]
    return Tagset(("O", *names), scheme)


def check_tokens(data: Tagged) -> None:
    """Raise DataError where there is no token."""
    if not any(data.tokens):
        raise DataError(f"{data.name} holds no tokens in its {len(data)} sentences; one at least is needed")


def split_tagged(data: Tagged, share: float, *, seed: int) -> tuple[Tagged, Tagged]:
    """What is left and what is held back at random; a sentence with a tag that is nowhere else is left.

    Raises ArgumentError for a share that is none, or sentences too few; DataError where there is no token, or one tag
    only, for then nothing can be learnt.
    """
    _check(data)
    tags = _tags(data)
    kept, held = split_rows(len(data), share, seed=seed, name=data.name)
    known = {tag for row in kept for tag in tags[row]}
    back = [row for row in held.tolist() if not known.issuperset(tags[row])]
    rest = sorted(set(held.tolist()) - set(back))
    if len(held) and not any(tags[row] for row in rest):
        raise ArgumentError(
            f"{share:g} of {len(data)} sentences cannot be held back and still leave every tag to learn from; give "
            "more sentences, or files of their own"
        )
    return data.take(sorted([*kept.tolist(), *back])), data.take(rest)


def of_lists(tokens: Any, tags: Any = None) -> Tagged:
    """Sentences given as lists of words, and a tag for each word, if they are given.

    Raises ArgumentError where they are no lists of strings, or not as many.
    """
    lines = {"tokens": tokens} if tags is None else {"tokens": tokens, "tags": tags}
    for name, rows in lines.items():
        if not isinstance(rows, list | tuple):
            raise ArgumentError(f"{name} is {type(rows).__name__}; expected a list for each sentence")
        for place, row in enumerate(rows):
            if not isinstance(row, list | tuple) or not all(isinstance(word, str) and word for word in row):
                came = f"the text {quote(row)}" if isinstance(row, str) else quote(row)
                raise ArgumentError(f"{name}[{place}] is {came}; expected a list of words, as text.split() gives it")
    if tags is not None and [len(row) for row in tags] != [len(row) for row in tokens]:
        counts = [[len(row) for row in rows] for rows in (tokens, tags)]
        if len(tokens) != len(tags):
            raise ArgumentError(f"tokens are {len(tokens)} sentences, tags {len(tags)}; pass tags for each sentence")
        place = next(at for at, (one, other) in enumerate(zip(*counts, strict=True)) if one != other)
        raise ArgumentError(
            f"tokens[{place}] has {counts[0][place]} words, tags[{place}] {counts[1][place]}; pass a tag a word"
        )
    sentences = [list(row) for row in tokens]
    marks = None if tags is None else [list(row) for row in tags]
    return Tagged(sentences, marks, "the sentences", Table(pl.DataFrame({"tokens": sentences}), "sentences"))


def read_lists(data: Any, *, tagged: bool) -> Tagged:
    """(tokens, tags), or tokens alone where tags are not wanted, as `of_lists` has it."""
    if isinstance(data, tuple) and len(data) == 2:
        return of_lists(*data) if tagged else of_lists(data[0])
    if tagged:
        raise ArgumentError("data is a list of sentences without tags; pass (tokens, tags), a list of each a sentence")
    return of_lists(data)


def as_columns(tokens: Sequence[str], tags: Sequence[str]) -> str:
    """A sentence as CoNLL columns, token and tag with a tab between; blanks within a token become one space."""
    return "".join(f"{_BREAKS.sub(' ', token)}\t{tag}\n" for token, tag in zip(tokens, tags, strict=True))


def _check(data: Tagged) -> set[str]:
    """The tags that sentences to learn from have; raise DataError where there is no token, or one tag only."""
    check_tokens(data)
    found = {tag for row in _tags(data) for tag in row}
    if len(found) == 1:
        tokens = sum(map(len, data.tokens))
        raise DataError(
            f"{data.name} holds one tag only, {quote(next(iter(found)))}, in {tokens:,} token{'s' * (tokens > 1)}; two "
            "are needed at least. Add sentences with another, or name another column with tag=..."
        )
    return found


def _tell_rewritten(data: Tagged, scheme: str) -> None:
    """A Notice of tags that break their own scheme, as those of IOB1 do."""
    changed = [
        (row, place, tag, new)
        for row, tags in enumerate(_tags(data))
        for place, (tag, new) in enumerate(zip(tags, _convert(tags, scheme), strict=True))
        if tag != new
    ]
    if changed:
        row, place, tag, new = changed[0]
        warnings.warn(
            f"{data.at(row, place)}: {quote(tag)} is rewritten as {quote(new)}{likes(len(changed) - 1, noun='token')}. "
            f"The tags are learnt in the scheme {scheme}, the spans are the same",
            Notice,
            stacklevel=4,
        )


def _tell_strange(data: Tagged, found: set[str], strange: set[str]) -> None:
    """A Notice of tags that say no span where most do, so that no span is learnt or measured."""
    if 2 * sum(bool(_read(_spelt(tag))) for tag in found - strange) <= len(found - {"O"}):
        return
    (row, place, tag), *more = _places(data, strange)
    warnings.warn(
        f"{data.at(row, place)}: the tag {quote(tag)} says no span, though most do{likes(len(more), noun='token')}. "
        "All are learnt as plain tags, and spans are not measured; mend it, or choose the scheme none",
        Notice,
        stacklevel=4,
    )


def _places(data: Tagged, tags: set[str]) -> list[tuple[int, int, str]]:
    """Where these tags are: sentence, token and tag."""
    return [(row, place, tag) for row, each in enumerate(_tags(data)) for place, tag in enumerate(each) if tag in tags]


def _tags(data: Tagged) -> list[list[str]]:
    if data.tags is None:
        raise ArgumentError("the sentences were read without tags, which this needs; name their column as tag")
    return data.tags


def _strange(found: set[str]) -> set[str]:
    """Those of the tags for which they say no spans together."""
    unread = {tag for tag in found if _read(tag) is None}
    strange = {tag for tag in unread if _read(_spelt(tag)) is None}
    letters = {tag.partition("-")[0] for tag in found}
    # Without a tag that begins a span, L, U and M may be anything.
    begun = "B" in letters or (letters <= {"O", "U"} and "U" not in found)
    if begun and any(letters <= scheme for scheme in _OTHER_SCHEMES):
        return strange
    return strange or unread


def _spelt(tag: str) -> str:
    """The tag with the letter that BIOES has for it."""
    letter, dash, kind = tag.partition("-")
    return _OTHER_LETTERS.get(letter, letter) + dash + kind


def _convert(tags: Sequence[str], scheme: str) -> list[str]:
    """The same spans in another scheme, whatever letters say them."""
    return convert_tags([_spelt(tag) for tag in tags], scheme)


@cache
def _read(tag: str) -> tuple[Span, ...] | None:
    """The span that a tag says alone, none for "O"; None for a tag of no scheme."""
    try:
        return tuple(spans_of_tags([tag]))
    except ArgumentError:
        return None
