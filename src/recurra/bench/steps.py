"""What is timed of a layer: a training step or a forward pass; and that two of them compute the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recurra.bench.records import Record
from recurra.bench.sizes import Size
from recurra.bench.timing import Pace, alternate, times_faster, using_threads
from recurra.errors import RecurraError
from recurra.layers import Recurrent

__all__ = ["beside", "check_same", "draw", "forward_pass", "training_step"]

_TOLERANCE = 1e-3  # of the largest element: tells another recurrence from rounding


def draw(size: Size, seed: int = 0) -> tuple[Tensor, Tensor]:
    """An input and the gradient of an output, standard normal: (time, batch, features) and (time, batch, hidden)."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(size.time, size.batch, size.features, generator=generator)
    return x, torch.randn(size.time, size.batch, size.hidden, generator=generator)


def training_step(module: nn.Module, x: Tensor, dy: Tensor) -> Callable[[], Tensor]:
    """Forward and backward from a given gradient of the output, which stands for any loss, to all weights; x, as data
    do, needs no gradient. Returns the output."""

    def step() -> Tensor:
        module.zero_grad()
        y: Tensor = module(x)[0]
        y.backward(dy)
        return y

    return step


def forward_pass(module: nn.Module, x: Tensor) -> Callable[[], Tensor]:
    """The output alone, with nothing kept for a backward pass."""

    def forward() -> Tensor:
        with torch.no_grad():
            y: Tensor = module(x)[0]
        return y

    return forward


def beside(
    subject: str, layer: Recurrent, size: Size, functions: Mapping[str, Callable[[], Any]], threads: int, pace: Pace
) -> list[Record]:
    """The first of the functions, which runs the layer, against each of the others, by the peers' names."""
    with using_threads(threads):
        timings = alternate(functions, pace)
        explained = layer.explain()
    (_, ours), *peers = timings.items()
    records = []
    for peer, theirs in peers:
        ratio = times_faster(ours, theirs)
        spread = (ratio.lower, ratio.upper)
        records.append(Record(subject, peer, size, threads, ours.median, theirs.median, spread, explained))
    return records


def check_same(subject: str, peer: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Raise RecurraError unless what both compute is the same by name, within rounding: else times mean nothing."""
    for name, expected in theirs.items():
        found, known = _array(ours[name]), _array(expected)
        difference, scale = float(np.abs(found - known).max(initial=0)), float(np.abs(known).max(initial=0))
        if not difference <= _TOLERANCE * max(scale, 1e-6):
            raise RecurraError(
                f"{subject} and {peer} do not compute the same: {name} differs by {difference:.3g} of {scale:.3g}; "
                f"their times mean nothing until that is mended"
            )


def _array(value: Any) -> Any:
    return value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
