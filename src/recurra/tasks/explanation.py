"""What a model says of a text, and why: what each token contributed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["Explanation", "Line"]


@dataclass(frozen=True)
class Explanation:
    """The signed contributions of a text's tokens to one answer.

    text: as it was given.
    answer: what the contributions are to, as a class. probability: the model's, 0 to 1.
    spans: where each token stands, text[start:end].
    contributions: one a token, in nats of the answer's log-odds; positive ones speak for the answer.
    base: the log-odds of a text whose tokens say nothing; with the contributions it adds up to those of this text.
    gap: by how much it does not: that sum less this text's log-odds.
    """

    text: str
    answer: str
    probability: float
    spans: tuple[tuple[int, int], ...]
    contributions: tuple[float, ...]
    base: float
    gap: float

    @property
    def tokens(self) -> list[str]:
        """The tokens as they stand in the text."""
        return [self.text[start:end] for start, end in self.spans]

    def to_json(self) -> dict[str, Any]:
        """Plain data: the tokens in place of their spans."""
        return {
            "text": self.text,
            "answer": self.answer,
            "probability": self.probability,
            "base": self.base,
            "gap": self.gap,
            "tokens": [list(pair) for pair in zip(self.tokens, self.contributions, strict=True)],
        }


class Line(NamedTuple):
    """What a model says of one line of text in a pipe."""

    text: str
    fields: dict[str, Any]

    def json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.fields, ensure_ascii=False)
