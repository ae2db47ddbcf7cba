"""Independently recurrent neural network."""

from __future__ import annotations

from typing import Any, ClassVar

from recurra.cells._cell import Cell
from recurra.cells._functions import activation_named
from recurra.cells._state import State

__all__ = ["IndRNN"]


class IndRNN(Cell):
    """Independently recurrent network (Li et al. 2018): each unit remembers itself alone.

        h_t = g(W x_t + u * h_(t-1))                  g: relu, tanh, sigmoid or linear

    Biases belong to the projection and are not written. u begins uniform in [0, 1), as the authors have it for relu:
    the gradient through n steps is u^n, unit by unit, so that the largest |u| says how far it reaches. With relu a unit
    of |u| > 1 grows without end; over T steps the authors keep |u| <= 2^(1/T): clamp u_l0 and the like after each
    update.

    activation: the name of g; with "linear" the recurrence is linear in its state.
    Raises ArgumentError for another name.

    >>> IndRNN("linear").name
    'indrnn-linear'
    """

    gates = ("h",)
    states = ("h",)
    recurrent = ()
    vectors: ClassVar = {"u": lambda uniform: uniform}

    def __init__(self, activation: str = "relu") -> None:
        activation_named(activation)
        self.activation = activation

    def step(self, x: Any, u: Any, s: Any, p: Any) -> State:
        g = activation_named(self.activation)
        return State(h=g(x.h + p.u * s.h))
