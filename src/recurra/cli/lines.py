"""Standard input line by line, as many lines at a time as are there: little waiting for one, speed for many."""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Iterator

from recurra.data.lines import LONGEST, check_encoding, is_utf_8, other_encoding
from recurra.errors import DataError

__all__ = ["read_standard_input"]

_BLOCK = 1 << 16
_MOST = 1024  # lines at a time


def read_standard_input(encoding: str = "utf-8") -> Iterator[list[str]]:
    """The lines of standard input in order, in lists of those that were there; without their line breaks.

    Raises ArgumentError for an unknown encoding; DataError for bytes that are not of it, a NUL, or a line that is
    longer than any text; what came before has been given by then.
    """
    check_encoding(encoding)
    source = getattr(sys.stdin, "buffer", None)
    if source is None:
        return _lists(io.BytesIO(sys.stdin.read().encode()), "utf-8")
    return _lists(source, encoding)


def _lists(source: io.BufferedReader | io.BytesIO, encoding: str) -> Iterator[list[str]]:
    decoder = codecs.getincrementaldecoder("utf-8-sig" if is_utf_8(encoding) else encoding)("strict")
    rest, number = "", 0
    while True:
        block = source.read1(_BLOCK)
        text, error = _decode(decoder, block)
        *whole, rest = (rest + text).split("\n")
        if not block and error is None:
            whole, rest = [*whole, *([rest] if rest else [])], ""
        ready: list[str] = []
        for line in whole:
            number += 1
            if "\0" in line:
                if ready:
                    yield ready
                raise DataError(f"standard input line {number} holds a NUL character, which no text has; remove it")
            ready.append(line.removesuffix("\r"))
            if len(ready) == _MOST:
                yield ready
                ready = []
        if ready:
            yield ready
        if error is not None:
            place = len(rest.encode(encoding)) - len("".encode(encoding))  # without a byte order mark
            raise DataError(
                f"standard input line {number + 1}: the byte {error.object[error.start]:#04x} at byte {place} of the "
                f"line is not {encoding}; {other_encoding(encoding)}"
            ) from error
        if not block:
            return
        if len(rest) > LONGEST:
            raise DataError(
                f"standard input line {number + 1} has more than {LONGEST:,} characters; break it into texts"
            )


def _decode(decoder: codecs.IncrementalDecoder, block: bytes) -> tuple[str, UnicodeDecodeError | None]:
    """The text of a block, up to the first byte that is none."""
    before = decoder.getstate()
    try:
        return decoder.decode(block, not block), None
    except UnicodeDecodeError as error:
        decoder.setstate(before)
        good = len(block) - len(error.object) + error.start  # the object has what was left of the block before
        return decoder.decode(block[: max(0, good)]), error
