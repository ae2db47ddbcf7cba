"""Naive Bayes against its formula in plain loops."""

import math
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recurra.baselines.texts import MajorityClass, NaiveBayes
from recurra.errors import ArgumentError

DATA = Path(os.environ.get("RECURRA_DATA", Path(__file__).parents[3] / "shared" / "data"))
TEXTS = ["good good film", "a bad film", "not good", "not bad , good", "worst film ever"]
LABELS = ["pos", "neg", "neg", "pos", "neg"]


def message(function, *arguments):
    with pytest.raises(ArgumentError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def features(text):
    words = text.split()
    return {*words, *pairwise(words)}


def by_loops(text):
    every = set().union(*map(features, TEXTS))
    scores = []
    for label in ("neg", "pos"):
        own = [features(t) for t, other in zip(TEXTS, LABELS, strict=True) if other == label]
        counts = {f: 1 + sum(f in t for t in own) for f in every}
        score = math.log(len(own) / len(TEXTS))
        scores.append(score + sum(math.log(counts[f] / sum(counts.values())) for f in features(text) & every))
    return np.exp(scores) / np.exp(scores).sum()


@pytest.mark.parametrize("text", [*TEXTS, "good film not film", "quite new words", "", "good unseen film", "film good"])
def test_probabilities_are_those_of_the_formula(text):
    model = NaiveBayes()
    model.fit(TEXTS, LABELS)
    assert model.classes == ["neg", "pos"]
    assert model.probabilities([text])[0] == pytest.approx(by_loops(text), rel=1e-12)
    assert model.predict([text]) == [model.classes[int(by_loops(text).argmax())]]


def test_a_pair_does_not_reach_from_one_text_to_the_next():
    model = NaiveBayes()
    model.fit(TEXTS, LABELS)
    together = model.probabilities(["not", "good", "", "bad"])
    alone = [model.probabilities([text])[0] for text in ("not", "good", "", "bad")]
    assert together.tolist() == np.array(alone).tolist()


def test_words_are_read_in_lower_case_and_apart_from_punctuation():
    model = NaiveBayes()
    model.fit(["Isn't it GOOD?", "No."], ["yes", "no"])
    assert sorted(model.words) == [".", "?", "good", "isn't", "it", "no"]


def test_long_texts_have_probabilities_too():
    model = NaiveBayes()
    model.fit(["a b", "c d"], ["x", "y"])
    chances = model.probabilities([" ".join(["a b"] * 50_000), "c"])
    assert np.isfinite(chances).all()
    assert chances.sum(axis=1) == pytest.approx([1, 1])
    assert model.probabilities([]).shape == (0, 2)
    assert model.predict([]) == []


def test_the_majority_is_the_most_frequent_class():
    model = MajorityClass()
    model.fit(TEXTS, LABELS)
    assert model.predict(["good", ""]) == ["neg", "neg"]
    assert model.probabilities(["good"])[0].tolist() == [0.6, 0.4]
    model.fit(["a", "b"], ["z", "y"])
    assert model.predict(["c"]) == ["y"]


@pytest.mark.parametrize("kind", [MajorityClass, NaiveBayes])
def test_wrong_arguments_say_what_to_do(kind):
    model = kind()
    assert "call fit(texts, labels) first" in message(model.predict, ["a"])
    assert "call fit(texts, labels) first" in message(model.probabilities, ["a"])
    assert "texts are 1, labels 2" in message(model.fit, ["a"], ["x", "y"])
    assert "one at least" in message(model.fit, [], [])
    assert "hold no word" in message(NaiveBayes().fit, [" "], ["x"])


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "trec").is_dir(), reason="the TREC questions are not here")
def test_most_questions_are_told_apart():
    table = pl.read_parquet(DATA / "trec" / "trec_questions.parquet")
    table = table.filter(pl.col("split") == "train")
    texts, labels = table["text"].to_list(), table["label"].cast(pl.String).to_list()
    model = NaiveBayes()
    model.fit(texts[:4000], labels[:4000])
    right = [a == b for a, b in zip(model.predict(texts[4000:]), labels[4000:], strict=True)]
    assert np.mean(right) > 0.7
