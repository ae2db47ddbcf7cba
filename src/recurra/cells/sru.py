"""Simple recurrent unit."""

from __future__ import annotations

from typing import Any, ClassVar

from recurra.cells._cell import Cell
from recurra.cells._functions import sigmoid
from recurra.cells._state import State

__all__ = ["SRU"]


class SRU(Cell):
    """Simple recurrent unit (Lei et al. 2018): light recurrence, and a highway past it.

        f = sigmoid(W_f x_t + v_f * c_(t-1))
        r = sigmoid(W_r x_t + v_r * c_(t-1))
        c_t = f * c_(t-1) + (1 - f) * W_n x_t
        h_t = r * c_t + (1 - r) * W_k x_t

    Biases belong to the projections and are not written. The highway carries W_k x_t, as the authors' code does where
    input and output differ in size, so that any sizes do. h is an output and no memory.

    >>> SRU().gates
    ('n', 'f', 'r', 'k')
    """

    gates = ("n", "f", "r", "k")
    states = ("h", "c")
    recurrent = ()
    vectors: ClassVar = {"v_f": None, "v_r": None}
    forget_gate = "f"

    def step(self, x: Any, u: Any, s: Any, p: Any) -> State:
        f, r = sigmoid(x.f + p.v_f * s.c), sigmoid(x.r + p.v_r * s.c)
        c = f * s.c + (1 - f) * x.n
        return State(h=r * c + (1 - r) * x.k, c=c)
