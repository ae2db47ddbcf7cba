"""Translators without a network, against their formula in plain loops."""

import math
from collections import Counter

import pytest

from recurra.baselines.translation import CopySource, NearestSource
from recurra.errors import ArgumentError

SOURCES = ["ein Hund rennt", "ein Hund , ein Hund bellt", "eine Katze schläft", "ein Mann", "der der der Mann rennt"]
TARGETS = ["a dog runs", "a dog, a dog barks", "a cat sleeps", "a man", "the man runs"]


def by_loops(text):
    def weigh(words):
        counts = {word: count for word, count in Counter(words).items() if any(word in s.split() for s in lowered)}
        found = {}
        for word, count in counts.items():
            having = sum(word in s.split() for s in lowered)
            found[word] = (1 + math.log(count)) * (1 + math.log((1 + len(lowered)) / (1 + having)))
        length = math.sqrt(sum(value**2 for value in found.values()))
        return {word: value / length for word, value in found.items()}

    lowered = [source.lower() for source in SOURCES]
    own = weigh(text.lower().split())
    likeness = [sum(own.get(word, 0) * value for word, value in weigh(s.split()).items()) for s in lowered]
    return TARGETS[likeness.index(max(likeness))]


@pytest.mark.parametrize("text", [*SOURCES, "HUND bellt", "der Hund", "die Katze rennt", "ein ein ein Mann ,", "der"])
def test_the_most_similar_source_is_that_of_the_formula(text):
    model = NearestSource()
    model.fit(SOURCES, TARGETS)
    assert model.predict([text]) == [by_loops(text)]


def test_a_source_seen_gets_its_own_target_and_the_first_of_equals():
    model = NearestSource()
    model.fit(["b a", "a b", "c"], ["first", "second", "third"])
    assert model.predict(["a b", "c"]) == ["first", "third"]


def test_without_a_shared_word_it_is_the_most_frequent_target():
    model = NearestSource()
    model.fit(["a", "b", "c"], ["no", "yes", "yes"])
    assert model.predict(["x y", ""]) == ["yes", "yes"]


def test_many_texts_are_compared_block_by_block():
    model = NearestSource()
    model.fit([f"w{row}" for row in range(700)], [str(row) for row in range(700)])
    assert model.predict([f"w{row}" for row in range(699, -1, -1)]) == [str(row) for row in range(699, -1, -1)]


def test_the_copy_is_the_source():
    model = CopySource()
    model.fit(SOURCES, TARGETS)
    assert model.predict(["so", ""]) == ["so", ""]


def test_wrong_arguments():
    with pytest.raises(ArgumentError, match="sources are 2, targets 1; pass one for each"):
        NearestSource().fit(["a", "b"], ["a"])
    with pytest.raises(ArgumentError, match="sources are 0, targets 0"):
        NearestSource().fit([], [])
    with pytest.raises(ArgumentError, match="has seen no pair yet"):
        NearestSource().predict(["a"])
