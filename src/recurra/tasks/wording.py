"""Texts written for texts: in codes, and read with words that no vocabulary holds taken over from the source."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recurra.data.detokenising import join_words
from recurra.data.lines import quote
from recurra.data.tokenizer import Tokenizer
from recurra.data.values import likes
from recurra.errors import Notice
from recurra.models import EncoderDecoder
from recurra.training.translator import Search, Written, write

__all__ = ["read_wording", "write_texts"]


def write_texts(
    network: EncoderDecoder,
    texts: Sequence[str],
    tokenizers: tuple[Tokenizer, Tokenizer],
    search: Search,
    *,
    max_tokens: int | None,
) -> list[tuple[str, Written | None]]:
    """What is written for each text, and its codes; "" and None for a blank one.

    tokenizers: of sources and of targets. max_tokens: longer sources are cut there, and a Notice says so; None: never.
    """
    reader, writer = tokenizers
    coded = reader.encode_all(texts)
    long = [row for row, codes in enumerate(coded) if max_tokens is not None and len(codes) > max_tokens]
    if long:
        warnings.warn(
            f"{quote(texts[long[0]])} has {len(coded[long[0]])} tokens and max_tokens is {max_tokens}"
            f"{likes(len(long) - 1, noun='text')}. Cut there; break it into sentences",
            Notice,
            stacklevel=4,
        )
    rows = [row for row, codes in enumerate(coded) if codes and texts[row].strip()]
    found = write(network, [coded[row][:max_tokens] for row in rows], search)
    result: list[tuple[str, Written | None]] = [("", None)] * len(texts)
    for row, one in zip(rows, found, strict=True):
        spans = reader.spans(texts[row]) if writer.unknown in one.codes else []
        source = [texts[row][start:end] for start, end in spans]
        result[row] = read_wording(writer, one.codes, one.alignment, source), one
    return result


def read_wording(
    tokenizer: Tokenizer, codes: Sequence[int], alignment: NDArray[np.float32] | None, source: Sequence[str]
) -> str:
    """The text of target codes; an unknown token is the source token that was looked at most (Luong et al. 2015, on
    rare words), for it mostly is a name or a number. Without alignment it stays "<unk>".

    alignment: (target token, source token). source: tokens as they stand in the source.
    """
    if alignment is None or tokenizer.unknown not in codes or not len(source):
        return tokenizer.decode(codes).strip()
    if tokenizer.kind not in ("word", "whitespace", "character"):
        return tokenizer.decode(codes).strip()
    special = (tokenizer.padding, tokenizer.begin, tokenizer.end)
    names = tokenizer.tokens(codes)
    words = [
        source[int(alignment[place].argmax())] if code == tokenizer.unknown else names[place]
        for place, code in enumerate(codes)
        if code not in special
    ]
    if tokenizer.kind == "word":
        return join_words(words)
    return ("" if tokenizer.kind == "character" else " ").join(words).strip()
