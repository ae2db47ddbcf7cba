"""The classic memory problems: what must be remembered, for how long, and how an answer is judged.

Batches are functions of (problem, part, index) alone. The part "train" goes on for ever, its index is the step;
"validation" and "test" are fixed, their index counts chunks.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import torch
from shared import data
from torch import Tensor
from torch.nn import functional as F

SYMBOLS, RECALLED = 8, 10  # of the copy problem: different symbols, how many are shown
_BLANK, _DELIMITER = SYMBOLS, SYMBOLS + 1
HELD_BACK = 5_000  # training images that are only ever validated on

Part = Literal["train", "validation", "test"]


class Batch(NamedTuple):
    """Sequences and what should be answered."""

    x: Tensor  # time batch feature
    target: Tensor


class Judgement(NamedTuple):
    """Of a network's answers."""

    loss: Tensor
    right: float | None
    """Share of right answers; None where answers are numbers."""


class Problem(NamedTuple):
    """One memory problem.

    draw: the batch (part, index, size).
    judge: of the network's outputs at the last `answers` steps, (answers, batch, output), and the target.
    chance: the loss of the best answer that remembers nothing.
    """

    name: str
    time: int
    input_size: int
    output_size: int
    answers: int
    chance: float
    draw: Callable[[Part, int, int], Batch]
    judge: Callable[[Tensor, Tensor], Judgement]


def adding(time: int) -> Problem:
    """The sum of two marked numbers among `time` (Hochreiter & Schmidhuber 1997, in the form of Le et al. 2015).

    A step is (number uniform in [0, 1), mark); one mark falls in each half. Mean squared error. Always answering 1, the
    mean of the sum, leaves its variance 2/12.
    """
    name, half = f"adding T={time}", time // 2

    def draw(part: Part, index: int, size: int) -> Batch:
        generator = _generator(name, part, index)
        numbers = torch.rand(time, size, generator=generator)
        first = torch.randint(half, (1, size), generator=generator)
        second = torch.randint(half, time, (1, size), generator=generator)
        marks = torch.zeros(time, size).scatter_(0, torch.cat([first, second]), 1.0)
        return Batch(torch.stack([numbers, marks], 2), (numbers * marks).sum(0))

    def judge(outputs: Tensor, target: Tensor) -> Judgement:
        return Judgement(F.mse_loss(outputs[0, :, 0], target), None)

    return Problem(name, time, 2, 1, 1, 1 / 6, draw, judge)


def copying(delay: int) -> Problem:
    """Ten symbols to be repeated `delay` steps later (Hochreiter & Schmidhuber 1997; Arjovsky et al. 2016).

    10 symbols of 8, delay - 1 blanks, a delimiter, 10 blanks; the answer is blank for delay + 10 steps, then the
    symbols. Cross-entropy in nats, mean over all delay + 20 steps; who knows when to answer, but not what, pays
    10 ln 8 / (delay + 20). Right is the share of the ten symbols.
    """
    name, time = f"copy T={delay}", delay + 2 * RECALLED

    def draw(part: Part, index: int, size: int) -> Batch:
        symbols = torch.randint(SYMBOLS, (RECALLED, size), generator=_generator(name, part, index))
        shown = torch.full((time, size), _BLANK)
        shown[:RECALLED] = symbols
        shown[RECALLED + delay - 1] = _DELIMITER
        target = torch.full((time, size), _BLANK)
        target[-RECALLED:] = symbols
        return Batch(F.one_hot(shown, SYMBOLS + 2).float(), target)

    def judge(outputs: Tensor, target: Tensor) -> Judgement:
        loss = F.cross_entropy(outputs.flatten(0, 1), target.flatten())
        return Judgement(loss, _share(outputs[-RECALLED:], target[-RECALLED:]))

    return Problem(name, time, SYMBOLS + 2, SYMBOLS + 1, time, RECALLED * math.log(SYMBOLS) / time, draw, judge)


def digits(steps: Literal[28, 784]) -> Problem:
    """A handwritten digit told after its 28 rows, or its 784 pixels, went by (Le et al. 2015); values in [0, 1].

    The last 5,000 training images are for validation, the first thousand of them. Cross-entropy in nats; right
    is the share of digits.
    """
    name = f"digits {steps} steps"

    def draw(part: Part, index: int, size: int) -> Batch:
        images, labels = _images(part)
        rows = torch.arange(index * size, (index + 1) * size) % len(images)
        x = images[rows].float().div(255).reshape(len(rows), steps, -1).transpose(0, 1)
        return Batch(x, labels[rows])

    def judge(outputs: Tensor, target: Tensor) -> Judgement:
        return Judgement(F.cross_entropy(outputs[0], target), _share(outputs[0], target))

    return Problem(name, steps, 784 // steps, 10, 1, math.log(10), draw, judge)


@cache
def _images(part: Part) -> tuple[Tensor, Tensor]:
    """Training images in a seeded order; the others as they come."""
    with np.load(data("mnist/mnist.npz"), allow_pickle=False) as stored:
        source = "test" if part == "test" else "train"
        images, labels = (torch.from_numpy(stored[f"{axis}_{source}"]) for axis in ("x", "y"))
    labels = labels.long()
    if part == "test":
        return images, labels
    if part == "validation":
        return images[-HELD_BACK:], labels[-HELD_BACK:]
    order = torch.randperm(len(images) - HELD_BACK, generator=_generator("digits", part, 0))
    return images[order], labels[order]


def _generator(name: str, part: Part, index: int) -> torch.Generator:
    return torch.Generator().manual_seed(zlib.crc32(f"{name} {part} {index}".encode()))


def _share(outputs: Tensor, target: Tensor) -> float:
    return (outputs.argmax(-1) == target).float().mean().item()
