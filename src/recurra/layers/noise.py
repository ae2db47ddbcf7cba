"""What dropout draws for a whole sequence: the same at each of its steps (Gal & Ghahramani 2016)."""

from __future__ import annotations

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


def check_noise(noise: object, batch: int) -> None:
    """Raise ArgumentError unless it was drawn for so many rows."""
    if not isinstance(noise, Noise):
        raise ArgumentError(f"noise is {type(noise).__name__}; pass what draw_noise({batch}) returns")
    for mask in (*noise.inputs, *noise.states):
        if mask is not None and len(mask) != batch:
            raise ArgumentError(
                f"noise was drawn for {len(mask)} rows, x has {batch}; draw it with draw_noise({batch})"
            )


def draw_mask(probability: float, shape: tuple[int, ...], like: Tensor) -> Tensor | None:
    """Factors 0 with the probability, else 1 / (1 - probability); None for probability 0."""
    return F.dropout(like.new_ones(shape), probability) if probability else None


def draw_kept(probability: float, shape: tuple[int, ...], like: Tensor) -> Tensor | None:
    """Which units zoneout keeps as they were; None for probability 0."""
    return torch.rand(shape, device=like.device) < probability if probability else None
