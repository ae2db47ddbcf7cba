"""A tagger that needs no network: the tag that each word had most often."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from recurra.errors import ArgumentError

__all__ = ["MostFrequentTag"]

_RARE = 10  # words up to so frequent tell of those that were never seen
_LETTERS = 4  # of a word's end, at most


class MostFrequentTag:
    """Each word has the tag that it had most often; equally frequent tags go by their text.

    A word that was not seen, if it begins a sentence, is taken for the same in lower case. Else it has the tag most
    frequent among rare words (seen ten times at most) with its shape and its last four letters, or three, two, one, or
    its shape alone; else the most frequent tag of all. A shape is whether the word has a digit, begins with a capital,
    is all capitals, has a hyphen, and has no letter.

    >>> model = MostFrequentTag()
    >>> model.fit([["dogs", "bark"], ["cats", "bark"]], [["NOUN", "VERB"], ["NOUN", "VERB"]])
    >>> model.predict([["bats", "bark"]])
    [['NOUN', 'VERB']]
    """

    name = "MostFrequentTag"

    def fit(self, tokens: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> None:
        """Count the tags of words: for each sentence its tokens, and as many tags.

        Raises ArgumentError where they are not as many, and if there is no token.
        """
        _check(tokens, tags)
        by_word: dict[str, Counter[str]] = defaultdict(Counter)
        for words, marks in zip(tokens, tags, strict=True):
            for word, tag in zip(words, marks, strict=True):
                by_word[word][tag] += 1
        by_sign: dict[str, Counter[str]] = defaultdict(Counter)
        every: Counter[str] = Counter()
        for word, counts in by_word.items():
            every.update(counts)
            if counts.total() <= _RARE:
                for sign in _signs(word):
                    by_sign[sign].update(counts)
        self.tag_of_word = {word: _most(counts) for word, counts in by_word.items()}
        self.tag_of_sign = {sign: _most(counts) for sign, counts in by_sign.items()}
        self.tag = _most(every)

    def predict(self, tokens: Sequence[Sequence[str]]) -> list[list[str]]:
        """The tag of each token of each sentence. Raises ArgumentError before `fit`."""
        if not hasattr(self, "tag"):
            raise ArgumentError(f"{self.name} has seen no tag yet; call fit(tokens, tags) first")
        return [[self._tag(word, first=place == 0) for place, word in enumerate(words)] for words in tokens]

    def _tag(self, word: str, *, first: bool) -> str:
        known = self.tag_of_word.get(word)
        if known is None and first:
            known = self.tag_of_word.get(word.lower())
        if known is not None:
            return known
        return next((self.tag_of_sign[sign] for sign in _signs(word) if sign in self.tag_of_sign), self.tag)


def _signs(word: str) -> Iterator[str]:
    """What can be seen of a word that is not known, the most telling first."""
    shape = "".join(
        mark
        for mark, has in (
            ("0", any(letter.isdigit() for letter in word)),
            ("X", word[:1].isupper()),
            ("C", len(word) > 1 and word.isupper()),
            ("-", "-" in word),
            (".", not any(letter.isalpha() for letter in word)),
        )
        if has
    )
    for letters in range(min(_LETTERS, len(word)), 0, -1):
        yield f"{shape} {word[-letters:].lower()}"
    yield shape


def _most(counts: Counter[str]) -> str:
    return min(counts, key=lambda tag: (-counts[tag], tag))


def _check(tokens: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> None:
    if len(tokens) != len(tags):
        raise ArgumentError(f"tokens are {len(tokens)} sentences, tags {len(tags)}; pass tags for each sentence")
    for place, (words, marks) in enumerate(zip(tokens, tags, strict=True)):
        if len(words) != len(marks):
            raise ArgumentError(
                f"tokens[{place}] has {len(words)} words, tags[{place}] {len(marks)}; pass a tag a word"
            )
    if not any(len(words) for words in tokens):
        raise ArgumentError("tokens holds no word; pass one tagged sentence at least")
