"""Kneser-Ney against the formulas written as plain loops, and against probability itself."""

import gzip
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from recurra.baselines.ngrams import KneserNey
from recurra.errors import ArgumentError

DATA = Path(os.environ.get("RECURRA_DATA", Path(__file__).parents[3] / "shared" / "data"))
END = 3


def message(function, *arguments, **options):
    with pytest.raises(ArgumentError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def text(length, seed, size=90):
    """Codes 3 (the end) to `size` - 1 that depend on those before."""
    generator = np.random.default_rng(seed)
    codes = [END]
    for _ in range(length):
        likely = (codes[-1] * 5 + 1) % (size - 3) + 3
        codes.append(likely if generator.random() < 0.3 else int(generator.zipf(1.4) % (size - 3) + 3))
    return codes[1:]


class Loops:
    """The same model by dictionaries of tuples, one word at a time."""

    def __init__(self, order, codes, size, end):
        self.size, self.end = size, end
        sentence = ([] if end is None else [end]) + codes
        begin = 0 if end is None else 1
        raw = {k: Counter() for k in range(1, order + 1)}
        for t in range(begin, len(sentence)):
            for k in range(1, order + 1):
                gram = tuple(sentence[t - k + 1 : t + 1]) if t - k + 1 >= 0 else ()
                if gram and end not in gram[1:-1]:
                    raw[k][gram] += 1
        self.counts = {order: raw[order]}
        for k in range(1, order):
            before = Counter(gram[1:] for gram in raw[k + 1])
            self.counts[k] = {g: raw[k][g] if k > 1 and g[0] == end else before[g] for g in raw[k]}
        self.discounts = {k: self.discount(list(c.values())) for k, c in self.counts.items()}

    @staticmethod
    def discount(counts):
        n = [sum(c == i for c in counts) for i in range(5)]
        plain = [0, 0.5, 1, 1.5]
        if not (n[1] and n[2] and n[3]):
            return plain
        y = n[1] / (n[1] + 2 * n[2])
        found = [0, 1 - 2 * y * n[2] / n[1], 2 - 3 * y * n[3] / n[2], 3 - 4 * y * n[4] / n[3]]
        return found if all(0 < d <= i for i, d in enumerate(found[1:], 1)) else plain

    def probability(self, context, word):
        p = 1 / self.size
        for k, counts in sorted(self.counts.items()):
            u = tuple(context[len(context) - k + 1 :]) if len(context) >= k - 1 else None
            if u is None or self.end in u[1:]:
                break
            followers = {g[-1]: c for g, c in counts.items() if g[:-1] == u}
            if not followers:
                break
            d = self.discounts[k]
            total = sum(followers.values())
            left = sum(d[min(c, 3)] for c in followers.values()) / total
            c = followers.get(word, 0)
            p = (c - d[min(c, 3)]) / total + left * p
        return p


@pytest.mark.parametrize("end", [None, END])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_probabilities_are_those_of_the_formulas(order, end):
    codes, new = text(1500, 0), text(60, 1)
    model = KneserNey(order)
    model.fit(codes, vocabulary_size=95, end=end)
    loops = Loops(order, codes, 95, end)
    assert order == 1 or loops.discounts[order] != [0, 0.5, 1, 1.5]
    begun = ([] if end is None else [end]) + new
    skipped = len(begun) - len(new)
    expected = [-np.log2(loops.probability(begun[:t], begun[t])) for t in range(skipped, len(begun))]
    assert model.bits(new) == pytest.approx(expected, abs=1e-9)
    assert model.bits_per_token(new) == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("end", [None, END])
@pytest.mark.parametrize("context", [[], [4], [0], [END], [5, END], [END, 5, 6], [0, 1, 2], [4, 5, 6, 7, 8, 9]])
def test_probabilities_of_any_context_sum_to_one(context, end):
    model = KneserNey(4)
    model.fit(text(2000, 2), vocabulary_size=95, end=end)
    chances = model.distribution(context)
    assert chances.sum() == pytest.approx(1)
    assert chances.min() > 0
    for word in (END, 4, 94):
        assert -np.log2(chances[word]) == pytest.approx(model.bits([*context, word])[-1])


def test_what_stood_in_another_sentence_is_no_context():
    model = KneserNey(3)
    model.fit(text(2000, 3), vocabulary_size=90, end=END)
    first, second = model.bits([4, END, 5, 6]), model.bits([7, 7, END, 5, 6])
    assert first[-2:].tolist() == second[-2:].tolist()
    assert model.bits([5])[0] == first[2]  # a sequence begins as a sentence does


@pytest.mark.parametrize("codes", [[4, 4], [4, 5], [4] * 100, [3, 3, 3], list(range(4, 12))])
def test_sequences_too_short_or_plain_to_estimate_discounts_are_smoothed_too(codes):
    model = KneserNey(5)
    model.fit(codes, vocabulary_size=12, end=END)
    assert np.isfinite(model.bits([4, 5, END, 11])).all()
    assert model.distribution(codes).sum() == pytest.approx(1)


def test_wrong_arguments_say_what_to_do():
    model = KneserNey(2)
    assert "order is 0" in message(KneserNey, 0)
    assert "call fit" in message(model.bits, [1])
    assert "call fit" in message(model.distribution, [1])
    assert "of 2 integers or more" in message(model.fit, [1], vocabulary_size=5)
    assert "codes[1] is 5; expected 0 to 4" in message(model.fit, [1, 5], vocabulary_size=5)
    assert "vocabulary_size is 0" in message(model.fit, [1, 1], vocabulary_size=0)
    model.fit([1, 2, 1], vocabulary_size=5)
    assert "codes[0] is -1" in message(model.bits, [-1])
    assert "of float64" in message(model.bits, [1.0])
    assert "of 1 integers" in message(model.bits_per_token, [])


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "ptb").is_dir(), reason="the Penn Treebank is not here")
def test_five_grams_of_the_penn_treebank_have_the_published_perplexity():
    words = {"<eos>": END}
    codes = {}
    for part in ("train", "valid"):
        with gzip.open(DATA / "ptb" / f"ptb.{part}.txt.gz", "rt", encoding="utf-8") as file:
            tokens = file.read().replace("\n", " <eos> ").split()
        codes[part] = [words.setdefault(token, len(words) + 3) for token in tokens]
    model = KneserNey(5)
    model.fit(codes["train"], vocabulary_size=len(words) + 4, end=END)
    assert 2 ** model.bits_per_token(codes["valid"]) == pytest.approx(148.0, abs=0.5)
