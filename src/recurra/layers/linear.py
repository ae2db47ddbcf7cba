"""Linear products: initial values from a seed, the same on any device, and a check of what they multiply."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_dtype

__all__ = ["check_factor", "draw_linear", "empty_linear"]


def check_factor(name: str, x: Tensor, weight: Tensor) -> None:
    """Raise ArgumentError unless x is on the weight's device and, outside of autocast, of its dtype."""
    if x.device != weight.device:
        raise ArgumentError(
            f"{name} is on {x.device}, the weights on {weight.device}; move one: {name}.to({str(weight.device)!r})"
        )
    if x.dtype != weight.dtype and not torch.is_autocast_enabled(x.device.type):
        raise ArgumentError(
            f"{name} has dtype {x.dtype}, the weights {weight.dtype}; convert one: {name}.to({weight.dtype})"
        )


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
