"""The report: one HTML file that works offline and runs no script but its own two."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from recurra.atomic import write_file, writing
from recurra.errors import RecurraError
from recurra.reports.charts import Chart, backtest_charts, forecast_charts, training_charts
from recurra.reports.palette import DARK, LIGHT
from recurra.reports.reading import Recorded
from recurra.reports.record import RunRecord
from recurra.reports.scoreboard import make_scoreboard
from recurra.reports.settings import decisions, machine_rows, setting_rows, source_facts
from recurra.reports.verdict import Verdict, make_verdict

__all__ = ["render_page", "write_report"]


def write_report(run_path: str | os.PathLike[str]) -> Path:
    """Write `report.html` into the run folder from its records.

    Returns the file's path. Raises RunError or ArtifactError if the folder holds no finished, whole run, and
    RecurraError if the file cannot be written.
    """
    record = RunRecord.read(run_path)
    path = record.path / "report.html"
    with writing(path):
        write_file(path, render(record).encode())
    return path


def render(record: RunRecord) -> str:
    """The report's HTML. Equal records give equal bytes."""
    charts = {
        "forecast": forecast_charts(record),
        "backtest": backtest_charts(record),
        "training": training_charts(record),
    }
    count = record.summary.get("series")
    return render_page(
        "report.html",
        record,
        make_verdict(record),
        charts,
        levels=record.levels(record.forecast, record.model),
        series_left_out=count if isinstance(count, int) and count > len(charts["forecast"]) else None,
        scoreboard=make_scoreboard(record),
    )


def render_page(
    template: str, record: Recorded, verdict: Verdict, charts: Mapping[str, Sequence[Chart]], **own: Any
) -> str:
    """A page of any task. template: extends base.html. charts: by their names on the page. own: what it adds."""
    return _template(template).render(
        record=record,
        facts=source_facts(record),
        explain=record.summary.get("explain"),
        verdict=verdict,
        charts=charts,
        charts_json=json_for_script({name: [asdict(chart) for chart in chosen] for name, chosen in charts.items()}),
        choices={name: list(_labels(chosen)) for name, chosen in charts.items()},
        decisions=decisions(record),
        machine=machine_rows(record),
        settings=setting_rows(record),
        notices=[str(notice) for notice in record.summary.get("notices") or []],
        light=LIGHT,
        dark=DARK,
        plotly=_plotly(),
        **own,
    )


def json_for_script(value: Any) -> Markup:
    """JSON that cannot end the script element it stands in.

    >>> print(json_for_script({"</script>": 1}))
    {"\\u003c/script\\u003e":1}
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))  # ASCII: U+2028 and its like are escaped
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def script_hash(source: str) -> str:
    """The source expression by which a content security policy admits exactly this script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}"


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("recurra", "reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["script_hash"] = script_hash
    return environment.get_template(name)


def _plotly() -> Markup:
    """Plotly's own script, checked to be safe inside a script element."""
    from plotly.offline import get_plotlyjs  # here, since importing plotly takes long

    source = str(get_plotlyjs()).replace("\r\n", "\n")
    if "</script" in source.lower() or "<!--" in source:
        raise RecurraError("this version of plotly cannot be put into a page; install plotly>=6")
    return Markup(source)


def _labels(charts: Iterable[Chart]) -> Iterable[tuple[int, str]]:
    return ((i, chart.label) for i, chart in enumerate(charts))
