"""Lines of text as they come, with those that are none told apart, so that one bad line does not end a pipe."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from recurra.data.lines import (
    LONGEST,
    check_encoding,
    check_file,
    is_utf_8,
    is_wide,
    line_break,
    other_encoding,
    read_chunks,
)
from recurra.errors import DataError

__all__ = ["Fault", "cut_lines", "read_faulty_lines"]

_AT_ONCE = 1024  # lines of a list
_HANDLER = "recurra.no-character"
_NO_CHARACTER = re.compile("[\udc00-\udcff]")


@dataclass(frozen=True)
class Fault:
    """A line that is no text.

    message: which one it is, why, and what to do about it.
    """

    message: str


def read_faulty_lines(
    path: str | os.PathLike[str], *, encoding: str = "utf-8", wanted: str = "a text file"
) -> Iterator[list[str | Fault]]:
    r"""The lines of a text file as `cut_lines` gives them, the file open until the last are taken.

    path: the file; gzip is recognised by its first bytes.
    encoding: of the text; a UTF-8 byte order mark is accepted anyway.
    wanted: what a message asks for when the path is a folder.

    Lines end as `recurra.data.read_lines` has it. Raises ArgumentError for an unknown encoding; DataError when the file
    is missing, and, when it is reached, for a damaged gzip file and a break of another kind.
    """
    path = Path(path)
    check_encoding(encoding)
    check_file(path, wanted)
    return cut_lines(read_chunks(path), path.name, encoding=encoding, either=True)


def cut_lines(
    pieces: Iterable[bytes], name: str, *, encoding: str = "utf-8", longest: int = LONGEST, either: bool = False
) -> Iterator[list[str | Fault]]:
    r"""The lines of bytes that come in pieces: in lists of those that end in a piece, at most 1,024 in each.

    pieces: the bytes, b"" at their end. name: what messages call them.
    encoding: of the text, a known one; a UTF-8 byte order mark is accepted anyway.
    longest: characters that a line may have; what is longer is passed over in pieces and never held.
    either: whether lines may end at \r, as in files that have no \n in their first piece.

    A line with bytes that are not of the encoding or with a NUL character, and one that is too long, is a Fault in its
    place. Raises DataError for a text that is in another encoding as a whole: UTF-16 where UTF-8 is read.

    >>> [[bad, good]] = cut_lines([b"no\xff", b"!\ngood\n", b""], "standard input")
    >>> bad.message, good
    ('standard input line 1: the byte 0xff at byte 2 of the line is not utf-8; pass --encoding latin-1', 'good')
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig" if is_utf_8(encoding) else encoding)(_HANDLER)
    lines = _Lines(name, encoding, longest, either=either)
    first = True
    for piece in pieces:
        if first and is_utf_8(encoding) and piece[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise DataError(f"{name} byte offset 0: {piece[:2]!r} opens UTF-16 text; pass --encoding utf-16")
        first = False
        try:
            text = decoder.decode(piece, not piece)
        except UnicodeError as error:  # of the whole: UTF-16 without the mark that says which bytes come first
            raise DataError(f"{name}: {error}; pass --encoding with its true one, such as utf-16-le") from error
        found = lines.take(text, end=not piece)
        for start in range(0, len(found), _AT_ONCE):
            yield found[start : start + _AT_ONCE]


class _Lines:
    """The lines of a text that comes in pieces."""

    def __init__(self, name: str, encoding: str, longest: int, *, either: bool) -> None:
        self._name, self._encoding, self._longest = name, encoding, longest
        self._mark = "" if either else "\n"
        self._parts: list[str] = []  # of the line that has not ended
        self._size = 0  # of it, also where its parts are held no longer
        self._number = 0

    def take(self, text: str, *, end: bool) -> list[str | Fault]:
        """The lines that end in this piece of the text; at its end also what follows the last break."""
        self._mark = line_break(self._name, self._mark, text)
        *whole, rest = text.split(self._mark or "\n")
        found = []
        for part in whole:
            self._add(part)
            found.append(self._close())
        self._add(rest)
        return [*found, self._close()] if end and self._size else found

    def _add(self, part: str) -> None:
        self._size += len(part)
        if self._size <= self._longest + 1:  # a \r at the end does not count
            self._parts.append(part)
        else:
            self._parts.clear()

    def _close(self) -> str | Fault:
        line, size = "".join(self._parts), self._size
        self._parts.clear()
        self._size = 0
        self._number += 1
        fault = self._fault_of(line, size)
        return line.removesuffix("\r") if fault is None else Fault(f"{self._name} line {self._number}: {fault}")

    def _fault_of(self, line: str, size: int) -> str | None:
        if size > self._longest + line.endswith("\r"):
            return f"longer than {self._longest:,} characters; break it into lines, one text each"
        if "\0" in line:
            remedy = "" if is_wide(self._encoding) else ", or pass --encoding utf-16 if it is that"
            return f"holds a NUL character, which no text has; remove it{remedy}"
        bad = None if line.isascii() else _NO_CHARACTER.search(line)
        if bad is None:
            return None
        mark = len("".encode(self._encoding))  # of the byte order, which the line has not
        place = len(line[: bad.start()].encode(self._encoding)) - mark
        byte = ord(bad.group()) - 0xDC00
        remedy = other_encoding(self._encoding)
        return f"the byte {byte:#04x} at byte {place} of the line is not {self._encoding}; {remedy}"


def _mark_byte(error: UnicodeError) -> tuple[str, int]:
    """Half of a surrogate pair, which no decoded text has, in the place of bytes that are no character."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return chr(0xDC00 + error.object[error.start]), error.end


codecs.register_error(_HANDLER, _mark_byte)
