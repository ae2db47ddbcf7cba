"""Live progress of trainings: a bar on a terminal, a line at each stage's end elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from recurra.cli.console import errors
from recurra.training.loop import StepRecord

__all__ = ["TrainingProgress"]

_PATIENCE = 15.0  # seconds between lines where there is no terminal


class TrainingProgress:
    """Shows each training stage that `on_step` hears of; silent if `quiet`."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self._bars = Progress(
            TextColumn("{task.description:<32}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TimeRemainingColumn(),
            console=errors(),
            disable=quiet or not sys.stderr.isatty(),
        )
        self._tasks: dict[str, TaskID] = {}
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def on_step(self, stage: str, steps: int, record: StepRecord) -> None:
        """One training step of `stage` was made."""
        if self.quiet:
            return
        if stage not in self._tasks:
            for name, task in self._tasks.items():
                if name != stage:
                    self._bars.update(task, total=self._bars.tasks[task].completed)
            self._tasks[stage] = self._bars.add_task(_words(stage), total=steps, loss="")
        self._bars.update(self._tasks[stage], completed=record.step, loss=f"{record.loss:.4f}")
        if sys.stderr.isatty():
            return
        now = time.monotonic()
        if record.step == steps or now - self._said > _PATIENCE:
            self._said = now
            errors().print(f"{_words(stage)}: step {record.step}/{steps}, loss {record.loss:.4f}", markup=False)


def _words(stage: str) -> str:
    """A stage's name for people.

    >>> _words("backtest-dense-select")
    'backtest, dense: choose steps'
    """
    *owners, last = stage.replace("member-", "member ").split("-")
    what = "choose steps" if last == "select" else "train " + last
    return f"{', '.join(owners)}: {what}" if owners else what
