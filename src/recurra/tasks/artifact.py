"""What all saved tasks share: parameters as plain data, and cells that come back by their name."""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.cells import Cell, get_cell
from recurra.errors import ArgumentError, RecurraError

__all__ = ["check_cell", "is_built_in", "plain", "plain_parameters"]


def plain_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    """A task's parameters as JSON holds them; the cell by its name."""
    return {name: plain(value) for name, value in {**parameters, "cell": get_cell(parameters["cell"]).name}.items()}


def is_built_in(cell: Any) -> bool:
    """Whether the cell's name alone finds it again."""
    try:
        return get_cell(get_cell(cell).name) == get_cell(cell)
    except RecurraError:
        return False


def check_cell(config: dict[str, Any], cell: type[Cell] | Cell | None, where: object) -> None:
    """Raise `ArgumentError` if a saved task was trained with a cell of the user's own, and none was brought.

    config: the saved one, with `built_in_cell` and `parameters`.
    """
    if not config["built_in_cell"] and cell is None:
        name = config["parameters"]["cell"]
        raise ArgumentError(f"{where} was trained with a cell of yours, {name!r}; pass cell=... to load")


def plain(value: Any) -> Any:
    """Numbers and lists of NumPy as Python's own, and settings as their fields."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if hasattr(value, "model_dump"):
        return value.model_dump()
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value
