"""Closed-form continuous-time network."""

from __future__ import annotations

from typing import Any

from recurra.cells._cell import Cell
from recurra.cells._functions import sigmoid, tanh
from recurra.cells._state import State

__all__ = ["CfC"]


class CfC(Cell):
    """Closed-form continuous-time network (Hasani et al. 2022): time passes between steps, as much as the data say.

        z = 1.7159 tanh(2/3 (W x_t + U h_(t-1)))      what all heads see
        g, k = tanh(V_g z), tanh(V_k z)               where it comes from, and where it goes
        w = sigmoid(V_a z * gap + V_b z)              how far it gets in the time since the step before
        h_t = (1 - w) * g + w * k

    Biases belong to the projections and are not written. gap: the time that passed since the step before, in any unit
    that keeps it near 1; 1 where the layer is given none. weight_hh holds U, V_g, V_k, V_a and V_b.

    >>> CfC().recurrent_gates
    ('z', 'g', 'k', 'a', 'b')
    """

    gates = ("z",)
    states = ("h",)
    recurrent = ("z", "g", "k", "a", "b")
    second = ("g", "k", "a", "b")
    reads_gaps = True

    def step(self, x: Any, u: Any, s: Any) -> State:
        z = 1.7159 * tanh((x.z + u.z) * (2 / 3))
        g, k = tanh(u.g(z)), tanh(u.k(z))
        w = sigmoid(u.a(z) * x.gap + u.b(z))
        return State(h=(1 - w) * g + w * k)
