"""Text that comes piece by piece is the text of all codes, and no piece is taken back."""

import pytest

from recurra.tasks.incremental import IncrementalDecoder

pytest.importorskip("tokenizers")

from recurra.data.tokenizer import Tokenizer

TEXT = 'He said, "žluť 🙂 (new)". It\'s 3.14!\nwell - then 家族'


@pytest.mark.parametrize("kind", ["word", "whitespace", "subword", "character", "byte"])
@pytest.mark.parametrize("cut", [0, 1, 5, 9])
def test_pieces_are_the_text_that_is_added(kind, cut):
    tokenizer = Tokenizer.train([TEXT], kind, min_count=1, vocabulary_size=None if kind != "subword" else 270)
    line = TEXT.split("\n")[0] if kind in ("word", "whitespace") else TEXT
    codes = tokenizer.encode(line)
    if kind in ("byte", "subword"):
        cut = 2  # no character is cut there
    decoder = IncrementalDecoder(tokenizer, codes[:cut])
    assert "".join(map(decoder.take, codes[cut:])) == tokenizer.decode(codes)[len(tokenizer.decode(codes[:cut])) :]


def test_a_character_comes_when_its_last_byte_is_there_and_what_is_none_is_marked():
    decoder = IncrementalDecoder(Tokenizer.train([], "byte"))
    given = [decoder.take(4 + byte) for byte in "🙂".encode() + b"\xffa\xc5b"]
    assert given == ["", "", "", "🙂", "\ufffd", "a", "", "\ufffdb"]


def test_an_end_is_a_line_break_behind_which_words_begin_anew():
    tokenizer = Tokenizer.train(["a b ."], "word", min_count=1)
    a, b, dot = (tokenizer.encode(token)[0] for token in "ab.")
    decoder = IncrementalDecoder(tokenizer, [a])
    assert [decoder.take(code) for code in (dot, b, tokenizer.end, a, b)] == [".", " b", "\n", "a", " b"]


def test_an_unknown_token_is_shown_as_such():
    tokenizer = Tokenizer.train(["ab"], "character")
    assert IncrementalDecoder(tokenizer).take(tokenizer.unknown) == "\ufffd"
