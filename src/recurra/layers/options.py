"""The options of a recurrent layer that may not fit its cell, each refused by name where it does not."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypedDict

import torch
from torch import Tensor

from recurra.cells import Cell
from recurra.errors import ArgumentError, Notice

__all__ = ["Initializer", "LayerOptions", "RecurrentOptions", "refuse_misfits", "tell_of_idle"]

Initializer = str | Callable[[str, str, Tensor], None]


class RecurrentOptions(TypedDict, total=False):
    """What `Recurrent` takes beyond torch.nn's arguments, for the classes that pass it on; documented there."""

    input_dropout: float
    recurrent_dropout: float
    weight_dropout: float
    zoneout: float | Mapping[str, float]
    layer_norm: bool
    weight_norm: bool
    connectivity: float
    residual: bool
    learn_initial_state: bool
    forget_bias: float | None
    initializer: Initializer
    dilation: int | Sequence[int]
    checkpoint: bool | int
    seed: int | None


class LayerOptions(RecurrentOptions, total=False):
    """The same, and torch.nn's own keywords."""

    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    device: torch.device | str | None
    dtype: torch.dtype | None


def refuse_misfits(
    cell: Cell, asked: Mapping[str, Any], *, hidden_sizes: Sequence[int], output_sizes: Sequence[int]
) -> None:
    """Raise ArgumentError for the first option of `asked` that is set and means nothing for the cell.

    output_sizes: of each layer, over its directions.
    """
    for name, value in asked.items():
        if value and name in cell.refuses:
            _refuse(name, value, cell, cell.refuses[name])
    if asked["recurrent_dropout"] and not cell.feeds_back:
        _refuse("recurrent_dropout", asked["recurrent_dropout"], cell, "it has no recurrent product to thin out")
    if asked["weight_dropout"] and not cell.recurrent_gates:
        _refuse("weight_dropout", asked["weight_dropout"], cell, "it has no recurrent weights")
    if asked["connectivity"] and not cell.recurrent_gates:
        _refuse("connectivity", asked["connectivity"], cell, "it has no recurrent weights")
    if asked["forget_bias"] is not None:
        if cell.forget_gate is None:
            _refuse("forget_bias", asked["forget_bias"], cell, "it has no gate that keeps what is remembered")
        if not asked["bias"]:
            raise ArgumentError(f"forget_bias is {asked['forget_bias']!r} and bias is False; pass one of them")
    if asked["proj_size"]:
        _check_projection(cell, asked["proj_size"], hidden_sizes)
    if asked["layer_norm"] and min(hidden_sizes) == 1:
        raise ArgumentError("layer_norm with hidden_size 1 makes every gate its bias; use 2 units at least")
    if asked["residual"] and len(set(output_sizes)) > 1:
        raise ArgumentError(
            f"residual adds a layer's input to its output, which have {list(output_sizes)} features layer by layer; "
            f"give all layers one hidden_size"
        )


def tell_of_idle(asked: Mapping[str, Any], num_layers: int) -> None:
    """Give a Notice for options that act between layers where there is one layer."""
    for name in ("dropout", "residual"):
        if asked[name] and num_layers == 1:
            message = f"{name}={asked[name]} acts between layers, and num_layers is 1: it does nothing"
            warnings.warn(message, Notice, stacklevel=4)


def _refuse(name: str, value: object, cell: Cell, why: str) -> NoReturn:
    raise ArgumentError(f"{name}={value!r} does not fit cell {cell.name!r}: {why}; leave it out or take another cell")


def _check_projection(cell: Cell, size: int, hidden_sizes: Sequence[int]) -> None:
    if not cell.feeds_back or cell.second or _reads_output(cell):
        why = "its equations read the output unit by unit, which a projection would make shorter than the rest"
        if not cell.feeds_back:
            why = "it has no recurrent product that would read the smaller output"
        _refuse("proj_size", size, cell, why)
    if size >= min(hidden_sizes):
        raise ArgumentError(f"proj_size is {size}, hidden_size {min(hidden_sizes)}; it must be smaller")


def _reads_output(cell: Cell) -> bool:
    """Whether the equations use the output of the step before other than by recurrent projections: then an output of
    another size fits nothing."""
    unit, longer = torch.zeros(1, 2), torch.zeros(1, 3)
    terms = [
        cell.by_gate([unit] * (len(cell.gates) + cell.reads_gaps)),
        cell.by_recurrent_gate([unit] * len(cell.recurrent_gates)),
        cell.by_state([longer, *[unit] * (len(cell.states) - 1)]),
    ]
    if cell.vectors:
        terms.append(cell.by_vector([unit[0]] * len(cell.vectors)))
    try:
        after = cell.step(*terms)
    except RuntimeError:
        return True
    return any(part.shape != unit.shape for part in after)
