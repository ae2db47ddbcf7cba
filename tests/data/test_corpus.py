"""A corpus in a file is the tokenizer's codes of the whole text, whatever its size and however it is cut."""

import gzip
import tracemalloc

import numpy as np
import pytest

from recurra.data.corpus import Corpus, encode_corpus, encode_texts, read_blocks, split
from recurra.data.tokenizer import Tokenizer
from recurra.errors import ArgumentError, DataError, RecurraError

pytest.importorskip("tokenizers")

LINE = "The cat didn't   sat on 3.14 mats, 'мир' 家族!\r\n\n  \nend \n"
KINDS = ("word", "whitespace", "subword", "character", "byte")


def message(error, function, *arguments, **options):
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_codes_are_those_of_the_whole_text(kind, tmp_path):
    text = LINE * 9000  # half a million characters, of several blocks
    tokenizer = Tokenizer.train([LINE], kind, min_count=1)
    (tmp_path / "a.txt").write_bytes(text.encode())
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(text.encode()))
    corpus = encode_corpus([tmp_path / "a.txt", tmp_path / "b.txt.gz"], tokenizer, tmp_path / "codes.npy")
    text = text.replace("\r\n", "\n")
    assert isinstance(corpus.codes, np.memmap)
    assert corpus.codes.dtype == np.uint16
    assert corpus.codes.tolist() == tokenizer.encode(text) * 2
    assert (corpus.characters, corpus.bytes) == (2 * len(text), 2 * len(text.encode()))
    assert np.load(tmp_path / "codes.npy").tolist() == corpus.codes.tolist()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "b.txt.gz", "codes.npy"]


@pytest.mark.parametrize("kind", KINDS)
def test_lines_are_texts_with_an_end_behind_each(kind, tmp_path):
    text = LINE * 9000 + "no break"
    tokenizer = Tokenizer.train([LINE], kind, min_count=1)
    (tmp_path / "a.txt").write_bytes(text.encode())
    corpus = encode_corpus(tmp_path / "a.txt", tokenizer, tmp_path / "codes.npy", lines=True)
    text = text.replace("\r\n", "\n")
    each = [[*tokenizer.encode(line), tokenizer.end] for line in text.split("\n")]
    assert corpus.codes.tolist() == [code for line in each for code in line]
    assert (corpus.characters, corpus.bytes) == (len(text), len(text.encode()))


def test_texts_in_memory_are_laid_end_to_end(tmp_path):
    tokenizer = Tokenizer.train(["abc"], "character")
    corpus = encode_texts(iter(["ab", "", "c"]), tokenizer, tmp_path / "codes.npy")
    assert corpus.codes.tolist() == [4, 5, 6]
    corpus = encode_texts(["ab", "c\n"], tokenizer, tmp_path / "codes.npy", lines=True)
    assert corpus.codes.tolist() == [4, 5, 3, 6, 3]


def test_a_large_vocabulary_takes_wider_numbers(tmp_path):
    words = [f"w{i}" for i in range(70_000)]
    tokenizer = Tokenizer("whitespace", words)
    corpus = encode_texts(["w0 w69999"], tokenizer, tmp_path / "codes.npy")
    assert (corpus.codes.dtype, corpus.codes.tolist()) == (np.uint32, [4, 70_003])


@pytest.mark.parametrize("kind", ["whitespace", "character"])
def test_memory_stays_flat(kind, tmp_path):
    tokenizer = Tokenizer.train([LINE], kind)
    peaks = []
    for blocks in (20, 100):
        tracemalloc.start()
        encode_texts((LINE * 2000 for _ in range(blocks)), tokenizer, tmp_path / "codes.npy")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 30e6


def test_a_line_without_an_end_is_encoded_in_parts(tmp_path):
    tokenizer = Tokenizer.train(["ab cd"], "whitespace")
    (tmp_path / "a.txt").write_bytes(b"ab cd " * 1_000_000)
    corpus = encode_corpus(tmp_path / "a.txt", tokenizer, tmp_path / "codes.npy", lines=True)
    assert len(corpus) == 2_000_001
    assert corpus.codes[-3:].tolist() == [4, 5, 3]
    (tmp_path / "a.txt").write_bytes(b"ab" * 2_000_000)
    assert 2 <= len(encode_corpus(tmp_path / "a.txt", tokenizer, tmp_path / "codes.npy", lines=True)) < 10


def test_parts_are_contiguous_and_know_their_characters(tmp_path):
    text = "x" * 300_000 + "é" * 100_000
    corpus = encode_texts([text], Tokenizer.train([text], "character"), tmp_path / "codes.npy")
    train, valid, test = split(corpus, valid=0.1, test=0.25)
    assert (len(train), len(valid), len(test)) == (260_000, 40_000, 100_000)
    assert np.concatenate([train.codes, valid.codes, test.codes]).tolist() == corpus.codes.tolist()
    assert [part.characters for part in (train, valid, test)] == [260_000, 40_000, 100_000]
    assert train.bytes == 260_000
    assert train.bytes + valid.bytes + test.bytes == 500_000
    assert test.part(50_000, 100_000).characters == 50_000
    assert np.shares_memory(train.codes, corpus.codes)


def test_blocks_are_the_text(tmp_path):
    text = "aé👩" * 500_000  # blocks end within characters
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    blocks = list(read_blocks(tmp_path / "a.txt"))
    assert len(blocks) > 2
    assert "".join(blocks) == text
    (tmp_path / "a.txt").write_bytes("é".encode("latin-1"))
    assert list(read_blocks(tmp_path / "a.txt", encoding="latin-1")) == ["é"]


def test_breaks_of_two_characters_are_one_also_where_a_block_ends_between_them(tmp_path):
    text = "xx" + "a\r\n" * 350_000 + "\r\r\n\ra\r"  # a block ends at byte 1,048,576, behind a \r
    (tmp_path / "a.txt").write_bytes(text.encode())
    assert text[1_048_575:1_048_577] == "\r\n"
    blocks = list(read_blocks(tmp_path / "a.txt"))
    assert len(blocks) > 2
    assert "".join(blocks) == "xx" + "a\n" * 350_000 + "\r\n\ra\r"


@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_from_windows_is_the_same_corpus(kind, lines, tmp_path):
    text = "the cat\nsat\n\non a mat\n"
    tokenizer = Tokenizer.train([text], kind, min_count=1)
    (tmp_path / "a.txt").write_bytes(text.encode())
    (tmp_path / "b.txt").write_bytes(text.replace("\n", "\r\n").encode())
    one, other = (
        encode_corpus(tmp_path / name, tokenizer, tmp_path / f"{name}.npy", lines=lines) for name in ("a.txt", "b.txt")
    )
    assert one.codes.tolist() == other.codes.tolist()
    assert one.marks.tolist() == other.marks.tolist()
    assert other.characters == len(text)


def test_bad_files_are_named(tmp_path):
    tokenizer, out = Tokenizer.train(["a"], "byte"), tmp_path / "codes.npy"
    path = tmp_path / "a.txt"
    for content, why in (
        (
            b"good\n" * 300_000 + b"caf\xe9\n",
            "the byte 0xe9 at byte offset 1500003 is not utf-8; pass --encoding latin-1",
        ),
        (b"a\nb\0c", "a.txt line 2: holds a NUL character"),
        (b"", "a.txt is empty; a text is needed"),
        (b" \n", "a.txt is empty"),
        (gzip.compress(b"abc" * 999)[:-9], "damaged gzip"),
    ):
        path.write_bytes(content)
        assert why in message(DataError, encode_corpus, path, tokenizer, out)
        assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert "does not exist; did you mean 'a.txt'?" in message(
        DataError, encode_corpus, tmp_path / "b.txt", tokenizer, out
    )
    assert "is a folder" in message(DataError, encode_corpus, tmp_path, tokenizer, out)


def test_an_older_file_stays_whole_when_a_text_is_bad(tmp_path):
    tokenizer, out = Tokenizer.train(["a"], "byte"), tmp_path / "codes.npy"
    encode_texts(["good"], tokenizer, out)
    (tmp_path / "a.txt").write_bytes(b"a" * 2_000_000 + b"\xff")
    message(DataError, encode_corpus, tmp_path / "a.txt", tokenizer, out)
    assert np.load(out).tolist() == tokenizer.encode("good")


def test_wrong_arguments_say_what_to_do(tmp_path):
    tokenizer, out = Tokenizer.train(["a"], "byte"), tmp_path / "codes.npy"
    assert "paths is empty" in message(ArgumentError, encode_corpus, [], tokenizer, out)
    assert "has no token" in message(DataError, encode_texts, [], tokenizer, out)
    assert "cannot write" in message(RecurraError, encode_texts, ["a"], tokenizer, tmp_path / "no" / "codes.npy")
    corpus = Corpus(np.zeros(10, np.uint16), np.array([[0, 0, 0], [10, 10, 10]]))
    assert "valid is 0" in message(ArgumentError, split, corpus, valid=0)
    assert "leave an empty part" in message(ArgumentError, split, corpus, valid=0.5, test=0.5)
    assert "tokens 3 to 3 were asked for" in message(ArgumentError, corpus.part, 3, 3)
