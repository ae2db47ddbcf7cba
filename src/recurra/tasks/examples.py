"""Which of many answers show best what a model has learned, and what it has not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.tasks.explanation import Explanation

__all__ = ["classified_examples", "clipped", "surest"]

_EXPLAINED, _MISTAKES = 3, 10  # answers of each kind
_SHORT = 60  # tokens: what is easily read


def classified_examples(
    texts: Sequence[str],
    target: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    classes: Sequence[str],
    lengths: Sequence[int],
    explain: Callable[[str], Explanation],
    *,
    longest: int = 400,
) -> dict[str, Any]:
    """Of classified texts the surest right and wrong answers, explained, and more of those wrong, as plain data.

    target: (text,), the true classes as places. probabilities: (text, class). lengths: of the texts in tokens.
    longest: tokens of a text that is shown at all.
    """
    best, sure = probabilities.argmax(1), probabilities.max(1)
    right = surest(sure, best == target, lengths, _EXPLAINED, longest=longest)
    wrong = surest(sure, best != target, lengths, _EXPLAINED + _MISTAKES, longest=longest)
    return {
        "explanations": [
            {**explain(texts[row]).to_json(), "truth": classes[target[row]]} for row in (*right, *wrong[:_EXPLAINED])
        ],
        "mistakes": [
            {
                "text": clipped(texts[row]),
                "true": classes[target[row]],
                "taken for": classes[best[row]],
                "confidence": float(sure[row]),
            }
            for row in wrong[_EXPLAINED:]
        ],
    }


def surest(
    confidence: NDArray[np.float64],
    chosen: NDArray[np.bool_],
    lengths: Sequence[int],
    count: int,
    *,
    longest: int = 400,
) -> list[int]:
    """Some rows with the highest confidence, of texts that are short if there are enough of them.

    confidence: (row,). chosen: (row,), which rows to take from. lengths: of each row in tokens; a row without a token,
        or of more than the longest, is not taken.

    >>> surest(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]), [100, 5, 5], 1)
    [2]
    """
    size = np.asarray(lengths, np.int64)
    rows = np.flatnonzero(chosen & (size > 0) & (size <= longest))
    order = rows[np.lexsort((rows, -confidence[rows], size[rows] > _SHORT))]
    return [int(row) for row in order[:count]]


def clipped(text: str, most: int = 300) -> str:
    """The beginning of a text, where it is long.

    >>> clipped("abcdef", 4)
    'abc…'
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"
