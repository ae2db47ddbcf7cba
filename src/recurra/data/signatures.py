"""What a file that holds no text is, by its first bytes."""

from __future__ import annotations

import re
from pathlib import Path

from recurra.data.lines import is_wide, read_chunks
from recurra.errors import DataError

__all__ = ["check_plain"]

_KINDS = (
    (b"PAR1", "Parquet", "write its column of texts to a text file"),
    (b"ARROW1", "Arrow", "write its column of texts to a text file"),
    (b"SQLite format 3\0", "an SQLite database", "write its texts to a text file"),
    (b"PK\x03\x04", "a ZIP archive, as spreadsheets and documents are, too", "unpack it, or save it as text"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it"),
    (b"\xfd7zXZ\0", "packed by xz", "unpack it, or pack it by gzip"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd", "unpack it, or pack it by gzip"),
    (b"BZh91AY&SY", "packed by bzip2", "unpack it, or pack it by gzip"),
    (b"%PDF-", "PDF", "write its text to a text file, as pdftotext does"),
    (b"\x89PNG\r\n", "a PNG image", "pass text"),
    (b"\xff\xd8\xff", "a JPEG image", "pass text"),
    (b"\x7fELF", "a program", "pass text"),
)
_TAR, _TAR_AT = b"ustar", 257
_HEAD = 4096
_CONTROLS = re.compile(rb"[\x01-\x08\x0e-\x19\x1c-\x1f]")  # of ASCII; NUL apart


def check_plain(path: Path, encoding: str, *, reader: str) -> None:
    """Raise DataError where a file is no text by its first bytes, gzip unpacked, with what it is and what to do.

    reader: who reads plain text, in words, for the message.
    """
    head = next(read_chunks(path), b"")[:_HEAD]
    for mark, what, remedy in _KINDS:
        if head.startswith(mark):
            raise _no_text(path, f"is {what}", reader, remedy)
    if head[_TAR_AT:].startswith(_TAR):
        raise _no_text(path, "is a tar archive", reader, "unpack it, and pass its files")
    if b"\0" in head and _CONTROLS.search(head) and not is_wide(encoding):
        raise _no_text(path, "holds bytes that no text has", reader, "save it as text")


def _no_text(path: Path, what: str, reader: str, remedy: str) -> DataError:
    return DataError(f"{path.name} {what}; {reader} reads plain text: {remedy}")
