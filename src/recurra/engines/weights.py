"""The parameters of one recurrence: one layer, one direction."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

__all__ = ["Weights"]


class Weights(NamedTuple):
    """Dense projections of a cell, gate by gate in the order of `cell.gates`; torch's layout.

    input: (gates * hidden, feature)      recurrent: (gates * hidden, hidden)
    input_bias, recurrent_bias: (gates * hidden,) each, or None both.
    """

    input: Tensor
    recurrent: Tensor
    input_bias: Tensor | None = None
    recurrent_bias: Tensor | None = None
