"""`recurra predict`: forecast with a trained run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from recurra.cli.options import Debug, Decimal, Encoding, Force, Json, Missing, Quiet, Run, Separator

__all__ = ["predict"]


def predict(
    run: Run,
    data: Annotated[
        Path | None, typer.Argument(metavar="[DATA]", help="Histories to forecast from; without, the training table.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="CSV or Parquet to write. [default: standard output]")] = None,
    future_table: Annotated[Path | None, typer.Option(help="File with the known covariates over the horizon.")] = None,
    level: Annotated[list[float], typer.Option(help="Interval, in percent; may be repeated.")] = [80, 95],  # noqa: B006
    encoding: Encoding = "utf-8",
    separator: Separator = None,
    decimal: Decimal = ".",
    missing: Missing = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Forecast the next steps of each series.

    Example: recurra predict runs/sales --out next.csv
    """
    from recurra.cli.console import output, print_json
    from recurra.data.files import read_table
    from recurra.errors import RunError
    from recurra.tasks.forecasting import Forecaster
    from recurra.tasks.frames import csv_bytes, write_table
    from recurra.training.run import RunFolder

    if out is not None and out.exists() and not force:
        raise RunError(f"{out} exists already; pass --force to replace it, or another --out")
    forecaster = Forecaster.load(RunFolder.open(run).path / "model")
    if missing is not None:
        forecaster.set_params(missing=missing)
    form: dict[str, Any] = {"encoding": encoding, "separator": separator, "decimal": decimal}
    table = None if data is None else read_table(data, **form)
    future = None if future_table is None else read_table(future_table, **form)
    frame = forecaster.predict(table, level=level, future=future)
    if out is not None:
        write_table(frame, out)
    if json:
        print_json({"out": str(out) if out else None, "rows": frame.to_dicts()})
    elif out is None:
        typer.echo(csv_bytes(frame).decode(), nl=False)
    elif not quiet:
        output().print(f"{frame.height} rows in {out}")
