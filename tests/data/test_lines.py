"""Lines of text files, one after the other."""

import gzip
import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.data.lines import quote, read_lines
from recurra.errors import ArgumentError, DataError


def message(path, **options):
    with pytest.raises(DataError) as caught:
        list(read_lines(path, **options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "one\n\ntwo\n",
        "one\n\ntwo",
        "\ufeffone\r\n\r\ntwo\r\n",
        "one\r\rtwo\r",
        gzip.compress(b"one\n\ntwo\n"),
    ],
    ids=["plain", "no last break", "BOM and CRLF", "CR", "gzip"],
)
def test_kinds_of_files_read_alike(csv, content):
    assert list(read_lines(csv(content, "a.txt"))) == ["one", "", "two"]


def test_a_file_of_nothing_has_no_lines(csv):
    assert list(read_lines(csv("", "a.txt"))) == []
    assert list(read_lines(csv("\n", "a.txt"))) == [""]


def test_only_line_feeds_end_lines(csv):
    text = "a\rb\x0bc\x0cd\x1ce\x85f\u2028g\u2029h\n"
    assert list(read_lines(csv(text, "a.txt"))) == [text[:-1]]


def test_right_to_left_and_emoji_pass(csv):
    lines = ["שלום עולם", "مرحبا", "👩‍👩‍👧 🇩🇪"]
    assert list(read_lines(csv("\n".join(lines), "a.txt"))) == lines


@given(
    st.lists(st.text(st.characters(exclude_characters="\n\r\0", codec="utf-8"))),
    st.sampled_from(["utf-8", "utf-16", "utf-32"]),
)
def test_lines_survive_a_round_trip(lines, encoding):
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.txt")
        path.write_bytes("".join(f"x{line}\n" for line in lines).encode(encoding))
        assert list(read_lines(path, encoding=encoding)) == [f"x{line}" for line in lines]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "shift_jis"])
def test_characters_on_the_edge_of_two_pieces_stay_whole(csv, encoding):
    lines = ["x" * at + "日本" * 1000 for at in range(7)] * 200
    path = csv("\n".join(lines).encode(encoding), "a.txt")
    assert path.stat().st_size > 2 << 20
    assert list(read_lines(path, encoding=encoding)) == lines


@pytest.mark.parametrize("before", [1, 1 << 20, (1 << 20) + 1, 3_000_000])
def test_invalid_utf_8_names_line_and_offset(csv, before):
    good = ("é\n" * before).encode()[: before - before % 3]
    path = csv(good + b"caf\xe9\n", "a.txt")
    assert message(path) == (
        f"a.txt line {good.count(10) + 1}: the byte 0xe9 at byte offset {len(good) + 3} is not utf-8; "
        "pass --encoding latin-1"
    )


def test_the_offset_counts_a_byte_order_mark(csv):
    assert "line 2: the byte 0xff at byte offset 5 is not utf-8" in message(csv(b"\xef\xbb\xbfa\n\xff", "a.txt"))


def test_a_character_cut_off_at_the_end_is_named(csv):
    assert message(csv(b"a\nb\xc3", "a.txt")).startswith("a.txt line 2: the byte 0xc3 at byte offset 3 is not utf-8")


def test_another_encoding_is_asked_for_where_the_named_one_fails(csv):
    path = csv(b"a\n\x81", "a.txt")
    assert message(path, encoding="cp1252") == (
        "a.txt line 2: the byte 0x81 at byte offset 2 is not cp1252; pass --encoding with its true one"
    )


def test_utf_16_is_recognised(csv):
    path = csv("a\nb".encode("utf-16"), "a.txt")
    assert message(path) == "a.txt byte offset 0: b'\\xff\\xfe' opens UTF-16 text; pass --encoding utf-16"
    assert list(read_lines(path, encoding="utf-16")) == ["a", "b"]


def test_nul_is_refused_with_its_line(csv):
    assert message(csv("a\nb\0c\n", "a.txt")) == (
        "a.txt line 2: holds a NUL character, which no text has; remove it, or pass --encoding utf-16 if it is that"
    )
    assert message(csv("a\n\0".encode("utf-16"), "a.txt"), encoding="utf-16").endswith("no text has; remove it")


def test_a_line_without_end_costs_little_memory(csv):
    path = csv("", "a.txt.gz")
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"one\n")
        for _ in range(100):
            file.write(b"x" * 1_000_000)
    tracemalloc.start()
    assert message(path, longest=2_000_000) == (
        "a.txt.gz line 2: longer than 2,000,000 characters; break it into lines, one text each"
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_longest_line_passes_and_one_more_does_not(csv, end):
    path = csv(f"a\n{'x' * 9}{end}", "a.txt")
    assert list(read_lines(path, longest=9)) == ["a", "x" * 9]
    assert message(path, longest=8).startswith("a.txt line 2: longer than 8 characters")


def test_two_kinds_of_breaks_far_apart_are_refused(csv):
    path = csv(b"a\r" + b"b" * (1 << 20) + b"\nc", "a.txt")
    assert message(path) == ("a.txt: its lines end at \\r first and at \\n later; write them with one kind of break")


def test_a_damaged_gzip_file_is_named(csv):
    assert message(csv(gzip.compress(b"one\n" * 99)[:-9], "a.txt.gz")).startswith("a.txt.gz is a damaged gzip file (")


def test_what_is_no_file_is_named_at_once(csv, tmp_path):
    csv("one", "text.txt")
    with pytest.raises(DataError, match=r"txet\.txt does not exist; did you mean 'text\.txt'\?$"):
        read_lines(tmp_path / "txet.txt")
    with pytest.raises(DataError, match=r"is a folder; pass a text file$"):
        read_lines(tmp_path)


@pytest.mark.parametrize("encoding", ["klingon", "base64", "rot13"])
def test_what_is_no_encoding_of_text_is_refused_at_once(csv, encoding):
    with pytest.raises(ArgumentError, match=f"^encoding '{encoding}' is not known; try utf-8, latin-1 or cp1252$"):
        read_lines(csv("one", "a.txt"), encoding=encoding)


def test_a_length_of_nothing_is_refused(csv):
    with pytest.raises(ArgumentError, match=r"^longest is 0; a line has 1 character at least$"):
        read_lines(csv("one", "a.txt"), longest=0)


def test_long_values_are_quoted_short():
    assert quote("a\nb") == "'a\\nb'"
    assert len(quote("x" * 500)) == 44
