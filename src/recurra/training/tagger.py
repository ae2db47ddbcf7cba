"""Networks that tag sentences: their training, and what several of them say together."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.data.batching import padded
from recurra.layers.crf import ConditionalRandomField
from recurra.models import Seq2Seq
from recurra.training.recorder import Recorder
from recurra.training.rows import by_length, train_rows
from recurra.training.settings import TrainingSettings

__all__ = ["CodedSentences", "Said", "TaggedCodes", "tag_sentences", "train_tagger"]

_LONGEST = 4096  # tokens that are tagged at once; a longer sentence is tagged in pieces

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class CodedSentences:
    """Sentences as codes, each spelling once.

    words: (sentence,) codes of the tokens.
    spelt: (sentence,) which row of `letters` each token is; None where no letters are read.
    letters: (spelling, letter) codes, 0 behind a spelling's end; None where none are read.
    """

    words: list[list[int]]
    spelt: list[list[int]] | None = None
    letters: Codes | None = None

    @property
    def lengths(self) -> list[int]:
        """Tokens of each sentence."""
        return [len(row) for row in self.words]

    def batch(self, rows: Sequence[int] | Codes) -> tuple[Tensor, Tensor]:
        """What the network reads of some sentences: (time, batch), or with letters (time, batch, 1 + letters), each up
        to the longest there; and the lengths (batch,)."""
        words, lengths = padded([self.words[row] for row in rows])
        if self.spelt is None or self.letters is None:
            return words, lengths
        which, _ = padded([self.spelt[row] for row in rows])
        spellings = self.letters[which.numpy()]  # time batch letter
        longest = max(1, int((spellings != 0).any((0, 1)).sum()))
        read = torch.from_numpy(np.ascontiguousarray(spellings[..., :longest]))
        read[torch.arange(len(words)).unsqueeze(1) >= lengths] = 0  # a pad is no spelling
        return torch.cat([words.unsqueeze(-1), read], -1), lengths

    def in_pieces(self) -> tuple[CodedSentences, list[int]]:
        """The same with long sentences cut, and how many pieces each was cut into."""
        words, counts = _cut(self.words)
        return CodedSentences(words, None if self.spelt is None else _cut(self.spelt)[0], self.letters), counts


class TaggedCodes(NamedTuple):
    """Sentences with their tags."""

    sentences: CodedSentences
    tags: list[list[int]]
    """(sentence,) the code of each token's tag."""


class Said(NamedTuple):
    """What taggers say of sentences."""

    tags: list[Codes]
    """(sentence,) the tag of each token, (time,)."""
    probabilities: list[NDArray[np.float64]]
    """(sentence,) the probability of each tag at each token, (time, tag)."""


def train_tagger(
    network: Seq2Seq,
    learned: TaggedCodes,
    held: TaggedCodes,
    settings: TrainingSettings,
    recorder: Recorder,
    name: str,
    *,
    error: Callable[[list[Codes]], float],
) -> float:
    """Train the network on the sentences learned; it keeps the weights whose error was least on those held.

    error: of the tags that were found for the sentences held, 0 to 1; between equals the loss decides.
    name: of the stage, in the run folder and in the progress shown.
    Returns the tokens that it learned from in a second, validations left out; NaN if no step was left to make.
    """
    pace = _Pace()

    def loss(rows: Codes) -> Tensor:
        pace.begin(sum(len(learned.tags[row]) for row in rows))
        x, lengths = learned.sentences.batch(rows)
        target, _ = padded([learned.tags[row] for row in rows])
        return network.loss(x, target, lengths=lengths)

    def validate() -> float:
        pace.end()
        found, nats = _decode(network, held)
        return float(error(found) + (1 - np.exp(-nats)) / max(1, sum(map(len, found))))

    train_rows(network, loss, learned.sentences.lengths, settings, validate=validate, recorder=recorder, name=name)
    return pace.end()


def tag_sentences(networks: Sequence[Seq2Seq], sentences: CodedSentences) -> Said:
    """The tags that networks agree on, and the probabilities of all.

    What a network computes from the features, and the scores of a `ConditionalRandomField`, are averaged over networks:
    the geometric mean of what they think likely.
    """
    cut, counts = sentences.in_pieces()
    head = _joint_head(networks)
    tags: list[Codes] = [np.zeros(0, np.int64)] * len(cut.words)
    shares: list[NDArray[np.float64]] = [np.zeros((0, head.num_classes))] * len(cut.words)
    with torch.no_grad():
        for rows in by_length(cut.lengths):
            x, lengths = cut.batch(rows)
            raw = torch.stack([network.eval()(x, lengths=lengths)[0] for network in networks]).mean(0)
            found, likely = _read(head, raw, lengths)
            for place, row in enumerate(rows):
                tags[row] = found[: lengths[place], place].numpy()
                shares[row] = likely[: lengths[place], place].double().numpy()
    bounds = np.cumsum([0, *counts])
    return Said(
        [np.concatenate(tags[begin:end]) for begin, end in pairwise(bounds)],
        [np.concatenate(shares[begin:end]) for begin, end in pairwise(bounds)],
    )


class _Pace:
    """Tokens a second of steps that follow one another, with what lies between left out."""

    def __init__(self) -> None:
        self.tokens, self.seconds = 0, 0.0
        self._begun: float | None = None

    def begin(self, tokens: int) -> None:
        """A step of so many tokens begins, and the one before is over."""
        self.end()
        self.tokens, self._begun = self.tokens + tokens, time.perf_counter()

    def end(self) -> float:
        """The last step is over. Returns the pace so far; NaN without steps."""
        if self._begun is not None:
            self.seconds, self._begun = self.seconds + time.perf_counter() - self._begun, None
        return self.tokens / self.seconds if self.seconds else float("nan")


def _decode(network: Seq2Seq, held: TaggedCodes) -> tuple[list[Codes], float]:
    """The tags found for each sentence, and the mean loss of a token."""
    found: list[Codes] = [np.zeros(0, np.int64)] * len(held.tags)
    nats = 0.0
    for rows in by_length(held.sentences.lengths):
        x, lengths = held.sentences.batch(rows)
        target, _ = padded([held.tags[row] for row in rows])
        raw, _ = network(x, lengths=lengths)
        mask = torch.arange(len(raw)).unsqueeze(1) < lengths
        nats += float(network.head.loss(raw, target, mask)) * int(lengths.sum())
        tags = network.head.predict(raw, **_lengths(network.head, lengths))
        for place, row in enumerate(rows):
            found[row] = tags[: lengths[place], place].numpy()
    return found, nats / max(1, sum(held.sentences.lengths))


def _read(head: Any, raw: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Tags (time, batch) and their probabilities (time, batch, tag)."""
    if isinstance(head, ConditionalRandomField):
        return head.predict(raw, lengths=lengths), head.marginals(raw, lengths=lengths)
    return head.predict(raw), raw.double().softmax(-1)


def _lengths(head: Any, lengths: Tensor) -> dict[str, Tensor]:
    return {} if head.stepwise else {"lengths": lengths}


def _joint_head(networks: Sequence[Seq2Seq]) -> Any:
    """The head of all: of a conditional random field, with the means of its scores."""
    head = networks[0].head
    if len(networks) == 1 or not isinstance(head, ConditionalRandomField):
        return head
    joint = copy.deepcopy(head)
    with torch.no_grad():
        for name in ("transitions", "starts", "ends"):
            getattr(joint, name).copy_(torch.stack([getattr(one.head, name) for one in networks]).mean(0))
    return joint


def _cut(rows: list[list[int]]) -> tuple[list[list[int]], list[int]]:
    """Rows in pieces of `_LONGEST` at most, and how many pieces of each."""
    cut = [[row[at : at + _LONGEST] for at in range(0, max(1, len(row)), _LONGEST)] for row in rows]
    return [piece for pieces in cut for piece in pieces], [len(pieces) for pieces in cut]
