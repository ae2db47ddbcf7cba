"""Tags of tokens as named spans, and how many spans a tagger finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from recurra.errors import ArgumentError, nearest
from recurra.layers.crf import Allowed

__all__ = [
    "SCHEMES",
    "Span",
    "SpanScores",
    "TypeScores",
    "bio_transitions",
    "convert_tags",
    "score_spans",
    "spans_of_tags",
    "tags_of_spans",
    "token_accuracy",
]

SCHEMES = ("bio", "bioes", "iob1")


class Span(NamedTuple):
    """Tokens that belong together."""

    type: str
    """What they are; "" where tags say no type."""
    begin: int
    """The first of them, from 0."""
    end: int
    """The one behind the last."""


class TypeScores(NamedTuple):
    """How spans of one type, or of all, are found: a span is right if its type and both its ends are."""

    precision: float
    """Share of the spans found that are right; 0 if none is found."""
    recall: float
    """Share of the true spans that are found; 0 if there is none."""
    f1: float
    """Harmonic mean of both; 0 if both are 0."""
    true: int
    """Spans that there are."""
    found: int
    """Spans that were said."""
    right: int
    """Spans that were both."""


class SpanScores(NamedTuple):
    """How a tagger does on sentences."""

    micro: TypeScores
    """Over all spans alike: conlleval's numbers."""
    macro: TypeScores
    """Means over the types of precision, recall and F1 (not the F1 of the means); counts as of `micro`."""
    types: dict[str, TypeScores]
    """Of each type that is true or found somewhere, by name."""
    accuracy: float
    """Share of the tags that are right, "O" too; NaN without tokens."""


def spans_of_tags(tags: Sequence[str]) -> list[Span]:
    """The spans that the tags of one sentence say, in order, as conlleval reads them (Tjong Kim Sang & Buchholz 2000).

    tags: "O", or a letter and a type, as "B-person". Any scheme: IOB1, BIO (IOB2) or BIOES. A span begins with B or S,
        with I or E after no span or a span that is over, and where the type changes; it is over after E or S. So tags
        that break the scheme are spans too, as I-person at a sentence's begin.
    Raises ArgumentError for a tag of another form.

    >>> spans_of_tags(["B-person", "I-person", "O", "I-place", "B-place"])
    [Span(type='person', begin=0, end=2), Span(type='place', begin=3, end=4), Span(type='place', begin=4, end=5)]
    """
    spans: list[Span] = []
    going = False  # whether the last span may go on
    for place, tag in enumerate(tags):
        letter, kind = _read_tag(tag)
        if letter == "O":
            going = False
            continue
        if going and letter in "IE" and spans[-1].type == kind:
            spans[-1] = spans[-1]._replace(end=place + 1)
        else:
            spans.append(Span(kind, place, place + 1))
        going = letter in "BI"
    return spans


def tags_of_spans(spans: Sequence[Span], length: int, scheme: str = "bio") -> list[str]:
    """The tags of one sentence of so many tokens that say these spans.

    scheme: "bio", B for each span's first token and I for the others (IOB2); "bioes", also E for the last one and S for
        a single one; "iob1", I for all, but B for the first where a span of the same type ends right before.
    Raises ArgumentError if spans overlap or lie outside, or for another scheme.

    >>> tags_of_spans([Span("person", 0, 2), Span("place", 3, 4)], 4, "bioes")
    ['B-person', 'E-person', 'O', 'S-place']
    """
    if scheme not in SCHEMES:
        raise ArgumentError(f"scheme is {scheme!r}; {nearest(str(scheme), SCHEMES)}")
    tags, before = ["O"] * length, Span("", 0, 0)
    for span in sorted(spans, key=lambda span: span.begin):
        if not 0 <= span.begin < span.end <= length:
            raise ArgumentError(
                f"{span} does not lie in 0 to {length}; begin counts from 0, end is behind the last token"
            )
        if span.begin < before.end:
            raise ArgumentError(f"{span} overlaps {before}; a token has one tag: keep one of them")
        size, touching = span.end - span.begin, before.end == span.begin and before.type == span.type
        letters = "B" + "I" * (size - 1)
        if scheme == "bioes":
            letters = "S" if size == 1 else f"B{'I' * (size - 2)}E"
        elif scheme == "iob1" and not touching:
            letters = "I" * size
        tags[span.begin : span.end] = [f"{letter}-{span.type}" if span.type else letter for letter in letters]
        before = span
    return tags


def convert_tags(tags: Sequence[str], scheme: str) -> list[str]:
    """The same spans in another scheme, as of `tags_of_spans`.

    >>> convert_tags(["I-place", "I-place", "O", "I-place", "B-place"], "bio")
    ['B-place', 'I-place', 'O', 'B-place', 'B-place']
    """
    return tags_of_spans(spans_of_tags(tags), len(tags), scheme)


def score_spans(truth: Sequence[Sequence[str]], found: Sequence[Sequence[str]]) -> SpanScores:
    """Precision, recall and F1 of the spans that a tagger found, as conlleval counts them, and accuracy of its tags.

    truth, found: the tags of each sentence.
    Raises ArgumentError if the sentences are not as many, or a pair not as long, and for a tag of another form.

    >>> scores = score_spans([["B-place", "I-place", "O"]], [["B-place", "O", "B-person"]])
    >>> scores.micro.found, scores.micro.right, round(scores.accuracy, 4)
    (2, 0, 0.3333)
    """
    accuracy = token_accuracy(truth, found)
    counts: dict[str, list[int]] = {}
    for sentence, said in zip(truth, found, strict=True):
        true, guessed = set(spans_of_tags(sentence)), set(spans_of_tags(said))
        for place, some in enumerate((true, guessed, true & guessed)):
            for span in some:
                counts.setdefault(span.type, [0, 0, 0])[place] += 1
    types = {name: _scores_of(*counts[name]) for name in sorted(counts)}
    micro = _scores_of(*(sum(each) for each in zip([0, 0, 0], *counts.values(), strict=True)))
    means = np.array([each[:3] for each in types.values()] or [(0.0, 0.0, 0.0)], dtype=np.float64).mean(0)
    precision, recall, f1 = means.tolist()
    return SpanScores(micro, micro._replace(precision=precision, recall=recall, f1=f1), types, accuracy)


def token_accuracy(truth: Sequence[Sequence[str]], found: Sequence[Sequence[str]]) -> float:
    """Share of the tags that are right, over all tokens of all sentences; NaN without tokens.

    Raises ArgumentError if the sentences are not as many, or a pair not as long.
    """
    if len(truth) != len(found):
        raise ArgumentError(
            f"truth has {len(truth)} sentences, found {len(found)}; pass the tags of the same sentences"
        )
    right = tokens = 0
    for row, (sentence, said) in enumerate(zip(truth, found, strict=True)):
        if len(sentence) != len(said):
            raise ArgumentError(
                f"sentence {row} has {len(sentence)} tags in truth, {len(said)} in found; pass one a token"
            )
        right += sum(one == other for one, other in zip(sentence, said, strict=True))
        tokens += len(sentence)
    return right / tokens if tokens else float("nan")


def bio_transitions(tags: Sequence[str]) -> Allowed:
    """Which tag may follow which, for the constraints of a `ConditionalRandomField` whose classes are these tags.

    tags: the names of the classes. With an E or S among them they are BIOES: I and E go on a span that B or I of the
        same type left open, and nothing else may follow there; without, BIO (IOB2): I goes on a span of its type.
    Raises ArgumentError for a tag of another form.

    >>> allowed = bio_transitions(["O", "B-place", "I-place"])
    >>> allowed.transitions.tolist(), allowed.starts.tolist()
    ([[True, True, False], [True, True, True], [True, True, True]], [True, True, False])
    """
    read = [_read_tag(tag) for tag in tags]
    closing = any(letter in "ES" for letter, _ in read)  # spans say where they end
    goes_on = [letter in "IE" for letter, _ in read]
    stays_open = [closing and letter in "BI" for letter, _ in read]
    transitions = [
        [before in "BI" and kind == other if after in "IE" else not stays_open[row] for after, other in read]
        for row, (before, kind) in enumerate(read)
    ]
    return Allowed(
        torch.tensor(transitions, dtype=torch.bool).view(len(read), len(read)),
        ~torch.tensor(goes_on, dtype=torch.bool),
        ~torch.tensor(stays_open, dtype=torch.bool),
    )


def _read_tag(tag: str) -> tuple[str, str]:
    """Letter and type of a tag; raise ArgumentError for another form."""
    letter, _, kind = str(tag).partition("-")
    if letter not in ("O", "B", "I", "E", "S") or (letter == "O" and tag != "O"):
        raise ArgumentError(f"tag {tag!r} says no span; expected 'O', or B-, I-, E- or S- and a type, as 'B-person'")
    return letter, kind


def _scores_of(true: int, found: int, right: int) -> TypeScores:
    precision, recall = right / max(1, found), right / max(1, true)
    return TypeScores(precision, recall, 2 * right / max(1, true + found), true, found, right)
