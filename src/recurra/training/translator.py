"""Networks that write one text for another: their training, what they say of pairs, and what they write."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from recurra.data.batching import LengthBatches, padded
from recurra.data.tokenizer import Tokenizer
from recurra.models import EncoderDecoder
from recurra.models.beam import Penalties
from recurra.models.decoding import Generated
from recurra.training.loop import train
from recurra.training.recorder import Recorder
from recurra.training.rows import by_length
from recurra.training.settings import TrainingSettings

__all__ = ["CodedPairs", "Pace", "Search", "Written", "padding_share", "token_losses", "train_translator", "write"]

_STEPS = 2048  # padded ones of a side at once where a batch has the logits of every token
_ROWS = 64  # sources that are searched for at once
_RUNG = 16  # source steps that have the same longest target: a text's neighbours in a batch must not matter


class CodedPairs(NamedTuple):
    """Texts as codes, each with what is to be written for it; neither begin nor end is in them."""

    sources: list[list[int]]
    targets: list[list[int]]

    @property
    def lengths(self) -> list[int]:
        """Steps of each pair, of both sides."""
        return [len(source) + len(target) for source, target in zip(self.sources, self.targets, strict=True)]

    def batches(self, settings: TrainingSettings) -> LengthBatches:
        """Which pairs make the batch of a training step: those whose sources are alike, and among them those whose
        targets are.

        By the sum of both lengths a short source may stand beside a long one: of Multi30k's steps 18 % would be
        padding, and are 9 %.
        """
        longest = max(map(len, self.targets), default=0) + 1
        keys = []
        for source, target in zip(self.sources, self.targets, strict=True):
            like = len(source) // 2  # up and down in turn, so that neighbours are alike where two kinds meet
            keys.append(like * longest + (len(target) if like % 2 else longest - 1 - len(target)))
        return LengthBatches(keys, settings.batch_size, seed=settings.seed)

    def batch(self, rows: Iterable[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Sources (time, batch) and their lengths; targets with begin and end, and theirs."""
        chosen = [int(row) for row in rows]
        source, source_lengths = padded([self.sources[row] for row in chosen])
        target, target_lengths = padded([[Tokenizer.begin, *self.targets[row], Tokenizer.end] for row in chosen])
        return source, source_lengths, target, target_lengths


@dataclass
class Pace:
    """How fast a training was: what this process did of it.

    tokens: of targets, end tokens among them. seconds: of training steps, without validations.
    """

    tokens: int = 0
    seconds: float = 0.0

    @property
    def tokens_per_second(self) -> float | None:
        """None where nothing was left to be done."""
        return self.tokens / self.seconds if self.seconds else None


def train_translator(
    network: EncoderDecoder,
    learned: CodedPairs,
    held: CodedPairs,
    settings: TrainingSettings,
    recorder: Recorder,
    name: str,
) -> Pace:
    """Train the network on the pairs learned; it keeps the weights with the least loss a token on those held.

    The network's scheduled sampling rises from 0 to what it has been given, in a line over all steps (Bengio et al.
    2015).

    name: of the stage, in the run folder and in the progress shown.
    """
    batches = learned.batches(settings)
    pace, most = Pace(), network.scheduled_sampling
    begun = time.perf_counter()

    def loss(step: int) -> Tensor:
        network.scheduled_sampling = most * (step + 1) / settings.steps
        source, source_lengths, target, target_lengths = learned.batch(batches.at(step))
        pace.tokens += int(target_lengths.sum()) - target.shape[1]
        return network.loss(source, target, source_lengths=source_lengths, target_lengths=target_lengths)

    def validate() -> float:
        paused = time.perf_counter()
        score = float(token_losses(network, held).mean())
        pace.seconds -= time.perf_counter() - paused
        return score

    train(
        network,
        loss,
        settings,
        validate=validate,
        stage=recorder.stage(name),
        on_step=recorder.watch(name, settings.steps),
    )
    network.scheduled_sampling = most
    pace.seconds = pace.seconds + time.perf_counter() - begun if pace.tokens else 0.0
    return pace


def padding_share(pairs: CodedPairs, settings: TrainingSettings) -> float:
    """The share of an epoch's steps that are padding, of both sides."""
    batches = pairs.batches(settings)
    padded_steps = 0
    for step in range(batches.per_epoch):
        rows = batches.at(step)
        for side, more in ((pairs.sources, 0), (pairs.targets, 1)):
            padded_steps += len(rows) * max(len(side[row]) + more for row in rows)
    return 1 - (sum(pairs.lengths) + len(pairs.targets)) / padded_steps


def token_losses(network: EncoderDecoder, pairs: CodedPairs) -> NDArray[np.float64]:
    """-ln of the probability of each token of the targets, the end tokens among them, in nats; pair after pair."""
    found: list[NDArray[np.float64]] = [np.zeros(0)] * len(pairs.targets)
    with torch.no_grad():
        for rows in by_length(pairs.lengths, steps=_STEPS):
            source, source_lengths, target, target_lengths = pairs.batch(rows)
            raw = network.eval()(
                source,
                target[:-1],
                source_lengths=source_lengths,
                target_lengths=target_lengths - 1,
                need_alignment=False,
            ).raw
            losses = F.cross_entropy(raw.flatten(0, 1), target[1:].flatten(), reduction="none")
            each = losses.view(raw.shape[:2]).double().numpy()  # time batch
            for place, row in enumerate(rows):
                found[row] = each[: len(pairs.targets[row]) + 1, place]
    return np.concatenate(found)


class Search(NamedTuple):
    """How targets are looked for.

    size: sequences kept side by side; 1: the likeliest token at each step. penalties: see `Penalties`.
    ratio: tokens of a target for each of its source, as many as there may be, beside 16.
    """

    size: int
    penalties: Penalties
    ratio: float

    def longest(self, steps: int) -> int:
        """Tokens that the target of so many source steps may have."""
        return 16 + int(np.ceil(self.ratio * _RUNG * _rung(steps)))


class Written(NamedTuple):
    """What was written for one source."""

    codes: list[int]
    """Without begin and end."""
    score: float
    """s(Y), see `EncoderDecoder.generate`."""
    alignment: NDArray[np.float32] | None
    """(target token, source token), with the end token's row where there is one; None without attention."""


def write(
    network: EncoderDecoder, sources: Sequence[Sequence[int]], search: Search, *, end: int = Tokenizer.end
) -> list[Written]:
    """The best target found for each source, by beam search.

    sources: codes, one at least each. What stands beside a source does not matter.
    """
    found: dict[int, Written] = {}
    rungs = [_rung(len(codes)) for codes in sources]
    for rung in sorted(set(rungs)):
        rows = [row for row, other in enumerate(rungs) if other == rung]
        for some in by_length([len(sources[row]) for row in rows], rows=_ROWS):
            batch = [rows[place] for place in some]
            source, lengths = padded([sources[row] for row in batch])
            written = network.generate(
                source,
                source_lengths=lengths,
                begin=Tokenizer.begin,
                end=end,
                max_length=search.longest(rung * _RUNG),
                method="beam",
                beam_size=search.size,
                length_penalty=search.penalties.length,
                coverage_penalty=search.penalties.coverage,
            )
            found |= {row: _read(written, place, int(lengths[place])) for place, row in enumerate(batch)}
    return [found[row] for row in range(len(sources))]


def _rung(steps: int) -> int:
    return -(-steps // _RUNG)


def _read(found: Generated, place: int, steps: int) -> Written:
    """One row of what was found, without padding."""
    length = int(found.lengths[place])
    alignment = None
    if found.alignment is not None:
        alignment = found.alignment[: length + 1, place, :steps].numpy()
    assert found.scores is not None  # tokens have them
    return Written(found.answers[:length, place].tolist(), float(found.scores[place]), alignment)
