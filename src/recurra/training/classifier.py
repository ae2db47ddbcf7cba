"""Networks that classify texts of codes: their training, their probabilities, and what a class's odds hang on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from recurra.data.batching import padded
from recurra.layers.attribution import integrated_gradients
from recurra.layers.inputs import Real
from recurra.models import Seq2Vec
from recurra.training.recorder import Recorder
from recurra.training.rows import by_length, train_rows
from recurra.training.settings import TrainingSettings

__all__ = [
    "CodedTexts",
    "Contributions",
    "balanced_weights",
    "contributions",
    "log_probabilities",
    "train_classifier",
]


class CodedTexts(NamedTuple):
    """Texts as codes, each with its class."""

    codes: list[list[int]]
    target: NDArray[np.int64]


def balanced_weights(target: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """(class,): what each text of a class counts for all classes to count alike, 1 in the mean over the texts.

    target: (text,), the class of each; each class has one text at least.

    >>> balanced_weights(np.array([0, 0, 0, 1]), 2)
    array([0.66666667, 2.        ])
    """
    return np.asarray(len(target) / (classes * np.bincount(target, minlength=classes)))


def train_classifier(
    network: Seq2Vec,
    learned: CodedTexts,
    held: CodedTexts,
    settings: TrainingSettings,
    recorder: Recorder,
    name: str,
    *,
    weights: NDArray[np.float64] | None = None,
) -> None:
    """Train the network on the texts learned; it keeps the weights that were wrong least often on those held.

    name: of the stage, in the run folder and in the progress shown.
    weights: (class,), what a text of each class counts in the loss, not among those held; None: 1.
    """
    target = torch.from_numpy(learned.target)
    counts = None if weights is None else torch.from_numpy(weights).float()

    def loss(rows: NDArray[np.int64]) -> Tensor:
        x, lengths = padded([learned.codes[row] for row in rows])
        truth = target[rows.tolist()]
        if counts is None:
            return network.loss(x, truth, lengths=lengths)
        smoothing = network.head.label_smoothing
        each = F.cross_entropy(network(x, lengths=lengths), truth, reduction="none", label_smoothing=smoothing)
        return (counts[truth] * each).mean()  # not over the sum of weights, which would depend on who shares the batch

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
    """What each token of a text contributes to the log-odds of a class, by integrated gradients.

    The log-odds are those of the probability that the networks give together: the mean of theirs, at the temperature.
    The integral's way leads from zeros to the vectors of all networks at once.

    place: of the class. steps: of the integral's sum.
    """
    x, _ = padded([codes])
    odds = _log_odds(networks, place, temperature, len(codes))
    with torch.no_grad():
        vectors = torch.cat([network.eval().input(x) for network in networks], -1)
        base = float(odds(torch.zeros_like(vectors)))
    found = integrated_gradients(odds, vectors, steps=steps)
    return Contributions(tuple(found.contributions[: len(codes), 0].tolist()), base, float(found.gap))


def _log_odds(networks: Sequence[Seq2Vec], place: int, temperature: float, length: int) -> Callable[[Tensor], Tensor]:
    """The log-odds of a class as a function of the tokens' vectors in all networks (time, batch, network*feature)."""
    sizes = [int(network.input.output_size) for network in networks]
    behind = [
        Seq2Vec(Real(size), network.body, network.head, pooling=network.pooling).eval()
        for size, network in zip(sizes, networks, strict=True)
    ]

    def odds(vectors: Tensor) -> Tensor:
        lengths = [length] * vectors.shape[1]
        each = [
            part(own, lengths=lengths).log_softmax(1)
            for part, own in zip(behind, vectors.split(sizes, -1), strict=True)
        ]
        raw = torch.stack(each).logsumexp(0) / temperature  # batch class; of the sum: the mean's divisor cancels out
        others = torch.cat([raw[:, :place], raw[:, place + 1 :]], 1)
        value: Tensor = raw[:, place] - others.logsumexp(1)
        return value

    return odds
