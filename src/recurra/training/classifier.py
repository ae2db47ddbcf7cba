"""Networks that classify texts of codes: their training, their probabilities, and what a class's odds hang on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.data.batching import padded
from recurra.layers.attribution import integrated_gradients
from recurra.layers.inputs import Real
from recurra.models import Seq2Vec
from recurra.training.recorder import Recorder
from recurra.training.rows import by_length, train_rows
from recurra.training.settings import TrainingSettings

__all__ = ["CodedTexts", "Contributions", "contributions", "log_probabilities", "train_classifier"]


class CodedTexts(NamedTuple):
    """Texts as codes, each with its class."""

    codes: list[list[int]]
    target: NDArray[np.int64]


def train_classifier(
    network: Seq2Vec, learned: CodedTexts, held: CodedTexts, settings: TrainingSettings, recorder: Recorder, name: str
) -> None:
    """Train the network on the texts learned; it keeps the weights that were wrong least often on those held.

    name: of the stage, in the run folder and in the progress shown.
    """
    target = torch.from_numpy(learned.target)

    def loss(rows: NDArray[np.int64]) -> Tensor:
        x, lengths = padded([learned.codes[row] for row in rows])
        return network.loss(x, target[rows.tolist()], lengths=lengths)

    def wrong() -> float:
        """The share of wrong answers; between equals the log loss decides, as a fraction of one answer."""
        found = log_probabilities(network, held.codes)
        nats = -found[np.arange(len(held.target)), held.target].mean()
        return float(((found.argmax(1) != held.target).sum() + 1 - np.exp(-nats)) / len(held.target))

    lengths = [len(row) for row in learned.codes]
    train_rows(network, loss, lengths, settings, validate=wrong, recorder=recorder, name=name)


def log_probabilities(network: Seq2Vec, codes: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """(row, class)."""
    found = np.zeros((len(codes), network.head.num_classes))
    with torch.no_grad():
        for rows in by_length([len(row) for row in codes]):
            x, lengths = padded([codes[row] for row in rows])
            found[rows] = network.eval()(x, lengths=lengths).double().log_softmax(1).numpy()
    return found


class Contributions(NamedTuple):
    """What makes up the log-odds of a class."""

    contributions: tuple[float, ...]
    """Of each token, in nats."""
    base: float
    """The log-odds where no token says anything."""
    gap: float
    """By how much base and contributions do not add up to the text's log-odds."""


def contributions(
    networks: Sequence[Seq2Vec], codes: Sequence[int], place: int, *, temperature: float, steps: int
) -> Contributions:
    """What each token of a text contributes to the log-odds of a class, by integrated gradients; means over networks.

    place: of the class. steps: of the integral's sum.
    """
    found, bases = [], []
    x, _ = padded([codes])
    for network in networks:
        odds = _log_odds(network.eval(), place, temperature, len(codes))
        with torch.no_grad():
            vectors = network.input(x)
            bases.append(float(odds(torch.zeros_like(vectors))))
        found.append(integrated_gradients(odds, vectors, steps=steps))
    each = torch.stack([one.contributions[: len(codes), 0] for one in found]).mean(0)
    gaps = [float(one.gap) for one in found]
    return Contributions(tuple(each.tolist()), sum(bases) / len(bases), sum(gaps) / len(gaps))


def _log_odds(network: Seq2Vec, place: int, temperature: float, length: int) -> Callable[[Tensor], Tensor]:
    """The log-odds of a class as a function of the tokens' vectors (time, batch, feature)."""
    behind = Seq2Vec(Real(network.input.output_size), network.body, network.head, pooling=network.pooling).eval()

    def odds(vectors: Tensor) -> Tensor:
        raw = behind(vectors, lengths=[length] * vectors.shape[1]) / temperature
        others = torch.cat([raw[:, :place], raw[:, place + 1 :]], 1)
        value: Tensor = raw[:, place] - others.logsumexp(1)
        return value

    return odds
