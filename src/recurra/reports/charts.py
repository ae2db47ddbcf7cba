"""The report's interactive charts as plotly specifications in plain data.

A chart is a list of choices (one a series or a training stage), each a dict of `data` and `layout`. Values of keys
that end in "color" are roles of `recurra.reports.palette`; the page turns them into the colours of its theme.
Plotly reads markup in labels, so every name that came from a file is escaped here.
"""

from __future__ import annotations

import datetime
import html
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import polars as pl

from recurra.reports.columns import separate_windows
from recurra.reports.reading import Recorded
from recurra.reports.record import RunRecord
from recurra.reports.verdict import reference

__all__ = ["Chart", "backtest_charts", "forecast_charts", "one_line", "plotly_text", "training_charts"]

MOST_SERIES = 20
_MOST_POINTS = 2000  # of one trace
_PAST_HORIZONS, _LEAST_PAST = 6, 150  # steps of history drawn: so many horizons, and no fewer
_MOST_WINDOWS = 24  # of one series in the backtest's chart

_RANKS = {"truth": 1, "model": 2, "baseline": 3}  # in the legend, where intervals come last

Trace = dict[str, Any]


@dataclass(frozen=True)
class Chart:
    """One choice of a chart: its name in the selector, what it shows in words, plotly's data and layout."""

    label: str
    alt: str
    data: list[Trace]
    layout: Mapping[str, Any]


def forecast_charts(record: RunRecord) -> list[Chart]:
    """The end of each series' history and its forecast with intervals."""
    charts = []
    for name in record.names(MOST_SERIES):
        forecast = record.rows(record.forecast, name).head(_MOST_POINTS)
        past = min(max(_PAST_HORIZONS * forecast.height, _LEAST_PAST), _MOST_POINTS)
        history = record.rows(record.history, name).tail(past)
        data: list[Trace] = []
        alt = f"Line chart of {history.height} past steps of {record.target}"
        if record.forecast is not None and forecast.height:
            data = [*_bands(record, [forecast]), _median(record, [forecast])]
            alt += _forecast_in_words(record, forecast)
        truth = _line(history, record.time, record.target, "history", "truth", width=1.5)
        charts.append(Chart(_label(name), one_line(alt, 400), [*data, truth], _axes(record)))
    return charts


def backtest_charts(record: RunRecord) -> list[Chart]:
    """Truth, model and baseline over the last backtest windows of each series."""
    if record.backtest is None:
        return []
    rival = reference(record.scores, record.model) if record.scores else None
    rival = rival if rival in record.backtest.columns else None
    charts = []
    for name in record.names(MOST_SERIES):
        rows = record.rows(record.backtest, name)
        windows = separate_windows(rows, record.time, _MOST_WINDOWS)
        if not windows:
            continue
        truth = truth_around(record, name, windows)
        data = _bands(record, windows)
        if rival:
            data.append(_segments(windows, record.time, rival, "baseline", dash="dot"))
        data += [_median(record, windows), _line(truth, record.time, record.target, "truth", "truth", width=1.5)]
        alt = (
            f"Line chart of the truth and the forecasts of {record.model}{f' and {rival}' if rival else ''} over "
            f"{len(windows)} backtest window{'s' if len(windows) > 1 else ''}, from {windows[0][record.time][0]} "
            f"to {windows[-1][record.time][-1]}"
        )
        charts.append(Chart(_label(name), one_line(alt, 400), data, _axes(record)))
    return charts


def training_charts(record: Recorded, *, validation: str | None = None) -> list[Chart]:
    """Loss, validation and gradient norm of each training stage, the model's own before the backtest's.

    validation: what it measures; None: the loss too, which it is drawn beside.
    """
    charts = []
    stages = list(record.metrics["stage"].unique(maintain_order=True))
    for stage in sorted(map(str, stages), key=lambda name: name.startswith("backtest-")):
        rows = record.metrics.filter(stage=stage).sort("step")
        thinned = rows.gather_every(max(1, -(-rows.height // _MOST_POINTS)))
        validated = rows.drop_nulls("validation")
        apart = validation is not None and validated.height > 0
        panels = [(0.68, 1.0), (0.32, 0.56), (0.0, 0.2)] if apart else [(0.42, 1.0), (0.0, 0.3)]
        last = f"{len(panels)}"
        data = [_line(thinned, "step", "loss", "loss", "truth", width=1)]
        losses = [rows["loss"], *([] if apart else [rows["validation"]])]
        axes = {"yaxis": _panel("loss", panels[0], pl.concat(losses))}
        if validated.height:
            line = _line(validated, "step", "validation", validation or "validation", "model", width=2)
            line |= {"mode": "lines+markers", "marker": {"size": 5, "color": "model"}}
            data.append(line | ({"yaxis": "y2"} if apart else {}))
        if apart:
            axes["yaxis2"] = _panel(str(validation), panels[1], validated["validation"])
        norm = _line(thinned, "step", "gradient_norm", "gradient norm", "baseline", width=1)
        data.append(norm | {"yaxis": f"y{last}"})
        axes[f"yaxis{last}"] = _panel("gradient norm", panels[-1], rows["gradient_norm"])
        layout = {"xaxis": {"title": {"text": "step"}, "anchor": f"y{last}"}, **axes}
        alt = f"Line chart of the training stage {stage}: {rows.height} steps"
        if validated.height:
            alt += f"; the lowest {validation or 'validation loss'} is {min(validated['validation']):.4g}"
        charts.append(Chart(one_line(stage), one_line(alt, 400), data, layout))
    return charts


def _panel(title: str, domain: tuple[float, float], values: pl.Series) -> dict[str, Any]:
    return {"title": {"text": title}, "domain": list(domain), **_scale(values.drop_nulls())}


def truth_around(record: RunRecord, name: str | None, windows: list[pl.DataFrame]) -> pl.DataFrame:
    """The truth over `windows` and one window's length before, as far as the history reaches; else over them only."""
    first, last = windows[0]["cutoff"][0], windows[-1][record.time][-1]
    history = record.rows(record.history, name)
    before = history.filter(pl.col(record.time) <= first).tail(windows[0].height)
    if not before.height:
        return pl.concat(windows).select(record.time, record.target)
    during = history.filter(pl.col(record.time) > first, pl.col(record.time) <= last)
    return pl.concat([before, during]).select(record.time, record.target)


def one_line(text: str, most: int = 60) -> str:
    """`text` on one line of at most `most` characters."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"


def plotly_text(name: str) -> str:
    """A name as plotly shows it literally.

    >>> plotly_text("<b>sales</b>")
    '&lt;b&gt;sales&lt;/b&gt;'
    """
    return html.escape(one_line(name, 40), quote=False)


def _bands(record: RunRecord, windows: list[pl.DataFrame]) -> list[Trace]:
    """One filled outline an interval, wide ones first."""
    levels = record.levels(windows[0], record.model)
    bands = []
    for i, level in enumerate(levels):
        low, high = f"{record.model}-lo-{level}", f"{record.model}-hi-{level}"
        x: list[Any] = []
        y: list[Any] = []
        for window in windows:
            seen = window.drop_nulls([low, high])
            there, back = _plain(seen[record.time]), _plain(seen[record.time].reverse())
            x += [*there, *back, *there[:1], None]
            y += [*_plain(seen[low]), *_plain(seen[high].reverse()), *_plain(seen[low])[:1], None]
        bands.append(
            {
                "type": "scatter",
                "name": f"{level} % interval",
                "x": x[:-1],
                "y": y[:-1],
                "mode": "lines",
                "line": {"width": 0},
                "fill": "toself",
                "fillcolor": "band-wide" if i < len(levels) - 1 or len(levels) == 1 else "band-narrow",
                "hoverinfo": "skip",
            }
        )
    return bands


def _median(record: RunRecord, windows: list[pl.DataFrame]) -> Trace:
    """The model's line; hovering tells its intervals too."""
    trace = _segments(windows, record.time, record.model, "model", width=2.5)
    levels = record.levels(windows[0], record.model)
    if levels:
        bounds = [f"{record.model}-{side}-{level}" for level in levels for side in ("lo", "hi")]
        trace["customdata"] = list(_with_gaps([_plain_rows(window.select(bounds)) for window in windows]))
        said = [
            f"{level} %: %{{customdata[{2 * i}]}} to %{{customdata[{2 * i + 1}]}}" for i, level in enumerate(levels)
        ]
        trace["hovertemplate"] = "%{y}<br>" + "<br>".join(said)
    return trace


def _segments(
    windows: list[pl.DataFrame], time: str, column: str, role: str, *, width: float = 2, dash: str = "solid"
) -> Trace:
    """One line for several windows, broken between them."""
    return {
        "type": "scatter",
        "name": plotly_text(column),
        "x": list(_with_gaps([_plain(window[time]) for window in windows])),
        "y": list(_with_gaps([_plain(window[column]) for window in windows])),
        "mode": "lines" if windows[0].height > 1 else "lines+markers",
        "connectgaps": False,
        "line": {"color": role, "width": width, "dash": dash},
        "legendrank": _RANKS[role],
    }


def _line(rows: pl.DataFrame, x: str, y: str, name: str, role: str, *, width: float) -> Trace:
    return {
        "type": "scatter",
        "name": name,
        "x": _plain(rows[x]),
        "y": _plain(rows[y]),
        "mode": "lines",
        "connectgaps": False,
        "line": {"color": role, "width": width},
        "legendrank": _RANKS[role],
    }


def _axes(record: RunRecord) -> dict[str, Any]:
    kind = {"type": "linear"} if record.history[record.time].dtype == pl.Int64 else {"type": "date"}
    return {"xaxis": kind, "yaxis": {"title": {"text": plotly_text(record.target)}}}


def _forecast_in_words(record: RunRecord, forecast: pl.DataFrame) -> str:
    end = forecast.tail(1)
    text = f", then the forecast up to {end[record.time][0]}"
    if end[record.model][0] is None:
        return text
    text += f", which ends at {end[record.model][0]:.4g}"
    levels = record.levels(forecast, record.model)
    bounds = [end[f"{record.model}-{side}-{levels[0]}"][0] for side in ("lo", "hi")] if levels else [None]
    return text if None in bounds else f"{text} ({levels[0]} % interval {bounds[0]:.4g} to {bounds[1]:.4g})"


def _label(name: str | None) -> str:
    return "" if name is None else one_line(str(name))


def _scale(values: pl.Series) -> dict[str, Any]:
    """A logarithmic axis, with ticks at 1, 2 and 5 or at 1 only, for positive values that differ more than fivefold."""
    least, most = (values.min(), values.max()) if len(values) else (0.0, 0.0)
    if not isinstance(least, float) or not isinstance(most, float) or least <= 0 or most / least <= 5:
        return {"type": "linear"}
    decades = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    ticks = [float(f"{factor}e{decade}") for decade in decades for factor in (1, 2, 5)]
    if sum(least <= tick <= most for tick in ticks) > 5:
        ticks = ticks[::3]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


def _with_gaps(parts: list[list[Any]]) -> Iterable[Any]:
    return chain.from_iterable([*part, None] if i < len(parts) - 1 else part for i, part in enumerate(parts))


def _plain_rows(frame: pl.DataFrame) -> list[list[Any]]:
    return [list(row) for row in zip(*(_plain(column) for column in frame.iter_columns()), strict=True)]


def _plain(values: pl.Series) -> list[Any]:
    """Values as JSON has them: numbers to 6 significant digits, times in ISO form."""
    if values.dtype == pl.Float64:
        return [None if value is None else float(f"{value:.6g}") for value in values]
    return [v.isoformat() if isinstance(v, datetime.date) else v for v in values]
