"""Lines of which some are no text: each fault in its place, and all others as they are."""

import gzip
import tracemalloc

import pytest

from recurra.data.faulty_lines import Fault, cut_lines, read_faulty_lines
from recurra.errors import ArgumentError, DataError


def cut(*pieces, **options):
    """What stands in the place of each line: its text, or what is wrong of it behind its number."""
    found = [line for some in cut_lines([*pieces, b""], "input", **options) for line in some]
    return [line.message.removeprefix("input line ") if isinstance(line, Fault) else line for line in found]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"bad\xff x", "2: the byte 0xff at byte 3 of the line is not utf-8; pass --encoding latin-1"),
        (b"\xc3\xa9\xff\xfe", "2: the byte 0xff at byte 2 of the line is not utf-8; pass --encoding latin-1"),
        (b"no\xc3", "2: the byte 0xc3 at byte 2 of the line is not utf-8; pass --encoding latin-1"),
        (
            b"a\0b",
            "2: holds a NUL character, which no text has; remove it, or pass --encoding utf-16 if it is that",
        ),
        (b"x" * 11, "2: longer than 10 characters; break it into lines, one text each"),
        (b"\xff" * 30, "2: longer than 10 characters; break it into lines, one text each"),
    ],
    ids=["no character", "behind two bytes", "cut off", "NUL", "long", "long and none"],
)
def test_a_fault_stands_in_its_place_wherever_the_pieces_end(line, message):
    data = b"good\n" + line + b"\r\n\nok\n"
    for at in range(1, len(data)):
        assert cut(data[:at], data[at:], longest=10) == ["good", message, "", "ok"]
    assert cut(b"good\n" + line, longest=10) == ["good", message]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_the_longest_line_passes_and_one_more_does_not(end):
    assert cut(b"x" * 9 + end, longest=9) == ["x" * 9]
    assert len(cut(b"x" * 9 + end, longest=8)[0]) > 9


@pytest.mark.parametrize(
    ("encoding", "bad", "message"),
    [
        ("utf-16-le", b"\x00\xdc", "2: the byte 0x00 at byte 4 of the line is not utf-16-le; pass --encoding latin-1"),
        ("shift_jis", b"\x81", "2: the byte 0x81 at byte 4 of the line is not shift_jis; pass --encoding with its"),
        ("cp1252", b"\x81", "2: the byte 0x81 at byte 2 of the line is not cp1252; pass --encoding with its true one"),
    ],
)
def test_lines_of_other_encodings_go_on_behind_a_fault(encoding, bad, message):
    word = "日本" if encoding == "shift_jis" else "ab"
    good, line_break = word.encode(encoding), "\n".encode(encoding)
    data = good + line_break + good + bad + line_break + good
    for at in range(1, len(data)):
        first, second, third = cut(data[:at], data[at:], encoding=encoding)
        assert (first, third) == (word, word)
        assert second.startswith(message)


def test_text_in_another_encoding_as_a_whole_is_refused():
    with pytest.raises(DataError, match=r"^input byte offset 0: .* opens UTF-16 text; pass --encoding utf-16$"):
        cut("a\n".encode("utf-16"))
    with pytest.raises(DataError, match=r"^input: UTF-16 .*BOM; pass --encoding with its true one, such as utf-16-le$"):
        cut(b"a\0b\0", encoding="utf-16")


def test_a_line_without_end_is_not_held():
    tracemalloc.start()
    (fault, last), *_ = cut_lines([*[b"x" * 1_000_000] * 100, b"\nlast\n", b""], "input", longest=2_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (fault.message, last) == (
        "input line 1: longer than 2,000,000 characters; break it into lines, one text each",
        "last",
    )
    assert peak < 20e6


@pytest.mark.parametrize("content", ["one\n\ntwo\n", "\ufeffone\r\n\r\ntwo", "one\r\rtwo\r"])
def test_files_are_read_as_without_faults(csv, content):
    for path in (csv(content, "a.txt"), csv(gzip.compress(content.encode()), "a.txt.gz")):
        assert [line for some in read_faulty_lines(path) for line in some] == ["one", "", "two"]


def test_what_is_no_file_of_lines_is_refused(csv, tmp_path):
    with pytest.raises(DataError, match=r"b\.txt does not exist"):
        read_faulty_lines(tmp_path / "b.txt")
    with pytest.raises(ArgumentError, match="encoding 'klingon' is not known"):
        read_faulty_lines(csv("a", "a.txt"), encoding="klingon")
    with pytest.raises(DataError, match="write them with one kind of break"):
        list(read_faulty_lines(csv(b"a\r" + b"b" * (1 << 20) + b"\nc", "a.txt")))


def test_many_lines_come_in_lists_of_a_thousand():
    assert [len(some) for some in cut_lines([b"x\n" * 2500, b""], "input")] == [1024, 1024, 452]
