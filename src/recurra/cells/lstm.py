"""Long short-term memory."""

from __future__ import annotations

from typing import Any

from recurra.cells._cell import Cell
from recurra.cells._functions import sigmoid, tanh
from recurra.cells._state import State

__all__ = ["LSTM"]


class LSTM(Cell):
    """Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000).

        i = sigmoid(W_i x_t + U_i h_(t-1))            how much of the candidate is written
        f = sigmoid(W_f x_t + U_f h_(t-1))            how much of the memory is kept
        g = tanh(W_g x_t + U_g h_(t-1))               the candidate
        o = sigmoid(W_o x_t + U_o h_(t-1))            how much of the memory is shown
        c_t = f * c_(t-1) + i * g
        h_t = o * tanh(c_t)

    Biases belong to the projections and are not written. Compatible with torch.nn.LSTM weights.

    >>> LSTM().gates
    ('i', 'f', 'g', 'o')
    """

    gates = ("i", "f", "g", "o")
    states = ("h", "c")
    forget_gate = "f"

    def step(self, x: Any, u: Any, s: Any) -> State:
        i, f, o = sigmoid(x.i + u.i), sigmoid(x.f + u.f), sigmoid(x.o + u.o)
        g = tanh(x.g + u.g)
        c = f * s.c + i * g
        return State(h=o * tanh(c), c=c)
