"""`recurra resume`: go on with a run that was stopped."""

from __future__ import annotations

from recurra.cli.options import Debug, Json, Quiet, Run

__all__ = ["resume"]


def resume(run: Run, json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Go on from the last checkpoint; the result equals that of a run never stopped, bit for bit.

    Example: recurra resume runs/sales
    """
    from recurra.cli.console import output
    from recurra.cli.job import is_whole, run_job
    from recurra.tasks.jobs import job_of
    from recurra.training.run import RunFolder

    folder = RunFolder.open(run)
    job = job_of(folder)
    if is_whole(folder) and not quiet and not json:
        output().print("this run is complete; its report is written again")
    run_job(job, folder, as_json=json, quiet=quiet)
