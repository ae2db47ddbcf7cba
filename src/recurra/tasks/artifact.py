"""What all saved tasks share: parameters as plain data, and cells that come back by their name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from recurra.cells import Cell, get_cell
from recurra.errors import ArgumentError, ArtifactError, RecurraError
from recurra.training.run import RunFolder

__all__ = ["check_cell", "is_built_in", "model_folder", "plain", "plain_parameters"]


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
        raise ArgumentError(f"{where} was trained with a cell of yours, {name!r}; pass cell=YourCell to load")


def model_folder(path: Path, task: str) -> Path:
    """The folder of a saved model: `path`, or the one within it where `path` is a run of this task.

    Raises `ArtifactError` for a run of another task, and for one that has not come to its model.
    """
    if (path / "manifest.json").exists() or not (path / "config.json").is_file():
        return path
    config = RunFolder(path).config
    if "task" not in config or "built_in_cell" in config:  # of a saved model that lacks its manifest
        return path
    if config["task"] != task:
        raise ArtifactError(f"{path} is a {config['task']} run, not a {task} run; load it with the class of its task")
    model = path / "model"
    if model.exists() or (path / ".model.previous").exists():  # the second where a replacement was cut off
        return model
    if (path / "summary.json").is_file():
        raise ArtifactError(f"{path} is a run whose model is missing; put {model} back, or begin the run again")
    raise ArtifactError(f"{path} is a run without a model yet; `recurra resume {path}` goes on with it")


def plain(value: Any) -> Any:
    """Numbers and lists of NumPy as Python's own, and settings as their fields."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if hasattr(value, "model_dump"):
        return value.model_dump()
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value
