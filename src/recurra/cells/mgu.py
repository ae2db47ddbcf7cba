"""Minimal gated unit."""

from __future__ import annotations

from typing import Any

from recurra.cells._cell import Cell
from recurra.cells._functions import sigmoid, tanh
from recurra.cells._state import State

__all__ = ["MGU"]


class MGU(Cell):
    """Minimal gated unit (Zhou et al. 2016): one gate resets and updates.

        f = sigmoid(W_f x_t + U_f h_(t-1))
        n = tanh(W_n x_t + U_n (f * h_(t-1)))
        h_t = (1 - f) * h_(t-1) + f * n

    Biases belong to the projections and are not written. The authors call f a forget gate; a large one overwrites, so
    that the layer's forget_bias does not take it for one.

    >>> MGU().gates
    ('f', 'n')
    """

    gates = ("f", "n")
    states = ("h",)
    second = ("n",)

    def step(self, x: Any, u: Any, s: Any) -> State:
        f = sigmoid(x.f + u.f)
        n = tanh(x.n + u.n(f * s.h))
        return State(h=(1 - f) * s.h + f * n)
