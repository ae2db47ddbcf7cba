"""What a translator wrote for a text, and which of its tokens each written one was made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Alignment"]

_SHADES = " ·░▒▓█"
_LONGEST = 16  # characters of a token


@dataclass(frozen=True)
class Alignment:
    """The weights of an attention, token by token.

    text: the source, as it was given. translation: what was written for it. score: how sure of it the model is, s(Y) of
        `recurra.models.EncoderDecoder.generate`.
    source, target: their tokens, of the target the end token, too, where it was written; none of a blank text.
    weights: (target token, source token), how much of each went in; a row adds up to 1, but of attention="local" to
        less, for it takes the less of a token the further that lies from where it looked.
    """

    text: str
    translation: str
    score: float
    source: tuple[str, ...]
    target: tuple[str, ...]
    weights: NDArray[np.float32]

    def to_json(self) -> dict[str, Any]:
        """Plain data; weights to four decimals."""
        return {
            "text": self.text,
            "translation": self.translation,
            "score": self.score,
            "source": list(self.source),
            "target": list(self.target),
            "weights": [[round(share, 4) for share in row] for row in self.weights.tolist()],
        }

    def to_text(self) -> str:
        """The matrix for a terminal: source tokens above, read downwards; the darker, the more of it went in.

        Shades and numbers are shares of all that went into a target token, whatever its weights add up to.

        >>> weights = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
        >>> print(Alignment("ein Hund", "a dog", -0.5, ("ein", "Hund"), ("a", "dog"), weights).to_text())
        a dog
        <BLANKLINE>
               H
             e u
             i n
             n d
          a  █ ·  ein 90%
        dog  · ▓  Hund 80%
        """
        if not self.source or not self.target:
            return self.translation
        above, left = ([_short(token) for token in side] for side in (self.source, self.target))
        height, width = max(map(len, above)), max(map(len, left))
        heads = [
            " " * (width + 2) + " ".join(token.rjust(height)[place] for token in above).rstrip()
            for place in range(height)
        ]
        rows = []
        for token, shares in zip(left, _shares(self.weights), strict=True):
            shades = " ".join(_SHADES[_level(float(share))] for share in shares)
            most = int(shares.argmax())
            rows.append(f"{token.rjust(width)}  {shades}  {above[most]} {100 * float(shares[most]):.0f}%")
        return "\n".join([self.translation, "", *heads, *rows])


def _shares(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights of which each row adds up to 1; one of zeros stays as it is."""
    sums = weights.sum(1, keepdims=True)
    shares: NDArray[np.float32] = np.divide(weights, sums, out=np.zeros_like(weights), where=sums > 0)
    return shares


def _level(share: float) -> int:
    """0 for next to nothing, 5 for all."""
    return int(np.searchsorted([0.05, 0.25, 0.5, 0.7, 0.85], share, side="right"))


def _short(token: str) -> str:
    """A token on one line, its blanks at the ends left out unless it is nothing else."""
    shown = token.strip() or token.replace(" ", "␣").replace("\n", "↵").replace("\t", "→")
    shown = "".join(letter if letter.isprintable() else "�" for letter in shown)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"
