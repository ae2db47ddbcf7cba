"""Linear products whose initial values come from a seed, the same on any device."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from recurra.layers.arguments import check_dtype

__all__ = ["draw_linear", "empty_linear"]


def empty_linear(
    features: int, units: int, *, bias: bool, device: torch.device | str | None = None, dtype: torch.dtype | None = None
) -> nn.Linear:
    """A product whose parameters are still to be drawn; torch's global generator is left alone."""
    check_dtype(dtype)
    layer: nn.Linear = nn.utils.skip_init(
        nn.Linear, features, units, bias=bias, device=device or torch.get_default_device(), dtype=dtype
    )
    return layer


@torch.no_grad()
def draw_linear(layers: Sequence[nn.Linear], seed: int | None) -> None:
    """Draw weights and biases as nn.Linear does, uniform within 1/sqrt(features), one after the other.

    seed: where they come from; None: torch's global generator.
    """
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    for layer in layers:
        bound = 1 / math.sqrt(layer.in_features)
        for parameter in (layer.weight, layer.bias):
            if parameter is not None and not parameter.is_meta:
                drawn = torch.empty(parameter.shape, dtype=parameter.dtype, device="cpu")
                parameter.copy_(drawn.uniform_(-bound, bound, generator=generator))
