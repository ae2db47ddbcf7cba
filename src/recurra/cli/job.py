"""Running a forecasting job for the verbs that do: with progress, then the report, then what to print."""

from __future__ import annotations

import time
from pathlib import Path

from recurra.cli.console import output, print_json, print_scores
from recurra.cli.progress import TrainingProgress
from recurra.data.series import SeriesSet
from recurra.errors import ArtifactError
from recurra.reports import RunRecord, write_figures, write_report
from recurra.tasks.forecast_job import ForecastJob
from recurra.training.run import RunFolder
from recurra.training.signals import interrupted_by_signals
from recurra.training.store import unpack_json

__all__ = ["is_whole", "run_job"]


def run_job(job: ForecastJob, run: RunFolder, series: SeriesSet | None = None, *, as_json: bool, quiet: bool) -> None:
    """Do the job, write its report and print its result."""
    start = time.perf_counter()
    if not is_whole(run):
        goes_on = f"stopped; `recurra resume {run.path}` goes on"
        with TrainingProgress(quiet=quiet or as_json) as progress, interrupted_by_signals(goes_on):
            job.run(run, series, on_step=progress.on_step)
    has_forecast = (run.path / "forecast.csv").is_file()
    record, report = RunRecord.read(run.path), None
    if record.forecast is not None or record.backtest is not None:  # else there is nothing to draw
        write_figures(record, run.path)
        report = write_report(run.path)
    scores = _scores(run.path)
    if as_json:
        print_json({"run": str(run.path), "scores": scores, "report": str(report) if report else None})
        return
    if scores:
        print_scores(scores)
    if quiet:
        return
    console = output()
    console.print(f"forecast   {run.path / 'forecast.csv'}" if has_forecast else "forecast   none (see the notes)")
    console.print(f"model      {run.path / 'model'}")
    if report:
        console.print(f"report     {report}")
    future = "" if has_forecast else " --future-table FILE"
    console.print(f"{time.perf_counter() - start:.0f} s. Next: recurra predict {run.path}{future} --out next.csv")


def is_whole(run: RunFolder) -> bool:
    """Whether the run is finished and all that it recorded can be read."""
    if not ForecastJob.is_done(run):
        return False
    try:
        RunRecord.read(run.path)
    except ArtifactError:
        return False
    return True


def _scores(path: Path) -> dict[str, object] | None:
    file = path / "scores.json"
    return unpack_json(file.read_bytes(), name=str(file)) if file.is_file() else None
