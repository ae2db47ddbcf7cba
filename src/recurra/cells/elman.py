"""Elman's simple recurrent network."""

from __future__ import annotations

from typing import Any

from recurra.cells._cell import Cell
from recurra.cells._functions import activation_named
from recurra.cells._state import State

__all__ = ["Elman"]


class Elman(Cell):
    """Simple recurrent network (Elman 1990, Finding structure in time): the output is the only memory.

        h_t = g(W x_t + U h_(t-1))                    g: tanh, relu, sigmoid or linear

    Biases belong to the projections and are not written. With tanh and relu compatible with torch.nn.RNN weights.

    activation: the name of g.
    Raises ArgumentError for another name.

    >>> Elman("relu").name
    'elman-relu'
    """

    gates = ("h",)
    states = ("h",)

    def __init__(self, activation: str = "tanh") -> None:
        activation_named(activation)
        self.activation = activation

    def step(self, x: Any, u: Any, s: Any) -> State:
        g = activation_named(self.activation)
        return State(h=g(x.h + u.h))
