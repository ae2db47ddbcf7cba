"""The run folder: what a training leaves on disk, and the lock that keeps a second writer out.

runs/sales/
  config.json            what was asked, of which data, on which machine
  metrics.jsonl          one JSON line a training step: stage, step, loss, learning rate, gradient norm
  checkpoints/STAGE/     the last two generations of each training stage, each a stored folder
  lock                   held while a process writes here
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from recurra.atomic import write_file, writing
from recurra.errors import ArtifactError, Notice, RunError
from recurra.training.store import (
    pack_json,
    pack_tensors,
    read_folder,
    unpack_json,
    unpack_tensors,
    write_folder,
)

__all__ = ["Checkpoint", "RunFolder", "Stage"]

_GENERATIONS = 2
_MEMBERS = ("model.safetensors", "state.json")


class Checkpoint(NamedTuple):
    """A training's state after `state["step"]` steps."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]


class RunFolder:
    """A run folder opened for reading; `writing()` takes its lock."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @classmethod
    def create(cls, path: str | os.PathLike[str], config: Mapping[str, Any], *, force: bool = False) -> RunFolder:
        """A new run folder holding `config`.

        Raises:
            RunError: something is at `path` already and `force` is not given, or it is no run folder.
        """
        run = cls(path)
        run.refuse_existing(force=force)
        with writing(run.path):
            if run.path.exists():
                with run.locked():
                    shutil.rmtree(run.path)
            run.path.mkdir(parents=True)
            write_file(run.path / "config.json", pack_json(dict(config)))
        return run

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunFolder:
        """The run folder at `path`.

        Raises:
            RunError: there is none.
        """
        run = cls(path)
        if not (run.path / "config.json").is_file():
            raise RunError(f"{path} is no run folder (no config.json); `recurra fit ... --out {path}` makes one")
        return run

    def refuse_existing(self, *, force: bool) -> None:
        """Raise `RunError` if a run may not be created here."""
        if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
            return
        if not force:
            raise RunError(f"{self.path} exists already; pass --force to replace it, or another --out")
        if not (self.path / "config.json").is_file():
            raise RunError(f"{self.path} exists and is no run folder; --force replaces run folders only")

    @property
    def config(self) -> dict[str, Any]:
        """What the run was asked to do."""
        value = unpack_json((self.path / "config.json").read_bytes(), name=str(self.path / "config.json"))
        if not isinstance(value, dict):
            raise ArtifactError(f"{self.path / 'config.json'} is no run configuration")
        return value

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the folder's only writer. The lock is the operating system's, so a dead process leaves none behind.

        Raises:
            RunError: another process holds it.
        """
        with writing(self.path):
            lock = (self.path / "lock").open("a+")
        with lock as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                raise RunError(f"{self.path} is being written by process {holder}; wait for it or stop it") from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            self._sweep()
            yield

    def _sweep(self) -> None:
        """Remove what a killed writer left half written."""
        for path in sorted(self.path.rglob(".*.*")):
            if path.name.endswith(".previous"):
                continue  # the old folder of a replacement that was cut off: it may be the only whole one
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def stage(self, name: str) -> Stage:
        """The part of the run called `name`, with its own checkpoints."""
        return Stage(self.path, name)

    def metrics(self) -> list[dict[str, Any]]:
        """Every recorded line, oldest first; a last line cut off by a kill is left out."""
        return [line for _, line in _lines(self.path / "metrics.jsonl")]


class Stage:
    """One training within a run: its checkpoints and its lines of metrics."""

    def __init__(self, run: Path, name: str) -> None:
        self.name = name
        self.folder = run / "checkpoints" / name
        self._metrics = run / "metrics.jsonl"

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a generation, then drop all but the last two."""
        path = self.folder / f"step-{checkpoint.state['step']:08d}"
        members = {
            "model.safetensors": pack_tensors(checkpoint.tensors),
            "state.json": pack_json(checkpoint.state),
        }
        with writing(path, kept=f"{self._kept()}; free space, then `recurra resume {self.folder.parents[1]}`"):
            write_folder(path, members, kind="checkpoint", overwrite=True)
        for old in self._generations()[:-_GENERATIONS]:
            shutil.rmtree(old, ignore_errors=True)

    def latest(self) -> Checkpoint | None:
        """The newest generation that verifies; a damaged one is passed over with a notice."""
        for path in reversed(self._generations()):
            try:
                members = read_folder(path, _MEMBERS, kind="checkpoint")
                return Checkpoint(
                    unpack_tensors(members["model.safetensors"]), unpack_json(members["state.json"], name="state.json")
                )
            except ArtifactError as error:
                warnings.warn(f"checkpoint {path.name} is passed over: {error}", Notice, stacklevel=2)
        return None

    def log(self, record: Mapping[str, Any]) -> None:
        """Append one line to `metrics.jsonl`."""
        with writing(self._metrics, kept=self._kept()), self._metrics.open("a") as file:
            file.write(json.dumps({"stage": self.name, **record}) + "\n")

    def rewind(self, step: int) -> None:
        """Drop this stage's lines after `step`: they will be written again."""
        if not self._metrics.exists():
            return
        kept = [text for text, line in _lines(self._metrics) if line["stage"] != self.name or line["step"] <= step]
        write_file(self._metrics, "".join(kept).encode())

    def _generations(self) -> list[Path]:
        return sorted(self.folder.glob("step-[0-9]*")) if self.folder.is_dir() else []

    def _kept(self) -> str:
        generations = self._generations()
        return f"checkpoint {generations[-1].name} is whole" if generations else "what was saved before is whole"


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if not path.exists():
        return
    with path.open() as file:
        for text in file:
            try:
                line = json.loads(text)
            except json.JSONDecodeError:
                return
            if text.endswith("\n"):
                yield text, line
