"""Plain text of any size as codes in a file, read and written in a stream."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from recurra.atomic import sync_folder, umask, writing
from recurra.data.lines import check_encoding, check_file, decode_file
from recurra.data.tokenizer import Tokenizer
from recurra.errors import ArgumentError, DataError

__all__ = ["Corpus", "encode_corpus", "encode_texts", "read_blocks", "split"]

_BLOCK = 1 << 16  # characters that are encoded at once
_LONGEST = 1 << 20  # characters without a blank between words, after which a text is cut anywhere
_CUT = re.compile(r"(?<=\w)[ \n](?=\w)")  # a token ends before it, whatever the kind

Codes = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class Corpus:
    """A text as codes, of which only what is looked at is in memory.

    codes: (token,) uint16 or uint32: a np.memmap of the file, or a part of one.
    marks: (place, 3) int64: tokens, characters and bytes before some places of the text, from (0, 0, 0) to its end.
    """

    codes: Codes
    marks: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def characters(self) -> int:
        """Characters of the text that the codes stand for, line breaks among them."""
        return int(self.marks[-1, 1] - self.marks[0, 1])

    @property
    def bytes(self) -> int:
        """Bytes of that text in UTF-8."""
        return int(self.marks[-1, 2] - self.marks[0, 2])

    def part(self, start: int, stop: int) -> Corpus:
        """The tokens from start to stop; a view. Its characters are exact where a mark stands, else interpolated.

        Raises ArgumentError unless 0 <= start < stop <= len(corpus).
        """
        if not 0 <= start < stop <= len(self):
            raise ArgumentError(f"tokens {start} to {stop} were asked for; the corpus has 0 to {len(self)}")
        first = int(self.marks[0, 0])
        tokens = self.marks[:, 0]
        inside = (tokens > first + start) & (tokens < first + stop)
        ends = [
            [round(float(np.interp(first + place, tokens, counts))) for counts in self.marks.T]
            for place in (start, stop)
        ]
        return Corpus(self.codes[start:stop], np.array([ends[0], *self.marks[inside].tolist(), ends[1]], np.int64))


def encode_corpus(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    tokenizer: Tokenizer,
    path: str | os.PathLike[str],
    *,
    lines: bool = False,
    encoding: str = "utf-8",
) -> Corpus:
    """The codes of text files, one after the other, written to the file `path` in numpy's form (.npy).

    Memory is flat whatever the size: some hundred bytes a character of a block of 65,536. `path` is written whole or
    not at all. A text that has more than a million characters without a blank between words is cut there.

    paths: of a text file, or several; gzip is recognised by its first bytes.
    lines: whether each line is a text of its own, without its break, and an end code behind it, as the Penn Treebank is
        read; else the files' text goes through as it is, its breaks being characters, bytes or parts of subwords. A
        break is one character, \\n, also where the file has \\r\\n.
    encoding: of the files; a UTF-8 byte order mark is accepted anyway.

    Raises DataError for a file that is missing, empty, damaged, in another encoding (with the byte offset) or holds a
    NUL character; RecurraError if `path` cannot be written.

    >>> tokenizer = Tokenizer.train(["a b c"], "whitespace")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     source = Path(folder, "text.txt")
    ...     size = source.write_text("a b\\nc\\n")
    ...     corpus = encode_corpus(source, tokenizer, Path(folder, "codes.npy"), lines=True)
    ...     (corpus.codes.tolist(), corpus.characters)
    ([4, 5, 3, 6, 3], 6)
    """
    sources = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not sources:
        raise ArgumentError("paths is empty; pass the path of a text file, or several")

    texts = (read_blocks(source, encoding=encoding) for source in sources)
    return _write(texts, tokenizer, Path(path), lines=lines)


def encode_texts(
    texts: Iterable[str | Iterable[str]],
    tokenizer: Tokenizer,
    path: str | os.PathLike[str],
    *,
    lines: bool = False,
) -> Corpus:
    """The codes of texts that come one by one, one after the other, written to the file `path` as `encode_corpus` does.

    texts: each whole, or in pieces, which may end anywhere.
    lines: whether an end code stands behind each text, and behind each of its lines.

    Raises ArgumentError for what is no text; DataError if there is none; RecurraError if `path` cannot be written.
    """
    blocks = ([text] if isinstance(text, str) else text for text in texts)
    return _write(blocks, tokenizer, Path(path), lines=lines)


def read_blocks(path: str | os.PathLike[str], *, encoding: str = "utf-8") -> Iterator[str]:
    r"""The text of a file in blocks of about a million bytes, cut anywhere between two characters; \r\n is read as \n.

    path: the file; gzip is recognised by its first bytes.
    encoding: of the text; a UTF-8 byte order mark is accepted anyway.

    Raises ArgumentError for an unknown encoding; DataError when the file is missing or empty, and, when the block is
    reached, for a damaged gzip file, another encoding (with the byte offset) and a NUL character.
    """
    path = Path(path)
    check_encoding(encoding)
    check_file(path, "a text file")

    def each() -> Iterator[str]:
        empty = True
        for block in _one_break(decode_file(path, encoding)):
            empty = empty and not block.strip()
            if block:
                yield block
        if empty:
            raise DataError(f"{path.name} is empty; a text is needed")

    return each()


def split(corpus: Corpus, *, valid: float = 0.05, test: float = 0.05) -> tuple[Corpus, Corpus, Corpus]:
    """The first part of a corpus to train on, then one to validate on, and the last to test on: each contiguous.

    By position, not at random: pieces drawn at random would have their neighbours in the part trained on.

    valid, test: shares of the tokens.

    Raises ArgumentError for shares that leave a part without a token.
    """
    for name, share in (("valid", valid), ("test", test)):
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
            raise ArgumentError(f"{name} is {share!r}; expected a share of the tokens between 0 and 1, as 0.05")
    total = len(corpus)
    tests, valids = round(total * test), round(total * valid)
    if not tests or not valids or tests + valids >= total:
        raise ArgumentError(
            f"valid={valid} and test={test} of {total:,} tokens leave an empty part; pass other shares or more text"
        )
    first, second = total - tests - valids, total - tests
    return corpus.part(0, first), corpus.part(first, second), corpus.part(second, total)


def _one_break(blocks: Iterable[str]) -> Iterator[str]:
    r"""Blocks of a text with \n for each of its \r\n, of which one block may have the first half."""
    held = ""
    for block in blocks:
        text = held + block
        held = "\r" if text.endswith("\r") else ""
        yield text.removesuffix("\r").replace("\r\n", "\n")
    if held:
        yield held


def _write(texts: Iterable[Iterable[str]], tokenizer: Tokenizer, path: Path, *, lines: bool) -> Corpus:
    """Write the codes of texts, each of which comes in blocks."""
    dtype = np.dtype(np.uint16 if len(tokenizer) <= 2**16 else np.uint32)
    counts, marks = np.zeros(3, np.int64), [[0, 0, 0]]
    with writing(path, kept="free some space or choose another folder"), _replacing(path) as file:
        _write_header(file, dtype, 0)
        begin = file.tell()
        for text in texts:
            for piece, codes in _encoded(text, tokenizer, lines=lines):
                file.write(codes.astype(dtype).tobytes())
                counts += (len(codes), len(piece), len(piece.encode("utf-8")))
                marks.append(counts.tolist())
        if not counts[0]:
            raise DataError("the text has no token; pass one that is not blank")
        file.seek(0)
        _write_header(file, dtype, int(counts[0]))
        if file.tell() != begin:
            raise AssertionError("numpy leaves room in a header for longer shapes")
    return Corpus(np.load(path, mmap_mode="r", allow_pickle=False), np.array(marks, np.int64))


def _encoded(text: Iterable[str], tokenizer: Tokenizer, *, lines: bool) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """A text's pieces with their codes."""
    if not lines:
        for piece in _pieces(text, anywhere=tokenizer.kind in ("character", "byte")):
            yield piece, tokenizer.encode_array(piece)
        return
    open_line = False
    for piece in _pieces(text, anywhere=False, breaks=True):
        whole = piece.split("\n")
        rest = whole.pop()
        codes = tokenizer.encode_all([*whole, rest])
        for line in codes[:-1]:
            line.append(tokenizer.end)
        yield piece, np.fromiter((code for line in codes for code in line), np.int64)
        open_line = bool(rest)
    if open_line:
        yield "", np.array([tokenizer.end])


def _pieces(text: Iterable[str], *, anywhere: bool, breaks: bool = False) -> Iterator[str]:
    """A text in pieces of about `_BLOCK` characters, cut anywhere, or after breaks, or else between words."""
    rest = ""
    for block in text:
        rest += block
        start = 0
        while len(rest) - start > _BLOCK:
            stop = _cut(rest, start + _BLOCK, anywhere=anywhere, breaks=breaks)
            if stop is None:
                break
            yield rest[start:stop]
            start = stop
        rest = rest[start:]
        if len(rest) > _LONGEST:
            yield rest
            rest = ""
    if rest:
        yield rest


def _cut(text: str, place: int, *, anywhere: bool, breaks: bool) -> int | None:
    """Where a token ends at or behind a place."""
    if anywhere:
        return place
    end = text.find("\n", place) + 1 if breaks else 0
    if end and end - place < _LONGEST:
        return end
    cut = _CUT.search(text, place)
    return None if cut is None else cut.start()


def _write_header(file: BinaryIO, dtype: np.dtype[Any], length: int) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(file, header)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` when all of it is written."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~umask())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
