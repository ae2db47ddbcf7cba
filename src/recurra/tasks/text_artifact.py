"""A fitted text task as a stored folder: `config.json`, `model.safetensors` and its tokenizers, under a manifest.

Loading builds the objects from these and executes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from recurra.cells import Cell
from recurra.data.tokenizer import Tokenizer
from recurra.errors import ArtifactError
from recurra.tasks.artifact import check_cell, is_built_in, model_folder, plain_parameters
from recurra.training.store import pack_json, pack_tensors, read_folder, unpack_json, unpack_tensors, write_folder

__all__ = ["SavedTask", "load_text_task", "save_text_task"]


K = TypeVar("K")
N = TypeVar("N", bound=nn.Module)


def save_text_task(
    task: Any,
    fitted: Mapping[str, Any],
    networks: Mapping[str, nn.Module],
    tokenizers: Mapping[str, Tokenizer],
    path: Path,
    *,
    overwrite: bool,
) -> None:
    """Write the folder, whole or not at all.

    task: a `Parameters` with its task's name. fitted: what training found besides weights, as plain data.
    networks, tokenizers: by the names under which `load_text_task` finds them.
    """
    config = {
        "task": task.task,
        "parameters": plain_parameters(task.get_params()),
        "built_in_cell": is_built_in(task.cell),
        "fitted": dict(fitted),
    }
    tensors = {
        f"{name}.{part}": value for name, network in networks.items() for part, value in network.state_dict().items()
    }
    members = {
        "config.json": pack_json(config),
        "model.safetensors": pack_tensors(tensors),
        **{f"{name}.json": tokenizer.to_json().encode() for name, tokenizer in tokenizers.items()},
    }
    write_folder(path, members, kind=f"{task.task} model", overwrite=overwrite)


@dataclass(frozen=True)
class SavedTask(Generic[K]):
    """What a folder holds: the task with its parameters, not yet fitted, and what it was fitted to."""

    task: K
    fitted: dict[str, Any]
    tensors: dict[str, Tensor]
    tokenizers: dict[str, Tokenizer]

    def network(self, name: str, build: Callable[[], N]) -> N:
        """The network saved under this name; built without memory first: what the configuration claims is allocated
        only if the tensors have it."""
        with torch.device("meta"):
            network = build()
        prefix = f"{name}."
        state = {part.removeprefix(prefix): value for part, value in self.tensors.items() if part.startswith(prefix)}
        network.load_state_dict(state, assign=True)
        return network.eval()


@contextmanager
def load_text_task(
    kind: type[K], path: Path, *, cell: type[Cell] | Cell | None, tokenizers: Sequence[str]
) -> Iterator[SavedTask[K]]:
    """What the folder holds; within the block, what does not fit together is an ArtifactError.

    path: of the folder, or of a run that ended with it. kind: the task's class.
    cell: the recurrence, if it was not one of recurra's own.
    """
    task: str = kind.task  # type: ignore[attr-defined]
    path = model_folder(path, task)
    members = read_folder(
        path, ("config.json", "model.safetensors", *[f"{name}.json" for name in tokenizers]), kind=f"{task} model"
    )
    config = unpack_json(members["config.json"])
    try:
        check_cell(config, cell, path)
    except (KeyError, TypeError):
        raise ArtifactError(f"{path}: config.json describes no such model; save it again") from None
    try:
        parameters = {**config["parameters"], **({"cell": cell} if cell is not None else {})}
        yield SavedTask(
            kind(**parameters),
            config["fitted"],
            unpack_tensors(members["model.safetensors"]),
            {name: Tokenizer.from_json(members[f"{name}.json"].decode()) for name in tokenizers},
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, ArtifactError):
            raise
        detail = " ".join(str(error).split())[:200]
        raise ArtifactError(f"{path}: what was saved does not fit together ({detail}); save it again") from error
