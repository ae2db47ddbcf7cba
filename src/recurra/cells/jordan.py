"""Jordan's network."""

from __future__ import annotations

from typing import Any

from recurra.cells._cell import Cell
from recurra.cells._functions import activation_named, tanh
from recurra.cells._state import State

__all__ = ["Jordan"]


class Jordan(Cell):
    """Network whose output feeds back (Jordan 1986, Serial order): its plan is what it did last, not what it thought.

        h_t = tanh(W x_t + U y_(t-1))
        y_t = g(V h_t)                                g: sigmoid, tanh, relu or linear

    Biases belong to the projections and are not written: b to the first line, c to the second. hidden_size is the size
    of both h and y. weight_hh holds U and V, one above the other; y is the state, h is no memory. Jordan's
    own state units also held on to a part of what they were; without it the network is what textbooks give his name.

    activation: the name of g.
    Raises ArgumentError for another name.

    >>> Jordan().recurrent_gates
    ('h', 'y')
    """

    gates = ("h",)
    states = ("y",)
    recurrent = ("h", "y")
    second = ("y",)

    def __init__(self, activation: str = "sigmoid") -> None:
        activation_named(activation)
        self.activation = activation

    def step(self, x: Any, u: Any, s: Any) -> State:
        g = activation_named(self.activation)
        h = tanh(x.h + u.h)
        return State(y=g(u.y(h)))
