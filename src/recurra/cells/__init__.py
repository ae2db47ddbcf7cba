"""Recurrences, one file each: this folder is their registry.

To add one, put `name.py` here with `class Name(Cell)` in it; `recurra.testing` checks it from then on.
Modules whose names begin with an underscore hold the contract and are no cells.
"""

from recurra.cells._cell import Cell
from recurra.cells._functions import (
    cos,
    exp,
    expm1,
    is_zero,
    log,
    log_sigmoid,
    maximum,
    relu,
    sigmoid,
    sin,
    sqrt,
    tanh,
    where,
)
from recurra.cells._registry import get_cell, list_cells
from recurra.cells._state import State

__all__ = [
    "Cell",
    "State",
    "cos",
    "exp",
    "expm1",
    "get_cell",
    "is_zero",
    "list_cells",
    "log",
    "log_sigmoid",
    "maximum",
    "relu",
    "sigmoid",
    "sin",
    "sqrt",
    "tanh",
    "where",
]
