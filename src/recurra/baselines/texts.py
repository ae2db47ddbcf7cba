"""Classifiers of texts that need no network: the most frequent class, and naive Bayes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recurra.errors import ArgumentError

__all__ = ["MajorityClass", "NaiveBayes"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_TOKEN = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


class MajorityClass:
    """The most frequent class, whatever the text; of equally frequent ones the first by name.

    >>> model = MajorityClass()
    >>> model.fit(["a", "b", "c"], ["no", "yes", "yes"])
    >>> model.predict(["d"])
    ['yes']
    """

    name = "MajorityClass"

    def fit(self, texts: Sequence[str], labels: Sequence[str]) -> None:
        """Count the classes of labels (text,). Raises ArgumentError unless there is one label for each text."""
        self.classes, codes = _classes(texts, labels)
        self.shares = np.bincount(codes) / len(codes)

    def predict(self, texts: Sequence[str]) -> list[str]:
        """The class of each text."""
        _check_fitted(self)
        return [self.classes[int(self.shares.argmax())]] * len(texts)

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """(text, class): how frequent each of `classes` was."""
        _check_fitted(self)
        return np.tile(self.shares, (len(texts), 1))


class NaiveBayes:
    """Multinomial naive Bayes on words and pairs of words, each counted once a text (Wang & Manning 2012).

        log p(class | text) = log p(class) + sum over features f of the text of log p(f | class) + constant
        p(f | class) = (texts of the class with f + 1) / (sum over features f' of the texts of the class with f' + 1)

    Features are the words and punctuation marks of the text in lower case, and the pairs of neighbours; those that no
    text had in `fit` are passed over. Probabilities are known to be too sure of themselves: words of one text are not
    independent.

    >>> model = NaiveBayes()
    >>> model.fit(["not good", "very good", "not bad"], ["no", "yes", "yes"])
    >>> model.predict(["very bad", "not good at all"])
    ['yes', 'no']
    """

    name = "NaiveBayes"

    def fit(self, texts: Sequence[str], labels: Sequence[str]) -> None:
        """Count the features of texts by their labels (text,).

        Raises ArgumentError unless there is one label for each text, or if no text has a word.
        """
        self.classes, codes = _classes(texts, labels)
        self.words: dict[str, int] = {}
        rows, keys = self._features(texts, learn=True)
        if not len(keys):
            raise ArgumentError("texts hold no word; pass texts that are not blank")
        self._keys, columns = np.unique(keys, return_inverse=True)
        present = _present(rows, columns, (len(texts), len(self._keys)))
        of_class = sparse.csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))))  # class text
        counts = np.asarray((of_class @ present).todense()) + 1.0  # class feature
        self._weights = np.log(counts / counts.sum(axis=1, keepdims=True))
        self._prior = np.log(np.bincount(codes) / len(codes))

    def predict(self, texts: Sequence[str]) -> list[str]:
        """The likeliest class of each text."""
        return [self.classes[code] for code in self._scores(texts).argmax(axis=1)]

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """(text, class): the probability of each of `classes`."""
        scores = self._scores(texts)
        chances = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf))
        return np.asarray(chances / chances.sum(axis=1, keepdims=True))

    def _scores(self, texts: Sequence[str]) -> Floats:
        _check_fitted(self)
        rows, keys = self._features(texts, learn=False)
        columns = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        known = self._keys[columns] == keys
        present = _present(rows[known], columns[known], (len(texts), len(self._keys)))
        return np.asarray(present @ self._weights.T + self._prior)

    def _features(self, texts: Sequence[str], *, learn: bool) -> tuple[Integers, Integers]:
        """The row and the key of each word and each pair of known words, one text after the other."""
        codes: list[int] = []
        lengths = np.zeros(len(texts), np.int64)
        for row, text in enumerate(texts):
            tokens = _TOKEN.findall(text.lower())
            if learn:
                codes += [self.words.setdefault(token, len(self.words)) for token in tokens]
            else:
                codes += [self.words.get(token, -1) for token in tokens]
            lengths[row] = len(tokens)
        word, rows = np.array(codes, np.int64), np.repeat(np.arange(len(texts)), lengths)
        pairs = len(self.words) * (word[:-1] + 1) + word[1:]  # behind the words' own numbers
        beside = (rows[:-1] == rows[1:]) & (word[:-1] >= 0) & (word[1:] >= 0)
        known = word >= 0
        return np.concatenate([rows[known], rows[1:][beside]]), np.concatenate([word[known], pairs[beside]])


def _present(rows: Integers, columns: Integers, shape: tuple[int, int]) -> sparse.csr_matrix:
    """(row, column) 1 where there is a feature, however often."""
    matrix = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return matrix


def _classes(texts: Sequence[str], labels: Sequence[str]) -> tuple[list[str], Integers]:
    if len(texts) != len(labels) or not len(texts):
        raise ArgumentError(f"texts are {len(texts)}, labels {len(labels)}; pass one label for each text, one at least")
    classes = sorted(Counter(labels))
    numbers = {label: number for number, label in enumerate(classes)}
    return classes, np.array([numbers[label] for label in labels], np.int64)


def _check_fitted(model: MajorityClass | NaiveBayes) -> None:
    if not hasattr(model, "classes"):
        raise ArgumentError(f"{model.name} has seen no text yet; call fit(texts, labels) first")
