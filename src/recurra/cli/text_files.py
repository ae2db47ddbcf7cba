"""What a file holds that `recurra predict` was given for a text model: a table, or one text a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recurra.cli.changing import column_of
from recurra.data.faulty_lines import Fault, read_faulty_lines
from recurra.data.files import Table, kind_of, read_table
from recurra.data.labelled import find_column
from recurra.data.lines import check_file
from recurra.data.pairs import read_sources
from recurra.errors import ArgumentError, DataError
from recurra.tasks.jobs import job_of
from recurra.training.run import RunFolder

__all__ = ["has_lines", "read_lines_of", "read_table_of", "source_place"]

_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".pq")
_WANTED = "a table or a text file of lines"


def source_place(task: Any, run: RunFolder, data: Path | None, source: str | None) -> int | None:
    """Which field of a line between tabs is the source, counted from 1; None where lines are whole, or none.

    task: the fitted one of the run. source: as --source has it.

    Raises ArgumentError for a number that is none of a column.
    """
    if task.task != "translate" or data is None or kind_of(data) != "text":
        return None
    named = column_of(source)
    if isinstance(named, int):
        if named < 1:
            raise ArgumentError(f"--source is {named}; columns are counted from 1")
        if _suffix(data) == ".csv":
            raise ArgumentError(f"--source is {named}; the columns of {data.name} have names, pass one of them")
        return named
    if named is not None or task.column_ is not None or _suffix(data) == ".csv":
        return None
    if getattr(job_of(run), "target_file", None) is not None and _suffix(data) != ".tsv":
        return None  # trained on lines that are whole
    return task.source if isinstance(task.source, int) else 1


def has_lines(task: Any, data: Path, *, place: int | None) -> bool:
    """Whether a file is read as one text a line, by its name and by what the task was trained on.

    place: of the source in a line; see `source_place`.

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
    if place is not None or (is_text and _suffix(data) in (".txt", "")):
        return True
    return is_text and task.task == "translate" and task.column_ is None and _suffix(data) not in _TABLES


def read_lines_of(data: Path, *, place: int | None, alone: bool, encoding: str) -> Iterator[list[str | Fault]]:
    """The texts of a file of lines.

    place: of the source in a line between tabs; None: a line is a text. alone: whether it is where it has no tab.
    """
    if place is not None:
        return read_sources(data, place, alone=alone, encoding=encoding)
    return read_faulty_lines(data, encoding=encoding)


def read_table_of(task: Any, data: Path, form: dict[str, Any]) -> Table:
    """The table in a file; form: as `read_table` takes it.

    Raises DataError, which tells of files of lines where a file is taken for CSV only since its name says nothing.
    """
    check_file(data, _WANTED)
    guessed = kind_of(data) == "text" and _suffix(data) not in _TABLES
    try:
        table = read_table(data, **form)
        if guessed and task.task == "classify":
            find_column(table, task.text, role="text")
        elif guessed and task.column_ is not None:
            find_column(table, task.column_, role="source")
    except DataError as error:
        if not guessed:
            raise
        raise DataError(
            f"{error}; {data.name} was read as CSV because of its name, lines of text are read from a .txt file or the "
            "standard input"
        ) from error
    return table


def _suffix(data: Path) -> str:
    """The ending of a file's name without .gz, in small letters."""
    return Path(data.stem if data.suffix.lower() == ".gz" else data.name).suffix.lower()
