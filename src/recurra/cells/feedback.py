"""The recurrent neuron in its plainest form."""

from __future__ import annotations

from typing import Any

from recurra.cells._cell import Cell
from recurra.cells._functions import activation_named
from recurra.cells._state import State

__all__ = ["Feedback"]


class Feedback(Cell):
    """Neuron whose output is fed back to its input (Rumelhart, Hinton & Williams 1986).

        y_t = f(W_x x_t + W_y y_(t-1) + b)            f: tanh, relu, sigmoid or linear

    W_x is weight_ih, W_y is weight_hh, b the sum of the two biases. These are Elman's equations where nothing but the
    output is hidden: the same numbers, under the names of the textbooks that begin with a single neuron.

    activation: the name of f.
    Raises ArgumentError for another name.

    >>> Feedback("relu").states
    ('y',)
    """

    gates = ("y",)
    states = ("y",)

    def __init__(self, activation: str = "tanh") -> None:
        activation_named(activation)
        self.activation = activation

    def step(self, x: Any, u: Any, s: Any) -> State:
        f = activation_named(self.activation)
        return State(y=f(x.y + u.y))
