"""What is measured of taggers: tags, tags of words that are new, and spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.tasks.comparison import Measure
from recurra.training.classification import ClassScores, score_classes
from recurra.training.spans import SpanScores, score_spans, token_accuracy

__all__ = ["TagScores", "measures", "row_of_scores", "score_tags"]

_TAGS = (
    Measure("accuracy", "accuracy", share=True),
    Measure("accuracy_new", "on new words", share=True),
)
_SPANS = (
    Measure("precision", "span precision", share=True),
    Measure("recall", "span recall", share=True),
    Measure("f1", "span F1", share=True),
)


@dataclass(frozen=True)
class TagScores:
    """How a tagger does on sentences that it has not seen.

    tokens: that were tagged.
    accuracy: share of them whose tag is right.
    tokens_new: those whose word training did not see.
    accuracy_new: share of these whose tag is right; None if there is none.
    spans: precision, recall and F1 of spans, micro, macro and by type; None where tags say none.
    tags: each tag by itself, the confusion of tags, and how far probabilities can be believed. Log loss and
        calibration are of the probabilities of each token's tags; all else is of the tags that were chosen.
    """

    tokens: int
    accuracy: float
    tokens_new: int
    accuracy_new: float | None
    spans: SpanScores | None
    tags: ClassScores

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        plain: dict[str, Any] = {
            **self.tags.to_json(),
            "accuracy_new": self.accuracy_new,
            "tokens_new": self.tokens_new,
            "spans": None,
        }
        if self.spans is not None:
            plain["spans"] = {
                "micro": self.spans.micro._asdict(),
                "macro": self.spans.macro._asdict(),
                "types": {name: each._asdict() for name, each in self.spans.types.items()},
            }
        return plain


def measures(*, spans: bool) -> tuple[Measure, ...]:
    """The columns of a comparison; with those of spans, if tags say some."""
    return (*_SPANS, *_TAGS) if spans else _TAGS


def row_of_scores(
    truth: Sequence[Sequence[str]], found: Sequence[Sequence[str]], new: Sequence[Sequence[bool]], *, spans: bool
) -> dict[str, float | None]:
    """The measures of tags that were found, by their keys. new: whether each token's word is."""
    right = [
        one == other
        for true, said, marks in zip(truth, found, new, strict=True)
        for one, other, mark in zip(true, said, marks, strict=True)
        if mark
    ]
    row: dict[str, float | None] = {
        "accuracy": token_accuracy(truth, found),
        "accuracy_new": sum(right) / len(right) if right else None,
    }
    if spans:
        row |= score_spans(truth, found).micro._asdict()
    return {measure.key: row[measure.key] for measure in measures(spans=spans)}


def score_tags(
    names: Sequence[str],
    truth: Sequence[Sequence[str]],
    found: Sequence[Sequence[str]],
    probabilities: Sequence[NDArray[np.float64]],
    new: Sequence[Sequence[bool]],
    *,
    spans: bool,
) -> TagScores:
    """All measures of one tagger on sentences, of one token at least.

    names: of the tags. truth, found: of each sentence the tags. probabilities: of each sentence (token, tag).
    new: whether each token's word is.
    """
    codes = {name: code for code, name in enumerate(names)}
    target = np.array([codes[tag] for tag in chain.from_iterable(truth)], np.int64)
    chosen = np.eye(len(names))[[codes[tag] for tag in chain.from_iterable(found)]]
    likely = score_classes(target, np.concatenate(list(probabilities)), names)
    tags = replace(
        score_classes(target, chosen, names),
        log_loss=likely.log_loss,
        calibration_error=likely.calibration_error,
        bins=likely.bins,
    )
    row = row_of_scores(truth, found, new, spans=spans)
    return TagScores(
        tokens=len(target),
        accuracy=tags.accuracy,
        tokens_new=sum(map(sum, new)),
        accuracy_new=row["accuracy_new"],
        spans=score_spans(truth, found) if spans else None,
        tags=tags,
    )
