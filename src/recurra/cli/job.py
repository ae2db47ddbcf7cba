"""Running a forecasting job for the verbs that do: with progress, then the report, then what to print."""

from __future__ import annotations

import time
from pathlib import Path

from recurra.cli.console import output, print_json, print_scores
from recurra.cli.progress import TrainingProgress
from recurra.data.series import SeriesSet
from recurra.reports import RunRecord, write_figures, write_report
from recurra.tasks.forecast_job import ForecastJob
from recurra.training.run import RunFolder
from recurra.training.store import unpack_json

__all__ = ["run_job"]


def run_job(job: ForecastJob, run: RunFolder, series: SeriesSet | None = None, *, as_json: bool, quiet: bool) -> None:
    """Do the job, write its report and print its result."""
    start = time.perf_counter()
    if not job.is_done(run):
        with TrainingProgress(quiet=quiet or as_json) as progress:
            job.run(run, series, on_step=progress.on_step)
    has_forecast = (run.path / "forecast.csv").is_file()
    report = None
    if has_forecast:
        write_figures(RunRecord.read(run.path), run.path)
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
    console.print(f"{time.perf_counter() - start:.0f} s. Next: recurra predict {run.path} --out next.csv")


def _scores(path: Path) -> dict[str, object] | None:
    file = path / "scores.json"
    return unpack_json(file.read_bytes(), name=str(file)) if file.is_file() else None
