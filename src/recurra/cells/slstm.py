"""Scalar LSTM with exponential gates."""

from __future__ import annotations

from typing import Any, ClassVar

from recurra.cells._cell import Cell
from recurra.cells._functions import exp, is_zero, log_sigmoid, maximum, sigmoid, tanh, where
from recurra.cells._state import State

__all__ = ["SLSTM"]

_SHARED = "c, n and m hold two numbers at a scale of exp(m) that they share"


class SLSTM(Cell):
    """sLSTM, exponential gates kept finite by a running scale (Beck et al. 2024, xLSTM).

        i = exp(W_i x_t + U_i h_(t-1) - m_t)          relative to the scale
        f = exp(log sigmoid(W_f x_t + U_f h_(t-1)) + m_(t-1) - m_t)
        m_t = max(log sigmoid(W_f x_t + U_f h_(t-1)) + m_(t-1), W_i x_t + U_i h_(t-1))
        c_t = f * c_(t-1) + i * tanh(W_z x_t + U_z h_(t-1))
        n_t = f * n_(t-1) + i                         what c is divided by
        h_t = sigmoid(W_o x_t + U_o h_(t-1)) * c_t / n_t

    Biases belong to the projections and are not written. The result does not depend on m, which only keeps exp within
    range: an i of 1e30 is a matter of course. n is 0 in the zeros of the beginning alone, which have no weight at all:
    the first step's m is its own W_i x_t + U_i h_(t-1), however small.

    >>> SLSTM().states
    ('h', 'c', 'n', 'm')
    """

    gates = ("i", "f", "z", "o")
    states = ("h", "c", "n", "m")
    forget_gate = "f"
    refuses: ClassVar = {
        "zoneout": f"{_SHARED}; a unit kept in one and not in the others means nothing: zoneout={{'h': ...}}",
        "learn_initial_state": f"{_SHARED}, and n must stay above 0",
    }

    def step(self, x: Any, u: Any, s: Any) -> State:
        asked = x.i + u.i
        kept = where(is_zero(s.n), asked, log_sigmoid(x.f + u.f) + s.m)
        m = maximum(kept, asked)
        i, f = exp(asked - m), exp(kept - m)
        c = f * s.c + i * tanh(x.z + u.z)
        n = f * s.n + i
        return State(h=sigmoid(x.o + u.o) * c / n, c=c, n=n, m=m)
