"""Codes to text as they come, of which nothing is shown that a later code could change."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from recurra.data.detokenising import to_bytes
from recurra.data.tokenizer import Tokenizer

__all__ = ["IncrementalDecoder"]


class IncrementalDecoder:
    """The text of one code after another.

    Bytes that are the beginning of a character are held back until it is whole; bytes that are none of a character are
    U+FFFD. Words are joined to those before them on their line.

    before: the codes of the line that is gone on with, whose text is there already.

    >>> decoder = IncrementalDecoder(Tokenizer.train([], "byte"))
    >>> [decoder.take(4 + byte) for byte in "é!".encode()]
    ['', 'é', '!']
    """

    def __init__(self, tokenizer: Tokenizer, before: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._bytes = codecs.getincrementaldecoder("utf-8")("replace")
        self._line = list(before)
        self._shown = len(tokenizer.decode(self._line))

    def take(self, code: int) -> str:
        """The text that the code adds, which may be empty; of the end code a line break."""
        kind = self._tokenizer.kind
        if code == self._tokenizer.end:
            self._line, self._shown = [], 0
            return "\n"
        if kind in ("byte", "subword") and code > self._tokenizer.end:
            return self._bytes.decode(to_bytes(self._tokenizer.vocabulary[code]))
        if kind not in ("word", "whitespace"):
            return self._tokenizer.decode([code])
        self._line.append(code)
        text = self._tokenizer.decode(self._line)
        added, self._shown = text[self._shown :], len(text)
        return added
