"""A language model of counts: n-grams with modified Kneser-Ney smoothing."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count

__all__ = ["KneserNey"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_PLAIN = np.array([0.0, 0.5, 1.0, 1.5])  # discounts where there are too few n-grams to estimate them


class _Order(NamedTuple):
    """The n-grams of one length; a gram is a context, which is a gram one shorter, with a word behind it."""

    keys: Integers
    """(gram,) sorted: context * vocabulary_size + word."""
    gain: Floats
    """(gram,) (c - D(c)) / sum of c over the context: what the gram has of its own."""
    left: Floats
    """(context,) the share that is left to the shorter context; 1 where nothing followed."""


class _Counted(NamedTuple):
    """How often each n-gram of one length occurs."""

    keys: Integers
    counts: Integers
    opens: NDArray[np.bool_]
    """(gram,) whether it begins where a sentence does, so that no word is before it."""
    contexts: int


class KneserNey:
    """Interpolated modified Kneser-Ney (Kneser & Ney 1995; Chen & Goodman 1999).

        p_k(w | v u) = (c(v u w) - D(c)) / sum_w' c(v u w') + left(v u) p_(k-1)(w | u)      k = order, ..., 1
        p_0(w) = 1 / vocabulary_size
        left(v u) = (D_1 N_1 + D_2 N_2 + D_3 N_3+) / sum_w' c(v u w')      N_i words followed v u i times
        D_i = i - (i + 1) Y n_(i+1) / n_i,  Y = n_1 / (n_1 + 2 n_2)        n_i n-grams occur i times; D_3 for 3 and more

    Where too few n-grams are seen for that, or D_i is not above 0 and up to i, it is i / 2. For the full order c is how
    often an n-gram occurs, for shorter ones behind how many different words. For any context the probabilities of all
    codes sum to one.

    order: tokens of the longest n-grams, the one predicted among them.

    All n-grams are in memory: about 16 bytes for each that occurs, and 60 a token while fitting.

    Raises ArgumentError for an order below 1.

    >>> model = KneserNey(2)
    >>> model.fit([4, 5, 4, 5, 4, 6] * 10, vocabulary_size=7)
    >>> bool(model.distribution([4])[5] > model.distribution([4])[6])
    True
    """

    name = "KneserNey"

    def __init__(self, order: int = 5) -> None:
        self.order = check_count("order", order)

    def fit(self, codes: ArrayLike, *, vocabulary_size: int, end: int | None = None) -> None:
        """Count the n-grams of a sequence of codes (time,).

        vocabulary_size: codes that there are, from 0 on; those that never occur have a probability too.
        end: the code behind each sentence; what was before it is no context then, and it is that of the first word.

        Raises ArgumentError for codes that are not from 0 to vocabulary_size - 1, or fewer than two.
        """
        self.vocabulary_size, self.end = check_count("vocabulary_size", vocabulary_size), end
        words = self._begun(codes, least=2)
        grams = np.zeros(len(words) + 1, np.int64)  # the gram before each word, and behind the last: of no words yet
        below: _Counted | None = None
        self._orders: list[_Order] = []
        for length in range(1, self.order + 1):
            contexts = self._contexts(grams, words, length)
            valid = np.flatnonzero(contexts >= 0)
            if length == 1 and end is not None:
                valid = valid[1:]  # the end put before the first sentence is not predicted
            if not len(valid):
                break
            seen = contexts[valid] * self.vocabulary_size + words[valid]
            keys, first, inverse, counts = np.unique(seen, return_index=True, return_inverse=True, return_counts=True)
            if below is not None:
                before = np.bincount(grams[1:][valid[first]], minlength=len(below.keys))
                self._orders.append(_order(below, np.where(below.opens, below.counts, before), self.vocabulary_size))
            opens = (
                (words[valid[first] - length + 1] == end)
                if length > 1 and end is not None
                else np.zeros_like(keys, bool)
            )
            below = _Counted(keys, counts, opens, 1 if below is None else len(below.keys))
            grams = np.full(len(words) + 1, -1, np.int64)
            grams[valid + 1] = inverse
            if length == 1 and end is not None and end in keys:
                grams[1] = np.searchsorted(keys, end)
        if below is None:
            raise AssertionError("two words have unigrams")
        self._orders.append(_order(below, below.counts, self.vocabulary_size))

    def bits(self, codes: ArrayLike) -> Floats:
        """-log2 of the probability of each code (time,) of a sequence, given those before it.

        Raises ArgumentError before `fit`, and for codes that are not from 0 to vocabulary_size - 1.
        """
        self._check_fitted()
        words = self._begun(codes, least=1)
        skipped = len(words) - np.asarray(codes).size
        grams = np.zeros(len(words) + 1, np.int64)
        chances = np.full(len(words), 1 / self.vocabulary_size)
        for length, order in enumerate(self._orders, 1):
            contexts = self._contexts(grams, words, length)
            chances, found = _mixed(order, contexts, contexts * self.vocabulary_size + words, chances)
            grams = np.concatenate([[-1], found])
        return np.asarray(-np.log2(chances[skipped:]))

    def bits_per_token(self, codes: ArrayLike) -> float:
        """The mean of `bits`; the perplexity is 2 to the power of it."""
        return float(self.bits(codes).mean())

    def distribution(self, context: ArrayLike) -> Floats:
        """The probability of each code (vocabulary_size,) behind a context (time,), which may be empty.

        Raises ArgumentError before `fit`, and for codes that are not from 0 to vocabulary_size - 1.
        """
        self._check_fitted()
        words = self._begun(context, least=0)
        every = np.arange(self.vocabulary_size)
        grams = np.zeros(len(words) + 1, np.int64)
        chances = np.full(self.vocabulary_size, 1 / self.vocabulary_size)
        for length, order in enumerate(self._orders, 1):
            contexts = self._contexts(grams, words, length)
            last = grams[-1:] if length < 3 or not len(words) or words[-1] != self.end else np.array([-1])
            chances, _ = _mixed(order, np.repeat(last, len(every)), last * self.vocabulary_size + every, chances)
            _, found = _mixed(order, contexts, contexts * self.vocabulary_size + words, np.ones(len(words)))
            grams = np.concatenate([[-1], found])
        return chances

    def _contexts(self, grams: Integers, words: Integers, length: int) -> Integers:
        """The gram before each word, one shorter than `length`; -1 where it is not known or in another sentence."""
        contexts = grams[:-1].copy()
        if length >= 3 and self.end is not None:
            contexts[1:][words[:-1] == self.end] = -1
        return contexts

    def _begun(self, codes: ArrayLike, *, least: int) -> Integers:
        read = np.asarray(codes)
        if read.ndim != 1 or (read.size and not np.issubdtype(read.dtype, np.integer)) or read.size < least:
            raise ArgumentError(
                f"codes has shape {read.shape} of {read.dtype}; expected (time,) of {least} integers or more"
            )
        wrong = np.flatnonzero((read < 0) | (read >= self.vocabulary_size))
        if len(wrong):
            raise ArgumentError(
                f"codes[{wrong[0]}] is {read[wrong[0]]}; expected 0 to {self.vocabulary_size - 1}, vocabulary_size - 1"
            )
        begin: list[Any] = [] if self.end is None else [self.end]
        return np.concatenate([np.array(begin, np.int64), read.astype(np.int64)])

    def _check_fitted(self) -> None:
        if not hasattr(self, "_orders"):
            raise ArgumentError("the model has counted nothing yet; call fit(codes, vocabulary_size=...) first")


def _order(grams: _Counted, counts: Integers, vocabulary_size: int) -> _Order:
    """The n-grams of a length with their discounted shares, by the counts that their length goes by."""
    off = _discounts(counts)[np.minimum(counts, 3)]
    context = grams.keys // vocabulary_size
    total = np.bincount(context, counts, minlength=grams.contexts)
    left = np.bincount(context, off, minlength=grams.contexts)
    some = np.maximum(total, 1)
    return _Order(grams.keys, (counts - off) / some[context], np.where(total > 0, left / some, 1.0))


def _mixed(order: _Order, contexts: Integers, keys: Integers, shorter: Floats) -> tuple[Floats, Integers]:
    """Probabilities by the n-grams of an order and those by shorter ones, and which n-gram each is, -1 if none."""
    place = np.minimum(np.searchsorted(order.keys, keys), len(order.keys) - 1)
    found = np.where((contexts >= 0) & (order.keys[place] == keys), place, -1)
    left = np.where(contexts >= 0, order.left[contexts], 1.0)
    return np.where(found >= 0, order.gain[place], 0.0) + left * shorter, found


def _discounts(counts: Integers) -> Floats:
    """What is taken from counts of 0, 1, 2, and 3 or more."""
    one, two, three, four = (int((counts == count).sum()) for count in (1, 2, 3, 4))
    if not (one and two and three):
        return _PLAIN
    share = one / (one + 2 * two)
    found = np.array([0, 1 - 2 * share * two / one, 2 - 3 * share * three / two, 3 - 4 * share * four / three])
    return found if (found[1:] > 0).all() and (found <= np.arange(4)).all() else _PLAIN
