"""The pooling of quasi-recurrent neural networks."""

from __future__ import annotations

from typing import Any

from recurra.cells._cell import Cell
from recurra.cells._functions import sigmoid, tanh
from recurra.cells._state import State

__all__ = ["QRNN"]


class QRNN(Cell):
    """Quasi-recurrent network's fo-pooling (Bradbury et al. 2017): convolutions see, pooling remembers.

        z = tanh(W_z x_t)
        f = sigmoid(W_f x_t)
        o = sigmoid(W_o x_t)
        c_t = f * c_(t-1) + (1 - f) * z
        h_t = o * c_t

    Biases belong to the projections and are not written. For the paper's filters of width k, let x_t hold the last k
    inputs side by side. h is an output and no memory.

    >>> QRNN().gates
    ('z', 'f', 'o')
    """

    gates = ("z", "f", "o")
    states = ("h", "c")
    recurrent = ()
    forget_gate = "f"

    def step(self, x: Any, u: Any, s: Any) -> State:
        f = sigmoid(x.f)
        c = f * s.c + (1 - f) * tanh(x.z)
        return State(h=sigmoid(x.o) * c, c=c)
