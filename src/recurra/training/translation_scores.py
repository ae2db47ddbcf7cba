"""Measures of translations against references: BLEU and chrF by sacrebleu, and how many are right to the letter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from recurra.errors import ArgumentError, RecurraError, nearest

__all__ = ["TOKENIZERS", "TranslationScores", "score_translations"]

TOKENIZERS = ("13a", "intl", "zh", "char", "none")
"""Those of sacrebleu's that bring nothing else along."""
_LONGEST = 4  # n-grams of BLEU


@dataclass(frozen=True)
class TranslationScores:
    """What `score_translations` found.

    rows: pairs that were scored.
    bleu: of the whole corpus, 0 to 100 (Papineni et al. 2002; Post 2018); None where no reference has the four tokens
        that its longest runs need.
    chrf: F score of character n-grams, 0 to 100 (Popovic 2015).
    exact: share of the translations that are their reference, blanks at the ends aside.
    precisions: of n-grams, n from 1 to 4, in percent.
    brevity_penalty: what BLEU was multiplied by, since translations are shorter than references; 1 where they are not.
    length_ratio: tokens of the translations over those of the references.
    bleu_signature, chrf_signature: how it was measured, as sacrebleu writes it; figures compare where these are equal.
    """

    rows: int
    bleu: float | None
    chrf: float
    exact: float
    precisions: tuple[float, ...]
    brevity_penalty: float
    length_ratio: float
    bleu_signature: str
    chrf_signature: str

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "precisions": list(self.precisions)}


def score_translations(
    translations: Sequence[str], references: Sequence[str], *, lowercase: bool = False, tokenize: str = "13a"
) -> TranslationScores:
    """BLEU and chrF of a corpus.

    translations: texts as they are read, not tokens.
    references: one each.
    lowercase: whether upper and lower case are the same.
    tokenize: sacrebleu's tokenizer of BLEU: "13a", its usual one; "intl", by Unicode's classes; "zh", Chinese; "char",
        for other scripts without blanks; "none", blanks alone.

    Raises ArgumentError unless there is one reference for each translation, one at least, or for an unknown
    tokenizer; RecurraError if the library sacrebleu is not installed.

    >>> found = score_translations(["the cat sat on the mat", "a dog"], ["the cat sat on the mat", "a cow"])
    >>> found.exact, found.rows, found.bleu_signature.split("|")[1]
    (0.5, 2, 'case:mixed')
    """
    if len(translations) != len(references) or not len(translations):
        raise ArgumentError(
            f"translations are {len(translations)}, references {len(references)}; pass one for each, one at least"
        )
    bleu, chrf = _metrics(lowercase, tokenize)
    found = bleu.corpus_score(list(translations), [list(references)])
    characters = chrf.corpus_score(list(translations), [list(references)])
    defined = any(len(bleu.tokenizer(text).split()) >= _LONGEST for text in references)
    fold = str.lower if lowercase else str
    same = sum(fold(one).strip() == fold(other).strip() for one, other in zip(translations, references, strict=True))
    return TranslationScores(
        rows=len(translations),
        bleu=float(found.score) if defined else None,
        chrf=float(characters.score),
        exact=same / len(translations),
        precisions=tuple(float(value) for value in found.precisions),
        brevity_penalty=float(found.bp),
        length_ratio=float(found.ratio),
        bleu_signature=str(bleu.get_signature()),
        chrf_signature=str(chrf.get_signature()),
    )


def _metrics(lowercase: bool, tokenize: str) -> tuple[Any, Any]:
    if tokenize not in TOKENIZERS:
        raise ArgumentError(f"tokenize is {tokenize!r}; {nearest(str(tokenize), TOKENIZERS)}")
    try:
        from sacrebleu.metrics.bleu import BLEU  # some tenths of a second to import, and an extra
        from sacrebleu.metrics.chrf import CHRF
    except ModuleNotFoundError as error:
        raise RecurraError("BLEU and chrF need the library sacrebleu; pip install recurra[text]") from error
    return (
        BLEU(lowercase=lowercase, tokenize=tokenize, force=True),  # else it warns of texts that look tokenised
        CHRF(lowercase=lowercase),
    )
