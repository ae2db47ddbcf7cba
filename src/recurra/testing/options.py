"""The options under which cells are checked, each by a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recurra.cells import Cell
from recurra.errors import ArgumentError
from recurra.testing.comparing import assert_that
from recurra.testing.sampling import Subject

__all__ = ["OPTIONS", "fits"]

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "no bias": {"bias": False},
    "input dropout": {"input_dropout": 0.4},
    "recurrent dropout": {"recurrent_dropout": 0.4},
    "weight dropout": {"weight_dropout": 0.4},
    "zoneout": {"zoneout": 0.3},
    "layer norm": {"layer_norm": True},
    "weight norm": {"weight_norm": True},
    "residual": {"residual": True},
    "learned initial state": {"learn_initial_state": True},
    "forget bias": {"forget_bias": 1.0},
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
        "residual": True,
        "learn_initial_state": True,
        "dilation": 3,
        "checkpoint": 1,
    },
}


def fits(cell: Cell, name: str) -> bool:
    """Whether the option means something for the cell; if not, it was refused by its name and the cell's.

    Raises AssertionError if it was refused in other words.
    """
    try:
        Subject(cell, OPTIONS[name]).layer()
    except ArgumentError as error:
        said = any(option in str(error) for option in OPTIONS[name]) and repr(cell.name) in str(error)
        assert_that(said, f"option {name!r} is refused for cell {cell.name!r} without naming both: {error}")
        return False
    return True
