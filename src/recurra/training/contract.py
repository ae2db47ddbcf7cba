"""What every forecaster of the house is: the recurrent ones, the dense ones and the naive ones alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from recurra.data.series import SeriesSet
from recurra.data.windows import Cutoffs
from recurra.models.plan import Plan
from recurra.training.loop import StepRecord
from recurra.training.run import RunFolder, Stage

__all__ = ["Floats", "ForecastModel", "Recorder"]

Floats = NDArray[np.float64]


class ForecastModel(Protocol):
    """Learns from many series and forecasts the plan's horizon from any cutoff."""

    name: str

    def fit(self, series: SeriesSet, plan: Plan, *, held_back: int = 0) -> None:
        """Learn from all but the last `held_back` steps of each series, choosing what there is to choose."""

    def refit(self, series: SeriesSet) -> None:
        """Learn again from every step, choosing nothing anew: for use after `fit` and a look at what was held back."""

    def predict(self, series: SeriesSet, cutoffs: Cutoffs) -> Floats:
        """Forecasts (window, horizon, quantile), or (window, horizon, 1) for a point, in the target's units.

        Reads of each series only what lies before the cutoff, and known covariates.
        """


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
