"""Forecasting tables of series: the class behind `recurra fit forecast`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from recurra.cells import Cell
from recurra.data.build import build_series
from recurra.data.columns import Columns
from recurra.data.frames import like, to_table
from recurra.data.series import SeriesSet
from recurra.data.windows import Cutoffs, extend, rolling_cutoffs
from recurra.errors import ArgumentError, DataError, Notice
from recurra.models.plan import Plan, make_plan
from recurra.tasks.backtest import Backtest, compare, cutoffs_from, fit_rivals
from recurra.tasks.continuation import first_new_positions, known_covariates
from recurra.tasks.forecast_parameters import ForecastParameters
from recurra.tasks.frames import id_columns, level_columns, time_values
from recurra.tasks.transform import TargetTransform, choose_transform
from recurra.training.calibrated import Calibrated
from recurra.training.conformal import interpolate_quantiles
from recurra.training.recorder import Recorder

__all__ = ["Forecaster"]


class Forecaster(ForecastParameters):
    """A global recurrent forecaster with calibrated intervals.

    A small ensemble of networks reads the last `lookback` steps of any series and gives the quantiles of the next
    `horizon` steps at once; see `recurra.models.window` for its equations, `recurra.training.conformal` for the
    intervals. The network is global: one for all series, and a series it has never seen is forecast from its own past.

    Its parameters are those of `ForecastParameters`: `horizon` and, by keyword, what is to differ from the defaults.

    After `fit`: `plan_` (what was decided), `series_` (the table as series), `transform_` (whether
    logarithms are modelled).

    >>> Forecaster(horizon=28).get_params()["cell"]
    'gru'
    """

    def read(self, data: Any) -> SeriesSet:
        """The table as checked series, which `fit` and `backtest` take in its place.

        Args:
            data: a path, or a polars, pandas or pyarrow frame in long format: one row a series and time.

        Raises:
            DataError: the table is faulty, named by row, column and remedy.
        """
        return self._read(data, trained=getattr(self, "series_", None))

    def _read(self, data: Any, *, trained: SeriesSet | None) -> SeriesSet:
        if isinstance(data, SeriesSet):
            return data
        columns = Columns(
            id=trained.columns.id if trained else self.series,
            time=self.time,
            target=self.target,
            future=tuple(self.future),
            past=tuple(self.past),
            static=tuple(self.static),
        )
        return build_series(
            to_table(data),
            columns,
            freq=trained.frequency if trained else self.freq,
            missing=self.missing,
            timezone=self.timezone,
            time_format=self.time_format,
            encoder=trained.encoder if trained else None,
            transform="log" if (self.transform_.log if trained else self.transform == "log") else None,
        )

    def _known(self, series: SeriesSet, future: Any) -> np.ndarray[Any, Any] | None:
        return known_covariates(
            series, future, horizon=self.horizon, timezone=self.timezone, time_format=self.time_format
        )

    def check(self, series: SeriesSet, *, future: Any = None) -> Plan:
        """What `fit` would decide for these series, or the error it would raise for them or for these parameters.

        Args:
            future: a table of the known covariates after them, as `predict` takes it; checked too if given.
        """
        self.network(Recorder())
        plan, _ = self._plan(series)
        if future is not None:
            self._known(series, future)
        return plan

    def fit(self, data: Any, *, recorder: Recorder | None = None) -> Self:
        """Train on a table in long format.

        Args:
            data: what `read` takes, or what it returned.
            recorder: a run folder and a progress callback to report to.

        Raises:
            DataError: the table is faulty or too short; ArgumentError: a parameter is wrong.
        """
        series = self._read(data, trained=None)
        model = Calibrated(self.network(recorder or Recorder()), quantiles=self.quantiles)
        plan, transform = self._plan(series)
        model.fit(transform.apply(series), plan)
        self.model_, self.plan_, self.transform_, self.series_ = model, plan, transform, series
        self.kind_ = None if isinstance(data, SeriesSet) else data
        return self

    def predict(self, data: Any = None, *, level: Sequence[float] = (), future: Any = None) -> Any:
        """Forecast the `horizon` steps after each series' end.

        Args:
            data: histories to forecast from, of series seen in training or not; None continues the training table.
            level: intervals wanted, in percent.
            future: a table of the known covariates over the horizon, needed if there are any.

        Returns:
            A frame of the kind of the table (polars for paths) with id, time, the median and for each level its
            bounds, in columns called `GRU`, `GRU-lo-95`, `GRU-hi-95` after the cell.
        """
        self._check_fitted()
        columns = level_columns(self.name, self.checked_levels(level))
        series = self.series_ if data is None else self.read(data)
        known = self._known(series, future)
        self._check_seen(series)
        extended = extend(series.tail(self.plan_.lookback), horizon=self.horizon, future=known)
        cutoffs = Cutoffs(np.arange(len(series)), extended.offsets[1:] - self.horizon)
        quantiles = self.transform_.undo(self.model_.predict(self.transform_.apply(extended), cutoffs))
        wanted = np.array([quantile for _, quantile in columns])
        values = interpolate_quantiles(quantiles, self.model_.quantiles, wanted)  # series horizon column
        steps = (cutoffs.position[:, None] + np.arange(self.horizon)).ravel()
        frame = pl.DataFrame(
            [
                *id_columns(extended, np.repeat(cutoffs.series, self.horizon)),
                time_values(extended.times[steps], series.frequency, self.timezone).alias(series.columns.time),
                *(pl.Series(name, values[:, :, i].ravel()) for i, (name, _) in enumerate(columns)),
            ]
        )
        kind = self.kind_ if data is None else data
        return frame if kind is None else like(frame, kind)

    def backtest(
        self,
        data: Any = None,
        *,
        n_windows: int = 3,
        step: int | None = None,
        level: float = 90,
        baselines: Sequence[str] | None = None,
        recorder: Recorder | None = None,
    ) -> Backtest:
        """Compare with baselines on the last `n_windows` windows of each series, `step` steps apart.

        Everything, this forecaster's parameters included, is fitted anew on what lies before the first of them, then
        forecasts each window from all that lies before it. This object's own weights are not touched.

        Args:
            data: the table; None takes the one given to `fit`.
            step: steps between cutoffs; None is the horizon.
            level: of the intervals scored, in percent.
            baselines: names among `recurra.baselines.BASELINES`; None is all that are quick enough.
        """
        if data is None and not hasattr(self, "series_"):
            raise ArgumentError("backtest has no data: pass a table or call fit first")
        if n_windows < 1 or (step is not None and step < 1):
            raise ArgumentError(f"n_windows is {n_windows} and step is {step}; both are 1 or more")
        self.checked_levels([level])
        series = self.series_ if data is None else self.read(data)
        step = step or self.horizon
        span = self.horizon + (n_windows - 1) * step
        history = series.head(drop=span).refit()
        series = series.select(np.flatnonzero(series.lengths > span)).scaled_as(history)
        recorder = (recorder or Recorder()).within("backtest-")
        twin = Forecaster(**self.get_params()).fit(history, recorder=recorder)
        cutoffs = rolling_cutoffs(series, horizon=self.horizon, count=n_windows, stride=step, min_context=1)
        known_until = series.offsets[1:] - span
        return twin._compare(history, series, cutoffs, level, baselines, known_until=known_until, recorder=recorder)

    def evaluate(
        self,
        data: Any,
        *,
        start: Any = None,
        step: int | None = None,
        level: float = 90,
        baselines: Sequence[str] | None = None,
    ) -> Backtest:
        """Score this fitted forecaster, without training it, on what `data` holds after its training table's end.

        Args:
            data: a table that goes on beyond the training table; its earlier rows are the contexts.
            start: the first time to forecast; None is the first step after training.
            step: steps between cutoffs; None is the horizon.
            level: of the intervals scored, in percent.
            baselines: fitted on the rows before the first cutoff; None is all that are quick enough.

        Raises:
            DataError: no whole horizon of `data` lies after the training table.
        """
        self._check_fitted()
        self.checked_levels([level])
        if step is not None and step < 1:
            raise ArgumentError(f"step is {step}; it is 1 or more steps between cutoffs")
        series = self.read(data)
        first = first_new_positions(series, self.series_, start, timezone=self.timezone, time_format=self.time_format)
        new_steps = series.offsets[1:] - first
        kept = np.flatnonzero(new_steps >= self.horizon)
        if not len(kept):
            raise DataError(
                f"no horizon of {self.horizon} steps lies after the training table's end, "
                f"{self.series_.last_times.max()}: this table ends at {series.times.max()}; give later rows"
            )
        series = series.select(kept)
        first = series.offsets[1:] - new_steps[kept]
        self._check_seen(series.until(first))
        cutoffs = cutoffs_from(series, first, horizon=self.horizon, step=step or self.horizon)
        history = None if baselines is not None and not len(baselines) else series.until(first)
        return self._compare(history, series, cutoffs, level, baselines, known_until=first)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the fitted forecaster as a folder of JSON and safetensors with checksums.

        Raises:
            ArtifactError: `path` exists and `overwrite` is not given.
        """
        from recurra.tasks.forecast_artifact import save_forecaster

        self._check_fitted()
        save_forecaster(self, Path(path), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path, *, cell: type[Cell] | Cell | None = None) -> Forecaster:
        """Read a saved forecaster; nothing in the folder is executed.

        Args:
            path: of its folder, or of the run that made it.
            cell: the recurrence, if it was not one of recurra's own: its code is yours to bring.

        Raises:
            ArtifactError: the folder is damaged, foreign or from a newer version.
        """
        from recurra.tasks.forecast_artifact import load_forecaster

        return load_forecaster(Path(path), cell=cell)

    def _plan(self, series: SeriesSet) -> tuple[Plan, TargetTransform]:
        if not isinstance(self.horizon, int) or self.horizon < 1:
            raise ArgumentError(f"horizon is {self.horizon!r}; it is a whole number of steps, 1 or more")
        taken = {"cutoff", self.name} & {series.columns.id, series.columns.time, series.columns.target}
        if taken:
            raise ArgumentError(f"column {taken.pop()!r} has a name that the results use; rename it in the table")
        transform = choose_transform(series, self.transform)
        comparable = transform.log or len(series) == 1
        return make_plan(
            transform.apply(series), self.options(), horizon=self.horizon, comparable=comparable
        ), transform

    def _compare(
        self,
        history: SeriesSet | None,
        series: SeriesSet,
        cutoffs: Cutoffs,
        level: float,
        baselines: Sequence[str] | None,
        *,
        known_until: np.ndarray[Any, Any],
        recorder: Recorder | None = None,
    ) -> Backtest:
        """This model and baselines fitted on `history` (None: no baselines) on the windows of `series`."""
        rivals = []
        if history is not None:
            network = self.network(recorder or Recorder())
            rivals = fit_rivals(network, self.transform_.apply(history), self.plan_, baselines, self.quantiles)
        return compare(
            [self.model_, *rivals],
            series,
            cutoffs,
            transform=self.transform_,
            period=min(self.plan_.periods, default=1),
            level=level,
            known_until=known_until,
            timezone=self.timezone,
        )

    def _check_seen(self, series: SeriesSet) -> None:
        """Refuse series without an observed value for the model to read; tell of those shorter than what it reads."""
        lookback, names = self.plan_.lookback, series.ids.to_list()
        tail = series.tail(lookback)
        seen = np.add.reduceat(~np.isnan(tail.target), tail.offsets[:-1])
        if (seen == 0).any():
            name = names[int(np.flatnonzero(seen == 0)[0])]
            raise DataError(f"series {name!r} has no value in its last {lookback} steps, which the model reads")
        short = np.flatnonzero(tail.lengths < self.plan_.min_context)
        if len(short):
            warnings.warn(
                f"series {names[short[0]]!r} has {tail.lengths[short[0]]} steps and the model reads {lookback}; "
                f"what is missing is taken as its level ({len(short)} such series)",
                Notice,
                stacklevel=3,
            )

    def _check_fitted(self) -> None:
        if not hasattr(self, "model_"):
            raise ArgumentError("this Forecaster is not fitted; call fit first")
