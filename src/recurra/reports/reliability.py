"""The picture of a classifier's calibration: how often it is right where it is so and so sure."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from recurra.errors import ArgumentError
from recurra.reports.axes import quieten
from recurra.reports.charts import Chart
from recurra.reports.palette import LIGHT
from recurra.reports.still import DPI, head, save_figure
from recurra.training.classification import ReliabilityBin

__all__ = ["describe_reliability", "reliability_chart", "reliability_figure", "write_reliability"]

_Z = 1.96  # standard deviations of a 95 % interval


def write_reliability(
    path: str | os.PathLike[str], bins: Sequence[ReliabilityBin], *, title: str = "Reliability"
) -> Path:
    """Draw a reliability diagram (DeGroot and Fienberg 1983) as a PNG, or an SVG if the path ends so.

    bins: of confidence, as `ClassScores.bins`.
    Returns the path. Raises ArgumentError without a bin that holds rows or for another ending, RecurraError if the file
    cannot be written.
    """
    return save_figure(reliability_figure(bins, title=title), path)


def reliability_figure(bins: Sequence[ReliabilityBin], *, title: str = "Reliability") -> Figure:
    """The figure of `write_reliability`: share right by confidence with 95 % intervals, and rows a bin beneath."""
    filled = _filled(bins)
    figure = Figure(figsize=(5.6, 6.4), dpi=DPI, facecolor=LIGHT["paper"])
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 1, height_ratios=(3.2, 1), hspace=0.1, left=0.13, right=0.97, top=0.86, bottom=0.135)
    upper = figure.add_subplot(grid[0])
    lower = figure.add_subplot(grid[1], sharex=upper)
    _draw_shares(upper, filled)
    _draw_counts(lower, filled)
    rows, error = sum(each.rows for each in filled), _calibration_error(filled)
    lines = f"{_counted(rows)}; expected calibration error {100 * error:.1f} %"
    head(upper, title, f"{lines}\nbelow the line: too sure of itself; above it: not sure enough")
    figure.legend(
        *upper.get_legend_handles_labels(), loc="lower center", bbox_to_anchor=(0.55, 0.0), ncols=2, frameon=False,
        fontsize=9, labelcolor=LIGHT["ink"], borderaxespad=0,
    )  # fmt: skip
    return figure


def reliability_chart(bins: Sequence[ReliabilityBin]) -> Chart:
    """The same for a page, as plotly draws it."""
    filled = _filled(bins)
    middle = [round((each.low + each.high) / 2, 4) for each in filled]
    width = [round(each.high - each.low, 4) for each in filled]
    spread = [_interval(each.right, each.rows) for each in filled]
    right = [round(each.right, 4) for each in filled]
    bars = {"type": "bar", "x": middle, "width": width, "hoverinfo": "skip", "showlegend": False}
    data: list[dict[str, Any]] = [
        bars | {"y": right, "marker": {"color": "band-wide"}},
        {
            "type": "scatter", "mode": "lines", "name": "as right as it is sure", "x": [0, 1], "y": [0, 1],
            "line": {"color": "muted", "width": 1, "dash": "dash"}, "hoverinfo": "skip",
        },
        {
            "type": "scatter", "mode": "markers", "name": "share right, with its 95 % interval",
            "x": [round(each.confidence, 4) for each in filled], "y": right,
            "marker": {"color": "model", "size": 8}, "cliponaxis": False,
            "error_y": {
                "type": "data", "symmetric": False, "color": "model", "thickness": 1.5, "width": 0,
                "array": [round(high - each.right, 4) for each, (_, high) in zip(filled, spread, strict=True)],
                "arrayminus": [round(each.right - low, 4) for each, (low, _) in zip(filled, spread, strict=True)],
            },
            "customdata": [each.rows for each in filled],
            "hovertemplate": "%{y:.1%} right of %{customdata:,} rows<extra></extra>",
        },
        bars | {"y": [each.rows for each in filled], "marker": {"color": "grid"}, "yaxis": "y2"},
    ]  # fmt: skip
    share = {"tickformat": ".0%", "dtick": 0.2, "range": [0, 1.005]}
    layout = {
        "xaxis": {"title": {"text": "confidence: probability of the most probable class"}, "anchor": "y2", **share},
        "yaxis": {"title": {"text": "right"}, "domain": [0.3, 1], **share, "range": [0, 1.02]},
        "yaxis2": {"title": {"text": "rows"}, "domain": [0, 0.2], "nticks": 3},
    }
    return Chart("", describe_reliability(bins), data, layout)


def describe_reliability(bins: Sequence[ReliabilityBin]) -> str:
    """The diagram in one sentence, for those who do not see it.

    >>> describe_reliability([ReliabilityBin(0.5, 1.0, 0.9, 0.7, 50), ReliabilityBin(0.0, 0.5, 0.4, 0.4, 50)])
    'Reliability diagram of 100 rows: on average sure to 65.0 % and right in 55.0 %; expected calibration error 10.0 %.'
    """
    filled = _filled(bins)
    rows = sum(each.rows for each in filled)
    sure, right = (sum(each.rows * getattr(each, name) for each in filled) / rows for name in ("confidence", "right"))
    return (
        f"Reliability diagram of {_counted(rows)}: on average sure to {100 * sure:.1f} % and right in "
        f"{100 * right:.1f} %; expected calibration error {100 * _calibration_error(filled):.1f} %."
    )


def _filled(bins: Sequence[ReliabilityBin]) -> list[ReliabilityBin]:
    filled = [each for each in bins if each.rows]
    if not filled:
        raise ArgumentError(f"bins has {len(bins)} bins and no row; expected those of ClassScores.bins")
    return sorted(filled)


def _calibration_error(filled: list[ReliabilityBin]) -> float:
    return sum(each.rows * abs(each.right - each.confidence) for each in filled) / sum(each.rows for each in filled)


def _draw_shares(panel: Axes, filled: list[ReliabilityBin]) -> None:
    panel.plot([0, 1], [0, 1], color=LIGHT["muted"], linewidth=1, linestyle=(0, (4, 3)), label="as right as it is sure")
    for each in filled:
        panel.bar(
            each.low, each.right, each.high - each.low, align="edge", color=LIGHT["model"], alpha=0.22,
            edgecolor=LIGHT["model"], linewidth=0.7,
        )  # fmt: skip
        panel.plot([each.confidence] * 2, _interval(each.right, each.rows), color=LIGHT["model"], linewidth=1.4)
    panel.plot(
        [each.confidence for each in filled], [each.right for each in filled], "o", color=LIGHT["model"], markersize=5,
        label="share right, with its 95 % interval", clip_on=False, zorder=5,
    )  # fmt: skip
    quieten(panel)
    panel.set_xlim(0, 1)
    panel.set_ylim(0, 1)
    panel.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    panel.tick_params(labelbottom=False)
    panel.set_ylabel("right", fontsize=9.5, color=LIGHT["muted"])


def _draw_counts(panel: Axes, filled: list[ReliabilityBin]) -> None:
    most = max(each.rows for each in filled)
    for each in filled:
        panel.bar(
            each.low, each.rows, each.high - each.low, align="edge", color=LIGHT["muted"], alpha=0.45, linewidth=0
        )
        panel.text(
            (each.low + each.high) / 2, each.rows + 0.03 * most, _short(each.rows), ha="center", va="bottom",
            fontsize=7, color=LIGHT["muted"],
        )  # fmt: skip
    quieten(panel)
    panel.set_ylim(0, 1.18 * most)
    panel.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    panel.yaxis.set_major_formatter(lambda value, _: _short(int(value)))
    panel.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    panel.set_xlabel("confidence: probability of the most probable class", fontsize=9.5, color=LIGHT["muted"])
    panel.set_ylabel("rows", fontsize=9.5, color=LIGHT["muted"])


def _counted(rows: int) -> str:
    return f"{rows:,} row{'' if rows == 1 else 's'}"


def _interval(share: float, rows: int) -> tuple[float, float]:
    """Of a share (Wilson 1927).

    >>> low, high = _interval(0.5, 100)
    >>> round(low, 3), round(high, 3)
    (0.404, 0.596)
    """
    middle = (share + _Z**2 / (2 * rows)) / (1 + _Z**2 / rows)
    half = _Z / (1 + _Z**2 / rows) * math.sqrt(share * (1 - share) / rows + _Z**2 / (4 * rows**2))
    return middle - half, middle + half


def _short(count: int) -> str:
    """
    >>> _short(950), _short(12_345), _short(2_500_000)
    ('950', '12.3k', '2.5M')
    """
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return str(count)
