"""What stands where a vocabulary has no word."""

import numpy as np
import pytest

from recurra.data.tokenizer import Tokenizer
from recurra.tasks.wording import read_wording

TEXTS = ["the man is here .", "the ( man )"]


def looked(*places, width=3):
    alignment = np.zeros((len(places), width), np.float32)
    alignment[np.arange(len(places)), list(places)] = 1
    return alignment


@pytest.fixture(scope="module")
def words():
    return Tokenizer.train(TEXTS, "word", min_count=1)


def test_an_unknown_word_is_the_source_word_that_was_looked_at_most(words):
    codes = [*words.encode("the man"), 1, *words.encode(".")]
    assert read_wording(words, codes, looked(0, 1, 2, 2), ["der", "Mann", "Öz"]) == "the man Öz."


def test_the_end_tokens_row_does_not_matter(words):
    assert read_wording(words, [1], looked(1, 0), ["a", "b", "c"]) == "b"


def test_without_alignment_it_stays_unknown(words):
    assert read_wording(words, [1, *words.encode("man")], None, ["a"]) == "<unk> man"


def test_begin_and_padding_are_left_out(words):
    assert read_wording(words, [2, 1, 0], looked(0, 1, 2), ["a", "b", "c"]) == "b"


def test_characters_and_words_between_blanks():
    characters = Tokenizer.train(["ab"], "character")
    assert read_wording(characters, [*characters.encode("a"), 1], looked(0, 2), list("x-7")) == "a7"
    blanks = Tokenizer.train(["a b"], "whitespace", min_count=1)
    assert read_wording(blanks, [*blanks.encode("a"), 1], looked(0, 2), ["x", "y", "z."]) == "a z."


def test_bytes_of_no_character_do_not_fail():
    pieces = Tokenizer.train(["é"], "byte")
    half = pieces.encode("é")[:1]
    assert read_wording(pieces, half, looked(0), ["x"]) == "\ufffd"
