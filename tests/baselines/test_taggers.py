"""Tags are those that words had most often; unknown words go by what can be seen of them."""

import os
from pathlib import Path

import polars as pl
import pytest

from recurra.baselines.taggers import MostFrequentTag
from recurra.errors import ArgumentError

DATA = Path(os.environ.get("RECURRA_DATA", Path(__file__).parents[3] / "shared" / "data"))


def message(function, *arguments):
    with pytest.raises(ArgumentError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def fitted(text):
    """A tagger of one sentence, written word/TAG."""
    pairs = [word.rsplit("/", 1) for word in text.split()]
    model = MostFrequentTag()
    model.fit([[word for word, _ in pairs]], [[tag for _, tag in pairs]])
    return model


def test_a_known_word_has_its_most_frequent_tag():
    model = fitted("run/VERB run/NOUN run/VERB walk/VERB walk/NOUN")
    assert model.predict([["run", "walk"], []]) == [["VERB", "NOUN"], []]


def test_unknown_words_go_by_their_ends_then_shape_then_all():
    model = fitted(
        "walking/VERB talking/VERB king/NOUN 1984/NUM Paris/NAME Rome/NAME well-made/ADJ of/ADP of/ADP of/ADP"
    )
    assert model.predict([["x", "running", "bling", "2024", "Lima", "home-baked", "zzz"]]) == [
        ["ADP", "VERB", "VERB", "NUM", "NAME", "ADJ", "ADP"]
    ]


def test_words_that_are_frequent_tell_nothing_of_unknown_ones():
    model = fitted("sting/NOUN " + "thing/PRON " * 11)
    assert model.predict([["x", "bring"]])[0][1] == "NOUN"
    assert fitted("thing/PRON " * 11).predict([["bring"]]) == [["PRON"]]  # the most frequent tag of all


def test_the_first_word_of_a_sentence_is_taken_for_itself_in_lower_case():
    model = fitted("the/DET Bob/NAME Tim/NAME")
    assert model.predict([["The", "The"]]) == [["DET", "NAME"]]


def test_any_word_has_a_tag():
    model = fitted("a/X b/Y")
    assert model.predict([["", "\0", "👩‍👧", "ß" * 1000, "עולם"]]) == [["X"] * 5]


def test_wrong_arguments_say_what_to_do():
    model = MostFrequentTag()
    assert "call fit(tokens, tags) first" in message(model.predict, [["a"]])
    assert "tokens are 1 sentences, tags 0" in message(model.fit, [["a"]], [])
    assert "tokens[1] has 1 words, tags[1] 2" in message(model.fit, [["a"], ["b"]], [["X"], ["X", "Y"]])
    assert "no word" in message(model.fit, [[]], [[]])


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "ud_english_ewt").is_dir(), reason="the English treebank is not here")
def test_most_words_of_a_treebank_have_the_tag_they_had_most_often():
    train, dev = (pl.read_parquet(DATA / "ud_english_ewt" / f"{part}.parquet") for part in ("train", "dev"))
    model = MostFrequentTag()
    model.fit(train["tokens"].to_list(), train["upos"].to_list())
    predicted = model.predict(dev["tokens"].to_list())
    right = [a == b for p, t in zip(predicted, dev["upos"].to_list(), strict=True) for a, b in zip(p, t, strict=True)]
    assert sum(right) / len(right) == pytest.approx(0.8915, abs=0.002)
