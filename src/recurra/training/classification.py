"""Measures of classifiers: which classes are found and mistaken, and how far their probabilities can be believed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import softmax

from recurra.errors import ArgumentError, RecurraError

__all__ = ["BINS", "Averages", "ClassScore", "ClassScores", "ReliabilityBin", "fit_temperature", "score_classes"]

BINS = 15  # of confidence, as in Guo et al. 2017
_LEAST = float(np.finfo(np.float64).eps)  # probability in the log loss: a row that was ruled out costs 36 nats, not inf
_OFF_ONE = 1e-3  # how far a row's probabilities may be from adding up to 1, for those of half precision
_COLDEST, _HOTTEST = 1e-3, 1e3

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Averages(NamedTuple):
    """Precision, recall and F1 over classes."""

    precision: float
    recall: float
    f1: float


class ClassScore(NamedTuple):
    """One class: TP / (TP + FP), TP / (TP + FN) and 2 TP / (2 TP + FP + FN); NaN without support."""

    name: str
    precision: float
    """0 where the class was never predicted."""
    recall: float
    f1: float
    support: int
    """Rows that are of this class."""
    predicted: int
    """Rows that were taken for this class."""


class ReliabilityBin(NamedTuple):
    """The rows whose largest probability is in (low, high]."""

    low: float
    high: float
    confidence: float
    """Mean of their largest probabilities; NaN without rows."""
    right: float
    """Share of them whose most probable class is the true one; NaN without rows."""
    rows: int


@dataclass(frozen=True)
class ClassScores:
    """What `score_classes` found.

    rows: that were scored.
    accuracy: share of the rows whose most probable class is the true one; between equals the first is taken.
    log_loss: mean -ln of the true class's probability, in nats; a probability below 2.2e-16 counts as that.
    calibration_error: expected calibration error (Naeini et al. 2015; Guo et al. 2017), the mean over rows of
        |share right - mean confidence| of their bin, 0 to 1.
    macro: plain means over the classes with support: each class counts alike.
    weighted: means weighted by support.
    classes: one by one, in the order of the names.
    confusion: rows of each true class by the class they were taken for: confusion[true][predicted].
    bins: of confidence, from 0 to 1.
    """

    rows: int
    accuracy: float
    log_loss: float
    calibration_error: float
    macro: Averages
    weighted: Averages
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    bins: tuple[ReliabilityBin, ...]

    def to_frame(self) -> pl.DataFrame:
        """One row a class, one column a measure; undefined measures are null."""
        rows = [{"class": score.name} | score._asdict() for score in self.classes]
        return pl.DataFrame(rows).drop("name").with_columns(pl.col(pl.Float64).fill_nan(None))

    def to_json(self) -> dict[str, Any]:
        """Plain data; undefined measures are None."""
        plain = asdict(self) | {"macro": self.macro._asdict(), "weighted": self.weighted._asdict()}
        plain["classes"] = [_defined(score) for score in self.classes]
        plain["confusion"] = [list(counts) for counts in self.confusion]
        return plain | {"bins": [_defined(each) for each in self.bins]}


def score_classes(target: Any, probabilities: Any, names: Sequence[str]) -> ClassScores:
    """All measures of one classifier on rows that it has not seen.

    target: (row,), the true classes as places in names.
    probabilities: (row, class), adding up to 1 in each row.
    names: of the classes.
    Both may be arrays or tensors. A class that no row is of has support 0, NaN for its measures, and is no part of the
    averages; rows that were wrongly taken for it still count against their own classes and the accuracy.

    Raises ArgumentError if shapes do not fit, there is no row, a class is unknown or a probability is none, and
    RecurraError without torchmetrics.

    >>> scores = score_classes([0, 1, 1], [[0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], ["ham", "spam"])
    >>> scores.confusion, round(scores.accuracy, 3), round(scores.macro.f1, 3)
    (((1, 0), (1, 1)), 0.667, 0.667)
    """
    probable = _matrix("probabilities", probabilities)
    if len(names) != probable.shape[1]:
        raise ArgumentError(f"names has {len(names)} classes, probabilities {probable.shape[1]} columns; name each one")
    truth = _places(target, probable.shape)
    _check_probabilities(probable)
    predicted = probable.argmax(1)
    classes, confusion = _by_class(truth, predicted, names)
    supported = [score for score in classes if score.support]
    bins = _bins(probable.max(1), predicted == truth)
    return ClassScores(
        rows=len(truth),
        accuracy=float((predicted == truth).mean()),
        log_loss=float(-np.log(np.maximum(probable[np.arange(len(truth)), truth], _LEAST)).mean()),
        calibration_error=sum(b.rows * abs(b.right - b.confidence) for b in bins if b.rows) / len(truth),
        macro=_average(supported, [1] * len(supported)),
        weighted=_average(supported, [score.support for score in supported]),
        classes=classes,
        confusion=tuple(tuple(counts) for counts in confusion.tolist()),
        bins=bins,
    )


def fit_temperature(logits: Any, target: Any) -> float:
    """The temperature T by which softmax(logits / T) has the least log loss (Guo et al. 2017).

    logits: (row, class), of rows that the network was not trained on; arrays or tensors.
    target: (row,), the true classes.
    Returns T > 0: above 1 where the network is too sure of itself, below where it is not sure enough. The most probable
    class stays the same. The loss is convex in 1 / T, so the one zero of its slope is the minimum. Rows that are all
    right would send T to 0, however few they are, and get 1; logits worse than none would send it to infinity, and get
    1000, the largest that is returned; the least is 0.001.

    Raises ArgumentError if shapes do not fit, there is no row, a class is unknown or a logit is not finite.

    >>> round(fit_temperature([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0], [4.0, 0.0]], [0, 0, 0, 1]), 4)  # 3 / 4 = s(4 / T)
    3.641
    """
    values = _matrix("logits", logits)
    truth = _places(target, values.shape)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise ArgumentError(f"logits[{row}, {column}] is {values[row, column]}; expected finite numbers")
    gaps = values - values[np.arange(len(truth)), truth][:, None]  # how far each class is ahead of the true one
    if gaps.max() <= 0:
        return 1.0

    def slope(log_temperature: float) -> float:
        """Of the log loss by 1 / T: how far ahead of the true class the mean class is."""
        return float((softmax(gaps * math.exp(-log_temperature), axis=1) * gaps).sum(1).mean())

    from scipy.optimize import brentq  # here, since importing it takes long

    low, high = math.log(_COLDEST), math.log(_HOTTEST)
    if slope(high) >= 0:
        return _HOTTEST
    return math.exp(brentq(slope, low, high, xtol=1e-10)) if slope(low) > 0 else _COLDEST


def _by_class(truth: Integers, predicted: Integers, names: Sequence[str]) -> tuple[tuple[ClassScore, ...], Integers]:
    """The measures of each class and the confusion matrix, by torchmetrics."""
    try:
        import torch
        from torchmetrics.functional import classification as by
    except ImportError as error:
        raise RecurraError("measures of classes need torchmetrics; install recurra[text]") from error
    of, to, count = torch.from_numpy(truth), torch.from_numpy(predicted), len(names)
    confusion: Integers = by.multiclass_confusion_matrix(to, of, count, validate_args=False).numpy()
    measures = [
        measure(to, of, count, average="none", validate_args=False).double().tolist()
        for measure in (by.multiclass_precision, by.multiclass_recall, by.multiclass_f1_score)
    ]
    support, taken = confusion.sum(1).tolist(), confusion.sum(0).tolist()
    scores = []
    for i, name in enumerate(names):
        precision, recall, f1 = (each[i] if support[i] else math.nan for each in measures)
        scores.append(ClassScore(str(name), precision, recall, f1, support[i], taken[i]))
    return tuple(scores), confusion


def _average(scores: Sequence[ClassScore], weights: Sequence[int]) -> Averages:
    columns = ([getattr(score, field) for score in scores] for field in Averages._fields)
    return Averages(*(float(np.average(column, weights=weights)) for column in columns))


def _bins(confidence: Floats, right: NDArray[np.bool_]) -> tuple[ReliabilityBin, ...]:
    """Summed in float64: torchmetrics' float32 sums put 0.015 of error on 3 million rows of one bin."""
    edges = np.linspace(0, 1, BINS + 1)
    place = np.digitize(confidence, edges[1:-1], right=True)
    rows, *sums = (np.bincount(place, weights, BINS) for weights in (None, confidence, right))
    means = np.where(rows > 0, np.array(sums) / np.maximum(rows, 1), math.nan).T
    columns = zip(edges[:-1].tolist(), edges[1:].tolist(), means.tolist(), rows.tolist(), strict=True)
    return tuple(ReliabilityBin(low, high, sure, right, count) for low, high, (sure, right), count in columns)


def _matrix(name: str, values: Any) -> Floats:
    """(row, class) in float64, from an array, nested lists or a tensor on any device."""
    try:
        matrix = np.asarray(values.detach().double().cpu() if hasattr(values, "detach") else values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{name} is {type(values).__name__}; expected numbers (row, class): {error}") from None
    if matrix.ndim != 2 or not all(matrix.shape):
        raise ArgumentError(f"{name} has shape {matrix.shape}; expected (row, class), one of each at least")
    return matrix


def _places(target: Any, shape: tuple[int, ...]) -> Integers:
    """The true class of each row as int64; raise ArgumentError unless there is one a row, among the classes."""
    places = np.asarray(target.detach().cpu() if hasattr(target, "detach") else target)
    if places.shape != shape[:1]:
        raise ArgumentError(f"target has shape {places.shape}; expected one class for each of {shape[0]} rows")
    if places.dtype.kind not in "iu":
        raise ArgumentError(f"target has dtype {places.dtype}; expected whole numbers, the classes' places in names")
    wrong = np.flatnonzero((places < 0) | (places >= shape[1]))
    if len(wrong):
        raise ArgumentError(f"target[{wrong[0]}] is {places[wrong[0]]}; expected a class from 0 to {shape[1] - 1}")
    return places.astype(np.int64)


def _check_probabilities(probable: Floats) -> None:
    wrong = np.flatnonzero(~((probable >= 0).all(1) & (np.abs(probable.sum(1) - 1) <= _OFF_ONE)))  # NaN is wrong too
    if len(wrong):
        row = ", ".join(f"{p:.4g}" for p in probable[wrong[0], :6])
        raise ArgumentError(
            f"probabilities[{wrong[0]}] is {row}{', ...' if probable.shape[1] > 6 else ''}, which adds up to "
            f"{probable[wrong[0]].sum():.4g}; expected 0 to 1, adding up to 1: pass softmax(logits)"
        )


def _defined(measures: ClassScore | ReliabilityBin) -> dict[str, Any]:
    values = measures._asdict()
    return {key: None if value != value else value for key, value in values.items()}
