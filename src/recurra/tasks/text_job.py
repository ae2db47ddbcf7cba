"""The job of a text task: hold back, fit, measure beside baselines, and record."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

from recurra.atomic import writing
from recurra.errors import ArgumentError
from recurra.tasks.comparison import Comparison
from recurra.tasks.frames import csv_bytes
from recurra.tasks.job import Job
from recurra.tasks.source import Source
from recurra.training.recorder import Recorder
from recurra.training.run import RunFolder
from recurra.training.store import pack_json

__all__ = ["TextData", "TextJob"]


class TextData(NamedTuple):
    """What a job learns from, stops by and measures on; `valid` None: the task holds back its own."""

    train: Any
    valid: Any
    test: Any


@dataclass
class TextJob(Job):
    """Everything that `recurra fit classify`, `tag`, `language` or `translate` was asked for.

    source: the file to learn from.
    parameters: of the task.
    valid: the file to stop by; None: the task holds a share of the first one back.
    test: the file to measure on; None: a share of the first one is held back for it.
    held_back: that share.
    """

    unit: ClassVar[str]
    """What the rows are, in words."""
    source: Source
    parameters: Mapping[str, Any]
    valid: Source | None = None
    test: Source | None = None
    held_back: float = 0.1

    @classmethod
    def _of(cls, config: dict[str, Any]) -> Self:
        valid, test = (Source(**config[name]) if config[name] else None for name in ("valid", "test"))
        return cls(
            Source(**config["source"]),
            config["parameters"],
            valid=valid,
            test=test,
            held_back=float(config["held_back"]),
        )

    def _config(self) -> dict[str, Any]:
        return {
            "data": self.source.name,
            "source": vars(self.source),
            "parameters": self.fresh().get_params(),
            "valid": vars(self.valid) if self.valid else None,
            "test": vars(self.test) if self.test else None,
            "held_back": self.held_back,
        }

    def fresh(self) -> Any:
        """The task, not yet fitted."""
        return self.kind(**self.parameters)

    def _read(self) -> TextData:
        task = self.fresh()
        train = self.read_rows(task, self.source)
        valid = self.read_rows(task, self.valid) if self.valid else None
        if self.test:
            return TextData(train, valid, self.read_rows(task, self.test))
        task.check(train)  # before what is wrong of the whole is said of a part
        train, test = task.split(train, self.held_back, seed=1)
        return TextData(train, valid, test)

    @abstractmethod
    def read_rows(self, task: Any, source: Source) -> Any:
        """The rows of one file, as the task reads them."""

    def _check(self, data: TextData) -> None:
        if not len(data.test):
            raise ArgumentError(
                f"held_back is {self.held_back}, which leaves nothing to measure on; pass a test file too"
            )
        self.fresh().check(data.train)

    def _parts(self, data: TextData) -> tuple[Any, Any]:
        """What is learned and what stops it, as `fit` will have them."""
        task = self.fresh()
        return task.split(data.train, task.valid, seed=0) if data.valid is None else (data.train, data.valid)

    def _work(self, run: RunFolder, data: TextData, recorder: Recorder) -> Any:
        task = self.fresh()
        with self._timed("fit"):
            task.fit(data.train, valid=data.valid, recorder=recorder)
        with writing(run.path):
            task.save(run.path / "model", overwrite=True)
        with self._timed("evaluate"):
            name = self.test.name if self.test else f"a part of {self.source.name} held back"
            self._write_comparison(run, self._compare(run, task, data, name))
            if hasattr(task, "examples"):
                self._write(run, "examples.json", pack_json(task.examples(data.test)))
        return task

    def _compare(self, run: RunFolder, task: Any, data: TextData, name: str) -> Comparison:
        """The fitted task measured beside baselines; name: what the rows are measured on."""
        found: Comparison = task.compare(data.test, data.train, measured_on=name)
        return found

    def _write_comparison(self, run: RunFolder, result: Comparison) -> None:
        self._write(run, "scores.json", pack_json(result.to_json()))
        if result.predictions is not None:
            self._write(run, "predictions.csv", csv_bytes(result.predictions))

    def _summary(self, fitted: Any, data: TextData) -> dict[str, Any]:
        counts = {"unit": self.unit, "rows": len(data.train), "rows_measured": len(data.test)}
        return {"model": fitted.name, **counts, **fitted.summary()}
