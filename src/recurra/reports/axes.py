"""The axes of figures, quiet: a light grid behind, no box."""

from __future__ import annotations

from matplotlib.axes import Axes

from recurra.reports.palette import LIGHT

__all__ = ["quieten"]


def quieten(panel: Axes) -> None:
    """Take away the box and the ticks, and lay the grid behind what is drawn."""
    panel.set_facecolor(LIGHT["paper"])
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.spines["bottom"].set_color(LIGHT["grid"])
    panel.grid(axis="y", color=LIGHT["grid"], linewidth=0.8)
    panel.set_axisbelow(True)
    panel.tick_params(length=0, labelsize=9, labelcolor=LIGHT["muted"], pad=5)
