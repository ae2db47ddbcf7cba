"""`recurra fit forecast`: from a table of series to a measured forecaster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from recurra.cli.fit.options import (
    BatchSize,
    LearningRate,
    Optimizer,
    Out,
    Seed,
    Training,
    run_folder,
    training_options,
)
from recurra.cli.options import Debug, Decimal, Encoding, Force, Json, Quiet, Separator, no_value

__all__ = ["forecast"]


def forecast(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="CSV or Parquet, long format: one row a series and time.")
    ],
    horizon: Annotated[int, typer.Option(help="Steps to forecast.")],
    out: Out = None,
    time: Annotated[str, typer.Option(help="Column of dates, clock times or whole numbers.")] = "ds",
    target: Annotated[str, typer.Option(help="Column to forecast.")] = "y",
    series: Annotated[str, typer.Option(help="Column that names each row's series; may be absent.")] = "unique_id",
    future: Annotated[list[str], typer.Option(help="Covariate known in advance; may be repeated.")] = [],  # noqa: B006 - typer copies
    past: Annotated[list[str], typer.Option(help="Covariate known up to now; may be repeated.")] = [],  # noqa: B006
    static: Annotated[list[str], typer.Option(help="Covariate with one value a series; may be repeated.")] = [],  # noqa: B006
    future_table: Annotated[Path | None, typer.Option(help="File with the known covariates over the horizon.")] = None,
    cell: Annotated[str, typer.Option(help="The recurrence: gru, lstm, elman, elman-relu, ...")] = "gru",
    hidden_size: Annotated[int, typer.Option()] = 64,
    num_layers: Annotated[int, typer.Option()] = 2,
    dropout: Annotated[float, typer.Option(help="Between layers and before the head.")] = 0.1,
    lookback: Annotated[int | None, typer.Option(help="Past steps the model sees. [default: from the periods]")] = None,
    season: Annotated[int | None, typer.Option(help="Samples read by one step of the recurrence.")] = None,
    period: Annotated[list[int], typer.Option(help="Period of the series; may be repeated. [default: found]")] = [],  # noqa: B006
    scaling: Annotated[str | None, typer.Option(help="recent, standard or mean. [default: decided]")] = None,
    loss: Annotated[str, typer.Option(help="quantile, mae, mse or huber.")] = "quantile",
    level: Annotated[list[float], typer.Option(help="Interval to write, in percent; may be repeated.")] = [80, 95],  # noqa: B006
    members: Annotated[int, typer.Option(help="Networks in the ensemble.")] = 3,
    steps: Annotated[int | None, typer.Option(help="Training steps at most.")] = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    optimizer: Optimizer = None,
    seed: Seed = None,
    training: Training = [],  # noqa: B006 - typer copies
    freq: Annotated[str | None, typer.Option(help="Step of the series: 15m, h, D, W, MS, ... [default: found]")] = None,
    missing: Annotated[str | None, typer.Option(help="For gaps: interpolate, mask or drop. [default: refuse]")] = None,
    timezone: Annotated[str | None, typer.Option(help="Zone of the clock times, such as Europe/Paris.")] = None,
    time_format: Annotated[str | None, typer.Option(help="Form of the times, such as %d/%m/%Y.")] = None,
    transform: Annotated[str, typer.Option(help="auto, log (for positive targets) or none.")] = "auto",
    encoding: Encoding = "utf-8",
    separator: Separator = None,
    decimal: Decimal = ".",
    backtest: Annotated[int, typer.Option(help="Windows to compare with baselines first; 0 for none.")] = 3,
    step: Annotated[int | None, typer.Option(help="Steps between those windows. [default: horizon]")] = None,
    baselines: Annotated[str | None, typer.Option(help="Names with commas between, or none. [default: all]")] = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Backtest beside baselines, train, forecast and write a report.

    Example: recurra fit forecast sales.csv --time date --target y --series store --horizon 28 --out runs/sales
    """
    from recurra.cli.job import run_job
    from recurra.tasks.forecast_job import ForecastJob
    from recurra.tasks.source import Source

    parameters: dict[str, Any] = {
        "horizon": horizon,
        "cell": cell,
        "hidden_size": hidden_size,
        "num_layers": num_layers,
        "dropout": dropout,
        "lookback": lookback,
        "season": season,
        "periods": period or None,
        "scaling": scaling,
        "loss": loss,
        "levels": sorted({50.0, 80.0, 90.0, 95.0, *level}),
        "members": members,
        "training": training_options(training, steps, batch_size, learning_rate, optimizer, seed),
        "series": series,
        "time": time,
        "target": target,
        "future": future,
        "past": past,
        "static": static,
        "freq": freq,
        "missing": missing,
        "timezone": timezone,
        "time_format": time_format,
        "transform": transform,
    }
    form = {"encoding": encoding, "separator": separator, "decimal": decimal}
    chosen = no_value(baselines)
    job = ForecastJob(
        Source.of(data, **form),
        parameters,
        backtest=backtest,
        step=step,
        baselines=None if chosen is None else tuple(chosen),
        levels=tuple(level),
        future=Source.of(future_table, **form) if future_table else None,
    )
    run, table = job.start(run_folder(out, data), force=force)
    run_job(job, run, table, as_json=json, quiet=quiet)
