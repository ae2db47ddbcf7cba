"""Gated recurrent unit."""

from __future__ import annotations

from typing import Any

from recurra.cells._cell import Cell
from recurra.cells._functions import sigmoid, tanh
from recurra.cells._state import State

__all__ = ["GRU"]


class GRU(Cell):
    """Gated recurrent unit (Cho et al. 2014), reset applied after the recurrent product as in cuDNN.

        r = sigmoid(W_r x_t + U_r h_(t-1))            how much of the past the candidate sees
        z = sigmoid(W_z x_t + U_z h_(t-1))            how much of the past is kept
        n = tanh(W_n x_t + r * U_n h_(t-1))           the candidate
        h_t = (1 - z) * n + z * h_(t-1)

    Biases belong to the projections and are not written. Compatible with torch.nn.GRU weights.

    >>> GRU().gates
    ('r', 'z', 'n')
    """

    gates = ("r", "z", "n")
    states = ("h",)
    forget_gate = "z"

    def step(self, x: Any, u: Any, s: Any) -> State:
        r, z = sigmoid(x.r + u.r), sigmoid(x.z + u.z)
        n = tanh(x.n + r * u.n)
        return State(h=(1 - z) * n + z * s.h)
