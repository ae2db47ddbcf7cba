"""Covariate columns as numbers, by what was learnt from the training rows."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from recurra.data.columns import Columns
from recurra.data.files import Table
from recurra.data.values import check_finite, empty_cells, likes, parse_numbers, read_numbers
from recurra.errors import ArtifactError, DataError, Notice

__all__ = ["CovariateEncoder"]

Array = np.ndarray[Any, Any]
MOST_CATEGORIES = 64


@dataclass(frozen=True)
class CovariateEncoder:
    """Numbers standardised, words one-hot, by what `fit` saw; later tables change nothing.

    numeric: mean and standard deviation by column; a constant keeps the deviation 1.
    vocabulary: sorted categories by column of text, truth values or categories; each becomes a feature
        `column=category`. A category that was not there at `fit` is all zeros.
    """

    numeric: dict[str, tuple[float, float]]
    vocabulary: dict[str, tuple[str, ...]]

    @classmethod
    def fit(cls, table: Table, columns: Columns) -> CovariateEncoder:
        """Learn from a table's covariates; pass the training part alone.

        A text column is numeric where half or more of its filled cells are numbers; the others are then faults.
        Raises DataError for such faults, for inf and for more than 64 categories.

        >>> table = Table(pl.DataFrame({"price": [1.0, 3.0], "kind": ["a", "b"]}))
        >>> CovariateEncoder.fit(table, Columns(future=["price"], static=["kind"]))
        CovariateEncoder(numeric={'price': (2.0, 1.0)}, vocabulary={'kind': ('a', 'b')})
        """
        numeric: dict[str, tuple[float, float]] = {}
        vocabulary: dict[str, tuple[str, ...]] = {}
        for name in columns.covariates:
            if _is_numeric(table, name):
                numbers = read_numbers(table, name)
                check_finite(table, name, numbers)
                numeric[name] = _moments(numbers)
            else:
                vocabulary[name] = _categories(table, name)
        return cls(numeric=numeric, vocabulary=vocabulary)

    def names(self, columns: Iterable[str]) -> tuple[str, ...]:
        """Names of the features that these columns become."""
        found: list[str] = []
        for name in columns:
            found += [name] if name in self.numeric else [f"{name}={word}" for word in self.vocabulary[name]]
        return tuple(found)

    def categorical(self, columns: Iterable[str]) -> Array:
        """Whether each feature of these columns is one of a category, (features,) bool."""
        flags: list[bool] = []
        for name in columns:
            flags += [False] if name in self.numeric else [True] * len(self.vocabulary[name])
        return np.array(flags, bool)

    def encode(self, table: Table, columns: tuple[str, ...]) -> Array:
        """The columns as features, (rows, features) float64: numbers as they are, NaN where a cell is missing.

        Warns with a Notice of categories that were not there at `fit`.
        """
        parts = [self._number(table, name) if name in self.numeric else self._one_hot(table, name) for name in columns]
        return np.concatenate(parts, axis=1) if parts else np.empty((table.frame.height, 0))

    def standardize(self, features: Array, columns: tuple[str, ...]) -> Array:
        """What `encode` gave (..., features) as a network reads it, float32: numbers standardised, NaN the mean, 0."""
        scaled = np.nan_to_num(features, nan=0.0) if np.isnan(features).any() else features.copy()
        for at, name in enumerate(self.names(columns)):
            if name in self.numeric and name in columns:
                mean, deviation = self.numeric[name]
                scaled[..., at] = np.nan_to_num((features[..., at] - mean) / deviation, nan=0.0)
        return scaled.astype(np.float32)

    def refit(self, features: Array, columns: tuple[str, ...]) -> dict[str, tuple[float, float]]:
        """Mean and deviation of the numeric columns as these encoded rows (rows, features) have them."""
        places = enumerate(self.names(columns))
        return {name: _moments(features[:, at]) for at, name in places if name in self.numeric and name in columns}

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back."""
        return {
            "numeric": {name: list(pair) for name, pair in self.numeric.items()},
            "vocabulary": {name: list(words) for name, words in self.vocabulary.items()},
        }

    @classmethod
    def from_json(cls, state: Any) -> CovariateEncoder:
        """The encoder that `to_json` wrote; raises ArtifactError when the state is not one."""
        try:
            numeric = {str(k): (float(mean), float(deviation)) for k, (mean, deviation) in state["numeric"].items()}
            vocabulary = {str(k): tuple(str(w) for w in words) for k, words in state["vocabulary"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(f"covariate encoder: the saved state is damaged ({error!r}); save it again") from error
        for name, (mean, deviation) in numeric.items():
            if not (math.isfinite(mean) and math.isfinite(deviation) and deviation > 0):
                raise ArtifactError(
                    f"covariate encoder: {name!r} has mean {mean}, deviation {deviation}; save it again"
                )
        return cls(numeric=numeric, vocabulary=vocabulary)

    def _number(self, table: Table, name: str) -> Array:
        numbers = read_numbers(table, name)
        check_finite(table, name, numbers)
        return numbers[:, None]

    def _one_hot(self, table: Table, name: str) -> Array:
        text = _words(table, name)
        known = self.vocabulary[name]
        place = text.replace_strict(known, range(len(known)), default=-1, return_dtype=pl.Int64).to_numpy()
        empty = empty_cells(text)
        one_hot = (place[:, None] == np.arange(len(known))).astype(np.float64)
        one_hot[empty] = np.nan
        new = np.flatnonzero((place < 0) & ~empty)
        if len(new):
            more = likes(len(new) - 1)
            warnings.warn(
                f"{table.at(int(new[0]))}: column {name!r} holds {text[int(new[0])]!r}, unknown at training{more}; "
                "they are given no category",
                Notice,
                stacklevel=2,
            )
        return np.asarray(one_hot)


def _words(table: Table, name: str) -> pl.Series:
    values = table.frame[name]
    if values.dtype.is_nested() or values.dtype.is_temporal() or values.dtype in (pl.Object, pl.Binary):
        raise DataError(f"{table.name}: column {name!r} is of type {values.dtype}; numbers or text are needed")
    return values.cast(pl.String).str.strip_chars()


def _is_numeric(table: Table, name: str) -> bool:
    values = table.frame[name]
    if values.dtype.is_numeric() or values.dtype == pl.Null:
        return True
    if values.dtype != pl.String:
        return False
    numbers, bad = parse_numbers(table, name)
    filled = int((~np.isnan(numbers)).sum()) + len(bad)
    return filled == 0 or 2 * (filled - len(bad)) >= filled


def _categories(table: Table, name: str) -> tuple[str, ...]:
    text = _words(table, name)
    found = text.filter(pl.Series(~empty_cells(text))).unique().sort().to_list()
    if len(found) > MOST_CATEGORIES:
        raise DataError(
            f"{table.name}: column {name!r} has {len(found)} categories, {MOST_CATEGORIES} at most can be used; "
            "group the rare ones, leave the column out, or give numbers"
        )
    return tuple(found)


def _moments(numbers: Array) -> tuple[float, float]:
    """Mean and standard deviation without the missing; sound for huge values, 1 for constants."""
    seen = numbers[~np.isnan(numbers)]
    largest = float(np.abs(seen).max(initial=0.0))
    if largest == 0.0:
        return 0.0, 1.0
    scaled = seen / largest
    mean, deviation = float(scaled.mean()) * largest, float(scaled.std()) * largest
    return mean, deviation if deviation > 1e-12 * largest else 1.0
