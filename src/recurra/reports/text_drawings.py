"""Still figures of a text run: training, and of a classifier its confusion matrix and its calibration, as PNG."""

from __future__ import annotations

import os
from pathlib import Path

from recurra.reports.confusion import write_confusion
from recurra.reports.curves import training_figure
from recurra.reports.reliability import write_reliability
from recurra.reports.still import save_figure
from recurra.reports.text_record import TextRecord
from recurra.reports.text_words import words_of
from recurra.training.classification import ReliabilityBin

__all__ = ["bins_of", "write_drawings"]


def write_drawings(record: TextRecord, folder: str | os.PathLike[str]) -> list[Path]:
    """Draw `confusion.png`, `reliability.png` and `training.png` into `folder`, as far as the record holds them.

    Returns the paths written. Raises RecurraError if one cannot be written.
    """
    folder, details = Path(folder), record.compared.details
    on = f"{record.model} on {record.compared.measured_on}"
    paths = []
    if details.get("confusion"):
        names = [str(row["name"]) for row in details["classes"]]
        paths.append(write_confusion(folder / "confusion.png", details["confusion"], names, title=on))
    if bins := bins_of(record):
        paths.append(write_reliability(folder / "reliability.png", bins, title=on))
    if record.metrics.height:
        figure = training_figure(
            record.metrics, validation=words_of(record).validation, title=f"Training of {record.model}"
        )
        paths.append(save_figure(figure, folder / "training.png"))
    return paths


def bins_of(record: TextRecord) -> list[ReliabilityBin]:
    """The bins of confidence; none unless one of them holds rows."""
    bins = [ReliabilityBin(**each) for each in record.compared.details.get("bins", [])]
    return bins if any(each.rows for each in bins) else []
