"""Minimal LSTM, linear in its state."""

from __future__ import annotations

from typing import Any

from recurra.cells._cell import Cell
from recurra.cells._functions import log_sigmoid, sigmoid
from recurra.cells._state import State

__all__ = ["MinLSTM"]


class MinLSTM(Cell):
    """LSTM without recurrent weights (Feng et al. 2024, Were RNNs all we needed?), in its length-independent form.

        f = sigmoid(W_f x_t)
        i = sigmoid(W_i x_t)
        n = W_n x_t
        h_t = (f * h_(t-1) + i * n) / (f + i)

    Biases belong to the projections and are not written.

    >>> MinLSTM().gates
    ('f', 'i', 'n')
    """

    gates = ("f", "i", "n")
    states = ("h",)
    recurrent = ()
    forget_gate = "f"

    def step(self, x: Any, u: Any, s: Any) -> State:
        kept = sigmoid(log_sigmoid(x.f) - log_sigmoid(x.i))  # f / (f + i), where both are next to nothing too
        return State(h=kept * s.h + (1 - kept) * x.n)
