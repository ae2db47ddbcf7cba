"""Minimal GRU, linear in its state."""

from __future__ import annotations

from typing import Any

from recurra.cells._cell import Cell
from recurra.cells._functions import sigmoid
from recurra.cells._state import State

__all__ = ["MinGRU"]


class MinGRU(Cell):
    """GRU without recurrent weights (Feng et al. 2024, Were RNNs all we needed?): a parallel scan can compute it.

        z = sigmoid(W_z x_t)
        n = W_n x_t
        h_t = (1 - z) * h_(t-1) + z * n

    Biases belong to the projections and are not written. Gate and candidate know the input alone; stacked layers give
    them the past. A large z overwrites, the other way round from `gru`.

    >>> MinGRU().recurrent_gates
    ()
    """

    gates = ("z", "n")
    states = ("h",)
    recurrent = ()

    def step(self, x: Any, u: Any, s: Any) -> State:
        z = sigmoid(x.z)
        return State(h=(1 - z) * s.h + z * x.n)
