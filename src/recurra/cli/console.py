"""What the command prints and where: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import math
import sys
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from recurra.cli.wording import as_options
from recurra.errors import Notice

__all__ = ["errors", "fail", "output", "print_comparison", "print_json", "print_scores", "show_notice", "warn"]


def output() -> Console:
    """Standard output; rich only on a terminal, and never cut to a narrow width when piped."""
    return Console(
        highlight=False, emoji=False, soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 140
    )


def errors() -> Console:
    """Standard error."""
    return Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)


def fail(message: str, code: int) -> int:
    """Print one line of error and give back the exit code."""
    errors().print(f"error: {' '.join(message.split())}", markup=False, style="red" if sys.stderr.isatty() else None)
    return code


def warn(message: str) -> None:
    """Print one line of what is wrong and does not end the command."""
    errors().print(f"warning: {' '.join(as_options(message).split())}", markup=False)


def show_notice(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a notice as one line; other warnings are for developers and stay silent here."""
    if issubclass(category, Notice):
        errors().print(f"note: {' '.join(as_options(str(message)).split())}", markup=False)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print `value` for machines; on one line if indent is None."""
    print(json.dumps(value, indent=indent, ensure_ascii=False, default=str))  # noqa: T201 - this is the output


def print_scores(result: dict[str, Any]) -> None:
    """Print a comparison (`Backtest.to_json`) as a table; the best value of each measure is bold."""
    scores = result["scores"]
    level = f"{result['level']:g}"
    headers = ["MAE", "RMSE", "R2", "MASE", "sMAPE", f"cover {level}%", "width"]
    keys = ["mae", "rmse", "r2", "mase", "smape", "coverage", "width"]
    table = Table(title=f"{result['windows']} windows of {result['horizon']} steps, none seen in training")
    table.add_column("model")
    for header in headers:
        table.add_column(header, justify="right")
    best = {key: _best(key, scores) for key in keys}
    for name, row in scores.items():
        cells = [
            f"[bold]{_number(row[key], key)}[/bold]" if name == best[key] else _number(row[key], key) for key in keys
        ]
        table.add_row(name, *cells)
    output().print(table)


def print_comparison(result: dict[str, Any]) -> None:
    """Print a comparison (`Comparison.to_json`) as a table; the best value of each measure is bold."""
    table = Table(title=f"measured on {result['measured_on']}")
    table.add_column("model")
    for measure in result["measures"]:
        table.add_column(measure["title"], justify="right")
    best = {}
    for measure in result["measures"]:
        found = {name: row.get(measure["key"]) for name, row in result["scores"].items()}
        found = {name: value for name, value in found.items() if value is not None}
        pick = max if measure["higher_is_better"] else min
        best[measure["key"]] = pick(found, key=found.__getitem__) if len(found) > 1 else None
    for name, row in result["scores"].items():
        cells = [_measured(row.get(measure["key"]), share=measure["share"]) for measure in result["measures"]]
        bold = [best[measure["key"]] == name for measure in result["measures"]]
        table.add_row(
            name, *[f"[bold]{cell}[/bold]" if strong else cell for cell, strong in zip(cells, bold, strict=True)]
        )
    output().print(table)


def _measured(value: float | None, *, share: bool) -> str:
    if value is None or math.isnan(value):
        return "-"
    return f"{100 * value:.1f}%" if share else f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def _best(key: str, scores: dict[str, Any]) -> str | None:
    if key in ("coverage", "width"):
        return None
    found = {name: row[key] for name, row in scores.items() if row[key] is not None}
    pick = max if key == "r2" else min
    return pick(found, key=found.__getitem__) if found else None


def _number(value: float | None, key: str) -> str:
    if value is None or math.isnan(value):
        return "-"
    if key == "coverage":
        return f"{100 * value:.1f}%"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}" if key != "smape" else f"{value:.3f}"
