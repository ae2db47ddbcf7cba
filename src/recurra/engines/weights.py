"""The parameters of one recurrence: one layer, one direction."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

__all__ = ["Weights"]


class Weights(NamedTuple):
    """What a cell's projections are made of, gate by gate in the order of the cell; torch's layout.

    input: (gates * hidden, feature), or with a convolution (gates * hidden, feature, *kernel)
    recurrent: (recurrent gates * hidden, output), likewise; None for a cell without any
    input_bias: (gates * hidden,); recurrent_bias: (recurrent gates * hidden,); None without biases
    projection: (output, hidden), by which the output is made smaller; None: output is hidden
    vectors: the cell's, (hidden,) each
    input_gain, recurrent_gain: of layer normalisation, as the biases; None without it
    connections: (recurrent gates * hidden, connected), which outputs each row of `recurrent` reads: the others' weights
        are 0, which an engine may make use of; None: all
    """

    input: Tensor
    recurrent: Tensor | None = None
    input_bias: Tensor | None = None
    recurrent_bias: Tensor | None = None
    projection: Tensor | None = None
    vectors: tuple[Tensor, ...] = ()
    input_gain: Tensor | None = None
    recurrent_gain: Tensor | None = None
    connections: Tensor | None = None
