"""Predictions of the text tasks: a table in and out, or lines in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer

from recurra.atomic import write_file, writing
from recurra.cli.changing import option_name
from recurra.cli.console import output, print_json
from recurra.cli.lines import read_standard_input
from recurra.data.files import kind_of, read_table
from recurra.data.lines import check_file, read_lines
from recurra.errors import ArgumentError
from recurra.reports.contributions import contribution_text
from recurra.tasks.alignment import Alignment
from recurra.tasks.explanation import Explanation, Line
from recurra.tasks.frames import csv_bytes, write_table

__all__ = ["predict_texts"]

_AT_ONCE = 1024


def predict_texts(
    task: Any,
    data: Path | None,
    out: Path | None,
    *,
    named: Sequence[str],
    form: dict[str, Any],
    explain: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Print or write what the task says of the rows of a table, of each line of a text file, or of standard input.

    named: the columns that were named, by their parameters.
    """
    if explain and not hasattr(task, "explain"):
        raise ArgumentError(f"--explain is not there for {type(task).__name__}")
    lines = data is None or _has_lines(task, data)
    if lines and named:
        raise ArgumentError(f"{option_name(named[0])} names a column, and lines have none; leave it out")
    if data is None:
        _predict_lines(task, read_standard_input(form["encoding"]), explain, as_json, out)
    elif lines:
        _predict_lines(task, _batches(read_lines(data, encoding=form["encoding"])), explain, as_json, out)
    elif explain:
        _predict_lines(task, [task.texts_of(read_table(data, **form))], explain, as_json, out)
    elif hasattr(task, "predict_file"):
        _write_sentences(task.predict_file(data, encoding=form["encoding"]), out, as_json=as_json, quiet=quiet)
    else:
        frame = task.predict(read_table(data, **form))
        if out is not None:
            write_table(frame, out)
        if as_json:
            print_json({"out": str(out) if out else None, "rows": frame.to_dicts()})
        elif out is None:
            typer.echo(csv_bytes(frame).decode(), nl=False)
        elif not quiet:
            output().print(f"{frame.height} rows in {out}")


def _has_lines(task: Any, data: Path) -> bool:
    """Whether a file is read as one text a line: by its name, unless the task reads all text so, or none.

    Raises ArgumentError for a table where the task reads none.
    """
    if hasattr(task, "predict_file"):
        return False
    is_text = kind_of(data) == "text"
    if task.task == "language":
        check_file(data, "a text file")
        if not is_text:
            raise ArgumentError(f"{data.name} is a table, and a language model rates lines of text; pass a text file")
        return True
    name = Path(data.stem) if data.suffix.lower() == ".gz" else data
    return is_text and name.suffix.lower() in (".txt", "")


def _predict_lines(task: Any, batches: Iterable[list[str]], explain: bool, as_json: bool, out: Path | None) -> None:
    if out is not None:
        raise ArgumentError(
            "--out takes tables; of lines and explanations, redirect the output: recurra predict RUN < FILE > OUT"
        )
    for lines in batches:
        if explain:
            for line in lines:
                _print_explanation(task.explain(line), as_json)
        else:
            for found in task.predict_lines(lines):
                typer.echo(found.json() if as_json else found.text)
        sys.stdout.flush()


def _write_sentences(found: list[Line], out: Path | None, *, as_json: bool, quiet: bool) -> None:
    """What is said of the sentences of a file, a blank line after each, to a file or standard output."""
    text = "".join(f"{line.text}\n" for line in found)
    if out is not None:
        with writing(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            write_file(out, text.encode())
    if as_json:
        print_json({"out": str(out) if out else None, "rows": [line.fields for line in found]})
    elif out is None:
        typer.echo(text, nl=False)
    elif not quiet:
        output().print(f"{len(found)} sentences in {out}")


def _print_explanation(found: Explanation | Alignment, as_json: bool) -> None:
    if as_json:
        print_json(found.to_json(), indent=None)
        return
    if isinstance(found, Alignment):
        typer.echo(found.to_text())
        return
    console = output()
    console.print(f"{found.answer} ({100 * found.probability:.1f}%)", markup=False)
    if not found.tokens:
        console.print("no token speaks for or against it")
        return
    colour = console.color_system is not None and not console.no_color
    between = " " if any(start > end for (_, end), (start, _) in pairwise(found.spans)) else ""
    console.print(
        contribution_text(found.tokens, found.contributions, answer=found.answer, between=between, colour=colour)
    )


def _batches(lines: Iterable[str]) -> Iterable[list[str]]:
    ready: list[str] = []
    for line in lines:
        ready.append(line)
        if len(ready) == _AT_ONCE:
            yield ready
            ready = []
    if ready:
        yield ready
