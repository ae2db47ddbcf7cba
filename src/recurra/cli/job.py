"""Running a job for the verbs that do: with progress, then the report, then what to print."""

from __future__ import annotations

import time
from typing import Any

from recurra.cli.console import output, print_comparison, print_json, print_scores
from recurra.cli.progress import TrainingProgress
from recurra.errors import ArtifactError, RunError
from recurra.reports.runs import check_records, write_run
from recurra.tasks.job import Job
from recurra.training.run import RunFolder
from recurra.training.signals import interrupted_by_signals
from recurra.training.store import unpack_json

__all__ = ["is_whole", "run_job"]


def run_job(job: Job, run: RunFolder, data: Any = None, *, as_json: bool, quiet: bool) -> None:
    """Do the job, write its report and print its result."""
    start = time.perf_counter()
    if not is_whole(run):
        goes_on = f"stopped; `recurra resume {run.path}` goes on"
        with TrainingProgress(quiet=quiet or as_json) as progress, interrupted_by_signals(goes_on):
            job.run(run, data, on_step=progress.on_step)
    report = write_run(run.path)
    scores = _scores(run)
    if as_json:
        print_json({"run": str(run.path), "scores": scores, "report": str(report) if report else None})
        return
    if scores:
        (print_scores if job.task == "forecast" else print_comparison)(scores)
    if quiet:
        return
    console = output()
    if job.task == "forecast":
        file = run.path / "forecast.csv"
        console.print(f"forecast   {file}" if file.is_file() else "forecast   none (see the notes)")
    console.print(f"model      {run.path / 'model'}")
    if report:
        console.print(f"report     {report}")
    console.print(f"{time.perf_counter() - start:.0f} s. Next: {job.next_step(run)}")


def is_whole(run: RunFolder) -> bool:
    """Whether the run is finished and all that it recorded can be read."""
    if not Job.is_done(run):
        return False
    try:
        check_records(run.path)
    except (ArtifactError, RunError):
        return False
    return True


def _scores(run: RunFolder) -> dict[str, Any] | None:
    file = run.path / "scores.json"
    return unpack_json(file.read_bytes(), name=str(file)) if file.is_file() else None
