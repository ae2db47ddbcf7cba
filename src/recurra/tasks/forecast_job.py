"""The forecasting job: backtest, fit, forecast and record."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl

from recurra.atomic import writing
from recurra.baselines import check_baseline
from recurra.data.series import SeriesSet
from recurra.errors import ArgumentError, DataError, Notice, RunError
from recurra.layers import Recurrent
from recurra.tasks.backtest import Backtest
from recurra.tasks.example import co2_table
from recurra.tasks.forecasting import Forecaster
from recurra.tasks.frames import csv_bytes, id_columns, time_values
from recurra.tasks.job import Job
from recurra.tasks.source import Source
from recurra.training.recorder import Recorder
from recurra.training.run import RunFolder
from recurra.training.store import pack_json
from recurra.training.windowed import WindowForecaster

__all__ = ["ForecastJob"]

_DRAWN_SERIES = 20


@dataclass
class ForecastJob(Job):
    """Everything that `recurra fit forecast` was asked for.

    Args:
        source: the table; None is the built-in example.
        parameters: of the `Forecaster`.
        backtest: windows to compare with the baselines first; 0 for none.
        step: steps between their cutoffs; None is the horizon.
        baselines: names; None is all that are quick enough.
        levels: of the intervals written, in percent.
        future: the table of known covariates over the horizon.
    """

    task: ClassVar[str] = "forecast"
    kind: ClassVar[type[Any]] = Forecaster
    source: Source | None
    parameters: Mapping[str, Any]
    backtest: int = 3
    step: int | None = None
    baselines: tuple[str, ...] | None = None
    levels: tuple[float, ...] = (80, 95)
    future: Source | None = None

    def next_step(self, run: RunFolder) -> str:
        """`recurra predict`, with the table that it needs."""
        needs = "" if (run.path / "forecast.csv").is_file() else " --future-table FILE"
        return f"recurra predict {run.path}{needs} --out next.csv"

    @classmethod
    def _of(cls, config: dict[str, Any]) -> Self:
        future, source = config["future"], config["source"]
        if not isinstance(config["backtest"], int) or not isinstance(config["parameters"], dict):
            raise TypeError("'backtest' or 'parameters'")
        return cls(
            Source(**source) if source else None,
            config["parameters"],
            backtest=config["backtest"],
            step=config["step"],
            baselines=tuple(config["baselines"]) if config["baselines"] is not None else None,
            levels=tuple(config["levels"]),
            future=Source(**future) if future else None,
        )

    def _config(self) -> dict[str, Any]:
        return {
            "data": self.source.name if self.source else "weekly CO2 at Mauna Loa (statsmodels)",
            "source": vars(self.source) if self.source else None,
            "parameters": Forecaster(**self.parameters).get_params(),
            "backtest": self.backtest,
            "step": self.step,
            "baselines": self.baselines,
            "levels": self.levels,
            "future": vars(self.future) if self.future else None,
        }

    def _read(self) -> SeriesSet:
        forecaster = Forecaster(**self.parameters)
        return forecaster.read(self.source.read() if self.source else co2_table())

    def _work(self, run: RunFolder, data: SeriesSet, recorder: Recorder) -> Forecaster:
        forecaster = Forecaster(**self.parameters)
        if self.backtest:
            with self._timed("backtest"):
                result = forecaster.backtest(
                    data, n_windows=self.backtest, step=self.step, baselines=self.baselines, recorder=recorder
                )
            self._write_backtest(run, result)
        with self._timed("fit"):
            forecaster.fit(data, recorder=recorder)
        with writing(run.path):
            forecaster.save(run.path / "model", overwrite=True)
        self._write_forecast(run, forecaster, data)
        return forecaster

    def _check(self, data: SeriesSet) -> None:
        forecaster = Forecaster(**self.parameters)
        forecaster.check(data, future=self.future.read() if self.future else None)
        if self.backtest < 0:
            raise ArgumentError(f"backtest is {self.backtest}; it is a number of windows, or 0 for none")
        if self.step is not None and self.step < 1:
            raise ArgumentError(f"step is {self.step}; it is 1 or more steps between windows")
        for name in self.baselines or ():
            check_baseline(name)
        if self.backtest:
            span = forecaster.horizon + (self.backtest - 1) * (self.step or forecaster.horizon)
            try:
                forecaster.check(data.head(drop=span))
            except DataError as error:
                raise DataError(
                    f"{error}. The backtest takes the last {span}; pass a smaller --backtest or 0"
                ) from None

    def _write_backtest(self, run: RunFolder, result: Backtest) -> None:
        self._write(run, "backtest.csv", csv_bytes(result.forecasts))
        self._write(run, "scores.json", pack_json(result.to_json()))

    def _write_forecast(self, run: RunFolder, forecaster: Forecaster, series: SeriesSet) -> None:
        drawn = series.select(range(min(len(series), _DRAWN_SERIES))).tail(
            max(4 * forecaster.horizon, 2 * forecaster.plan_.lookback)
        )
        owners = np.repeat(np.arange(len(drawn)), drawn.lengths)
        history = pl.DataFrame(
            [
                *id_columns(drawn, owners),
                time_values(drawn.times, drawn.frequency, forecaster.timezone).alias(drawn.columns.time),
                pl.Series(drawn.columns.target, drawn.target).fill_nan(None),
            ]
        )
        self._write(run, "history.csv", csv_bytes(history))
        if series.columns.future and self.future is None:
            names = ", ".join(series.columns.future)
            warnings.warn(
                f"no forecast was written: `recurra predict {run.path} --future-table FILE` needs the next values of "
                f"{names}",
                Notice,
                stacklevel=2,
            )
            return
        future = self.future.read() if self.future else None
        self._write(run, "forecast.csv", csv_bytes(forecaster.predict(level=self.levels, future=future)))

    def _summary(self, fitted: Forecaster, data: SeriesSet) -> dict[str, Any]:
        network = fitted.model_.model
        if not isinstance(network, WindowForecaster):
            raise RunError("only recurrent forecasters have a summary")
        layer = next(m for m in network.networks[0].modules() if isinstance(m, Recurrent))
        return {
            "model": fitted.name,
            "horizon": fitted.horizon,
            "series": len(data),
            "steps_total": int(data.lengths.sum()),
            "frequency": str(data.frequency),
            "plan": fitted.plan_._asdict(),
            "training_steps": network.best_steps,
            "members": len(network.networks),
            "weights": sum(p.numel() for p in network.networks[0].parameters()),
            "levels": self.levels,
            "explain": layer.explain(),
        }
