"""Where a training leaves its traces."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from recurra.training.loop import StepRecord
from recurra.training.run import RunFolder, Stage

__all__ = ["Recorder"]


class Recorder(NamedTuple):
    """Where a training leaves its traces: a run folder, a progress display, both or neither."""

    run: RunFolder | None = None
    prefix: str = ""
    """Goes before the names of stages, so that several trainings share a run."""
    on_step: Callable[[str, int, StepRecord], None] | None = None
    """Called with the stage's name, its number of steps and the step."""

    def stage(self, name: str) -> Stage | None:
        """The run's stage for the training called `name`."""
        return self.run.stage(self.prefix + name) if self.run else None

    def watch(self, name: str, steps: int) -> Callable[[StepRecord], None] | None:
        """A callback for the loop of the training called `name`."""
        if self.on_step is None:
            return None
        on_step, label = self.on_step, self.prefix + name
        return lambda record: on_step(label, steps, record)

    def within(self, prefix: str) -> Recorder:
        """The same recorder for trainings whose stages begin with `prefix`."""
        return self._replace(prefix=self.prefix + prefix)
