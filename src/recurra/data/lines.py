"""Lines of a text file of any size, read one after the other."""

from __future__ import annotations

import codecs
import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from recurra.errors import ArgumentError, DataError, nearest

__all__ = [
    "LONGEST",
    "check_encoding",
    "check_file",
    "decode_file",
    "is_utf_8",
    "is_wide",
    "line_break",
    "other_encoding",
    "quote",
    "read_chunks",
    "read_lines",
]

LONGEST = 10_000_000
_CHUNK = 1 << 20


def read_lines(
    path: str | os.PathLike[str],
    *,
    encoding: str = "utf-8",
    longest: int = LONGEST,
    wanted: str = "a text file",
    option: bool = True,
) -> Iterator[str]:
    r"""The lines of a text file without their breaks, the file open until the last is taken.

    path: the file; gzip is recognised by its first bytes.
    encoding: of the text; a UTF-8 byte order mark is accepted anyway.
    longest: characters that a line may have, so that a file without breaks does not fill the memory.
    wanted: what a message asks for when the path is a folder.
    option: whether a message may advise --encoding; else it advises to convert the file.

    A line ends at \n or \r\n and nowhere else, so that two files stay side by side whatever their texts hold; a file
    with \r and no \n in its first mebibyte has lines that end at \r. Raises ArgumentError for an unknown encoding or
    no length; DataError when the file is missing, and, when the line is reached, for a damaged gzip file, another
    encoding (with the byte offset), a NUL character and a line beyond `longest`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     size = Path(folder, "a.txt").write_bytes(b"one\r\n\ntwo")
    ...     list(read_lines(Path(folder, "a.txt")))
    ['one', '', 'two']
    """
    path = Path(path)
    if longest < 1:
        raise ArgumentError(f"longest is {longest}; a line has 1 character at least")
    check_encoding(encoding)
    check_file(path, wanted)
    return _split(path.name, decode_file(path, encoding, option=option), longest)


def check_encoding(encoding: str) -> None:
    """Raises ArgumentError for an encoding of text that is not known."""
    try:
        known = codecs.lookup(encoding)
        known.incrementaldecoder("strict").decode(b"")
        "".encode(encoding)  # refuses codecs such as base64 that are none of text
    except (LookupError, TypeError) as error:
        raise ArgumentError(f"encoding {encoding!r} is not known; try utf-8, latin-1 or cp1252") from error


def check_file(path: Path, wanted: str) -> None:
    """Raises DataError where there is no file, with the nearest names beside it."""
    if not path.exists():
        near = path.parent.iterdir() if path.parent.is_dir() else ()
        names = sorted(p.name for p in near if p.suffix.lower() == path.suffix.lower())[:20]
        hint = f"; {nearest(path.name, names)}" if names else f"; nothing like it is in {path.parent}"
        raise DataError(f"{path} does not exist{hint}")
    if path.is_dir():
        raise DataError(f"{path} is a folder; pass {wanted}")


def quote(value: Any) -> str:
    """A value as messages show it: on one line, and its beginning only if it is long.

    >>> quote("a" * 100)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'"
    """
    text = repr(value)
    return text if len(text) <= 42 else text[:40] + "...'"


def decode_file(path: Path, encoding: str, *, option: bool = True) -> Iterator[str]:
    """The text of a file in pieces, a leading byte order mark left out; gzip is unpacked.

    option: whether a message may advise --encoding.

    Raises DataError with line and byte offset for bytes that are not of this encoding.
    """
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    line, offset = 1, 0
    for data in read_chunks(path):
        if offset == 0 and is_utf_8(encoding):
            if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                remedy = "pass --encoding utf-16" if option else _converting("utf-16")
                raise DataError(f"{path.name} byte offset 0: {data[:2]!r} opens UTF-16 text; {remedy}")
            offset = 3 * data.startswith(codecs.BOM_UTF8)
            data = data[offset:]
        before = decoder.getstate()
        offset += len(data)
        try:
            text = decoder.decode(data, not data)
        except UnicodeDecodeError as error:
            at = offset - len(error.object) + error.start
            decoder.setstate(before)
            good = decoder.decode(data[: max(0, len(data) - len(error.object) + error.start)])
            remedy = other_encoding(encoding) if option else _converting("latin1")
            raise DataError(
                f"{path.name} line {line + good.count(chr(10))}: the byte {error.object[error.start]:#04x} at byte "
                f"offset {at} is not {encoding}; {remedy}"
            ) from error
        if "\0" in text:
            line += text.count("\n", 0, text.index("\0"))
            wide = "pass --encoding utf-16 if it is that" if option else f"where it is UTF-16 {_converting('utf-16')}"
            remedy = "" if is_wide(encoding) else f", or {wide}"
            raise DataError(f"{path.name} line {line}: holds a NUL character, which no text has; remove it{remedy}")
        line += text.count("\n")
        yield text


def is_utf_8(encoding: str) -> bool:
    """Whether an encoding that is known is UTF-8, with a byte order mark or without one."""
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def is_wide(encoding: str) -> bool:
    """Whether bytes of 0 belong to the characters of an encoding that is known: UTF-16, UTF-32."""
    return codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))


def other_encoding(encoding: str) -> str:
    """What to do about text that is not of an encoding.

    >>> other_encoding("utf-8"), other_encoding("cp1252")
    ('pass --encoding latin-1', 'pass --encoding with its true one')
    """
    return f"pass --encoding {'latin-1' if encoding.lower().startswith('utf') else 'with its true one'}"


def _converting(encoding: str) -> str:
    return f"convert it, as by iconv -f {encoding} -t utf-8"


def read_chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, unpacked, and an empty piece at the end."""
    try:
        with path.open("rb") as file:
            packed = file.peek(2)[:2] == b"\x1f\x8b"  # looked at and not read: a pipe cannot go back
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if packed else file
            while data := stream.read(_CHUNK):
                yield data
            yield b""
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path.name} is a damaged gzip file ({error}); fetch or compress it again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def line_break(name: str, mark: str, text: str) -> str:
    r"""What ends the lines of a file, as its first piece of text says: \r where it has these and no \n.

    mark: what was found in the pieces before; "" for the first.

    Raises DataError where a later piece has a break of the other kind.

    >>> line_break("a.txt", "", "one\rtwo\r"), line_break("a.txt", "", "one\r\ntwo")
    ('\r', '\n')
    """
    if not mark and text:
        return "\r" if "\r" in text.rstrip("\r") and "\n" not in text else "\n"
    if mark == "\r" and "\n" in text:
        raise DataError(f"{name}: its lines end at \\r first and at \\n later; write them with one kind of break")
    return mark


def _split(name: str, texts: Iterator[str], longest: int) -> Iterator[str]:
    """The lines of a text that comes in pieces."""
    mark, rest, count = "", "", 0
    for text in texts:
        mark = line_break(name, mark, text)
        *whole, rest = (rest + text).split(mark or "\n")
        for line in (*whole, rest):
            count += 1
            if len(line) > longest + line.endswith("\r"):
                raise DataError(
                    f"{name} line {count}: longer than {longest:,} characters; break it into lines, one text each"
                )
        count -= 1
        for line in whole:
            yield line.removesuffix("\r")
    if rest:
        yield rest.removesuffix("\r")
