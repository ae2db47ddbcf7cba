"""What still figures share: letters of every script, titles, cells, and how a figure becomes a file."""

from __future__ import annotations

import os
import unicodedata
import warnings
from collections.abc import Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from recurra.atomic import write_file, writing
from recurra.errors import ArgumentError
from recurra.reports.charts import one_line
from recurra.reports.palette import LIGHT

__all__ = [
    "DPI",
    "blend",
    "contrast",
    "draw_cells",
    "font_size",
    "fonts",
    "head",
    "label_axes",
    "legible",
    "luminance",
    "save_figure",
]

DPI = 160
_LETTER = 0.6  # mean width of a letter, in its font size
_FAMILIES = (  # that hold what matplotlib's own font does not; those that are installed are used
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Noto Sans JP", "Noto Sans KR", "WenQuanYi Micro Hei",
    "Droid Sans Fallback", "PingFang SC", "Hiragino Sans", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Noto Sans",
    "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil", "Noto Sans Thai", "Nirmala UI", "Noto Emoji",
    "Symbola", "Segoe UI Emoji", "Segoe UI Symbol", "Arial Unicode MS",
)  # fmt: skip


def save_figure(figure: Figure, path: str | os.PathLike[str], *, tight: bool = True) -> Path:
    """Write a figure as PNG or SVG, by the path's ending.

    tight: cut to what is drawn, with room for whatever stands beside its axes; False: of the figure's own size.
    Returns the path. Raises ArgumentError for another ending, RecurraError if the file cannot be written.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in (".png", ".svg"):
        raise ArgumentError(f"path is {os.fspath(path)!r}; expected a name that ends in .png or .svg")
    metadata = {"Software": "recurra"} if ending == ".png" else {"Creator": "recurra", "Date": None}
    buffer = BytesIO()
    with warnings.catch_warnings(), mpl.rc_context({"svg.hashsalt": "recurra"}):  # equal figures give equal bytes
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        cut: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": 0.2} if tight else {}
        figure.savefig(buffer, format=ending[1:], metadata=metadata, **cut)
    with writing(path):
        write_file(path, buffer.getvalue())
    return path


def legible(text: str) -> str:
    """`text` with what no font here can draw spelt out: symbols by their names, letters by their codes.

    Two names stay apart that would both be rows of boxes.

    >>> legible("naïve \\ufdd0")  # no letter at all
    'naïve U+FDD0'
    """
    if text.isascii():
        return text
    drawn = _drawn()
    parts = []
    for letter in text:
        kind = unicodedata.category(letter)
        if ord(letter) in drawn or letter.isspace():
            parts.append(letter)
        elif kind in ("So", "Sk"):
            parts.append(f":{unicodedata.name(letter, f'U+{ord(letter):04X}').lower()}:")
        elif kind not in ("Cf", "Mn"):  # joiners and variants mean nothing by themselves
            parts.append(f"U+{ord(letter):04X} ")
    return "".join(parts).rstrip()


def blend(colour: str, strength: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """`colour` over paper, RGB from 0 to 1 on a new last axis; strength 0 is paper, 1 the colour."""
    strength, paper = np.asarray(strength)[..., None], np.array(to_rgb(LIGHT["paper"]))
    mixed: NDArray[np.float64] = paper + strength * (np.array(to_rgb(colour)) - paper)
    return mixed


def luminance(colour: Any) -> float:
    """WCAG's relative luminance, with the 0.05 that contrasts are reckoned with."""
    rgb = np.array(to_rgb(to_hex(colour)))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722)) + 0.05


def contrast(background: Any) -> str:
    """The colour of letters on a background: ink or paper, whichever stands out more."""
    behind = luminance(background)
    ink, paper = luminance(LIGHT["ink"]), luminance(LIGHT["paper"])
    return LIGHT["ink"] if behind / ink >= paper / behind else LIGHT["paper"]


def draw_cells(panel: Axes, colours: NDArray[np.float64]) -> None:
    """Squares (row, column) in these colours, with thin lines of paper between them."""
    rows, columns = colours.shape[:2]
    panel.imshow(colours, aspect="auto", interpolation="nearest")
    panel.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    panel.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    panel.grid(which="minor", color=LIGHT["grid"], linewidth=0.7)
    panel.tick_params(which="both", length=0)
    panel.spines[:].set_visible(False)


def head(panel: Axes, title: str, lines: str, *, scale: float = 1.0, above: float = 10.0) -> None:
    """A title and lines on top of a panel. scale: of letters; above: points between the panel and them."""
    high = (4 + 14 * len(lines.splitlines())) * scale
    letters: tuple[tuple[str, float, dict[str, Any]], ...] = (
        (one_line(legible(title), 60), high, {"fontsize": 13 * scale, "weight": "bold", "color": LIGHT["ink"]}),
        (lines, 0.0, {"fontsize": 9.5 * scale, "color": LIGHT["muted"], "linespacing": 1.35}),
    )
    for text, height, style in letters:
        panel.annotate(
            text, (0, 1), xytext=(0, above + height), xycoords="axes fraction", textcoords="offset points",
            parse_math=False, fontfamily=fonts(), **style,
        )  # fmt: skip


def label_axes(panel: Axes, *, columns: Sequence[str], rows: Sequence[str], inches: float) -> None:
    """Names at the cells of that size: those of columns lie where they fit, else they lean or stand."""
    size = font_size(inches)
    panel.set_xticks(range(len(columns)), columns)
    panel.set_yticks(range(len(rows)), rows)
    flat = max(map(len, columns)) * _LETTER * size < 72 * inches
    angle = 0 if flat else 40 if 72 * inches > 2.5 * size else 90
    for text in panel.get_xticklabels():
        text.set_rotation(angle)
        top = panel.xaxis.get_ticks_position() == "top"
        if angle:
            text.set_rotation_mode("anchor")
            text.set_horizontalalignment("left" if top else "right")
            text.set_verticalalignment("center" if angle == 90 else "baseline" if top else "top")
    for text in (*panel.get_xticklabels(), *panel.get_yticklabels()):
        text.set(fontsize=size, color=LIGHT["ink"], parse_math=False, fontfamily=fonts())


def font_size(inches: float) -> float:
    """The size of labels, in points, beside cells of that size."""
    return min(10.0, max(6.5, 72 * inches * 0.3))


@cache
def fonts() -> list[str]:
    """The families to draw names with, in the order in which they are asked for a letter."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return ["DejaVu Sans", *(family for family in _FAMILIES if family in installed)]


@cache
def _drawn() -> frozenset[int]:
    """The code points that some of these families can draw."""
    found = (font_manager.get_font(font_manager.findfont(family)) for family in fonts())
    return frozenset(code for font in found for code in font.get_charmap())
