"""A run folder read back: what was asked, decided, forecast and measured."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import polars as pl

from recurra.errors import RunError
from recurra.reports.columns import levels_of, numbers, parse_times
from recurra.reports.reading import damaged, number, read_metrics, read_object

__all__ = ["RunRecord", "Scores"]

_COLUMNS = {"series": "unique_id", "time": "ds", "target": "y"}  # the forecaster's own defaults


@dataclass(frozen=True)
class Scores:
    """What the backtest measured.

    values: measures by forecaster, None where undefined.
    level: of the intervals scored, in percent.
    horizon, windows: steps ahead; windows compared, over all series.
    """

    values: Mapping[str, Mapping[str, float | None]]
    level: float
    horizon: int
    windows: int

    def of(self, forecaster: str, measure: str) -> float | None:
        """One measure of one forecaster."""
        return self.values.get(forecaster, {}).get(measure)


@dataclass(frozen=True)
class RunRecord:
    """The records of one forecasting run; `RunRecord.read(path)` loads them, nothing is trained or computed again.

    columns: the table's own names of "series", "time" and "target".
    config, summary: what was asked for; what was decided and used.
    history: last part of the first series: [id], time, target.
    forecast: [id], time, the model's column and its intervals; None if none was written.
    backtest: [id], cutoff, time, target, then each forecaster's columns; None if none was made.
    scores: the backtest's measures; None if none was made.
    metrics: one row a training step: stage, step, loss, validation, gradient_norm.
    """

    path: Path
    columns: Mapping[str, str | None]
    config: Mapping[str, Any]
    summary: Mapping[str, Any]
    history: pl.DataFrame
    forecast: pl.DataFrame | None
    backtest: pl.DataFrame | None
    scores: Scores | None
    metrics: pl.DataFrame

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """The records in the run folder `path`.

        Raises:
            RunError: there is no run there, it is not finished, or it is not a forecasting run.
            ArtifactError: a file is damaged; its name and the remedy are in the message.
        """
        path = Path(path)
        if not (path / "config.json").is_file():
            raise RunError(f"{path} is no run folder (no config.json); `recurra fit ... --out {path}` makes one")
        config = read_object(path / "config.json")
        if config.get("task") != "forecast":
            raise RunError(f"{path} is a run of task {config.get('task')!r}; reports are drawn for 'forecast'")
        for name in ("summary.json", "history.csv"):
            if not (path / name).is_file():
                raise RunError(f"{path} is not finished (no {name}); `recurra resume {path}` goes on")
        summary = read_object(path / "summary.json")
        if not isinstance(summary.get("model"), str):
            raise damaged(path / "summary.json", "it names no model")
        columns = _column_names(path / "config.json", config)
        table = _TableReader(path, summary["model"], columns)
        history = table.read("history.csv", times=[table.time], measured=[table.target])
        return cls(
            path=path,
            columns=columns,
            config=config,
            summary=summary,
            history=history,
            forecast=table.read_optional("forecast.csv", times=[table.time], measured=[table.model]),
            backtest=table.read_optional(
                "backtest.csv", times=["cutoff", table.time], measured=[table.target, table.model]
            ),
            scores=_read_scores(path / "scores.json"),
            metrics=read_metrics(path / "metrics.jsonl"),
        )

    @property
    def model(self) -> str:
        """The model's name, which is its column's."""
        return str(self.summary["model"])

    @property
    def target(self) -> str:
        """The target's column."""
        return str(self.columns["target"])

    @property
    def time(self) -> str:
        """The time's column."""
        return str(self.columns["time"])

    @property
    def series(self) -> str | None:
        """The column that tells series apart; None for one series."""
        name = self.columns["series"]
        return name if name in self.history.columns else None

    @property
    def horizon(self) -> int | None:
        """Steps forecast, if recorded."""
        value = self.summary.get("horizon", self.config["parameters"].get("horizon"))
        return value if isinstance(value, int) else None

    def names(self, most: int) -> list[str | None]:
        """The first `most` series of the history in the file's order; [None] for a table of one series."""
        if self.series is None:
            return [None]
        return list(self.history[self.series].unique(maintain_order=True)[:most])

    def rows(self, frame: pl.DataFrame | None, name: str | None) -> pl.DataFrame:
        """The rows of one series of `frame` in order of time; no rows where `frame` is None."""
        if frame is None:
            return self.history.clear()
        if name is not None and self.series in frame.columns:
            frame = frame.filter(pl.col(self.series).eq_missing(name))
        return frame.sort("cutoff", self.time) if "cutoff" in frame.columns else frame.sort(self.time)

    def levels(self, frame: pl.DataFrame | None, forecaster: str) -> list[str]:
        """The levels of the forecaster's intervals in `frame`, widest first, as the columns spell them."""
        return [] if frame is None else levels_of(frame.columns, forecaster)

    def held_out_steps(self) -> int:
        """Truths that the backtest compared with."""
        if self.backtest is not None:
            return self.backtest.height - self.backtest[self.target].null_count()
        return self.scores.horizon * self.scores.windows if self.scores else 0


class _TableReader:
    """Reads the CSV files of one run by the names its configuration gives."""

    def __init__(self, path: Path, model: str, columns: Mapping[str, str | None]) -> None:
        self.path, self.model = path, model
        self.time, self.target, self.series = (columns[role] or "" for role in ("time", "target", "series"))

    def read_optional(self, name: str, *, times: list[str], measured: list[str]) -> pl.DataFrame | None:
        return self.read(name, times=times, measured=measured) if (self.path / name).is_file() else None

    def read(self, name: str, *, times: list[str], measured: list[str]) -> pl.DataFrame:
        """A table with parsed times and numbers; ids stay text."""
        file = self.path / name
        try:
            frame = pl.read_csv(file, infer_schema=False)
        except pl.exceptions.NoDataError:
            raise damaged(file, "it is empty") from None
        except (pl.exceptions.PolarsError, OSError) as error:
            raise damaged(file, str(error).splitlines()[0]) from None
        named = [self.series, *times, *measured]
        frame = frame.rename({f"'{n}": n for n in named if n not in frame.columns and f"'{n}" in frame.columns})
        for column in (*times, *measured):
            if column not in frame.columns:
                raise damaged(file, f"it has no column {column!r}")
        if self.series in frame.columns:
            frame = frame.with_columns(_unguarded(frame[self.series]))
        try:
            return frame.with_columns(
                *(parse_times(frame[column]) for column in dict.fromkeys(times)),
                *(numbers(frame[column]) for column in frame.columns if column not in {self.series, *times}),
            )
        except ValueError as error:
            raise damaged(file, str(error)) from None


def _unguarded(ids: pl.Series) -> pl.Series:
    """Ids without the apostrophe that keeps spreadsheets from running those that look like formulas."""
    return ids.fill_null("").str.replace(r"^'([=+\-@\t\r])", "${1}")


def _column_names(file: Path, config: Mapping[str, Any]) -> dict[str, str | None]:
    """The table's names of series, time and target; those not asked for are the defaults."""
    parameters = config.get("parameters")
    if not isinstance(parameters, dict):
        raise damaged(file, "it holds no parameters")
    names = {role: parameters.get(role, default) for role, default in _COLUMNS.items()}
    for role, name in names.items():
        if not isinstance(name, str) and not (role == "series" and name is None):
            raise damaged(file, f"its parameter {role} is {name!r}, not a column")
    return names


def _read_scores(file: Path) -> Scores | None:
    if not file.is_file():
        return None
    value = read_object(file)
    try:
        return Scores(
            values={
                str(name): {str(measure): number(x) for measure, x in measures.items()}
                for name, measures in value["scores"].items()
            },
            level=float(value["level"]),
            horizon=int(value["horizon"]),
            windows=int(value["windows"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(file, f"{type(error).__name__} at {error}") from None
