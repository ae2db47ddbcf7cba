"""The options under which cells are checked, each by a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recurra.cells import Cell
from recurra.errors import ArgumentError
from recurra.testing.comparing import assert_that
from recurra.testing.sampling import Subject

__all__ = ["OPTIONS", "options_for"]

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "no bias": {"bias": False},
    "dropout": {"dropout": 0.4},
    "input dropout": {"input_dropout": 0.4},
    "recurrent dropout": {"recurrent_dropout": 0.4},
    "weight dropout": {"weight_dropout": 0.4},
    "zoneout": {"zoneout": 0.3},
    "layer norm": {"layer_norm": True},
    "weight norm": {"weight_norm": True},
    "connectivity": {"connectivity": 0.4},
    "residual": {"residual": True},
    "learned initial state": {"learn_initial_state": True},
    "forget bias": {"forget_bias": 1.0},
    "glorot": {"initializer": "glorot"},
    "orthogonal": {"initializer": "orthogonal"},
    "identity": {"initializer": "identity"},
    "projection": {"proj_size": 2},
    "dilation": {"dilation": 2},
    "checkpoint": {"checkpoint": 2},
    "many": {
        "input_dropout": 0.2,
        "recurrent_dropout": 0.3,
        "weight_dropout": 0.2,
        "zoneout": 0.2,
        "layer_norm": True,
        "weight_norm": True,
        "connectivity": 0.7,
        "residual": True,
        "learn_initial_state": True,
        "dilation": 3,
        "checkpoint": 1,
    },
}


def options_for(cell: Cell, name: str) -> dict[str, Any]:
    """Those of the named options that mean something for the cell; the others were refused by name, theirs and its.

    Raises AssertionError if one was refused in other words.
    """
    return {option: value for option, value in OPTIONS[name].items() if _fits(cell, option, value)}


def _fits(cell: Cell, option: str, value: Any) -> bool:
    try:
        Subject(cell, {option: value}).layer()
    except ArgumentError as error:
        said = option in str(error) and repr(cell.name) in str(error)
        assert_that(said, f"{option}={value!r} is refused for cell {cell.name!r} without naming both: {error}")
        return False
    return True
