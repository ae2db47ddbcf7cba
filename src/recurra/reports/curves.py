"""The still picture of a training: loss and validation by step."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from recurra.reports.axes import quieten
from recurra.reports.charts import one_line
from recurra.reports.palette import LIGHT
from recurra.reports.still import DPI, fonts, head, legible

__all__ = ["training_figure"]

_SMOOTHED = 50  # points of the loss's running mean over a training
_STYLES = ("solid", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
_MOST = len(_STYLES)  # stages drawn


def training_figure(metrics: pl.DataFrame, *, validation: str | None = None, title: str = "Training") -> Figure:
    """Loss by step, and beside it what is validated; one line a stage.

    metrics: stage, step, loss, validation, one row a step at least.
    validation: what it measures; None: the loss.
    """
    stages = [str(stage) for stage in metrics["stage"].unique(maintain_order=True)]
    beside = metrics["validation"].drop_nulls().len() > 0
    figure = Figure(figsize=(10 if beside else 5.6, 3.9), dpi=DPI, facecolor=LIGHT["paper"])
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2 if beside else 1, squeeze=False, sharex=True)[0]
    figure.subplots_adjust(left=0.07 if beside else 0.12, right=0.985, top=0.78, bottom=0.14, wspace=0.17)
    for stage, style in zip(stages[:_MOST], _STYLES, strict=False):
        rows = metrics.filter(stage=stage).sort("step").drop_nulls("loss")
        width = max(1, rows.height // _SMOOTHED)
        panels[0].plot(rows["step"], rows["loss"], color=LIGHT["muted"], linewidth=0.5, alpha=0.35)
        smooth = rows["loss"].rolling_mean(width, min_samples=1)
        label = one_line(legible(stage), 24)
        panels[0].plot(rows["step"], smooth, color=LIGHT["truth"], linewidth=1.6, linestyle=style, label=label)
        if beside:
            held = metrics.filter(stage=stage).sort("step").drop_nulls("validation")
            panels[1].plot(
                held["step"], held["validation"], "o", color=LIGHT["model"], markersize=3.5, linewidth=1.6,
                linestyle=style, label=label,
            )  # fmt: skip
    left_out = f"; the first {_MOST} of {len(stages)} stages" if len(stages) > _MOST else ""
    _finish(panels[0], title, f"loss on the batches, and its running mean{left_out}", legend=len(stages) > 1)
    if beside:
        _finish(panels[1], "Held back", _lowest(metrics, validation or "loss"), legend=len(stages) > 1)
    return figure


def _finish(panel: Axes, title: str, lines: str, *, legend: bool) -> None:
    quieten(panel)
    panel.yaxis.set_major_locator(MaxNLocator(5))
    panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    panel.margins(x=0.02)
    panel.set_ylim(bottom=min(0.0, panel.get_ylim()[0]))
    panel.set_xlabel("step", fontsize=9.5, color=LIGHT["muted"])
    head(panel, title, lines)
    if legend:
        drawn = panel.legend(frameon=False, fontsize=9, labelcolor=LIGHT["ink"], prop={"family": fonts(), "size": 9})
        for text in drawn.get_texts():
            text.set_parse_math(False)


def _lowest(metrics: pl.DataFrame, name: str) -> str:
    held = metrics.drop_nulls("validation").sort("validation", maintain_order=True).row(0, named=True)
    return f"{name} on the rows held back; lowest {held['validation']:.4g} at step {held['step']:,}"
