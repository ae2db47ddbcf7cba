"""Vectors of words from word2vec's and GloVe's text files."""

import gzip
import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.data.vectors import check_vectors, read_vectors
from recurra.errors import ArgumentError, DataError

GLOVE = "the 0.5 -1\ncat 2e-1 3\nthe 9 9\ndog 4 5\n"


def message(path, wanted, **options):
    with pytest.raises(DataError) as caught:
        read_vectors(path, wanted, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        GLOVE,
        "4 2\n" + GLOVE,
        "\ufeff4 2\r\n" + GLOVE.replace("\n", " \r\n"),
        gzip.compress(GLOVE.encode(), mtime=0),
        GLOVE.rstrip("\n") + "\n\n",
    ],
    ids=["GloVe", "word2vec", "spaces at the end", "gzip", "blank line"],
)
def test_kinds_of_files_read_alike(csv, content):
    found = read_vectors(csv(content, "a.txt"), ["dog", "fish", "the"])
    assert found.matrix.dtype == np.float32
    np.testing.assert_array_equal(found.matrix, np.float32([[4, 5], [0.5, -1]]))
    assert found.places.tolist() == [0, 2]
    assert found.places.dtype == np.int64
    assert found.share == 2 / 3


def test_places_may_be_given(csv):
    found = read_vectors(csv(GLOVE, "a.txt"), {"dog": 40, "cat": 7, "fish": 1})
    assert found.places.tolist() == [7, 40]
    np.testing.assert_array_equal(found.matrix, np.float32([[0.2, 3], [4, 5]]))


def test_words_may_hold_spaces_and_numbers(csv):
    content = "the 1 2\n. . . 3 4\nat name@domain.com 5 6\n1999 7 8\n\u00a0 9 10\n\u2028\x85 11 12\n"
    words = ["at name@domain.com", ". . .", "1999", "\u00a0", "\u2028\x85"]
    np.testing.assert_array_equal(
        read_vectors(csv(content, "a.txt"), words).matrix, np.float32([[5, 6], [3, 4], [7, 8], [9, 10], [11, 12]])
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "a.txt is empty"),
        ("the\n", "a.txt line 1: no numbers after a space"),
        ("the 1 2\ncat 3\n", "a.txt line 2: 1 number after the word where 2 are expected"),
        (gzip.compress(GLOVE.encode(), mtime=0)[:-9], "damaged gzip"),
    ],
)
def test_a_damaged_file_is_told_by_its_beginning(csv, content, said):
    with pytest.raises(DataError, match=said):
        check_vectors(csv(content, "a.txt"))


def test_what_can_be_read_passes_the_check_and_only_its_beginning_is_looked_at(csv):
    check_vectors(csv("4 2\n" + GLOVE, "a.txt"))
    check_vectors(csv("the 1 2\n" * 100 + "cat 3\n", "a.txt"))
    check_vectors(csv("the 1 2\ncat nan x\n", "a.txt"))  # numbers of words that nobody wants are not read
    with pytest.raises(DataError, match="does not exist"):
        check_vectors("none.txt")
    with pytest.raises(DataError, match="binary format by its name"):
        check_vectors("none.bin")


WORD = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0\t "), min_size=1).map("x{}".format)


@given(
    st.integers(1, 5).flatmap(
        lambda size: st.dictionaries(
            WORD,
            st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=size, max_size=size),
            min_size=1,
        )
    ),
    st.booleans(),
)
def test_what_is_written_is_read(table, headed):
    size = len(next(iter(table.values())))
    lines = [f"{len(table)} {size}"] * headed + [" ".join([word, *map(repr, row)]) for word, row in table.items()]
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.txt")
        path.write_bytes("".join(f"{line}\n" for line in lines).encode())
        found = read_vectors(path, list(table))
    assert found.share == 1
    np.testing.assert_array_equal(found.matrix, np.float32(list(table.values())))


def test_only_what_is_found_is_kept_and_the_rest_is_not_read(csv):
    path = csv("", "a.txt.gz")
    with gzip.open(path, "wt", compresslevel=1) as file:
        for number in range(30_000):
            file.write(f"w{number} {' '.join(['0.125'] * 100)}\n")
    tracemalloc.start()
    found = read_vectors(path, ["w29000", "w3"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.matrix.shape == (2, 100)
    assert peak < 12e6  # of 18 MB
    damaged = csv("a 1 2\nb 3\n", "a.txt")
    assert read_vectors(damaged, ["a"]).share == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a 1 2\nb 3\n", "line 2: 1 number after the word where 2 are expected: 'b 3'; "),
        ("a 1 2\nb\n", "line 2: 0 numbers after the word where 2 are expected: 'b'; "),
        ("a 1 2\nb 3 4 5\n", "line 2: 3 or more numbers after the word where 2 are expected: 'b 3 4 5'; "),
        ("2 3\na 1 2 3\nb 3 4\n", "line 3: 2 numbers after the word where 3 are expected: 'b 3 4'; "),
        ("a 1 2\nz 3 x\n", "line 2: 'x' is no number; "),
        ("a 1 2\nz 3 \n", "line 2: 1 number after the word where 2 are expected: 'z 3'; "),
        ("a 1 2\nz 3 nan\n", "line 2: 'nan' is not finite; "),
        ("a 1 2\nz 3 1e39\n", "line 2: '1e39' is not finite; "),
        ("a 1 x\n", "line 1: 'x' is no number; "),
    ],
)
def test_a_damaged_line_is_named(csv, content, expected):
    assert message(csv(content, "a.txt"), ["z"]) == f"a.txt {expected}fetch the file again or remove the line"


def test_files_that_are_no_vectors_are_refused(csv):
    assert message(csv("\n", "a.txt"), ["z"]) == (
        "a.txt is empty; a line for each word, the word and its numbers, is needed"
    )
    assert message(csv("word\n", "a.txt"), ["z"]) == (
        "a.txt line 1: no numbers after a space: 'word'; a word and its numbers are needed"
    )
    assert message(csv("5 0\n", "a.txt"), ["z"]) == "a.txt line 1: the size of its vectors is 0; fetch the file again"
    assert message(csv(b"\0", "a.bin"), ["z"]) == (
        "a.bin is word2vec's binary format by its name; pass its text format (.txt, .vec)"
    )


def test_a_file_that_ends_too_early_is_refused(csv):
    assert message(csv("5 2\na 1 2\nb 3 4\n", "a.txt"), ["a", "z"]) == (
        "a.txt: its first line says 5 words, 2 follow; fetch the whole file"
    )


def test_none_found_hints_at_case(csv):
    assert message(csv(GLOVE, "a.txt"), ["Fish", "Cat", "DOG"]) == (
        "a.txt holds none of the 3 words, though 'cat' is there for 'Cat'; change the case of the words: "
        "lowercase them?"
    )
    assert message(csv(GLOVE, "a.txt"), ["Hund", "Katze", "Maus", "Pferd"]) == (
        "a.txt holds none of the 4 words, such as 'Hund', 'Katze', 'Maus'; it begins with 'the', 'cat', 'the'. "
        "Is it for another language or another way to cut words?"
    )


def test_bytes_that_are_no_text_are_named(csv):
    assert message(csv(b"a 1 2\n\xe9 3 4\n", "a.txt"), ["z"]) == (
        "a.txt line 2: the byte 0xe9 at byte offset 6 is not utf-8; convert it, as by iconv -f latin1 -t utf-8"
    )
    wide = csv("a 1 2\n".encode("utf-16"), "wide.txt")
    assert message(wide, ["z"]).endswith("opens UTF-16 text; convert it, as by iconv -f utf-16 -t utf-8")
    assert message(csv(b"a 1 2\nb\0 3 4\n", "a.txt"), ["z"]) == (
        "a.txt line 2: holds a NUL character, which no text has; remove it, or where it is UTF-16 convert it, as by "
        "iconv -f utf-16 -t utf-8"
    )


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("cat", "wanted is the text 'cat'; pass a list of words, ['cat']"),
        ([], "wanted holds no words; pass those of the vocabulary"),
        (["a", "b", "a"], "wanted holds 'a' twice; pass each word once"),
    ],
)
def test_words_that_cannot_be_are_refused(csv, wanted, expected):
    with pytest.raises(ArgumentError) as caught:
        read_vectors(csv(GLOVE, "a.txt"), wanted)
    assert str(caught.value) == expected
