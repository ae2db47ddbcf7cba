"""`recurra report`: draw a run's report again from its records."""

from __future__ import annotations

from recurra.cli.options import Debug, Json, Quiet, Run

__all__ = ["report"]


def report(run: Run, json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Write RUN/report.html and its figures from what the run recorded; nothing is trained.

    Example: recurra report runs/sales
    """
    from recurra.cli.console import output, print_json
    from recurra.reports import RunRecord, write_figures, write_report

    write_figures(RunRecord.read(run), run)
    path = write_report(run)
    if json:
        print_json({"report": str(path)})
    elif not quiet:
        output().print(f"report     {path}")
