"""Long short-term memory with peepholes."""

from __future__ import annotations

from typing import Any, ClassVar

from recurra.cells._cell import Cell
from recurra.cells._functions import sigmoid, tanh
from recurra.cells._state import State

__all__ = ["PeepholeLSTM"]


class PeepholeLSTM(Cell):
    """LSTM whose gates see the memory (Gers & Schmidhuber 2000, Recurrent nets that time and count).

        i = sigmoid(W_i x_t + U_i h_(t-1) + p_i * c_(t-1))
        f = sigmoid(W_f x_t + U_f h_(t-1) + p_f * c_(t-1))
        g = tanh(W_g x_t + U_g h_(t-1))
        c_t = f * c_(t-1) + i * g
        o = sigmoid(W_o x_t + U_o h_(t-1) + p_o * c_t)
        h_t = o * tanh(c_t)

    Biases belong to the projections and are not written. The equations are those of ONNX's LSTM with input P.

    >>> list(PeepholeLSTM().vectors)
    ['p_i', 'p_f', 'p_o']
    """

    gates = ("i", "f", "g", "o")
    states = ("h", "c")
    vectors: ClassVar = {"p_i": None, "p_f": None, "p_o": None}
    forget_gate = "f"

    def step(self, x: Any, u: Any, s: Any, p: Any) -> State:
        i = sigmoid(x.i + u.i + p.p_i * s.c)
        f = sigmoid(x.f + u.f + p.p_f * s.c)
        c = f * s.c + i * tanh(x.g + u.g)
        o = sigmoid(x.o + u.o + p.p_o * c)
        return State(h=o * tanh(c), c=c)
