"""`recurra demo`: the main job on a real series that ships with a dependency."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recurra.cli.options import Debug, Force, Json, Quiet

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option(help="The run folder to make.")] = Path("runs/demo"),
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Forecast the weekly CO2 at Mauna Loa a year ahead, measured beside baselines.

    Example: recurra demo --out runs/demo
    """
    from recurra.cli.job import run_job
    from recurra.tasks.forecast_job import ForecastJob

    job = ForecastJob(
        None,
        {
            "horizon": 52,
            "time": "week",
            "target": "co2",
            "members": 2,
            "missing": "interpolate",
            "training": {"steps": 300},
        },
        backtest=4,
    )
    run, series = job.start(out, force=force)
    run_job(job, run, series, as_json=json, quiet=quiet)
