"""What dropout draws: for each number anew, or for a whole sequence the same at each of its steps (Gal & Ghahramani
2016)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from recurra.errors import ArgumentError

__all__ = ["Dropout", "Noise", "check_noise", "draw_kept", "draw_mask", "drop"]


class Noise(NamedTuple):
    """One draw of a layer's dropouts, as factors; None where nothing is dropped.

    inputs: per layer, (batch, feature): on what its inputs are multiplied with.
    states: per layer and direction, (batch, output): likewise what its recurrent projections read.
    weights: per layer and direction, the shape of weight_hh: likewise that (DropConnect, Wan et al. 2013).
    """

    inputs: tuple[Tensor | None, ...]
    states: tuple[Tensor | None, ...]
    weights: tuple[Tensor | None, ...]


def check_noise(noise: object, shapes: Sequence[Sequence[tuple[int, ...]]], batch: int) -> None:
    """Raise ArgumentError unless noise has the shapes that the layer draws for so many rows."""
    if not isinstance(noise, Noise):
        raise ArgumentError(f"noise is {type(noise).__name__}; pass what draw_noise({batch}) returns")
    for kind, masks, expected in zip(Noise._fields, noise, shapes, strict=True):
        if len(masks) != len(expected):
            raise ArgumentError(
                f"noise.{kind} has {len(masks)} masks, the layer {len(expected)}; draw it with this layer"
            )
        for mask, shape in zip(masks, expected, strict=True):
            if mask is not None and mask.shape != shape:
                raise ArgumentError(
                    f"noise.{kind} has a mask of shape {tuple(mask.shape)}; expected {shape}; "
                    f"draw it with draw_noise({batch}) of this layer"
                )


def draw_mask(probability: float, shape: tuple[int, ...], like: Tensor) -> Tensor | None:
    """Factors 0 with the probability, else 1 / (1 - probability); None for probability 0."""
    dropped = draw_kept(probability, shape, like)
    if dropped is None:
        return None
    # By a product: masked_fill takes ten times as long.
    return (~dropped).to(like.dtype) * (1 / (1 - probability) if probability < 1 else 0.0)


def drop(x: Tensor, probability: float, training: bool) -> Tensor:
    """Each number of x on its own 0 with the probability, else divided by 1 - probability; x itself if not training."""
    mask = draw_mask(probability, tuple(x.shape), x) if training else None
    return x if mask is None else x * mask


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`, drawn several times as fast."""

    def forward(self, x: Tensor) -> Tensor:
        """See `drop`."""
        return drop(x, self.p, self.training)


def draw_kept(probability: float, shape: tuple[int, ...], like: Tensor) -> Tensor | None:
    """Which units zoneout keeps as they were; None for probability 0.

    One of 65,536 values is drawn for each, four from one random number of 64 bits: several times as fast as numbers
    between 0 and 1, which would take as long as the kernel that they are for. The probability is met to 1/131,072.
    """
    if not probability:
        return None
    count = math.prod(shape)
    words = torch.randint(-(2**63), 2**63 - 1, (-(-count // 4),), device=like.device)
    limit = min(round(probability * 2**16), 2**16 - 1) - 2**15
    return (words.view(torch.int16)[:count] < limit).view(shape)
