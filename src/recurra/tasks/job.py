"""What `recurra fit` does in a run folder for any task: check first, then train and record, resumable at any point."""

from __future__ import annotations

import platform
import resource
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import torch

from recurra.atomic import write_file, writing
from recurra.bench.machine import processor
from recurra.errors import ArtifactError, Notice, RunError
from recurra.training.loop import StepRecord
from recurra.training.recorder import Recorder
from recurra.training.run import RunFolder
from recurra.training.store import pack_json
from recurra.version import __version__

__all__ = ["Job"]

OnStep = Callable[[str, int, StepRecord], None]


@dataclass
class Job(ABC):
    """Everything that one `recurra fit TASK` was asked for; its task says how the data are read and what is done.

    notices: what the data's owner was told on the way, for the record.
    seconds: how long each part of the work took.
    """

    task: ClassVar[str]
    kind: ClassVar[type[Any]]
    """The task's class."""
    notices: list[str] = field(default_factory=list, kw_only=True)
    seconds: dict[str, float] = field(default_factory=dict, kw_only=True)

    @classmethod
    def of(cls, run: RunFolder) -> Self:
        """The job that a run folder was created for.

        Raises:
            RunError: it is another task's; ArtifactError: its config.json is damaged.
        """
        config = run.config
        if config.get("task") != cls.task:
            raise RunError(f"{run.path} is no {cls.task} run; its task is {config.get('task')!r}")
        try:
            return cls._of(config)
        except (KeyError, TypeError, AttributeError) as error:
            raise ArtifactError(
                f"{run.path / 'config.json'} is damaged at {error}; start a new run with `recurra fit`"
            ) from None

    def start(self, path: Path, *, force: bool) -> tuple[RunFolder, Any]:
        """Check the data and the parameters, and only then create the run folder. Returns it, and the data read."""
        run = RunFolder(path)
        run.refuse_existing(force=force)
        with self._noting():
            data = self._read()
            self._check(data)
        config = {"task": self.task, **self._config(), "recurra": __version__}
        return RunFolder.create(path, config, force=force), data

    def run(self, run: RunFolder, data: Any = None, *, on_step: OnStep | None = None) -> Any:
        """Do what is left of the job; what a run folder holds already is not done again. Returns the fitted task.

        data: what `start` returned, to read nothing twice.
        """
        with run.locked(), self._noting():
            data = self._read() if data is None else data
            self._note_machine(run)
            fitted = self._work(run, data, Recorder(run, on_step=on_step))
            summary = {**self._summary(fitted, data), **self._circumstances()}
            self._write(run, "summary.json", pack_json(summary))
        return fitted

    @staticmethod
    def is_done(run: RunFolder) -> bool:
        """Whether a run folder holds the finished job: its summary is written last."""
        return (run.path / "summary.json").is_file()

    def next_step(self, run: RunFolder) -> str:
        """What a user may call next."""
        return f"recurra predict {run.path}"

    @classmethod
    @abstractmethod
    def _of(cls, config: dict[str, Any]) -> Self:
        """The job that `_config` wrote; KeyError or TypeError where it is damaged."""

    @abstractmethod
    def _config(self) -> dict[str, Any]:
        """What `_of` reads back, as plain data."""

    @abstractmethod
    def _read(self) -> Any:
        """The data, checked in themselves."""

    @abstractmethod
    def _check(self, data: Any) -> None:
        """Raise now what would else be raised after minutes of training."""

    @abstractmethod
    def _work(self, run: RunFolder, data: Any, recorder: Recorder) -> Any:
        """Train and write all records but the summary; return what was fitted."""

    @abstractmethod
    def _summary(self, fitted: Any, data: Any) -> dict[str, Any]:
        """What was decided and used."""

    def _circumstances(self) -> dict[str, Any]:
        """What every summary ends with."""
        return {
            "seconds": dict(self.seconds),
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "machine": _machine(),
            "notices": list(dict.fromkeys(self.notices)),
        }

    def _note_machine(self, run: RunFolder) -> None:
        """Bits repeat for one thread count and processor: say so where a resumed run finds others."""
        file, now = run.path / "machine.json", pack_json(_machine())
        if not file.exists():
            self._write(run, "machine.json", now)
        elif file.read_bytes() != now:
            warnings.warn(
                "this run began on another machine, thread count or version; it goes on, but not bit for bit",
                Notice,
                stacklevel=2,
            )

    @staticmethod
    def _write(run: RunFolder, name: str, data: bytes) -> None:
        with writing(run.path / name, kept="the checkpoints are whole; `recurra resume` goes on"):
            write_file(run.path / name, data)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 1)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Collect notices for the record, and pass them on."""
        show = warnings.showwarning

        def note(message: Warning | str, category: type[Warning], *arguments: Any, **named: Any) -> None:
            if issubclass(category, Notice):
                self.notices.append(str(message))
            show(message, category, *arguments, **named)

        with warnings.catch_warnings():
            warnings.simplefilter("always", Notice)
            warnings.showwarning = note
            yield


def _machine() -> Mapping[str, Any]:
    return {
        "cpu": processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "recurra": __version__,
    }
