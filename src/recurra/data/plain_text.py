"""Text files, or a part of them by position, read as pieces of text."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from recurra.data.corpus import read_blocks
from recurra.data.lines import check_encoding
from recurra.data.signatures import check_plain
from recurra.errors import ArgumentError, DataError

__all__ = ["PlainText", "read_plain_text"]

_LONGEST = 1 << 20  # characters without a line break, after which a piece ends between words


@dataclass(frozen=True)
class PlainText:
    r"""The characters from start to stop of text files that follow one another; none of them is in memory.

    A line break is one character, \n, also where a file has \r\n.

    paths: of the files, which may be packed by gzip.
    encoding: of the files.
    """

    paths: tuple[str, ...]
    encoding: str
    start: int
    stop: int

    def __len__(self) -> int:
        """Characters."""
        return self.stop - self.start

    @property
    def name(self) -> str:
        """What messages call the text."""
        first = Path(self.paths[0]).name
        return first if len(self.paths) == 1 else f"{first} and {len(self.paths) - 1} more"

    def pieces(self) -> Iterator[str]:
        """The text in pieces of about a million characters that end behind a line break.

        Where a line is longer than a million characters, a piece ends within it, between words if it has any; a file
        ends a piece, too.

        Raises DataError for a file that is damaged, as `recurra.data.corpus.read_blocks` does.
        """
        return chain.from_iterable(self.texts())

    def texts(self) -> Iterator[Iterator[str]]:
        """The text of each file in such pieces, to be read to its end before the next one."""
        place = 0

        def read(path: str) -> Iterator[str]:
            nonlocal place
            rest = ""
            for block in read_blocks(path, encoding=self.encoding):
                rest += block[max(0, self.start - place) : max(0, self.stop - place)]
                place += len(block)
                end = _end(rest)
                if end:
                    yield rest[:end]
                    rest = rest[end:]
                if place >= self.stop:
                    break
            if rest:
                yield rest

        for path in self.paths:
            if place < self.stop:
                yield read(path)

    def split(self, share: float, *, anywhere: bool) -> tuple[PlainText, PlainText]:
        """The text without its last part, and that part.

        By position: pieces drawn at random would have their neighbours in the part that is learned.

        share: of the characters, that the last part has.
        anywhere: whether to cut at that very character; else where the next line or file begins, or, where none does
            within a million characters, there.

        Raises ArgumentError for a share that is none, or leaves a part without a character.
        """
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
            raise ArgumentError(f"the share held back is {share!r}; it lies between 0 and 1, such as 0.1")
        place = self.stop - round(len(self) * share)
        if not anywhere:
            place += self._next_line(place)
        if not self.start < place < self.stop:
            raise ArgumentError(
                f"{self.name}: a share of {share:g} of {len(self):,} characters, cut at a line's end, leaves a part "
                "empty; pass more text, another share, or files of their own"
            )
        return replace(self, stop=place), replace(self, start=place)

    def _next_line(self, place: int) -> int:
        """Characters from a place to where the next line or file begins; 0 where none does, or the place is one."""
        text = next(replace(self, start=place - 1).pieces(), "")
        end = text.find("\n", 0, _LONGEST)
        if end < 0 and place - 1 + len(text) < self.stop and len(text) <= _LONGEST:
            return len(text) - 1
        return max(0, end)


def read_plain_text(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], *, encoding: str = "utf-8"
) -> PlainText:
    """The text of files, checked from beginning to end; a second reading will meet no fault.

    paths: of a text file, or several; gzip is recognised by its first bytes.
    encoding: of the files; a UTF-8 byte order mark is accepted anyway.

    Raises ArgumentError for no path or an unknown encoding; DataError for a file that is missing, empty, damaged, in
    another encoding (with the byte offset), holds a NUL character or is something else than text.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     size = Path(folder, "text.txt").write_text("one\\ntwo\\nthree\\n")
    ...     first, last = read_plain_text(Path(folder, "text.txt")).split(0.5, anywhere=False)
    ...     list(first.pieces()), list(last.pieces())
    (['one\\ntwo\\n'], ['three\\n'])
    """
    several = list(paths) if isinstance(paths, Iterable) and not isinstance(paths, str) else [paths]
    sources = [path for path in several if isinstance(path, str | os.PathLike)]
    if not sources or len(sources) < len(several):
        raise ArgumentError(f"data is {paths!r}; pass the path of a text file, or a list of such paths")
    check_encoding(encoding)
    total = 0
    for path in sources:
        blocks = read_blocks(path, encoding=encoding)
        if not Path(path).is_file():
            raise DataError(f"{Path(path).name} is no regular file, and a text is read more than once; save it in one")
        check_plain(Path(path), encoding, reader="a language model")
        count = sum(len(block) for block in blocks)
        if not count:
            raise DataError(f"{Path(path).name} is empty; a text is needed")
        total += count
    return PlainText(tuple(str(Path(path).resolve()) for path in sources), encoding, 0, total)


def _end(text: str) -> int:
    """Where a piece may end; 0 where it should go on."""
    end = text.rfind("\n") + 1
    if end or len(text) <= _LONGEST:
        return end
    blank = text.rfind(" ")
    return blank if blank > 0 else len(text)
