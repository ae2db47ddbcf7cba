"""Training on rows of unequal length, and going through them afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recurra.data.batching import LengthBatches
from recurra.training.loop import Outcome, train
from recurra.training.recorder import Recorder
from recurra.training.settings import TrainingSettings

__all__ = ["by_length", "seeded", "train_rows"]

Rows = NDArray[np.int64]
N = TypeVar("N", bound=nn.Module)


def train_rows(
    network: nn.Module,
    loss: Callable[[Rows], Tensor],
    lengths: Sequence[int] | Rows,
    settings: TrainingSettings,
    *,
    validate: Callable[[], float] | None,
    recorder: Recorder,
    name: str,
) -> Outcome:
    """Train on batches of rows of about the same length.

    loss: of the rows of a batch. lengths: of all rows.
    name: of the stage, in the run folder and in the progress shown.
    """
    batches = LengthBatches(lengths, settings.batch_size, seed=settings.seed)
    return train(
        network,
        lambda step: loss(batches.at(step)),
        settings,
        validate=validate,
        stage=recorder.stage(name),
        on_step=recorder.watch(name, settings.steps),
    )


def by_length(lengths: Sequence[int], *, steps: int = 16384, rows: int = 512) -> Iterator[Rows]:
    """All rows in batches of like length, the longest first, of so many padded steps and rows at most."""
    order = np.argsort(-np.asarray(lengths, np.int64), kind="stable")
    start = 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        stop = min(start + max(1, min(rows, steps // longest)), len(order))
        yield order[start:stop]
        start = stop


def seeded(seed: int, build: Callable[[], N]) -> N:
    """What `build` makes with torch's global generator at `seed`, which is as it was afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()
