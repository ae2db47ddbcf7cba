"""Vectors of words that were learnt elsewhere, read for the words that are needed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recurra.data.lines import quote, read_lines
from recurra.errors import ArgumentError, DataError

__all__ = ["Vectors", "check_vectors", "read_vectors"]

Array = np.ndarray[Any, Any]
_SAMPLE = 10_000
_FIRST = 100  # lines that are looked at before training


class Vectors(NamedTuple):
    """The vectors of the words found.

    matrix: (found, size) float32, in the order of `places`.
    places: (found,) int64, the place of each in what was asked for, ascending.
    share: found, of what was asked for.
    """

    matrix: Array
    places: Array
    share: float


def read_vectors(
    path: str | os.PathLike[str], wanted: Mapping[str, int] | Sequence[str], *, encoding: str = "utf-8"
) -> Vectors:
    """The vectors of the wanted words in a text file of word2vec (a line with count and size first) or of GloVe.

    path: the file, also packed by gzip; a line is a word and its numbers between spaces. Read as a stream, so that
        memory is for the words found; the end is not read once all are.
    wanted: the words, each once, or the place of each word.
    encoding: of the file.

    Words may hold spaces: as many numbers as the first line has are taken from the right. A word that stands twice
    has its first vector. Only wanted words' numbers are looked at, though every line's are counted. Raises
    ArgumentError for no words or one given twice; DataError with the line that is damaged or of another size, when
    the file ends too early, and when none of the words is in it.
    """
    path = Path(path)
    places = _number(wanted)
    count, size, lines = _open(path, encoding)
    found: dict[str, Array] = {}
    sample: list[str] = []
    read = 0
    for read, (number, line) in enumerate(lines, 1):
        word, values = _cut(f"{path.name} line {number}", line, size)
        if read <= _SAMPLE:
            sample.append(word)
        if word in places and word not in found:
            found[word] = _parse(f"{path.name} line {number}", values)
            if len(found) == len(places):
                break
    else:
        if count is not None and read != count:
            raise DataError(f"{path.name}: its first line says {count} words, {read} follow; fetch the whole file")
    if not found:
        raise DataError(f"{path.name} holds none of the {len(places)} words{_explain(places, sample)}")
    order = sorted(found, key=lambda word: places[word])
    matrix = np.stack([found[word] for word in order])
    return Vectors(matrix, np.array([places[word] for word in order], np.int64), len(found) / len(places))


def check_vectors(path: str | os.PathLike[str], *, encoding: str = "utf-8") -> None:
    """Raise DataError where `read_vectors` would: for a file that is missing, or damaged in its first hundred lines."""
    path = Path(path)
    _, size, lines = _open(path, encoding)
    for number, line in islice(lines, _FIRST):
        _cut(f"{path.name} line {number}", line, size)


def _number(wanted: Mapping[str, int] | Sequence[str]) -> Mapping[str, int]:
    if isinstance(wanted, str):
        raise ArgumentError(f"wanted is the text {quote(wanted)}; pass a list of words, [{quote(wanted)}]")
    if not len(wanted):
        raise ArgumentError("wanted holds no words; pass those of the vocabulary")
    if isinstance(wanted, Mapping):
        return wanted
    places = {word: place for place, word in enumerate(wanted)}
    if len(places) != len(wanted):
        twice = next(word for place, word in enumerate(wanted) if places[word] != place)
        raise ArgumentError(f"wanted holds {quote(twice)} twice; pass each word once")
    return places


def _open(path: Path, encoding: str) -> tuple[int | None, int, Iterable[tuple[int, str]]]:
    """Count (None for GloVe) and size as the first line has them, and the numbered lines with a vector."""
    name = path.name
    if path.suffix.lower() == ".bin":
        raise DataError(f"{name} is word2vec's binary format by its name; pass its text format (.txt, .vec)")
    numbered = enumerate(read_lines(path, encoding=encoding, wanted="a text file of word vectors", option=False), 1)
    lines = ((number, line.rstrip(" \t")) for number, line in numbered if line.strip())
    first = list(islice(lines, 1))
    if not first:
        raise DataError(f"{name} is empty; a line for each word, the word and its numbers, is needed")
    number, line = first[0]
    fields = line.split(" ")
    if len(fields) == 2 and all(field.isascii() and field.isdecimal() for field in fields):
        count, size = int(fields[0]), int(fields[1])
        if size < 1:
            raise DataError(f"{name} line {number}: the size of its vectors is {size}; fetch the file again")
        return count, size, lines
    if len(fields) == 1:
        raise DataError(
            f"{name} line {number}: no numbers after a space: {quote(line)}; a word and its numbers are needed"
        )
    _parse(f"{name} line {number}", fields[1:])
    return None, len(fields) - 1, chain(first, lines)


def _cut(place: str, line: str, size: int) -> tuple[str, str | list[str]]:
    """The word of a line and its numbers, uncut where a space is before each."""
    spaces = line.count(" ")
    if spaces == size:
        word, _, values = line.partition(" ")
        return word, values
    word, *cut = line.rsplit(" ", size)
    if spaces < size or _is_number(word.rsplit(" ", 1)[1]):
        found = spaces if spaces < size else f"{size + 1} or more"
        raise DataError(
            f"{place}: {found} number{'s' * (found != 1)} after the word where {size} are expected: {quote(line)}; "
            "fetch the file again or remove the line"
        )
    return word, cut


def _parse(place: str, values: str | list[str]) -> Array:
    values = values.split(" ") if isinstance(values, str) else values
    try:
        with np.errstate(over="ignore"):  # it is refused below
            numbers = np.array([float(value) for value in values]).astype(np.float32)
    except ValueError as error:
        bad = next(value for value in values if not _is_number(value))
        raise DataError(f"{place}: {quote(bad)} is no number; fetch the file again or remove the line") from error
    if not np.isfinite(numbers).all():
        bad = values[int(np.argmin(np.isfinite(numbers)))]
        raise DataError(f"{place}: {quote(bad)} is not finite; fetch the file again or remove the line")
    return numbers


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _explain(places: Mapping[str, int], sample: list[str]) -> str:
    """Why there may be none: case, if that would help, else what both hold."""
    lower = {word.lower() for word in sample}
    same = next((word for word in places if word.lower() in lower), None)
    if same is not None:
        shown = next(word for word in sample if word.lower() == same.lower())
        return f", though {quote(shown)} is there for {quote(same)}; change the case of the words: lowercase them?"
    wanted, held = ", ".join(map(quote, islice(places, 3))), ", ".join(map(quote, sample[:3]))
    return f", such as {wanted}; it begins with {held}. Is it for another language or another way to cut words?"
