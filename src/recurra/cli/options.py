"""Options that several verbs share, each stated once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Debug",
    "Decimal",
    "Encoding",
    "Force",
    "Json",
    "Missing",
    "Quiet",
    "Run",
    "Separator",
    "SourceColumn",
    "TagColumn",
    "TextColumn",
    "TokenColumn",
    "no_value",
    "separator_of",
]


def separator_of(value: str | None) -> str | None:
    r"""A separator as it was given, the tab also by its name and as an escape, since shells pass it badly.

    >>> separator_of("tab"), separator_of(r"\t"), separator_of(";")
    ('\t', '\t', ';')
    """
    return "\t" if value in ("tab", r"\t") else value


Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, as made by `recurra fit`.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print no progress.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Encoding = Annotated[str, typer.Option(help="Of text.")]
Separator = Annotated[
    str | None, typer.Option(callback=separator_of, help="Of a CSV file, as ; or tab; found if not given.")
]
Decimal = Annotated[str, typer.Option(help="Decimal mark of a CSV file's numbers, . or a comma.")]
Missing = Annotated[
    str | None, typer.Option(help="For gaps in DATA: interpolate, mask or drop. [default: as in training]")
]
TextColumn = Annotated[
    str | None, typer.Option("--text", help="Of a classifier: column of the texts. [default: as in training]")
]
SourceColumn = Annotated[
    str | None, typer.Option("--source", help="Of a translator: column of the sources. [default: as in training]")
]
TagColumn = Annotated[
    str | None, typer.Option("--tag", help="Of a tagger: column of the tags. [default: as in training]")
]
TokenColumn = Annotated[
    str | None, typer.Option("--token", help="Of a tagger: column of the tokens. [default: as in training]")
]


def no_value(value: str | None) -> list[str] | None:
    """A comma-separated option as a list; None if it was not given, empty for "none"."""
    if value is None:
        return None
    return [] if value == "none" else [part.strip() for part in value.split(",") if part.strip()]
