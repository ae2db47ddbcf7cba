"""The picture of a diagnosis: what is left of a gradient by steps back, and the spectral radii beneath."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from recurra.atomic import write_file, writing
from recurra.errors import ArgumentError
from recurra.reports.axes import quieten
from recurra.reports.charts import one_line
from recurra.reports.diagnosis import GONE, Diagnosis, Health, name_of
from recurra.reports.palette import LIGHT

__all__ = ["gradient_figure", "write_gradients"]

_DPI = 160
_MOST_PANELS, _COLUMNS = 12, 3
_FLOOR, _CEILING = 1e-6, 1e40  # of what is left; float32 ends at 3e38
_KINDS = {"healthy": "good", "vanishing": "fair", "exploding": "poor", "not finite": "poor"}
_Dash = str | tuple[int, tuple[float, ...]]
_FIELDS: tuple[tuple[str, _Dash], ...] = (
    ("baseline", (0, (4, 1.5))),
    ("truth", (0, (1, 1.2))),
    ("muted", (0, (4, 1, 1, 1))),
    ("fair", "-"),
)


def write_gradients(path: str | os.PathLike[str], diagnoses: Mapping[str, Diagnosis]) -> Path:
    """Draw one or more diagnoses, by the names that they shall have, as a PNG: a panel for each recurrence, 12 at most.

    Returns the path. Raises ArgumentError if there is none, RecurraError if the file cannot be written.
    """
    path = Path(path)
    buffer = BytesIO()
    gradient_figure(diagnoses).savefig(buffer, format="png", metadata={"Software": "recurra"})
    with writing(path):
        write_file(path, buffer.getvalue())
    return path


def gradient_figure(diagnoses: Mapping[str, Diagnosis]) -> Figure:
    """The figure of `write_gradients`."""
    panels = [
        (_title(name, diagnosis, health), health)
        for name, diagnosis in diagnoses.items()
        for health in diagnosis.health
    ][:_MOST_PANELS]
    if not panels:
        raise ArgumentError("diagnoses is empty; pass one at least, as in {'lstm': diagnose(layer, batch)}")
    columns = min(len(panels), _COLUMNS) if len(panels) != 4 else 2
    rows = -(-len(panels) // columns)
    width, height = max(4.1 * columns, 8.0), 0.75 + 4.2 * rows
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor=LIGHT["paper"])
    FigureCanvasAgg(figure)
    left, right, top, bottom = 0.75 / width, 1 - 0.2 / width, 1 - 1.1 / height, 0.5 / height
    grid = figure.add_gridspec(rows, columns, left=left, right=right, top=top, bottom=bottom, hspace=0.3, wspace=0.22)
    figure.text(
        left, 1 - 0.36 / height, "What is left of a gradient, by steps back in time", size=14, weight="bold",
        color=LIGHT["ink"],
    )  # fmt: skip
    limits = _limits([health for _, health in panels])
    for place, (title, health) in enumerate(panels):
        inner = grid[place // columns, place % columns].subgridspec(2, 1, height_ratios=(3.2, 1), hspace=0.12)
        upper = figure.add_subplot(inner[0])
        lower = figure.add_subplot(inner[1], sharex=upper)
        _draw_norms(upper, health, limits)
        _draw_radii(lower, health)
        upper.set_title(title, loc="left", fontsize=10.5, color=LIGHT["ink"], pad=21, parse_math=False)
        upper.text(
            0, 1.03, _verdict(health), transform=upper.transAxes, fontsize=9.5, weight="bold",
            color=LIGHT[_KINDS[health.kind]],
        )  # fmt: skip
        if place % columns == 0:
            upper.set_ylabel("share of the norm at the last step", fontsize=9, color=LIGHT["muted"])
            lower.set_ylabel("spectral\nradius", fontsize=9, color=LIGHT["muted"])
        if place // columns == rows - 1 or place + columns >= len(panels):
            lower.set_xlabel("steps back from the last", fontsize=9, color=LIGHT["muted"])
    return figure


def _title(name: str, diagnosis: Diagnosis, health: Health) -> str:
    both = any(other.flow.direction for other in diagnosis.health)
    part = name_of(health.flow, both) if len(diagnosis.health) > 1 else ""
    return one_line(", ".join(text for text in (name or diagnosis.cell, part) if text), 40)


def _verdict(health: Health) -> str:
    if health.kind == "vanishing":
        return f"vanishing: horizon {health.horizon} steps"
    if health.kind == "not finite":
        return f"not finite from lag {len(health.finite)} on"
    if health.kind == "healthy":
        return f"healthy: horizon beyond {len(health.flow.norms)} steps"
    return f"exploding: times {health.rate:.3g} a step"


def _limits(panels: list[Health]) -> tuple[float, float]:
    """Of the upper axes, the same in every panel, and the 1 % line among them."""
    shares = [share for health in panels for share in _shares(health.flow.norms, health.flow.norms) if share > 0]
    return max(min([*shares, GONE]) / 3, _FLOOR), min(3 * max([*shares, 1]), _CEILING)


def _shares(norms: tuple[float, ...], of: tuple[float, ...]) -> list[float]:
    """Norms relative to the first of others; those that are not finite are left out."""
    start = of[0] if of[0] > 0 and math.isfinite(of[0]) else math.nan
    return [norm / start if math.isfinite(norm) else math.nan for norm in norms]


def _draw_norms(panel: Axes, health: Health, limits: tuple[float, float]) -> None:
    flow, last = health.flow, len(health.flow.norms) - 1
    lines: list[tuple[str, list[float], str, _Dash]] = [("whole state", _shares(flow.norms, flow.norms), "model", "-")]
    if len(flow.by_field) > 1:
        dashes = zip(flow.by_field.items(), _FIELDS * len(flow.by_field), strict=False)
        lines += [(name, _shares(norms, flow.norms), role, dash) for (name, norms), (role, dash) in dashes]
    if flow.by_loss is not None:
        lines.append(("by the loss given", _shares(flow.by_loss, flow.by_loss), "good", "-"))
    for place, (name, shares, role, dash) in enumerate(lines):
        panel.plot(shares, color=LIGHT[role], linewidth=1.4 if place else 2.4, linestyle=dash, label=name)
    panel.axhline(GONE, color=LIGHT["muted"], linewidth=0.8, linestyle=(0, (2, 3)))
    if health.horizon is not None:
        panel.axvspan(health.horizon, last, color=LIGHT["grid"], alpha=0.45, linewidth=0)
        panel.axvline(health.horizon, color=LIGHT["muted"], linewidth=1)
    panel.set_yscale("log", nonpositive="mask")
    panel.set_ylim(*limits)
    panel.set_xlim(0, last)
    panel.yaxis.set_major_locator(LogLocator(numticks=8))
    panel.minorticks_off()
    quieten(panel)
    panel.tick_params(labelbottom=False)
    if len(lines) > 1:
        panel.legend(
            loc="best", facecolor=LIGHT["paper"], edgecolor="none", framealpha=0.85, fontsize=9,
            labelcolor=LIGHT["ink"], handlelength=2.2,
        )  # fmt: skip


def _draw_radii(panel: Axes, health: Health) -> None:
    radii = [radius for radius in health.flow.radii if math.isfinite(radius.value)]
    panel.axhline(1, color=LIGHT["muted"], linewidth=0.8, linestyle=(0, (2, 3)))
    panel.plot(
        [radius.lag for radius in radii], [radius.value for radius in radii], "o", color=LIGHT["model"], markersize=4,
        alpha=0.7, clip_on=False,
    )  # fmt: skip
    panel.set_ylim(0, max([1.25, *(1.15 * radius.value for radius in radii)]))
    panel.yaxis.set_major_locator(MaxNLocator(3))
    panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    quieten(panel)
    if not radii:
        panel.text(
            0.5, 0.5, "not taken, or not finite", transform=panel.transAxes, ha="center", fontsize=9,
            color=LIGHT["muted"],
        )  # fmt: skip
