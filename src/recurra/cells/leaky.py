"""The leaky unit of reservoirs."""

from __future__ import annotations

from typing import Any

from recurra.cells._cell import Cell
from recurra.cells._functions import activation_named
from recurra.cells._state import State
from recurra.errors import ArgumentError

__all__ = ["Leaky"]


class Leaky(Cell):
    """Leaky-integrator unit, the node of echo state networks (Jaeger et al. 2007): moves a part of the way each step.

        h_t = (1 - leak) * h_(t-1) + leak * g(W x_t + U h_(t-1))      g: tanh, relu, sigmoid or linear

    Biases belong to the projections and are not written.

    leak: the part, above 0, at most 1; with 1 it is `elman`. A slow signal wants a small one.
    activation: the name of g.
    Raises ArgumentError for a leak out of range or another name.

    >>> Leaky(0.5).name
    'leaky-0.5'
    """

    gates = ("h",)
    states = ("h",)

    def __init__(self, leak: float | str = 0.3, activation: str = "tanh") -> None:
        try:
            self.leak = float(leak)  # a name's option is a word: "leaky-0.5"
        except (TypeError, ValueError):
            self.leak = float("nan")
        if not 0 < self.leak <= 1:
            raise ArgumentError(f"leak is {leak!r}; expected a number above 0 and at most 1, as in 'leaky-0.5'")
        activation_named(activation)
        self.activation = activation

    def step(self, x: Any, u: Any, s: Any) -> State:
        g = activation_named(self.activation)
        return State(h=(1 - self.leak) * s.h + self.leak * g(x.h + u.h))
