"""Standard input line by line, as many lines at a time as are there: little waiting for one, speed for many."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator

from recurra.data.lines import LONGEST
from recurra.errors import DataError

__all__ = ["read_standard_input"]

_BLOCK = 1 << 16
_MOST = 1024  # lines at a time


def read_standard_input() -> Iterator[list[str]]:
    """The lines of standard input in order, in lists of those that were there; without their line breaks.

    Raises DataError for bytes that are no UTF-8, a NUL, or a line that is longer than any text; what came before has
    been given by then.
    """
    source = getattr(sys.stdin, "buffer", None)
    return _lists(source if source is not None else io.BytesIO(sys.stdin.read().encode()))


def _lists(source: io.BufferedReader | io.BytesIO) -> Iterator[list[str]]:
    rest, number = b"", 0
    while True:
        block = source.read1(_BLOCK)
        *whole, rest = (rest + block).split(b"\n") if block else [*([rest] if rest else []), b""]
        ready: list[str] = []
        for line in whole:
            number += 1
            try:
                ready.append(_text(line, number))
            except DataError:
                if ready:
                    yield ready
                raise
            if len(ready) == _MOST:
                yield ready
                ready = []
        if ready:
            yield ready
        if not block:
            return
        if len(rest) > LONGEST:
            raise DataError(f"standard input line {number + 1} has more than {LONGEST:,} bytes; break it into texts")


def _text(line: bytes, number: int) -> str:
    where = f"standard input line {number}"
    try:
        text = line.removesuffix(b"\r").decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: the byte {line[error.start]:#04x} at byte {error.start} of the line is no UTF-8; convert it, as "
            "by iconv -f latin1 -t utf-8"
        ) from error
    if "\0" in text:
        raise DataError(f"{where} holds a NUL character, which no text has; remove it")
    return text
