"""Elman's simple recurrent network."""

from __future__ import annotations

from typing import Any

from recurra.cells._cell import Cell
from recurra.cells._functions import relu, sigmoid, tanh
from recurra.cells._state import State
from recurra.errors import ArgumentError, nearest

__all__ = ["Elman"]

_ACTIVATIONS = {"tanh": tanh, "relu": relu, "sigmoid": sigmoid}


class Elman(Cell):
    """Simple recurrent network (Elman 1990, Finding structure in time): the output is the only memory.

        h_t = g(W x_t + U h_(t-1))                    g: tanh, relu or sigmoid

    Biases belong to the projections and are not written. With tanh and relu compatible with torch.nn.RNN weights.

    activation: the name of g.
    Raises ArgumentError for another name.

    >>> Elman("relu").name
    'elman-relu'
    """

    gates = ("h",)
    states = ("h",)

    def __init__(self, activation: str = "tanh") -> None:
        if activation not in _ACTIVATIONS:
            raise ArgumentError(f"activation {activation!r} is unknown; {nearest(str(activation), _ACTIVATIONS)}")
        self.activation = activation

    def step(self, x: Any, u: Any, s: Any) -> State:
        g = _ACTIVATIONS[self.activation]
        return State(h=g(x.h + u.h))
