"""Texts as the codes that a classifier reads: how many, and what is left out of those that have more."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TypeVar

from recurra.data.labelled import Labelled
from recurra.data.values import likes
from recurra.errors import Notice

__all__ = ["cut_middle", "note_cut", "usual_length"]

T = TypeVar("T")


def usual_length(tokenizer: str) -> int:
    """Tokens of a text that are read where nothing else is asked for: some pages, in words or in letters.

    tokenizer: its kind.
    """
    return 2000 if tokenizer in ("character", "byte") else 400


def cut_middle(row: list[T], most: int | None) -> list[T]:
    """A row without its middle if it is longer; None: never.

    >>> cut_middle(list("abcdefg"), 5)
    ['a', 'b', 'c', 'f', 'g']
    """
    if most is None or len(row) <= most:
        return row
    return row[: most - most // 2] + row[len(row) - most // 2 :]


def note_cut(parts: Sequence[Labelled], codes: Sequence[Sequence[Sequence[int]]], most: int | None) -> int:
    """How many of the texts will lose their middle; a Notice counts them and names the first.

    parts: the texts. codes: of each part, those of each text, whole. most: tokens that are kept; None: all.
    """
    if most is None:
        return 0
    long = [
        (part, row, len(whole))
        for part, texts in zip(parts, codes, strict=True)
        for row, whole in enumerate(texts)
        if len(whole) > most
    ]
    if long:
        part, row, size = long[0]
        warnings.warn(
            f"{part.at(row)}: the text has {size:,} tokens, of which max_tokens={most} are read"
            f"{likes(len(long) - 1)}. Their middle is left out; give a larger max_tokens, or none",
            Notice,
            stacklevel=3,
        )
    return len(long)
