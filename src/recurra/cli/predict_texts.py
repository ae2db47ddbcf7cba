"""Predictions of the text tasks: a table in and out, or lines in a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import typer

from recurra.atomic import write_file, writing
from recurra.cli.changing import option_name
from recurra.cli.console import output, print_json, warn
from recurra.cli.lines import read_standard_input
from recurra.cli.text_files import has_lines, read_lines_of, read_table_of
from recurra.cli.wording import as_options
from recurra.data.faulty_lines import Fault
from recurra.data.files import Table
from recurra.data.frames import check_free
from recurra.errors import ArgumentError
from recurra.reports.contributions import contribution_text
from recurra.tasks.alignment import Alignment
from recurra.tasks.classification_scores import ANSWERS
from recurra.tasks.explanation import Explanation, Line
from recurra.tasks.frames import csv_bytes, json_rows, write_table

__all__ = ["predict_texts"]


def predict_texts(
    task: Any,
    data: Path | None,
    out: Path | None,
    *,
    named: Sequence[str],
    place: int | None,
    form: dict[str, Any],
    explain: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Print or write what the task says of the rows of a table, of each line of a text file, or of standard input.

    named: the columns that were named, by their parameters. place: of the source in a line; see `source_place`.

    Raises typer.Exit with 2 behind the last of lines of which some are no text.
    """
    if explain and not hasattr(task, "explain"):
        raise ArgumentError(
            "--explain shows what each token contributes to a classifier's answer and what a translator looked at; "
            f"this run is a {type(task).__name__}'s, leave it out"
        )
    lines = data is None or has_lines(task, data, place=place)
    if lines and named and place is None:
        raise ArgumentError(f"{option_name(named[0])} names a column, and lines have none; leave it out")
    if data is None:
        _predict_lines(task, read_standard_input(form["encoding"]), explain, as_json, out)
    elif lines:
        found = read_lines_of(data, place=place, alone=not named, encoding=form["encoding"])
        _predict_lines(task, found, explain, as_json, out)
    elif explain:
        _predict_lines(task, [task.texts_of(read_table_of(task, data, form))], explain, as_json, out)
    elif hasattr(task, "predict_file"):
        _write_sentences(task.predict_file(data, encoding=form["encoding"]), out, as_json=as_json, quiet=quiet)
    else:
        _predict_table(task, read_table_of(task, data, form), out, as_json=as_json, quiet=quiet)


def _predict_table(task: Any, table: Table, out: Path | None, *, as_json: bool, quiet: bool) -> None:
    """A table with what is predicted, to a file or standard output; as JSON also the probability of each class."""
    beside: list[dict[str, Any]] = []
    if as_json and hasattr(task, "predict_proba"):
        frame, beside = _classify(task, table)
    else:
        frame = task.predict(table)
    rows = json_rows(frame, table.name) if as_json else []
    if out is not None:
        write_table(frame, out, table.name)
    if as_json:
        rows = [{**row, **more} for row, more in zip(rows, beside, strict=True)] if beside else rows
        print_json({"out": str(out) if out else None, "rows": rows})
    elif out is None:
        typer.echo(csv_bytes(frame, table.name).decode(), nl=False)
    elif not quiet:
        output().print(f"{frame.height} rows in {out}")


def _classify(task: Any, table: Table) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """What the classifier's `predict` makes of a table, and what only JSON has of each of its rows."""
    check_free(table.name, table.frame.columns, *ANSWERS, "probabilities")
    found = [line.fields for line in task.predict_lines(task.texts_of(table))]
    answers = [[row[key] for row in found] for key in ("label", "confidence")]
    columns = [pl.Series(name, values) for name, values in zip(ANSWERS, answers, strict=True)]
    return table.frame.with_columns(columns), [{"probabilities": row["probabilities"]} for row in found]


def _predict_lines(
    task: Any, batches: Iterable[Sequence[str | Fault]], explain: bool, as_json: bool, out: Path | None
) -> None:
    """An answer in the place of each line; nothing but a warning where it is no text."""
    if out is not None:
        raise ArgumentError(
            "--out takes tables; of lines and explanations, redirect the output: recurra predict RUN < FILE > OUT"
        )
    faulty = False
    for lines in batches:
        texts = [line for line in lines if isinstance(line, str)]
        answers: Iterator[Any] = iter(())
        if texts:
            answers = map(task.explain, texts) if explain else iter(task.predict_lines(texts))
        for line in lines:
            if isinstance(line, Fault):
                faulty = True
                warn(line.message)
                typer.echo(json.dumps({"error": as_options(line.message)}, ensure_ascii=False) if as_json else "")
            elif explain:
                _print_explanation(next(answers), as_json)
            else:
                found = next(answers)
                typer.echo(found.json() if as_json else found.text)
        sys.stdout.flush()
    if faulty:
        raise typer.Exit(2)


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
        contribution_text(
            found.tokens,
            found.contributions,
            answer=found.answer,
            between=between,
            base=found.base,
            colour=colour,
        )
    )
