"""Layers and inputs to check cells with, the same on every run."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.cells import Cell, State
from recurra.engines import engine
from recurra.errors import ArgumentError, Notice
from recurra.layers import Recurrent

__all__ = ["HIDDEN", "INPUT", "Subject", "draw", "draw_like", "draw_state", "run_with_gradients"]

INPUT, HIDDEN = 2, 7  # odd and unequal: an axis taken for another must fail


class Subject(NamedTuple):
    """What is checked: a cell, under options of the layer."""

    cell: Cell
    options: Mapping[str, Any] = {}

    def layer(self, input_size: int = INPUT, hidden_size: int = HIDDEN, **arguments: Any) -> Recurrent:
        """A layer of the cell with fixed weights, in evaluation mode: float64 if nothing else is asked for."""
        arguments = {"seed": 0, "dtype": torch.float64, **self.options, **arguments}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Notice)  # residual with one layer does nothing, here on purpose
            return Recurrent(self.cell, input_size, hidden_size, **arguments).eval()

    def engines(self, *, training: bool = False) -> list[str]:
        """The names of those that can run it, in training mode or in evaluation."""
        layer, found = self.layer().train(training), []
        for name in ("compiled", "torch", "scan", "reference"):
            with engine(name):
                try:
                    layer.explain()
                except ArgumentError:
                    continue
                found.append(name)
        return found


def draw(*shape: int, seed: int = 1) -> Tensor:
    """Standard normal numbers in float64, by the seed alone."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def draw_like(tensor: Tensor, seed: int) -> Tensor:
    """Numbers of the shape and dtype of a tensor."""
    return draw(*tensor.shape, seed=seed).to(tensor.dtype)


def draw_state(layer: Recurrent, batch: int) -> State:
    """A state that the layer can be in: the one after some random steps."""
    weight = next(iter(layer.parameters()))
    with torch.no_grad():
        _, state = layer(draw(3, batch, layer.input_size, seed=10).to(weight))
    return state  # type: ignore[no-any-return]


def run_with_gradients(layer: Recurrent, x: Tensor, state: State, lengths: Any = None) -> dict[str, Tensor]:
    """Outputs, final states, and the gradients of a random weighted sum of them, by name.

    Random state of its own: a layer in training mode drops the same in every run.
    """
    x = x.detach().clone().requires_grad_()
    state = state._make(part.detach().clone().requires_grad_() for part in state)
    layer.zero_grad()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        y, last = layer(x, state, lengths=lengths)
    results = {"y": y, **{f"final {name}": part for name, part in last._asdict().items()}}
    loss = sum((draw_like(result, seed=20 + i) * result).sum() for i, result in enumerate(results.values()))
    # A cell need not use every input: what it ignores has gradient 0.
    leaves = {"x": x, **{f"initial {name}": part for name, part in state._asdict().items()}}
    leaves |= dict(layer.named_parameters())
    gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
    results |= {f"gradient of {name}": gradient for name, gradient in zip(leaves, gradients, strict=True)}
    return {name: result.detach() for name, result in results.items()}
