"""`recurra evaluate`: score a trained run on rows that came after its training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from recurra.cli.options import (
    Debug,
    Decimal,
    Encoding,
    Json,
    Missing,
    Quiet,
    Run,
    Separator,
    SourceColumn,
    TagColumn,
    TextColumn,
    TokenColumn,
    no_value,
)

__all__ = ["evaluate"]


def evaluate(
    run: Run,
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="Of a forecaster: the training table gone on, old rows and new ones. Of a text model: rows it has "
            "not seen.",
        ),
    ],
    target_file: Annotated[
        Path | None, typer.Option(help="Of a translator: text file of the targets, beside DATA line by line.")
    ] = None,
    text: TextColumn = None,
    label: Annotated[
        str | None, typer.Option(help="Of a classifier: column of the labels. [default: as in training]")
    ] = None,
    source: SourceColumn = None,
    target: Annotated[
        str | None,
        typer.Option(help="Of a translator or a forecaster: column of the targets. [default: as in training]"),
    ] = None,
    token: TokenColumn = None,
    tag: TagColumn = None,
    adapt: Annotated[
        bool,
        typer.Option(
            "--adapt", help="Of a language model: also rate a copy that learns from DATA what it has foretold."
        ),
    ] = False,
    start: Annotated[
        str | None, typer.Option(help="First time to forecast. [default: the first after training]")
    ] = None,
    step: Annotated[int | None, typer.Option(help="Steps between windows. [default: horizon]")] = None,
    level: Annotated[float | None, typer.Option(help="Interval to score, in percent. [default: 90]")] = None,
    baselines: Annotated[str | None, typer.Option(help="Names with commas between, or none. [default: all]")] = None,
    encoding: Encoding = "utf-8",
    separator: Separator = None,
    decimal: Decimal = ".",
    missing: Missing = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Score a model without training it: a forecaster beside baselines on what DATA holds after the training table's
    end, a text model on rows that it has not seen.

    Example: recurra evaluate runs/sales sales-with-june.csv

    Example: recurra evaluate runs/de-en new.de --target-file new.en

    Example: recurra evaluate runs/shakespeare another-play.txt --adapt
    """
    from recurra.cli.changing import change_parameters, column_of
    from recurra.cli.console import print_comparison, print_json, print_scores
    from recurra.errors import ArgumentError
    from recurra.tasks.forecasting import Forecaster
    from recurra.tasks.jobs import job_of, load_fitted
    from recurra.tasks.language import LanguageModel
    from recurra.tasks.source import Source
    from recurra.tasks.text_job import TextJob
    from recurra.tasks.translate_job import TranslateJob
    from recurra.training.run import RunFolder

    folder = RunFolder.open(run)
    fitted, job = load_fitted(folder), job_of(folder)
    rows = Source(str(data), encoding=encoding, separator=separator, decimal=decimal)
    if target_file is not None:
        if not isinstance(job, TranslateJob):
            raise ArgumentError(f"--target-file is for translators; this run is a {type(fitted).__name__}'s")
        fitted.set_params(source=None, target=None)  # columns that two files do not have
        job = replace(job, test=rows, test_target_file=Source(str(target_file), encoding=encoding))
    columns = {
        "text": text,
        "label": label,
        "source": column_of(source),
        "target": target if isinstance(fitted, Forecaster) else column_of(target),
        "token": column_of(token),
        "tag": column_of(tag),
    }
    change_parameters(fitted, columns)
    if adapt and not isinstance(fitted, LanguageModel):
        raise ArgumentError(f"--adapt is for language models; this run is a {type(fitted).__name__}'s, leave it out")
    if isinstance(fitted, Forecaster):
        if missing is not None:
            fitted.set_params(missing=missing)
        scores = fitted.evaluate(
            rows.read(), start=start, step=step, level=level or 90, baselines=no_value(baselines)
        ).to_json()
        (print_json if json else print_scores)(scores)
        return
    for name, given in (("start", start), ("step", step), ("level", level), ("baselines", baselines)):
        if given is not None:
            raise ArgumentError(f"--{name} is for forecasts; this run is a {type(fitted).__name__}'s")
    if not isinstance(job, TextJob):
        raise AssertionError(f"{type(job).__name__} has no rows to score")
    unseen = job.read_rows(fitted, rows)
    if adapt:
        found = fitted.compare(unseen, measured_on=data.name, adapt=True)
    else:
        found = fitted.compare(unseen, measured_on=data.name)
    (print_json if json else print_comparison)(found.to_json())
