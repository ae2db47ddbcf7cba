"""The forecasting job of one run folder: backtest, fit, forecast and record, resumable at any point."""

from __future__ import annotations

import hashlib
import platform
import resource
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from recurra.atomic import write_file, writing
from recurra.baselines import check_baseline
from recurra.data.files import Table, read_table
from recurra.data.series import SeriesSet
from recurra.errors import ArgumentError, ArtifactError, DataError, Notice, RunError
from recurra.layers import Recurrent
from recurra.tasks.backtest import Backtest
from recurra.tasks.example import co2_table
from recurra.tasks.forecasting import Forecaster
from recurra.tasks.frames import csv_bytes, id_columns, time_values
from recurra.training.contract import Recorder
from recurra.training.loop import StepRecord
from recurra.training.run import RunFolder
from recurra.training.store import pack_json
from recurra.training.windowed import WindowForecaster
from recurra.version import __version__

__all__ = ["ForecastJob", "Source"]

_DRAWN_SERIES = 20


@dataclass(frozen=True)
class Source:
    """Where a job's table comes from: a file as it was, or the built-in example where `path` is None."""

    path: str | None
    encoding: str = "utf-8"
    separator: str | None = None
    decimal: str = "."
    sha256: str | None = None

    @classmethod
    def of(cls, path: str | Path | None, **form: Any) -> Source:
        """The source at `path`, with its checksum if it is there; `form` as `read_table` takes it."""
        if path is None:
            return cls(None)
        file = Path(path)
        digest = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None
        return cls(str(file.resolve()), **form, sha256=digest)

    def read(self) -> Table:
        """The table.

        Raises:
            DataError: the file is missing or faulty, or not the one that the run began with.
        """
        if self.path is None:
            return co2_table()
        table = read_table(self.path, encoding=self.encoding, separator=self.separator, decimal=self.decimal)
        if self.sha256 and hashlib.sha256(Path(self.path).read_bytes()).hexdigest() != self.sha256:
            raise DataError(f"{self.path} has changed since the run began; start a new run with `recurra fit`")
        return table

    @property
    def name(self) -> str:
        """What reports call the table."""
        return Path(self.path).name if self.path else "weekly CO2 at Mauna Loa (statsmodels)"


@dataclass
class ForecastJob:
    """Everything that `recurra fit forecast` was asked for.

    Args:
        source: the table.
        parameters: of the `Forecaster`.
        backtest: windows to compare with the baselines first; 0 for none.
        step: steps between their cutoffs; None is the horizon.
        baselines: names; None is all that are quick enough.
        levels: of the intervals written, in percent.
        future: the table of known covariates over the horizon.
    """

    source: Source
    parameters: Mapping[str, Any]
    backtest: int = 3
    step: int | None = None
    baselines: tuple[str, ...] | None = None
    levels: tuple[float, ...] = (80, 95)
    future: Source | None = None
    notices: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, run: RunFolder) -> ForecastJob:
        """The job that a run folder was created for."""
        config = run.config
        if config.get("task") != "forecast":
            raise RunError(f"{run.path} is no forecasting run; its task is {config.get('task')!r}")
        try:
            future = config["future"]
            if not isinstance(config["backtest"], int) or not isinstance(config["parameters"], dict):
                raise TypeError("'backtest' or 'parameters'")
            return cls(
                Source(**config["source"]),
                config["parameters"],
                backtest=config["backtest"],
                step=config["step"],
                baselines=tuple(config["baselines"]) if config["baselines"] is not None else None,
                levels=tuple(config["levels"]),
                future=Source(**future) if future else None,
            )
        except (KeyError, TypeError) as error:
            raise ArtifactError(
                f"{run.path / 'config.json'} is damaged at {error}; start a new run with `recurra fit`"
            ) from None

    def config(self) -> dict[str, Any]:
        """What `of` reads back, as plain data."""
        return {
            "task": "forecast",
            "data": self.source.name,
            "source": vars(self.source),
            "parameters": Forecaster(**self.parameters).get_params(),
            "backtest": self.backtest,
            "step": self.step,
            "baselines": self.baselines,
            "levels": self.levels,
            "future": vars(self.future) if self.future else None,
            "recurra": __version__,
        }

    def start(self, path: Path, *, force: bool) -> tuple[RunFolder, SeriesSet]:
        """Check the table and the parameters, and only then create the run folder."""
        run = RunFolder(path)
        run.refuse_existing(force=force)
        forecaster = Forecaster(**self.parameters)
        with self._noting():
            series = forecaster.read(self.source.read())
            self._check(forecaster, series)
        return RunFolder.create(path, self.config(), force=force), series

    def run(
        self,
        run: RunFolder,
        series: SeriesSet | None = None,
        *,
        on_step: Callable[[str, int, StepRecord], None] | None = None,
    ) -> Forecaster:
        """Do what is left of the job; what a run folder holds already is not done again."""
        forecaster = Forecaster(**self.parameters)
        recorder = Recorder(run, on_step=on_step)
        seconds: dict[str, float] = {}
        with run.locked(), self._noting():
            if series is None:
                series = forecaster.read(self.source.read())
            self._note_machine(run)
            if self.backtest:
                with _timed(seconds, "backtest"):
                    result = forecaster.backtest(
                        series,
                        n_windows=self.backtest,
                        step=self.step,
                        baselines=self.baselines,
                        recorder=recorder,
                    )
                self._write_backtest(run, result)
            with _timed(seconds, "fit"):
                forecaster.fit(series, recorder=recorder)
            with writing(run.path):
                forecaster.save(run.path / "model", overwrite=True)
            self._write_forecast(run, forecaster, series)
            self._write(run, "summary.json", pack_json(self._summary(forecaster, series, seconds)))
        return forecaster

    @staticmethod
    def is_done(run: RunFolder) -> bool:
        """Whether a run folder holds the finished job: its summary is written last."""
        return (run.path / "summary.json").is_file()

    def _check(self, forecaster: Forecaster, series: SeriesSet) -> None:
        """Raise now what would else be raised after minutes of training."""
        forecaster.check(series, future=self.future.read() if self.future else None)
        if self.backtest < 0:
            raise ArgumentError(f"backtest is {self.backtest}; it is a number of windows, or 0 for none")
        if self.step is not None and self.step < 1:
            raise ArgumentError(f"step is {self.step}; it is 1 or more steps between windows")
        for name in self.baselines or ():
            check_baseline(name)
        if self.backtest:
            span = forecaster.horizon + (self.backtest - 1) * (self.step or forecaster.horizon)
            try:
                forecaster.check(series.head(drop=span))
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

    def _summary(self, forecaster: Forecaster, series: SeriesSet, seconds: Mapping[str, float]) -> dict[str, Any]:
        network = forecaster.model_.model
        if not isinstance(network, WindowForecaster):
            raise RunError("only recurrent forecasters have a summary")
        layer = next(m for m in network.networks[0].modules() if isinstance(m, Recurrent))
        return {
            "model": forecaster.name,
            "horizon": forecaster.horizon,
            "series": len(series),
            "steps_total": int(series.lengths.sum()),
            "frequency": str(series.frequency),
            "plan": forecaster.plan_._asdict(),
            "training_steps": network.best_steps,
            "members": len(network.networks),
            "weights": sum(p.numel() for p in network.networks[0].parameters()),
            "levels": self.levels,
            "seconds": dict(seconds),
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "machine": _machine(),
            "explain": layer.explain(),
            "notices": list(dict.fromkeys(self.notices)),
        }

    def _note_machine(self, run: RunFolder) -> None:
        """Bits repeat for one thread count and processor: say so where a resumed run finds others."""
        file, now = run.path / "machine.json", _machine()
        if not file.exists():
            self._write(run, "machine.json", pack_json(now))
            return
        before = file.read_bytes()
        if before != pack_json(now):
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


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[name] = round(time.perf_counter() - start, 1)


def _machine() -> dict[str, Any]:
    return {
        "cpu": _cpu(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "recurra": __version__,
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    names = (
        [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    return names[0] if names else platform.processor() or platform.machine()
