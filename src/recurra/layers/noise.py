"""What dropout draws for a whole sequence: the same at each of its steps (Gal & Ghahramani 2016)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.errors import ArgumentError

__all__ = ["Noise", "check_noise", "draw_kept", "draw_mask"]


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
    return F.dropout(like.new_ones(shape), probability) if probability else None


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
