"""`recurra report`: draw a run's report again from its records."""

from __future__ import annotations

from recurra.cli.options import Debug, Json, Quiet, Run

__all__ = ["report"]


def report(run: Run, json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Write RUN/report.html and its figures from what the run recorded; nothing is trained.

    Example: recurra report runs/sales
    """
    from recurra.cli.console import output, print_json
    from recurra.reports.runs import check_records, write_run

    check_records(run)
    path = write_run(run)
    if json:
        print_json({"report": str(path) if path else None})
    elif not quiet:
        output().print(f"report     {path or 'none: the run recorded nothing to draw'}")
