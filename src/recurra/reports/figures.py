"""Still figures of a run: the forecast and the backtest, as PNG."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from recurra.errors import RunError
from recurra.reports.axes import quieten
from recurra.reports.charts import one_line, truth_around
from recurra.reports.columns import separate_windows
from recurra.reports.palette import LIGHT
from recurra.reports.record import RunRecord
from recurra.reports.still import DPI, fonts, legible, save_figure
from recurra.reports.verdict import PLAIN_NAMES, reference

__all__ = ["write_figures"]

_PANELS = 4
_WINDOWS = 3
_BAND = "#0072b2"
_SHADES = (0.15, 0.26)  # wide interval, narrow interval


def write_figures(record: RunRecord, folder: str | os.PathLike[str]) -> list[Path]:
    """Draw `forecast.png`, and `backtest.png` where a backtest was made, into `folder`.

    Returns the paths written. Raises RunError if the record holds neither a forecast nor a backtest.
    """
    folder = Path(folder)
    figures: dict[str, Figure] = {}
    if names := _drawn(record, record.forecast):
        figures["forecast.png"] = forecast_figure(record, names)
    if names := _drawn(record, record.backtest):
        figures["backtest.png"] = backtest_figure(record, names)
    if not figures:
        raise RunError(f"{record.path} holds neither a forecast nor a backtest; there is nothing to draw")
    return [save_figure(figure, folder / name, tight=False) for name, figure in figures.items()]


def forecast_figure(record: RunRecord, names: list[str | None]) -> Figure:
    """The end of the history and the forecast with its intervals, one panel a series."""
    steps = f"next {record.horizon} steps" if record.horizon else "forecast"
    figure, axes = _sheet(f"{record.target}: the {steps}", _subtitle(record), len(names))
    for panel, name in zip(axes, names, strict=True):
        forecast = record.rows(record.forecast, name)
        history = record.rows(record.history, name).tail(max(4 * forecast.height, 60))
        panel.plot(history[record.time], history[record.target], color=LIGHT["truth"], linewidth=1.4)
        _draw_model(panel, record, forecast)
        if history.height and forecast.height:
            panel.axvline(history[record.time][-1], color=LIGHT["muted"], linewidth=0.8, linestyle=(0, (2, 3)))
        _finish(panel, record, name)
        _label_ends(panel, record, forecast, small=len(names) > 1)
    return figure


def backtest_figure(record: RunRecord, names: list[str | None]) -> Figure:
    """The truth beside the model's and the baseline's forecasts over the last windows, one panel a series."""
    rival = reference(record.scores, record.model) if record.scores else None
    rival = rival if record.backtest is not None and rival in record.backtest.columns else None
    title = f"{one_line(record.target, 32)}: backtest"  # the legend stands beside it
    figure, axes = _sheet(title, f"{_subtitle(record)}: forecasts of steps that it had not seen", len(names))
    for i, (panel, name) in enumerate(zip(axes, names, strict=True)):
        windows = separate_windows(record.rows(record.backtest, name), record.time, _WINDOWS)
        truth = truth_around(record, name, windows)
        panel.plot(
            truth[record.time], truth[record.target], color=LIGHT["truth"], linewidth=1.3, label="truth", zorder=4
        )
        for j, window in enumerate(windows):
            labelled = i == 0 and j == 0
            if rival:
                plain = PLAIN_NAMES.get(rival, rival).removeprefix("the ")
                panel.plot(
                    window[record.time], window[rival], color=LIGHT["baseline"], linewidth=1.5,
                    linestyle=(0, (3, 1.5)), label=one_line(plain, 30) if labelled else None,
                )  # fmt: skip
            _draw_model(panel, record, window, labelled=labelled)
            panel.axvline(window["cutoff"][0], color=LIGHT["muted"], linewidth=0.8, linestyle=(0, (2, 3)))
        _finish(panel, record, name)
    _legend(figure, axes)
    return figure


def _drawn(record: RunRecord, frame: pl.DataFrame | None) -> list[str | None]:
    """The first series that `frame` has rows of, at most one a panel."""
    if frame is None:
        return []
    return [name for name in record.names(_PANELS) if record.rows(frame, name).height]


def _sheet(title: str, subtitle: str, panels: int) -> tuple[Figure, list[Axes]]:
    """A titled figure with one wide panel, or a grid of two columns."""
    columns = 1 if panels == 1 else 2
    rows = -(-panels // columns)
    height = 4.8 if panels == 1 else 1.3 + 2.6 * rows
    figure = Figure(figsize=(12, height), dpi=DPI, facecolor=LIGHT["paper"])
    FigureCanvasAgg(figure)
    margins = {
        "left": 0.055,
        "right": 0.925 if panels == 1 else 0.985,
        "top": 1 - (0.92 if panels == 1 else 1.08) / height,
        "bottom": 0.42 / height,
    }
    grid = figure.add_gridspec(rows, columns, **margins, hspace=0.42, wspace=0.13)
    axes = [figure.add_subplot(grid[i // columns, i % columns]) for i in range(panels)]
    _text(figure, 0.055, 1 - 0.36 / height, title, size=15, weight="bold", color=LIGHT["ink"])
    _text(figure, 0.055, 1 - 0.64 / height, subtitle, size=10, color=LIGHT["muted"])
    return figure, axes


def _text(figure: Figure, x: float, y: float, text: str, **style: Any) -> None:
    figure.text(
        x, y, one_line(legible(text), 110), parse_math=False, fontfamily=fonts(), **style
    )  # a name may hold dollar signs


def _draw_model(panel: Axes, record: RunRecord, rows: pl.DataFrame, *, labelled: bool = False) -> None:
    levels = record.levels(rows, record.model)
    for i, level in enumerate(levels):
        low, high = rows[f"{record.model}-lo-{level}"], rows[f"{record.model}-hi-{level}"]
        shade = _SHADES[1] if i == len(levels) - 1 and i > 0 else _SHADES[0]
        panel.fill_between(
            rows[record.time].to_numpy(), low.to_numpy(), high.to_numpy(), color=_BAND, alpha=shade, linewidth=0,
            label=f"{level} % interval" if labelled else None,
        )  # fmt: skip
    marker = "o" if rows.height == 1 else None
    panel.plot(
        rows[record.time], rows[record.model], color=LIGHT["model"], linewidth=2.2, marker=marker,
        label=one_line(record.model, 30) if labelled else None,
    )  # fmt: skip


def _finish(panel: Axes, record: RunRecord, name: str | None) -> None:
    """Quiet axes, with dates written once."""
    quieten(panel)
    panel.yaxis.set_major_locator(MaxNLocator(5))
    panel.margins(x=0.01)
    if record.history[record.time].dtype != pl.Int64:
        locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
        panel.xaxis.set_major_locator(locator)
        panel.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))  # type: ignore[no-untyped-call]
    if name is not None:
        style: dict[str, Any] = {"fontsize": 10.5, "color": LIGHT["ink"], "pad": 7, "parse_math": False}
        panel.set_title(one_line(legible(str(name)), 48), loc="left", fontfamily=fonts(), **style)


def _label_ends(panel: Axes, record: RunRecord, forecast: pl.DataFrame, *, small: bool) -> None:
    """Name the model and its intervals where their lines end, spread so that no two labels touch."""
    end = forecast.tail(1)
    if not end.height or end[record.model][0] is None:
        return
    levels = record.levels(forecast, record.model)
    wanted = [(end[f"{record.model}-hi-{level}"][0], f"{level} %", "normal") for level in levels]
    wanted.append((end[record.model][0], one_line(record.model, 14), "bold"))
    ends = [(float(y), text, weight) for y, text, weight in wanted if y is not None]
    ends.sort()
    low, high = panel.get_ylim()
    gap = (high - low) * (0.085 if small else 0.05)
    heights: list[float] = []
    for y, _, _ in ends:
        heights.append(max(y, heights[-1] + gap) if heights else y)
    for y, (_, text, weight) in zip(heights, ends, strict=True):
        panel.annotate(
            text, (end[record.time][0], y), xytext=(6, 0), textcoords="offset points", va="center", fontsize=9,
            color=LIGHT["model"], weight=weight, annotation_clip=False, parse_math=False,
        )  # fmt: skip
    if small:
        panel.margins(x=0.09)


def _legend(figure: Figure, axes: list[Axes]) -> None:
    """One row of names beside the title."""
    handles, labels = axes[0].get_legend_handles_labels()
    right = axes[min(1, len(axes) - 1)].get_position().x1
    legend = figure.legend(
        handles, labels, loc="lower right", bbox_to_anchor=(right, 1 - 0.38 / figure.get_figheight()),
        ncols=len(labels), frameon=False, fontsize=9.5, labelcolor=LIGHT["ink"], handlelength=1.6, columnspacing=1.6,
        borderaxespad=0,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)


def _subtitle(record: RunRecord) -> str:
    return f"{record.model} on {record.config.get('data') or 'the table'}"
