"""Text files are read as one text, and a part of them by position is exactly that part."""

import gzip
import os

import pytest

from recurra.data.corpus import encode_texts
from recurra.data.plain_text import PlainText, read_plain_text
from recurra.data.tokenizer import Tokenizer
from recurra.errors import ArgumentError, DataError

TEXT = "one\ntwo\n\nžluť 🙂\nfive"


def message(error, function, *arguments, **options):
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def files(tmp_path):
    """Two files, of which the second is packed."""
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(TEXT.encode()))
    return [tmp_path / "a.txt", tmp_path / "b.txt.gz"]


def test_files_follow_one_another_and_pieces_end_with_a_file(files):
    text = read_plain_text(files)
    assert len(text) == 2 * len(TEXT)
    assert list(text.pieces()) == ["one\ntwo\n\nžluť 🙂\n", "five"] * 2
    assert text.name == "a.txt and 1 more"


@pytest.mark.parametrize("start", range(2 * len(TEXT)))
def test_a_part_is_the_slice_of_the_whole(files, start):
    whole = read_plain_text(files)
    part = PlainText(whole.paths, "utf-8", start, min(start + 7, 2 * len(TEXT)))
    assert "".join(part.pieces()) == (2 * TEXT)[start : start + 7]


@pytest.mark.parametrize(
    ("share", "anywhere", "left"),
    [(0.6, True, 24), (0.6, False, 24), (0.58, True, 23), (0.58, False, 20), (0.7, False, 24)],
)
def test_a_split_leaves_the_last_part_whole_and_loses_nothing(files, share, anywhere, left):
    first, last = read_plain_text(files).split(share, anywhere=anywhere)  # lines begin at 0, 4, 8, 9, 16, 20, ...
    assert len(last) == left
    assert "".join([*first.pieces(), *last.pieces()]) == 2 * TEXT


@pytest.mark.parametrize("anywhere", [True, False])
def test_a_file_from_windows_is_counted_and_split_as_one_with_single_breaks(tmp_path, anywhere):
    for name, lines in (("a.txt", TEXT), ("b.txt", TEXT.replace("\n", "\r\n"))):
        (tmp_path / name).write_bytes(lines.encode())
    one, other = (read_plain_text(tmp_path / name) for name in ("a.txt", "b.txt"))
    assert len(other) == len(TEXT)
    parts = [["".join(part.pieces()) for part in text.split(0.4, anywhere=anywhere)] for text in (one, other)]
    assert parts[0] == parts[1]


def test_a_text_of_one_line_is_split_within_it(tmp_path):
    (tmp_path / "a.txt").write_text("a b c d e f g h i j ")
    _, last = read_plain_text(tmp_path / "a.txt").split(0.3, anywhere=False)
    assert list(last.pieces()) == ["h i j "]


def test_a_split_at_the_beginning_of_a_line_stays_there(tmp_path):
    (tmp_path / "a.txt").write_text("1234\n" * 20)
    first, last = read_plain_text(tmp_path / "a.txt").split(0.1, anywhere=False)
    assert (len(first), len(last)) == (90, 10)
    first, last = read_plain_text(tmp_path / "a.txt").split(0.11, anywhere=False)
    assert (len(first), len(last)) == (90, 10)


def test_a_long_line_is_cut_between_words(tmp_path):
    (tmp_path / "a.txt").write_text("word " * 500_000)  # 2.5 million characters
    pieces = list(read_plain_text(tmp_path / "a.txt").pieces())
    assert "".join(pieces) == "word " * 500_000
    assert len(pieces) > 1
    assert {piece[0] for piece in pieces[1:]} == {" "}
    assert max(map(len, pieces)) < 2_200_000


def test_faults_are_named(tmp_path, files):
    assert message(ArgumentError, read_plain_text, []).startswith("data is []; pass the path of a text file")
    assert message(ArgumentError, read_plain_text, 5).startswith("data is 5; pass")
    assert "is not known" in message(ArgumentError, read_plain_text, files, encoding="utf-9")
    assert "does not exist" in message(DataError, read_plain_text, tmp_path / "none.txt")
    (tmp_path / "bad.txt").write_bytes(b"fine\n\xff")
    assert message(DataError, read_plain_text, tmp_path / "bad.txt").startswith(
        "bad.txt line 2: the byte 0xff at byte offset 5 is not utf-8"
    )
    (tmp_path / "nul.txt").write_bytes(b"a\0b")
    assert message(DataError, read_plain_text, tmp_path / "nul.txt").startswith("nul.txt line 1: holds a NUL")
    (tmp_path / "empty.txt").write_bytes(b"")
    assert message(DataError, read_plain_text, tmp_path / "empty.txt") == "empty.txt is empty; a text is needed"
    (tmp_path / "blank.txt").write_bytes(b" \n ")
    assert message(DataError, read_plain_text, tmp_path / "blank.txt") == "blank.txt is empty; a text is needed"


@pytest.mark.parametrize("share", [0, 1, -0.1, True, "half"])
def test_a_share_that_is_none_is_refused(files, share):
    text = read_plain_text(files)
    assert message(ArgumentError, text.split, share, anywhere=True).startswith(f"the share held back is {share!r}")


def test_a_share_that_leaves_a_part_empty_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("one line\n")
    said = message(ArgumentError, read_plain_text(tmp_path / "a.txt").split, 0.1, anywhere=False)
    assert said.startswith("a.txt: a share of 0.1 of 9 characters")


def test_the_pieces_of_a_long_line_are_one_line(tmp_path):
    (tmp_path / "a.txt").write_text("ab cd " * 400_000)
    (tmp_path / "b.txt").write_text("cd\nab")
    text = read_plain_text([tmp_path / "a.txt", tmp_path / "b.txt"])
    assert [len(list(pieces)) > 1 for pieces in text.texts()] == [True, True]
    tokenizer = Tokenizer.train(["ab cd"], "whitespace")
    codes = encode_texts(text.texts(), tokenizer, tmp_path / "codes.npy", lines=True).codes
    assert (len(codes), [place for place, code in enumerate(codes) if code == tokenizer.end]) == (
        800_005,
        [800_000, 800_002, 800_004],
    )


def test_a_pipe_is_refused_since_a_text_is_read_more_than_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert message(DataError, read_plain_text, tmp_path / "pipe") == (
        "pipe is no regular file, and a text is read more than once; save it in one"
    )
