"""Standard input line by line, as many lines at a time as are there: little waiting for one, speed for many."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator

from recurra.data.faulty_lines import Fault, cut_lines
from recurra.data.lines import LONGEST, check_encoding

__all__ = ["read_standard_input"]

_BLOCK = 1 << 16


def read_standard_input(encoding: str = "utf-8") -> Iterator[list[str | Fault]]:
    """The lines of standard input in order, in lists of those that were there; without their line breaks.

    A line that is no text is a `Fault` in its place, and those after it are read. Raises ArgumentError for an unknown
    encoding, and what `cut_lines` does.
    """
    check_encoding(encoding)
    source = getattr(sys.stdin, "buffer", None)
    if source is None:
        source, encoding = io.BytesIO(sys.stdin.read().encode()), "utf-8"
    return cut_lines(_pieces(source), "standard input", encoding=encoding, longest=LONGEST)


def _pieces(source: io.BufferedReader | io.BytesIO) -> Iterator[bytes]:
    """What is there, as it comes, and nothing at the end."""
    while piece := source.read1(_BLOCK):
        yield piece
    yield b""
