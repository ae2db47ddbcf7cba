"""`recurra evaluate`: score a trained run on rows that came after its training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recurra.cli.options import Debug, Decimal, Encoding, Json, Missing, Quiet, Run, Separator, no_value

__all__ = ["evaluate"]


def evaluate(
    run: Run,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="The training table gone on: old rows and new ones.")],
    start: Annotated[
        str | None, typer.Option(help="First time to forecast. [default: the first after training]")
    ] = None,
    step: Annotated[int | None, typer.Option(help="Steps between windows. [default: horizon]")] = None,
    level: Annotated[float, typer.Option(help="Interval to score, in percent.")] = 90,
    baselines: Annotated[str | None, typer.Option(help="Names with commas between, or none. [default: all]")] = None,
    encoding: Encoding = "utf-8",
    separator: Separator = None,
    decimal: Decimal = ".",
    missing: Missing = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Score a model, without training it, beside baselines on what DATA holds after the training table's end.

    Example: recurra evaluate runs/sales sales-with-june.csv
    """
    from recurra.cli.console import print_json, print_scores
    from recurra.data.files import read_table
    from recurra.tasks.forecasting import Forecaster
    from recurra.training.run import RunFolder

    forecaster = Forecaster.load(RunFolder.open(run).path / "model")
    if missing is not None:
        forecaster.set_params(missing=missing)
    table = read_table(data, encoding=encoding, separator=separator, decimal=decimal)
    result = forecaster.evaluate(table, start=start, step=step, level=level, baselines=no_value(baselines))
    if json:
        print_json(result.to_json())
    else:
        print_scores(result.to_json())
