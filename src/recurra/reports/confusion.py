"""The picture of a confusion matrix: which class was taken for which, in rows and in shares."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from recurra.errors import ArgumentError
from recurra.reports.charts import one_line
from recurra.reports.contributions import mixed
from recurra.reports.palette import DARK, LIGHT
from recurra.reports.still import (
    DPI,
    blend,
    contrast,
    draw_cells,
    font_size,
    head,
    label_axes,
    legible,
    luminance,
    save_figure,
)

__all__ = ["confusion_figure", "confusion_style", "describe_confusion", "render_confusion", "write_confusion"]

_MOST = 50  # classes drawn one by one
_LONGEST = 28  # characters of a name
_LEVELS = 10  # of shade in the table
_WIDTH, _SMALLEST, _LARGEST = 7.0, 0.4, 1.0  # inches: of all cells together, and of one

_PAGE = """\
<figure class="confusion{{ " many" if many }}">
  <div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix">
  <table>
    <thead><tr><th scope="col">true \u2193 taken for \u2192</th>{% for name in names %}<th scope="col" dir="auto"><span>{{ name }}</span></th>{% endfor %}</tr></thead>
    <tbody>
    {% for name, cells in rows %}
    <tr><th scope="row" dir="auto">{{ name }}</th>{% for kind, count, share in cells %}<td{% if kind %} class="{{ kind }}" title="{{ share }}"{% endif %}>{{ count }}</td>{% endfor %}</tr>
    {% endfor %}
    </tbody>
  </table>
  </div>
  <figcaption>{{ caption }} Blue is right, orange is wrong; the stronger the colour, the larger the share of the true class.</figcaption>
</figure>
"""  # noqa: E501 - a line of the page
_SHAPES = """\
.confusion table { width: auto; font-size: .85rem; }
.confusion th, .confusion td { padding: .3rem .5rem; border: 1px solid var(--grid); color: var(--ink); }
.confusion td { text-align: center; min-width: 2.6rem; }
.confusion thead th { vertical-align: bottom; text-align: center; font-weight: 500; }
.confusion thead th:first-child { color: var(--muted); text-align: left; font-weight: 400; }
.confusion thead th + th span { display: inline-block; max-height: 11rem; }
.confusion.many thead th + th span { writing-mode: vertical-rl; }
"""


def write_confusion(
    path: str | os.PathLike[str], confusion: Any, names: Sequence[str], *, title: str = "Confusion matrix"
) -> Path:
    """Draw a confusion matrix as a PNG, or an SVG if the path ends so.

    confusion: (true, predicted) rows, as `ClassScores.confusion`.
    names: of the classes, in any script. Of more than 50 the 49 with most rows are drawn, and the others as one.
    Returns the path. Raises ArgumentError if shapes or the path's ending do not fit, RecurraError if the file cannot be
    written.
    """
    return save_figure(confusion_figure(confusion, names, title=title), path)


def confusion_figure(confusion: Any, names: Sequence[str], *, title: str = "Confusion matrix") -> Figure:
    """The figure of `write_confusion`: shares of a true class's rows are shaded, blue where right, orange where not."""
    counts, labels = _fold(*_read(confusion, names))
    labels = _labels(labels)
    support = counts.sum(1)
    shares = counts / np.maximum(support, 1)[:, None]
    inches = min(max(_WIDTH / len(counts), _SMALLEST), _LARGEST)
    figure = Figure(figsize=(len(counts) * inches, len(counts) * inches), dpi=DPI, facecolor=LIGHT["paper"])
    FigureCanvasAgg(figure)
    panel = figure.add_axes((0, 0, 1, 1))
    right = np.eye(len(counts), dtype=bool)
    strength = shares**0.6  # a few in a hundred can be seen
    colours = np.where(right[..., None], blend(LIGHT["model"], strength), blend(LIGHT["baseline"], strength))
    draw_cells(panel, colours)
    size = 72 * inches
    for (row, column), found in np.ndenumerate(counts):
        count = int(found)
        if not count and size < 40:
            continue
        colour = contrast(colours[row, column]) if count else LIGHT["muted"]
        style: dict[str, Any] = {"ha": "center", "color": colour}
        up = 0.02 if count else 0.0
        panel.text(column, row - up, _short(count), va="bottom" if count else "center", fontsize=0.24 * size, **style)
        if count:
            panel.text(column, row + 0.08, _percent(shares[row, column]), va="top", fontsize=0.19 * size, **style)
    label_axes(panel, columns=labels, rows=labels, inches=inches)
    beside = panel.secondary_yaxis("right")
    beside.set_yticks(range(len(counts)), [_short(count) for count in support.tolist()])
    beside.tick_params(length=0, labelsize=font_size(inches), labelcolor=LIGHT["muted"])
    beside.spines[:].set_visible(False)
    for axis, text in ((beside.yaxis, "rows"), (panel.xaxis, "taken for"), (panel.yaxis, "true class")):
        axis.set_label_text(text, fontsize=9.5, color=LIGHT["muted"])
    panel.xaxis.set_label_position("bottom")
    share = counts.trace() / counts.sum() if counts.sum() else 0.0
    head(
        panel,
        title,
        f"{counts.sum():,} rows, {100 * share:.1f} % right (blue)\nshade: share of the true class's rows",
        scale=max(1.0, len(counts) * inches / 9),
    )
    return figure


def render_confusion(confusion: Any, names: Sequence[str]) -> Markup:
    """The same as a table of an HTML page, without a script; its looks are `confusion_style`.

    Arguments and errors are `write_confusion`'s.
    """
    counts, labels = _fold(*_read(confusion, names))
    shares = counts / np.maximum(counts.sum(1), 1)[:, None]
    rows = [
        (
            one_line(name, _LONGEST),
            [
                (
                    f"{'right' if row == column else 'wrong'}-{max(1, round(_LEVELS * share**0.6))}" if count else "",
                    _short(count) if count else "·",
                    _percent(share),
                )
                for column, (count, share) in enumerate(zip(counts[row].tolist(), shares[row].tolist(), strict=True))
            ],
        )
        for row, name in enumerate(labels)
    ]
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(_PAGE).render(
        names=[name for name, _ in rows],
        many=len(rows) > 8 or max(len(name) for name, _ in rows) > 14,
        rows=rows,
        caption=describe_confusion(confusion, names),
    )
    return Markup(page)  # rendered with autoescape


def confusion_style() -> Markup:
    """The rules that a page needs once for its confusion matrix, beside the report's own."""
    light, dark = (
        "".join(
            f".confusion .{name}-{level} {{ background: {mixed(theme, role, level / _LEVELS)}; "
            f"color: {theme[_letters(theme, role, level)]}; }}\n"
            for name, role in (("right", "model"), ("wrong", "baseline"))
            for level in range(1, _LEVELS + 1)
        )
        for theme in (LIGHT, DARK)
    )
    return Markup(f"{_SHAPES}{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n")


def _letters(theme: Mapping[str, str], role: str, level: int) -> str:
    """Ink or paper: what stands out more from that shade."""
    behind = luminance(mixed(theme, role, level / _LEVELS))

    def ratio(letters: str) -> float:
        beside = luminance(theme[letters])
        return max(behind, beside) / min(behind, beside)

    return max(("ink", "paper"), key=ratio)


def describe_confusion(confusion: Any, names: Sequence[str]) -> str:
    """The matrix in one sentence, for those who do not see it.

    >>> describe_confusion([[9, 1], [4, 6]], ["ham", "spam"])
    "Confusion matrix of 2 classes and 20 rows: 75.0 % are right; most often 'spam' was taken for 'ham', in 4 rows."
    """
    counts, labels = _read(confusion, names)
    total = counts.sum()
    if not total:
        return f"Confusion matrix of {len(labels)} classes without rows."
    text = (
        f"Confusion matrix of {len(labels)} classes and {total:,} rows: {100 * counts.trace() / total:.1f} % are right"
    )
    wrong = counts * ~np.eye(len(counts), dtype=bool)
    if not wrong.any():
        return f"{text}."
    true, taken = np.unravel_index(wrong.argmax(), wrong.shape)
    most = wrong[true, taken]
    rows = f"{most:,} row{'' if most == 1 else 's'}"
    return f"{text}; most often {one_line(labels[true])!r} was taken for {one_line(labels[taken])!r}, in {rows}."


def _read(confusion: Any, names: Sequence[str]) -> tuple[NDArray[np.int64], list[str]]:
    counts = np.asarray(confusion)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise ArgumentError(f"confusion has shape {counts.shape}; expected (class, class), true by predicted")
    if counts.dtype.kind not in "iu" or (counts < 0).any():
        raise ArgumentError("confusion holds something else than counts of rows; expected whole numbers from 0 on")
    if len(names) != len(counts):
        raise ArgumentError(f"names has {len(names)} classes, confusion {len(counts)}; name each one")
    return counts.astype(np.int64), list(map(str, names))


def _fold(counts: NDArray[np.int64], names: list[str]) -> tuple[NDArray[np.int64], list[str]]:
    """The classes with most rows, in their order, and the others as one, where there are too many."""
    if len(names) <= _MOST:
        return counts, names
    kept = np.sort(np.argsort(-counts.sum(1), kind="stable")[: _MOST - 1])
    place = np.full(len(names), _MOST - 1)
    place[kept] = np.arange(_MOST - 1)
    folded = np.zeros((_MOST, _MOST), dtype=np.int64)
    np.add.at(folded, (place[:, None], place[None, :]), counts)
    return folded, [*(names[i] for i in kept), f"{len(names) - len(kept)} others"]


def _labels(names: Sequence[str]) -> list[str]:
    """Names as they can be drawn; numbered where they would look alike."""
    short = [one_line(legible(name), _LONGEST) or "(empty)" for name in names]
    twice = {label for label in short if short.count(label) > 1}
    return [f"{i + 1}. {one_line(label, _LONGEST - 4)}" if label in twice else label for i, label in enumerate(short)]


def _short(count: int) -> str:
    """
    >>> _short(9_999), _short(123_456), _short(12_345_678)
    ('9,999', '123k', '12M')
    """
    return f"{count:,}" if count < 100_000 else f"{count // 1000}k" if count < 10_000_000 else f"{count // 1_000_000}M"


def _percent(share: float) -> str:
    return "<1 %" if share < 0.005 else ">99 %" if 0.995 <= share < 1 else f"{100 * share:.0f} %"
