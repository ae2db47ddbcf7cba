"""Which source tokens each target token was made of: an attention's weights as a picture and as a table."""

from __future__ import annotations

import os
from collections.abc import Sequence
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
from recurra.reports.contributions import mixed, visible
from recurra.reports.palette import DARK, LIGHT
from recurra.reports.still import DPI, blend, contrast, draw_cells, head, label_axes, legible, save_figure

__all__ = ["alignment_figure", "alignment_style", "render_alignment", "write_alignment"]

_MOST = 80  # tokens of a side
_LONGEST = 24  # characters of a token
_WIDTH, _SMALLEST, _LARGEST = 8.0, 0.22, 0.6  # inches: of all cells together, and of one
_LEVELS = 10  # of shade in the table

_PAGE = """\
<figure class="alignment">
  <div class="scroll" tabindex="0" role="region" aria-label="{{ title }}">
  <table>
    <thead><tr><td></td>{% for token in source %}<th scope="col" dir="auto"><span>{{ token }}</span></th>{% endfor %}</tr></thead>
    <tbody>
    {% for token, cells in rows %}
    <tr><th scope="row" dir="auto">{{ token }}</th>{% for level, share in cells %}<td class="shade-{{ level }}" title="{{ share }}"><span class="aside">{{ share }}</span></td>{% endfor %}</tr>
    {% endfor %}
    </tbody>
  </table>
  </div>
  <figcaption>{{ title }}: columns are source tokens, rows target tokens; the stronger the colour, the more of it went in. {{ whole }}{% if left_out %} {{ left_out }}{% endif %}</figcaption>
</figure>
"""  # noqa: E501 - a line of the page
_WHOLE = "Each row adds up to 100 %."
_PART = "A row adds up to less than 100 % where the attention takes less of a token the further it lies off."
_SHAPES = """\
.alignment table { width: auto; font-size: .85rem; }
.alignment th, .alignment td { padding: 0; border: 1px solid var(--grid); font-weight: 400; color: var(--ink); }
.alignment thead td { border: 0; }
.alignment thead th { border: 0; vertical-align: bottom; text-align: center; }
.alignment thead span { display: inline-block; writing-mode: vertical-rl; padding: .3rem 0; }
.alignment tbody th { border: 0; padding: 0 .5rem; text-align: right; white-space: nowrap; }
.alignment tbody td { min-width: 1.5rem; height: 1.5rem; }
"""


def write_alignment(
    path: str | os.PathLike[str],
    weights: Any,
    source: Sequence[str],
    target: Sequence[str],
    *,
    title: str = "Alignment",
) -> Path:
    """Draw an attention's weights as a PNG, or an SVG if the path ends so, as Bahdanau et al. 2015 did.

    weights: (target, source), what each target token took from each source token: one row of the batch of what
        attention returns.
    source, target: their tokens. The first 80 of each are drawn.
    Returns the path. Raises ArgumentError if shapes or the path's ending do not fit or a weight is no share,
    RecurraError if the file cannot be written.
    """
    return save_figure(alignment_figure(weights, source, target, title=title), path)


def alignment_figure(weights: Any, source: Sequence[str], target: Sequence[str], *, title: str = "Alignment") -> Figure:
    """The figure of `write_alignment`: source tokens above, target tokens at the left."""
    shares, columns, rows, left_out = _read(weights, source, target)
    inches = min(max(_WIDTH / max(shares.shape), _SMALLEST), _LARGEST)
    size = (len(columns) * inches, len(rows) * inches)
    figure = Figure(figsize=size, dpi=DPI, facecolor=LIGHT["paper"])
    FigureCanvasAgg(figure)
    panel = figure.add_axes((0, 0, 1, 1))
    colours = blend(LIGHT["model"], shares)
    draw_cells(panel, colours)
    panel.xaxis.tick_top()
    label_axes(panel, columns=_drawable(columns), rows=_drawable(rows), inches=inches)
    if inches >= 0.4:
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.005:
                panel.text(
                    column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=16 * inches,
                    color=contrast(colours[row, column]),
                )  # fmt: skip
    panel.set_ylabel("target", fontsize=9.5, color=LIGHT["muted"])
    panel.set_xlabel("source", fontsize=9.5, color=LIGHT["muted"])
    panel.xaxis.set_label_position("top")
    figure.draw_without_rendering()
    box = panel.xaxis.get_tightbbox()
    high = 0.0 if box is None else (box.y1 - panel.bbox.y1) * 72 / DPI
    numbers = "numbers: per cent" if inches >= 0.4 else "darker: more"
    head(panel, title, f"{numbers} of a target token's attention\n{left_out}".rstrip(), above=high + 10)
    return figure


def render_alignment(weights: Any, source: Sequence[str], target: Sequence[str], *, title: str = "Alignment") -> Markup:
    """The same as a table of an HTML page, without a script; its looks are `alignment_style`.

    Arguments and errors are `write_alignment`'s.
    """
    shares, columns, rows, left_out = _read(weights, source, target)
    cells = [
        [(round(share * _LEVELS), f"{100 * share:.0f} %" if share >= 0.005 else "0 %") for share in row]
        for row in shares.tolist()
    ]
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_PAGE)
    return Markup(  # rendered with autoescape
        template.render(
            title=title,
            source=columns,
            rows=list(zip(rows, cells, strict=True)),
            whole=_WHOLE if _adds_up(weights) else _PART,
            left_out=left_out,
        )
    )


def alignment_style() -> Markup:
    """The rules that a page needs once for its alignments, beside the report's own."""
    light, dark = (
        "".join(
            f".alignment .shade-{level} {{ background: {mixed(theme, 'model', level / _LEVELS)}; }}\n"
            for level in range(1, _LEVELS + 1)
        )
        for theme in (LIGHT, DARK)
    )
    return Markup(f"{_SHAPES}{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n")


def _adds_up(weights: Any) -> bool:
    """Whether each row of weights that are checked adds up to 1, rounded numbers among them."""
    shares = np.asarray(weights.detach().cpu() if hasattr(weights, "detach") else weights, dtype=np.float64)
    return bool((np.abs(shares.sum(1) - 1) < 0.01).all())


def _drawable(tokens: list[str]) -> list[str]:
    return [one_line(legible(token), _LONGEST) for token in tokens]


def _read(
    weights: Any, source: Sequence[str], target: Sequence[str]
) -> tuple[NDArray[np.float64], list[str], list[str], str]:
    """Weights and tokens of what is drawn, and a sentence on what is not."""
    shares = np.asarray(weights.detach().cpu() if hasattr(weights, "detach") else weights, dtype=np.float64)
    if shares.ndim != 2 or not shares.size:
        raise ArgumentError(
            f"weights has shape {shares.shape}; expected (target, source): of (query_time, batch, time) pass "
            f"weights[:, row]"
        )
    if shares.shape != (len(target), len(source)):
        raise ArgumentError(
            f"weights has shape {shares.shape}, there are {len(target)} target and {len(source)} source tokens; "
            f"expected ({len(target)}, {len(source)})"
        )
    wrong = np.argwhere(~((shares >= 0) & (shares <= 1.001)))
    if len(wrong):
        row, column = wrong[0]
        raise ArgumentError(f"weights[{row}, {column}] is {shares[row, column]:.4g}; expected shares from 0 to 1")
    left_out = ""
    if max(shares.shape) > _MOST:
        left_out = f"The first {_MOST} of {len(source):,} source and {len(target):,} target tokens are shown."
    columns, rows = ([one_line(visible(token), _LONGEST) for token in side[:_MOST]] for side in (source, target))
    return np.minimum(shares[:_MOST, :_MOST], 1.0), columns, rows, left_out
