"""Gated recurrent unit, reset before the product."""

from __future__ import annotations

from typing import Any

from recurra.cells._cell import Cell
from recurra.cells._functions import sigmoid, tanh
from recurra.cells._state import State

__all__ = ["ResetBeforeGRU"]


class ResetBeforeGRU(Cell):
    """Gated recurrent unit whose reset comes before the recurrent product (Cho et al. 2014).

        r = sigmoid(W_r x_t + U_r h_(t-1))
        z = sigmoid(W_z x_t + U_z h_(t-1))
        n = tanh(W_n x_t + U_n (r * h_(t-1)))
        h_t = (1 - z) * n + z * h_(t-1)

    Biases belong to the projections and are not written. The equations of ONNX's GRU with linear_before_reset=0 and of
    Keras' with reset_after=False; a second product per step that waits for the first, which is why cuDNN, torch and our
    `gru` reset after it.

    >>> ResetBeforeGRU().second
    ('n',)
    """

    gates = ("r", "z", "n")
    states = ("h",)
    second = ("n",)
    forget_gate = "z"

    def step(self, x: Any, u: Any, s: Any) -> State:
        r, z = sigmoid(x.r + u.r), sigmoid(x.z + u.z)
        n = tanh(x.n + u.n(r * s.h))
        return State(h=(1 - z) * n + z * s.h)
