"""Forecasting tables of series: the class behind `recurra fit forecast`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import polars as pl

from recurra.cells import Cell, get_cell
from recurra.data.build import build_series
from recurra.data.columns import Columns
from recurra.data.frames import like, to_table
from recurra.data.future import future_values
from recurra.data.series import SeriesSet
from recurra.data.windows import Cutoffs, extend, rolling_cutoffs
from recurra.errors import ArgumentError, DataError, nearest
from recurra.models.plan import NetworkOptions, Plan, make_plan
from recurra.tasks.backtest import Backtest, compare, cutoffs_from, fit_rivals
from recurra.tasks.frames import id_values, level_columns, time_values
from recurra.training.calibrated import Calibrated
from recurra.training.conformal import interpolate_quantiles
from recurra.training.contract import Floats, Recorder
from recurra.training.losses import make_loss
from recurra.training.settings import TrainingSettings
from recurra.training.windowed import WindowForecaster

__all__ = ["Forecaster"]

_LEAST_SHARE = 1e-3  # of a series' median: smaller values make logarithms wild, and "auto" leaves them alone


class Forecaster:
    """A global recurrent forecaster with calibrated intervals.

    A small ensemble of networks reads the last `lookback` steps of any series and gives the quantiles of the next
    `horizon` steps at once; see `recurra.models.window` for its equations, `recurra.training.conformal` for the
    intervals. The network is global: one for all series, and a series it has never seen is forecast from its own past.

    Args:
        horizon: steps to forecast.
        cell: the recurrence, by name ("gru", "lstm", "elman", ...), class or instance.
        hidden_size, num_layers, dropout: of the network.
        lookback: past steps the model sees, in samples; None decides from the periods found.
        season: samples read by one step of the recurrence; None takes the shortest period found.
        periods: periods at which the series repeat, in samples, shortest first; None finds them, () is none.
        scaling: "recent", "standard" or "mean" (`recurra.data.scaling.Scaler`); None decides.
        transform: "log" models the logarithm of a positive target, "none" the target; "auto" takes logarithms of
            several series that are all positive, so that series of any size are compared by ratio.
        loss: "quantile" (pinball), or "mae", "mse", "huber" for a point with intervals from its errors.
        levels: intervals the model is trained for, in percent; narrower ones are interpolated.
        members: networks in the ensemble.
        training: a `TrainingSettings` or a dict of its fields.
        series, time, target, future, past, static: names of the table's columns.
        freq: step of the series ("1h", "D", "MS", ...); None infers it.
        missing: "interpolate", "mask" or "drop"; None refuses tables with gaps.
        timezone, time_format: how to read times; see `recurra.data.build_series`.

    After `fit`: `plan_` (what was decided), `series_` (the table as series), `log_` (whether logarithms are modelled).

    >>> Forecaster(horizon=28).get_params()["cell"]
    'gru'
    """

    def __init__(
        self,
        horizon: int,
        *,
        cell: str | type[Cell] | Cell = "gru",
        hidden_size: int = 64,
        num_layers: int = 2,
        dropout: float = 0.1,
        lookback: int | None = None,
        season: int | None = None,
        periods: Sequence[int] | None = None,
        scaling: str | None = None,
        transform: Literal["auto", "log", "none"] = "auto",
        loss: str = "quantile",
        levels: Sequence[float] = (50, 80, 90, 95),
        members: int = 3,
        training: TrainingSettings | dict[str, Any] | None = None,
        series: str | None = "unique_id",
        time: str = "ds",
        target: str = "y",
        future: Sequence[str] = (),
        past: Sequence[str] = (),
        static: Sequence[str] = (),
        freq: str | int | None = None,
        missing: str | None = None,
        timezone: str | None = None,
        time_format: str | None = None,
    ) -> None:
        self.horizon, self.cell = horizon, cell
        self.hidden_size, self.num_layers, self.dropout = hidden_size, num_layers, dropout
        self.lookback, self.season, self.periods = lookback, season, periods
        self.scaling, self.transform = scaling, transform
        self.loss, self.levels, self.members, self.training = loss, levels, members, training
        self.series, self.time, self.target = series, time, target
        self.future, self.past, self.static = future, past, static
        self.freq, self.missing, self.timezone, self.time_format = freq, missing, timezone, time_format

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments by name."""
        return {name: getattr(self, name) for name in _PARAMETERS}

    def set_params(self, **params: Any) -> Self:
        """Change constructor arguments by name.

        Raises:
            ArgumentError: a name is unknown.
        """
        for name, value in params.items():
            if name not in _PARAMETERS:
                raise ArgumentError(f"{name!r} is no parameter; {nearest(name, _PARAMETERS)}")
            setattr(self, name, value)
        return self

    def read(self, data: Any) -> SeriesSet:
        """The table as checked series, which `fit` and `backtest` take in its place.

        Args:
            data: a path, or a polars, pandas or pyarrow frame in long format: one row a series and time.

        Raises:
            DataError: the table is faulty, named by row, column and remedy.
        """
        if isinstance(data, SeriesSet):
            return data
        fitted = hasattr(self, "series_")
        columns = Columns(
            id=self.series_.columns.id if fitted else self.series,
            time=self.time,
            target=self.target,
            future=tuple(self.future),
            past=tuple(self.past),
            static=tuple(self.static),
        )
        logs = self.log_ if fitted else self.transform == "log"
        return build_series(
            to_table(data),
            columns,
            freq=self.series_.frequency if fitted else self.freq,
            missing=self.missing,
            timezone=self.timezone,
            time_format=self.time_format,
            encoder=self.series_.encoder if fitted else None,
            transform="log" if logs else None,
        )

    def check(self, series: SeriesSet, *, future: Any = None) -> Plan:
        """What `fit` would decide for these series, or the error it would raise for them or for these parameters.

        Args:
            future: a table of the known covariates after them, as `predict` takes it; checked too if given.
        """
        self._network(Recorder())
        plan = self._plan(series)
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
        for name in ("series_", "log_"):
            self.__dict__.pop(name, None)
        series = self.read(data)
        model = Calibrated(self._network(recorder or Recorder()), quantiles=self.quantiles)
        plan = self._plan(series)
        log = self._takes_logs(series)
        model.fit(_logged(series) if log else series, plan)
        self.model_, self.plan_, self.log_, self.series_ = model, plan, log, series
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
        columns = level_columns(self.name, self._checked_levels(level))
        series = self.series_ if data is None else self.read(data)
        known = self._known(series, future)
        extended = extend(series.tail(self.plan_.lookback), horizon=self.horizon, future=known)
        cutoffs = Cutoffs(np.arange(len(series)), extended.offsets[1:] - self.horizon)
        quantiles = self.in_units(self.model_.predict(self._inner(extended), cutoffs))
        wanted = np.array([quantile for _, quantile in columns])
        values = interpolate_quantiles(quantiles, self.model_.quantiles, wanted)  # series horizon column
        steps = (cutoffs.position[:, None] + np.arange(self.horizon)).ravel()
        frame = id_values(extended, np.repeat(cutoffs.series, self.horizon)).with_columns(
            time_values(extended.times[steps], series.frequency, self.timezone).alias(series.columns.time),
            *(pl.Series(name, values[:, :, i].ravel()) for i, (name, _) in enumerate(columns)),
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
        self._checked_levels([level])
        series = self.series_ if data is None else self.read(data)
        step = step or self.horizon
        span = self.horizon + (n_windows - 1) * step
        history = series.head(drop=span).refit()
        series = series.select(np.flatnonzero(series.lengths > span)).scaled_as(history)
        recorder = (recorder or Recorder()).within("backtest-")
        twin = Forecaster(**self.get_params()).fit(history, recorder=recorder)
        cutoffs = rolling_cutoffs(series, horizon=self.horizon, count=n_windows, stride=step, min_context=1)
        return twin._compare(history, series, cutoffs, level, baselines, known_until=series.offsets[1:] - span)

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
        self._checked_levels([level])
        if step is not None and step < 1:
            raise ArgumentError(f"step is {step}; it is 1 or more steps between cutoffs")
        series = self.read(data)
        first = self._first_new(series, start)
        has_window = series.offsets[1:] - first >= self.horizon
        if not has_window.any():
            raise DataError(
                f"no horizon of {self.horizon} steps lies after the training table's end, "
                f"{self.series_.last_times.max()}: this table ends at {series.times.max()}; give later rows"
            )
        kept = np.flatnonzero(has_window)
        new_steps = (series.offsets[1:] - first)[kept]
        series = series.select(kept)
        first = series.offsets[1:] - new_steps
        cutoffs = cutoffs_from(series, first, horizon=self.horizon, step=step or self.horizon)
        history = series.head(drop=int(new_steps.max()))
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
            path: the folder.
            cell: the recurrence, if it was not one of recurra's own: its code is yours to bring.

        Raises:
            ArtifactError: the folder is damaged, foreign or from a newer version.
        """
        from recurra.tasks.forecast_artifact import load_forecaster

        return load_forecaster(Path(path), cell=cell)

    @property
    def name(self) -> str:
        """What tables call this forecaster: its cell's class."""
        return type(get_cell(self.cell)).__name__

    @property
    def quantiles(self) -> tuple[float, ...]:
        """The quantiles that the levels ask for, rising, the median among them."""
        if not self.levels or any(not 0 < level < 100 for level in self.levels):
            raise ArgumentError(f"levels are {list(self.levels)}; each must lie between 0 and 100, such as 80 or 95")
        return tuple(sorted({quantile for _, quantile in level_columns("", self.levels)}))

    def in_units(self, values: Floats) -> Floats:
        """Values as the model has them in the table's units: exponentials where it models logarithms."""
        return np.exp(values) if self.log_ else values

    def _network(self, recorder: Recorder) -> WindowForecaster:
        """The untrained networks of these parameters."""
        if not isinstance(self.members, int) or self.members < 1:
            raise ArgumentError(f"members is {self.members!r}; it is a whole number of networks, 1 or more")
        make_loss(self.loss, quantiles=self.quantiles)
        given = self.training or {}
        return WindowForecaster(
            self._options(),
            given if isinstance(given, TrainingSettings) else TrainingSettings(**given),
            name=self.name,
            loss=self.loss,
            quantiles=self.quantiles,
            members=self.members,
            cell=get_cell(self.cell),
            recorder=recorder,
        )

    def _options(self) -> NetworkOptions:
        return NetworkOptions(
            cell=get_cell(self.cell).name,
            hidden_size=self.hidden_size,
            num_layers=self.num_layers,
            dropout=self.dropout,
            lookback=self.lookback,
            season=self.season,
            periods=None if self.periods is None else tuple(self.periods),
            scaling=self.scaling,
        )

    def _plan(self, series: SeriesSet) -> Plan:
        if not isinstance(self.horizon, int) or self.horizon < 1:
            raise ArgumentError(f"horizon is {self.horizon!r}; it is a whole number of steps, 1 or more")
        log = self._takes_logs(series)
        inner = _logged(series) if log else series
        return make_plan(inner, self._options(), horizon=self.horizon, comparable=log or len(series) == 1)

    def _takes_logs(self, series: SeriesSet) -> bool:
        if self.transform not in ("auto", "log", "none"):
            raise ArgumentError(f"transform is {self.transform!r}; {nearest(self.transform, ('auto', 'log', 'none'))}")
        if self.transform != "auto":
            return self.transform == "log"
        if len(series) == 1 or np.nanmin(series.target) <= 0:
            return False
        spans = zip(series.offsets[:-1], series.offsets[1:], strict=True)
        shares = [np.nanmin(part) / np.nanmedian(part) for part in (series.target[a:b] for a, b in spans)]
        return bool(min(shares) > _LEAST_SHARE)

    def _inner(self, series: SeriesSet) -> SeriesSet:
        return _logged(series) if self.log_ else series

    def _compare(
        self,
        history: SeriesSet,
        series: SeriesSet,
        cutoffs: Cutoffs,
        level: float,
        baselines: Sequence[str] | None,
        *,
        known_until: np.ndarray[Any, Any],
    ) -> Backtest:
        network = self.model_.model
        rivals = fit_rivals(network, self._inner(history), self.plan_, baselines, self.quantiles)  # type: ignore[arg-type]
        return compare(
            [self.model_, *rivals],
            self._inner(series),
            cutoffs,
            period=min(self.plan_.periods, default=1),
            level=level,
            known_until=known_until,
            in_units=self.in_units,
            timezone=self.timezone,
        )

    def _known(self, series: SeriesSet, future: Any) -> np.ndarray[Any, Any] | None:
        if not series.columns.future:
            if future is not None:
                raise ArgumentError(
                    "a future table is given, but the model knows no covariates in advance; leave it out, or fit with "
                    "future=[...] (--future COLUMN)"
                )
            return None
        if future is None:
            raise ArgumentError(
                f"the model knows the covariates {', '.join(series.columns.future)} in advance: pass their next "
                f"{self.horizon} steps (future=TABLE, --future-table FILE)"
            )
        return future_values(
            to_table(future),
            series.columns,
            series.encoder,
            series.ids,
            series.frequency.next(series.last_times, self.horizon),
            frequency=series.frequency,
            timezone=self.timezone,
            time_format=self.time_format,
        )

    def _checked_levels(self, level: Sequence[float]) -> list[float]:
        for value in level:
            if not 0 < value <= max(self.levels):
                raise ArgumentError(
                    f"level {value:g} is outside what the model was trained for (up to {max(self.levels):g}); fit "
                    f"with levels including {value:g}"
                )
        return list(dict.fromkeys(level))

    def _first_new(self, series: SeriesSet, start: Any) -> np.ndarray[Any, Any]:
        """The flat position in each series of the first step after training and not before `start`."""
        ends = self.series_.last_times
        known = dict(zip(self.series_.ids.to_list(), ends, strict=True))
        last_seen = np.array([known.get(name, ends.max()) for name in series.ids.to_list()])
        new = series.times > np.repeat(last_seen, series.lengths)
        if start is not None:
            try:
                new &= series.times >= np.array(start, dtype=series.times.dtype)
            except ValueError:
                raise ArgumentError(f"start is {start!r}; write a time such as {series.times.max()}") from None
        return np.asarray(series.offsets[1:] - np.add.reduceat(new, series.offsets[:-1], dtype=np.int64))

    def _check_fitted(self) -> None:
        if not hasattr(self, "model_"):
            raise ArgumentError("this Forecaster is not fitted; call fit first")


_PARAMETERS = tuple(name for name in Forecaster.__init__.__annotations__ if name != "return")


def _logged(series: SeriesSet) -> SeriesSet:
    return replace(series, target=np.log(series.target))
