"""How well a text was foretold, by a network and by models of counts."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from recurra.baselines.ngrams import KneserNey
from recurra.data.corpus import Codes, Corpus
from recurra.data.tokenizer import Tokenizer
from recurra.errors import Notice
from recurra.tasks.comparison import Measure

__all__ = ["MEASURES", "LanguageScores", "count_baselines", "rates_of_text", "score_text"]

MEASURES = (
    Measure("perplexity", "perplexity a token", higher_is_better=False),
    Measure("bits_per_character", "bits a character", higher_is_better=False),
    Measure("bits_per_byte", "bits a byte", higher_is_better=False),
)
_MOST_COUNTED = 2_000_000  # tokens of which n-grams are counted: they take some 200 bytes each
_SOME_UNKNOWN, _MANY_UNKNOWN = 0.02, 0.2
_BLOCK = 1 << 20


class LanguageScores(NamedTuple):
    """How well a text was foretold: every token counts once, the first one after what begins a line."""

    perplexity: float
    """Per token; comparable for one tokenizer only."""
    bits_per_character: float
    """Of the text's characters, line breaks among them, whatever the tokens. Of an unknown token its letters are
    counted and none is foretold, of a lowercased text not its case: lower than of a model that foretells them."""
    bits_per_byte: float
    """Of its bytes in UTF-8."""
    bits: float
    """In all."""
    tokens: int
    characters: int
    unknown_share: float
    """Of the tokens, those that the tokenizer does not know; that one stands there is all that was foretold."""
    rows: int
    """Contiguous parts that were read side by side, each in a state without a past; 1: the exact probability."""
    tokens_per_second: float


def score_text(bits: float, text: Corpus, *, rows: int, seconds: float) -> LanguageScores:
    """The measures of a text that took so many bits and seconds; a Notice tells if much of it is not foretold."""
    unknown = sum(int((block == Tokenizer.unknown).sum()) for block in _blocks(text)) / len(text)
    if unknown > _SOME_UNKNOWN:
        so = "not its letters: the measures compare with those of models of the same vocabulary only"
        if unknown > _MANY_UNKNOWN:
            so = "says little of the text. Is it in the language and form that was learned?"
        warnings.warn(
            f"{100 * unknown:.0f}% of the text's tokens are unknown to the model, which foretells that one stands "
            f"there and {so}",
            Notice,
            stacklevel=2,
        )
    return LanguageScores(
        **rates_of_text(bits, text),
        bits=bits,
        tokens=len(text),
        characters=text.characters,
        unknown_share=unknown,
        rows=rows,
        tokens_per_second=len(text) / seconds,
    )


def rates_of_text(bits: float, text: Corpus) -> dict[str, float]:
    """`MEASURES` of a text that took so many bits."""
    return {
        "perplexity": float(2 ** min(1000.0, bits / len(text))),
        "bits_per_character": bits / max(1, text.characters),
        "bits_per_byte": bits / max(1, text.bytes),
    }


def count_baselines(history: Corpus, text: Corpus, tokenizer: Tokenizer, *, lines: bool) -> dict[str, float]:
    """Bits of the text by models of what history holds: its n-grams, and how often each token occurs.

    lines: whether an end token stands behind each line; n-grams do not reach over it.

    A Notice tells if history is too long for its n-grams to be counted.
    """
    found = {}
    if len(history) <= _MOST_COUNTED:
        grams = KneserNey(8 if tokenizer.kind in ("character", "byte") else 5)
        grams.fit(history.codes, vocabulary_size=len(tokenizer), end=tokenizer.end if lines else None)
        found[grams.name] = float(grams.bits(text.codes).sum())
    else:
        warnings.warn(
            f"no n-grams are counted for a comparison: the text learned has {len(history):,} tokens, and those of more "
            f"than {_MOST_COUNTED:,} take too much memory",
            Notice,
            stacklevel=2,
        )
    seen = np.ones(len(tokenizer), np.int64)  # one more of each, so that none has no probability
    for block in _blocks(history):
        seen += np.bincount(block, minlength=len(tokenizer))
    rates = -np.log2(seen / seen.sum())
    found["Unigram"] = float(sum(rates[block].sum() for block in _blocks(text)))
    return found


def _blocks(text: Corpus) -> Iterator[Codes]:
    return (text.codes[start : start + _BLOCK] for start in range(0, len(text), _BLOCK))
