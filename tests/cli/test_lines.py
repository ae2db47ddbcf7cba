"""Standard input line by line: what is there is given at once, in order, and faults in their places."""

import io

import pytest

from recurra.cli import lines
from recurra.cli.lines import read_standard_input
from recurra.data.faulty_lines import Fault
from recurra.errors import ArgumentError


class Dripping(io.RawIOBase):
    """A pipe that gives these pieces one at a time."""

    def __init__(self, *pieces):
        self.pieces = list(pieces)

    def read1(self, _size):
        return self.pieces.pop(0) if self.pieces else b""


@pytest.fixture
def reads(monkeypatch):
    """The lists that standard input of these pieces gives."""

    class Input:
        pass

    def read(*pieces, encoding="utf-8"):
        source = Input()
        source.buffer = Dripping(*pieces)
        monkeypatch.setattr("sys.stdin", source)
        return read_standard_input(encoding)

    return read


def test_what_is_there_is_given_at_once(reads):
    assert list(reads(b"a\nb\n", b"c", b"d\ne\n", b"f")) == [["a", "b"], ["cd", "e"], ["f"]]


def test_the_next_piece_is_read_only_when_asked_for(reads):
    found = reads(b"a\n", b"b\n")
    assert next(found) == ["a"]
    assert next(found) == ["b"]
    assert list(found) == []


def test_empty_lines_and_breaks_of_windows_are_kept_apart(reads):
    assert list(reads(b"a\r\n\r\n\nb\rc\n")) == [["a", "", "", "b\rc"]]
    assert list(reads(b"")) == []
    assert list(reads(b"\n")) == [[""]]


def test_characters_on_the_edge_of_two_pieces_and_a_byte_order_mark_are_read(reads):
    text = "\ufeffשלום 🎉\n".encode()
    for cut in range(1, len(text)):
        assert list(reads(text[:cut], text[cut:])) == [["שלום 🎉"]]


@pytest.mark.parametrize(
    ("encoding", "lines"),
    [
        ("utf_8", ["café", "", "日本"]),
        ("utf-16", ["café", "\u0a0d\u0d0a", "x"]),  # whose bytes look like breaks of lines
        ("utf-16-le", ["café", "\u0a0d\u0d0a", "x"]),
        ("latin-1", ["café", "", "x"]),
        ("shift_jis", ["日本", "", "x"]),
    ],
)
def test_lines_of_other_encodings_are_cut_where_they_end(reads, encoding, lines):
    data = "".join(f"{line}\r\n" for line in lines).encode(encoding)
    for cut in range(1, len(data)):
        found = list(reads(data[:cut], data[cut:], encoding=encoding))
        assert [line for some in found for line in some] == lines


def test_an_encoding_that_is_none_is_refused_before_anything_is_read(reads):
    with pytest.raises(ArgumentError, match=r"^encoding 'utf9' is not known; try utf-8, latin-1 or cp1252$"):
        reads(b"a\n", encoding="utf9")


def test_many_lines_come_in_lists_of_a_thousand(reads):
    found = list(reads(b"x\n" * 2500))
    assert [len(some) for some in found] == [1024, 1024, 452]


def test_a_fault_stands_in_its_place_and_the_lines_after_it_are_read(reads):
    found = reads(b"good\n", b"a\0b\nmo", b"re\n")
    assert next(found) == ["good"]
    message = "standard input line 2: holds a NUL character, which no text has; remove it, or pass --encoding utf-16 if"
    assert list(found) == [[Fault(f"{message} it is that")], ["more"]]


def test_a_line_without_end_is_passed_over_and_the_next_one_read(reads, monkeypatch):
    monkeypatch.setattr(lines, "LONGEST", 100)
    found = list(reads(b"a\n", *[b"x" * 40] * 50, b"\nb\n"))
    message = "standard input line 2: longer than 100 characters; break it into lines, one text each"
    assert found == [["a"], [Fault(message), "b"]]
