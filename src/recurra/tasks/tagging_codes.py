"""Words and their letters as codes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from recurra.data.pipelines import SPECIAL, lowercased
from recurra.data.tokenizer import Tokenizer
from recurra.errors import ArgumentError
from recurra.training.tagger import CodedSentences

__all__ = ["Vocabulary"]

_NO_WORDS = {*SPECIAL, "<unk>"}  # what stands for words that are not known, in texts too
_LETTERS = 40  # of a word that are read; a longer one loses its middle


@dataclass(frozen=True)
class Vocabulary:
    """The words that training saw, and the letters that they are spelt with.

    words: all of them, the most frequent first, equally frequent ones by their text; a word may hold blanks.
    letters: of the words as they are written.
    known: codes of words that a network knows: the rarer ones are unknown to it, though they were seen.
    """

    words: Tokenizer
    letters: Tokenizer
    known: int

    @classmethod
    def learn(
        cls, tokens: Sequence[Sequence[str]], *, min_count: int, vocabulary_size: int | None, lowercase: bool
    ) -> Self:
        """The vocabulary of sentences; rarer words, and those beyond so many, are not known.

        Raises ArgumentError where there is no word, or half a character.
        """
        letters = Tokenizer.train((word for row in tokens for word in row), "character")
        counts = _count(tokens, lowercase=lowercase)
        if not counts:
            raise ArgumentError("tokens hold no word but '<unk>', the sign of an unknown one; pass sentences of words")
        words = Tokenizer("whitespace", sorted(counts, key=lambda w: (-counts[w], w)), lowercase=lowercase)
        known = len(SPECIAL) + sum(count >= min_count for count in counts.values())
        return cls(words, letters, known if vocabulary_size is None else min(known, vocabulary_size))

    def saw(self, words: Sequence[str]) -> list[bool]:
        """Whether training saw each word."""
        return [code != self.words.unknown for code in self.words.encode_words(words)]

    def encode(self, tokens: Sequence[Sequence[str]], *, spell: bool) -> CodedSentences:
        """Sentences as codes, with the letters of their words if they are to be spelt."""
        unknown = self.words.unknown
        words = [
            [code if code < self.known else unknown for code in self.words.encode_words(sentence)]
            for sentence in tokens
        ]
        if not spell:
            return CodedSentences(words)
        places: dict[str, int] = {}
        spelt = [[places.setdefault(word, len(places)) for word in sentence] for sentence in tokens]
        codes = [_shorten(self.letters.encode(word)) for word in places]
        letters = np.zeros((max(1, len(codes)), max(1, *map(len, codes), 1)), np.int64)
        for place, row in enumerate(codes):
            letters[place, : len(row)] = row
        return CodedSentences(words, spelt, letters)


def _count(tokens: Sequence[Sequence[str]], *, lowercase: bool) -> Counter[str]:
    """How often each word is there, as the tokenizer looks it up."""
    counts: Counter[str] = Counter()
    for word, count in Counter(word for row in tokens for word in row).items():
        counts[lowercased(word) if lowercase else word] += count
    return Counter({word: count for word, count in counts.items() if word not in _NO_WORDS})


def _shorten(letters: list[int]) -> list[int]:
    half = _LETTERS // 2
    return letters if len(letters) <= _LETTERS else letters[:half] + letters[-half:]
