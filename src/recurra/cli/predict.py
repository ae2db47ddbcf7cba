"""`recurra predict`: use a trained run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from recurra.cli.options import (
    Debug,
    Decimal,
    Encoding,
    Force,
    Json,
    Missing,
    Quiet,
    Run,
    Separator,
    SourceColumn,
    TagColumn,
    TextColumn,
    TokenColumn,
)

__all__ = ["predict"]


def predict(
    run: Run,
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA]",
            help="Of a forecaster: histories to forecast from; without, the training table. Of a text model, without: "
            "standard input, line by line. Of a classifier or a translator: a table, or a .txt file of one text a "
            "line; of a translator also what its training had. Of a tagger: sentences in a form that training takes, "
            "never raw lines. Of a language model: a text file of lines.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="CSV or Parquet to write. [default: standard output]")] = None,
    future_table: Annotated[Path | None, typer.Option(help="File with the known covariates over the horizon.")] = None,
    level: Annotated[
        list[float] | None, typer.Option(help="Interval of a forecast, in percent; may be repeated. [default: 80, 95]")
    ] = None,
    text: TextColumn = None,
    source: SourceColumn = None,
    token: TokenColumn = None,
    tag: TagColumn = None,
    beam_size: Annotated[
        int | None, typer.Option(help="Of a translator: sequences kept side by side. [default: as in training]")
    ] = None,
    length_penalty: Annotated[
        float | None,
        typer.Option(help="Of a translator: 0: short texts are favoured. [default: as in training]"),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show what each token of a text contributes.")] = False,
    encoding: Encoding = "utf-8",
    separator: Separator = None,
    decimal: Decimal = ".",
    missing: Missing = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Forecast the next steps of each series, or say what a text model makes of texts; in a pipe, line by line.

    Example: recurra predict runs/sales --out next.csv

    Example: cat mails.txt | recurra predict runs/spam
    """
    from recurra.cli.changing import change_parameters, column_of
    from recurra.errors import ArgumentError, RunError
    from recurra.tasks.forecasting import Forecaster
    from recurra.tasks.jobs import load_fitted
    from recurra.training.run import RunFolder

    if out is not None and out.exists() and not force:
        raise RunError(f"{out} exists already; pass --force to replace it, or another --out")
    folder = RunFolder.open(run)
    fitted = load_fitted(folder)
    columns = {"text": text, "source": source, "token": column_of(token), "tag": column_of(tag)}
    change_parameters(fitted, columns)
    change_parameters(fitted, {"beam_size": beam_size, "length_penalty": length_penalty})
    form: dict[str, Any] = {"encoding": encoding, "separator": separator, "decimal": decimal}
    if isinstance(fitted, Forecaster):
        if explain:
            raise ArgumentError("--explain is for text models; this run is a forecaster's")
        _forecast(fitted, data, out, future_table, level or [80, 95], missing, form, json, quiet)
        return
    from recurra.cli.predict_texts import predict_texts
    from recurra.cli.text_files import source_place

    for name, given in (("future-table", future_table), ("level", level), ("missing", missing)):
        if given:
            raise ArgumentError(f"--{name} is for forecasts; this run is a {type(fitted).__name__}'s")
    place = source_place(fitted, folder, data, source)
    if source is not None and place is None:
        fitted.column_ = source
    named = [name for name, column in columns.items() if column is not None]
    predict_texts(fitted, data, out, named=named, place=place, form=form, explain=explain, as_json=json, quiet=quiet)


def _forecast(
    forecaster: Any,
    data: Path | None,
    out: Path | None,
    future_table: Path | None,
    level: list[float],
    missing: str | None,
    form: dict[str, Any],
    as_json: bool,
    quiet: bool,
) -> None:
    from recurra.cli.console import output, print_json
    from recurra.data.files import read_table
    from recurra.tasks.frames import csv_bytes, json_rows, write_table

    if missing is not None:
        forecaster.set_params(missing=missing)
    table = None if data is None else read_table(data, **form)
    future = None if future_table is None else read_table(future_table, **form)
    frame = forecaster.predict(table, level=level, future=future)
    if out is not None:
        write_table(frame, out)
    if as_json:
        print_json({"out": str(out) if out else None, "rows": json_rows(frame)})
    elif out is None:
        typer.echo(csv_bytes(frame).decode(), nl=False)
    elif not quiet:
        output().print(f"{frame.height} rows in {out}")
