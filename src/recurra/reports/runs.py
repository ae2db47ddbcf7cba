"""The report of any run: which records are read and what is drawn of them is the task's."""

from __future__ import annotations

import os
from pathlib import Path

from recurra.reports.record import RunRecord
from recurra.training.run import RunFolder

__all__ = ["check_records", "write_run"]


def check_records(path: str | os.PathLike[str]) -> None:
    """Raise RunError or ArtifactError unless the run is finished and all that it recorded can be read."""
    if RunFolder.open(path).config.get("task") in _FORECASTS:
        RunRecord.read(path)
    else:
        from recurra.reports.text_record import TextRecord

        TextRecord.read(path)


def write_run(path: str | os.PathLike[str]) -> Path | None:
    """Draw the figures and write the report of a finished run; None where it recorded nothing to draw.

    Raises RunError or ArtifactError if the folder holds no finished, whole run.
    """
    if RunFolder.open(path).config.get("task") in _FORECASTS:
        from recurra.reports.figures import write_figures
        from recurra.reports.html import write_report

        record = RunRecord.read(path)
        if record.forecast is None and record.backtest is None:
            return None
        write_figures(record, record.path)
        return write_report(record.path)
    from recurra.reports.text_html import write_text_report

    return write_text_report(path)


_FORECASTS = ("forecast", None)
