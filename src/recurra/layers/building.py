"""From a layer's arguments to its stack of recurrences, with everything checked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from recurra.errors import ArgumentError
from recurra.layers.arguments import (
    check_connectivity,
    check_count,
    check_flag,
    check_probability,
    check_seed,
    one_per_layer,
    one_per_state,
)
from recurra.layers.initialising import check_initializer
from recurra.layers.options import refuse_misfits, tell_of_idle
from recurra.layers.parameters import Recurrence
from recurra.layers.stack import Stack

if TYPE_CHECKING:
    from recurra.layers.module import RecurrentModule

__all__ = ["make_stack", "read_segment"]

_FLAGS = (
    "bias",
    "batch_first",
    "bidirectional",
    "layer_norm",
    "weight_norm",
    "residual",
    "learn_initial_state",
)
_PROBABILITIES = ("dropout", "input_dropout", "recurrent_dropout", "weight_dropout")
_MAY_NOT_FIT = (
    "recurrent_dropout",
    "weight_dropout",
    "zoneout",
    "layer_norm",
    "weight_norm",
    "residual",
    "learn_initial_state",
    "forget_bias",
    "proj_size",
    "bias",
)


def make_stack(layer: RecurrentModule, kernel: tuple[int, ...]) -> Stack:
    """The recurrences of a layer whose arguments are stored on it.

    kernel: of convolutions; () for products.
    Raises ArgumentError for an invalid argument, or one that means nothing for the cell; a Notice tells of idle ones.
    """
    cell, num_layers = layer.cell, layer.num_layers
    check_count("input_size", layer.input_size)
    check_count("num_layers", num_layers)
    for name in _FLAGS:
        check_flag(name, getattr(layer, name))
    for name in _PROBABILITIES:
        check_probability(name, getattr(layer, name))
    check_seed(layer.seed)
    check_initializer(layer.initializer)
    connectivity = check_connectivity(layer.connectivity)
    if connectivity < 1 and kernel:
        raise ArgumentError("connectivity does not fit a convolutional layer; leave it out")
    zoneout = one_per_state("zoneout", layer.zoneout, cell.states)
    hidden_sizes = one_per_layer("hidden_size", layer.hidden_size, num_layers)
    dilations = one_per_layer("dilation", layer.dilation, num_layers)
    read_segment(layer.checkpoint)
    _check_forget_bias(layer.forget_bias)
    if layer.proj_size:
        check_count("proj_size", layer.proj_size)
        if kernel:
            raise ArgumentError("proj_size does not fit a convolutional layer; leave it out")
    output_sizes = [layer.proj_size or hidden for hidden in hidden_sizes]
    asked = {name: getattr(layer, name) for name in _MAY_NOT_FIT}
    asked["connectivity"] = connectivity if connectivity < 1 else None
    asked["zoneout"] = any(zoneout[1:]) and layer.zoneout  # the output alone may always be kept
    refuse_misfits(cell, asked, hidden_sizes=hidden_sizes, output_sizes=output_sizes)
    tell_of_idle({name: getattr(layer, name) for name in ("dropout", "residual")}, num_layers)
    directions = layer.num_directions
    recurrences = tuple(
        Recurrence(
            cell=cell,
            layer=index,
            direction=direction,
            features=layer.input_size if index == 0 else output_sizes[index - 1] * directions,
            hidden_size=hidden_sizes[index],
            output_size=output_sizes[index],
            bias=layer.bias,
            kernel=kernel,
            layer_norm=layer.layer_norm,
            weight_norm=layer.weight_norm,
            connected=max(1, round(connectivity * output_sizes[index])) if connectivity < 1 else 0,
            learn_initial_state=layer.learn_initial_state,
        )
        for index in range(num_layers)
        for direction in range(directions)
    )
    return Stack(cell, recurrences, directions, dilations)


def read_segment(checkpoint: bool | int) -> int | None:
    """Steps of a segment; None: the root of the sequence's; 0: no segments.

    Raises ArgumentError for anything but True, False or a count.
    """
    if isinstance(checkpoint, bool):
        return None if checkpoint else 0
    if not isinstance(checkpoint, int) or checkpoint < 1:
        raise ArgumentError(f"checkpoint is {checkpoint!r}; expected True, False, or the steps of a segment, as 100")
    return checkpoint


def _check_forget_bias(value: object) -> None:
    if value is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ArgumentError(f"forget_bias is {value!r}; expected a number, as in forget_bias=1.0")
