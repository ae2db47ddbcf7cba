"""Layers and inputs to check cells with, the same on every run."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recurra.cells import Cell, State
from recurra.layers import Recurrent

__all__ = ["HIDDEN", "INPUT", "draw", "draw_like", "draw_state", "make_layer", "run_with_gradients"]

INPUT, HIDDEN = 2, 7  # odd and unequal: an axis taken for another must fail


def make_layer(
    cell: Cell,
    *,
    input_size: int = INPUT,
    hidden_size: int = HIDDEN,
    num_layers: int = 1,
    bidirectional: bool = False,
    bias: bool = True,
    dtype: torch.dtype = torch.float64,
) -> Recurrent:
    """A layer of the cell with fixed weights."""
    return Recurrent(
        cell, input_size, hidden_size, num_layers, bidirectional=bidirectional, bias=bias, seed=0, dtype=dtype
    )


def draw(*shape: int, seed: int = 1) -> Tensor:
    """Standard normal numbers in float64, by the seed alone."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def draw_like(tensor: Tensor, seed: int) -> Tensor:
    """Numbers of the shape and dtype of a tensor."""
    return draw(*tensor.shape, seed=seed).to(tensor.dtype)


def draw_state(layer: Recurrent, batch: int) -> State:
    """A state within (-1, 1), where every bounded cell's state lies."""
    zeros = layer.initial_state(batch)
    return zeros._make(draw_like(part, seed=10 + index).tanh() for index, part in enumerate(zeros))


def run_with_gradients(layer: Recurrent, x: Tensor, state: State, lengths: Any = None) -> dict[str, Tensor]:
    """Outputs, final states, and the gradients of a random weighted sum of them, by name."""
    x = x.detach().clone().requires_grad_()
    state = state._make(part.detach().clone().requires_grad_() for part in state)
    layer.zero_grad()
    y, last = layer(x, state, lengths=lengths)
    results = {"y": y, **{f"final {name}": part for name, part in last._asdict().items()}}
    loss = sum((draw_like(result, seed=20 + i) * result).sum() for i, result in enumerate(results.values()))
    # A cell need not use every input: what it ignores has gradient 0.
    leaves = {"x": x, **{f"initial {name}": part for name, part in state._asdict().items()}}
    leaves |= dict(layer.named_parameters())
    gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
    results |= {f"gradient of {name}": gradient for name, gradient in zip(leaves, gradients, strict=True)}
    return {name: result.detach() for name, result in results.items()}
