"""The words that a tagger knows: counted as they are given, whatever they hold."""

import pytest

from recurra.data.tokenizer import Tokenizer
from recurra.errors import ArgumentError
from recurra.tasks.tagging_codes import Vocabulary

FRENCH = [["le", "prix", "est", "100 000", "euros"]] * 3 + [["il", "va", "bien"]] * 2


def learn(tokens, min_count=2, vocabulary_size=None, lowercase=True):
    return Vocabulary.learn(tokens, min_count=min_count, vocabulary_size=vocabulary_size, lowercase=lowercase)


def test_a_word_may_hold_blanks():
    found = learn([*FRENCH, ["New York", "1\u00a0000"], ["new york", "1\u00a0000", "New", "York"]])
    assert found.words.vocabulary[4:11] == ("100 000", "est", "euros", "le", "prix", "1\u00a0000", "bien")
    assert found.known == 4 + 10
    assert found.saw(["NEW YORK", "1\u00a0000", "1 000", "new", "100 000", "100"]) == [
        True, True, False, True, True, False,
    ]  # fmt: skip
    (codes,) = found.encode([["New York", "1\u00a0000", "York", "100 000"]], spell=False).words
    assert [found.words.vocabulary[code] for code in codes] == ["new york", "1\u00a0000", "< unk >", "100 000"]


def test_a_word_that_holds_blanks_is_saved(tmp_path):
    words = learn([*FRENCH, ["New York"] * 2]).words
    (tmp_path / "words.json").write_text(words.to_json())
    again = Tokenizer.from_json((tmp_path / "words.json").read_text())
    assert again == words
    assert again.encode_words(["new york", "100 000", "100"]) == words.encode_words(["New York", "100 000", "zzz"])


def test_words_without_blanks_have_the_codes_that_the_tokenizer_gives_them():
    rows = [["É", "a", "é", "東"], ["B", "b", "a"], ["c", "東", "𝔸"]]
    for lowercase in (True, False):
        expected = Tokenizer.train(map(" ".join, rows), "whitespace", lowercase=lowercase)
        assert learn(rows, lowercase=lowercase).words == expected


@pytest.mark.parametrize(("lowercase", "known"), [(True, 2), (False, 1)])
def test_known_words_are_counted_as_they_are_looked_up(lowercase, known):
    found = learn([["The", "the", "cat"], ["cat"]], lowercase=lowercase)
    assert found.known == 4 + known


def test_no_more_words_are_known_than_asked_for():
    assert learn(FRENCH, vocabulary_size=6).known == 6
    assert learn(FRENCH, vocabulary_size=99).known == 4 + 8


def test_signs_of_unknown_words_are_no_words():
    found = learn([["<unk>", "< pad >", "a"]] * 2)
    assert found.words.vocabulary[4:] == ("a",)
    assert found.encode([["<unk>", "< pad >", "a"]], spell=False).words == [[1, 1, 4]]
    with pytest.raises(ArgumentError, match="hold no word but '<unk>'"):
        learn([["<unk>"]])
