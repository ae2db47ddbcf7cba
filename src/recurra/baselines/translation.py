"""Translators that need no network: the source as it is, and the target of the most similar source seen."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recurra.errors import ArgumentError

__all__ = ["CopySource", "NearestSource"]

_TOKEN = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
_ROWS = 256  # texts that are compared with all sources at once


class CopySource:
    """The source as it is: right for names, numbers, and what needs no mending.

    >>> model = CopySource()
    >>> model.fit(["ein Hund"], ["a dog"])
    >>> model.predict(["eine Katze"])
    ['eine Katze']
    """

    name = "CopySource"

    def fit(self, sources: Sequence[str], targets: Sequence[str]) -> None:
        """There is nothing to learn."""

    def predict(self, sources: Sequence[str]) -> list[str]:
        """The sources."""
        return list(sources)


class NearestSource:
    """The target of the most similar source seen (translation by example, Nagao 1984), by weighted words.

        w(t, d) = (1 + ln count of t in d) * (1 + ln((1 + n) / (1 + sources with t)))
        similarity(d, d') = cosine of w(., d) and w(., d')

    Words and punctuation marks are taken in lower case; between equally similar sources the first is taken. Where no
    word is shared it is the most frequent target, of equally frequent ones the first.

    >>> model = NearestSource()
    >>> model.fit(["ein Hund rennt", "eine Katze rennt"], ["a dog runs", "a cat runs"])
    >>> model.predict(["die Katze"])
    ['a cat runs']
    """

    name = "NearestSource"

    def fit(self, sources: Sequence[str], targets: Sequence[str]) -> None:
        """Weigh the words of sources, each with its target. Raises ArgumentError unless there are as many, one each."""
        if len(sources) != len(targets) or not len(sources):
            raise ArgumentError(f"sources are {len(sources)}, targets {len(targets)}; pass one for each, one at least")
        self.words: dict[str, int] = {}
        counted = [self._count(text, learn=True) for text in sources]
        seen = np.zeros(len(self.words))
        for counts in counted:
            seen[list(counts)] += 1
        self._rarity = 1 + np.log((1 + len(sources)) / (1 + seen))
        self._known = self._weigh(counted)
        self.targets = list(targets)
        self.usual = Counter(self.targets).most_common(1)[0][0]

    def predict(self, sources: Sequence[str]) -> list[str]:
        """A target for each source."""
        if not hasattr(self, "targets"):
            raise ArgumentError(f"{self.name} has seen no pair yet; call fit(sources, targets) first")
        found: list[str] = []
        for start in range(0, len(sources), _ROWS):
            counted = [self._count(text, learn=False) for text in sources[start : start + _ROWS]]
            likeness: NDArray[np.float64] = np.asarray((self._weigh(counted) @ self._known.T).todense())
            nearest, largest = likeness.argmax(1), likeness.max(1)
            found += [
                self.targets[row] if most > 0 else self.usual
                for row, most in zip(nearest.tolist(), largest.tolist(), strict=True)
            ]
        return found

    def _count(self, text: str, *, learn: bool) -> Counter[int]:
        """How often each known word is in a text, by its number."""
        tokens = _TOKEN.findall(text.lower())
        if learn:
            return Counter(self.words.setdefault(token, len(self.words)) for token in tokens)
        return Counter(self.words[token] for token in tokens if token in self.words)

    def _weigh(self, counted: Sequence[Counter[int]]) -> sparse.csr_matrix:
        """(text, word) w, each row of length 1 where it has a word."""
        rows = np.repeat(np.arange(len(counted)), [len(counts) for counts in counted])
        columns = np.array([word for counts in counted for word in counts], np.int64)
        often = np.array([count for counts in counted for count in counts.values()], np.float64)
        weights = (1 + np.log(often)) * self._rarity[columns]
        lengths = np.sqrt(np.bincount(rows, weights**2, minlength=len(counted)))
        return sparse.csr_matrix((weights / lengths[rows], (rows, columns)), (len(counted), len(self.words)))
