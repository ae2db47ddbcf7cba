"""BLEU, chrF and exact matches against values worked out by hand and by sacrebleu's own command."""

import json
import math
import sys

import pytest

from recurra.errors import ArgumentError, RecurraError
from recurra.training.translation_scores import score_translations


def message(*arguments, **named):
    with pytest.raises(ArgumentError) as caught:
        score_translations(*arguments, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_bleu_by_hand():
    """6 of 6, 4 of 5, 2 of 4 and 1 of 3 n-grams, as long as the reference."""
    found = score_translations(["the cat sat on a mat"], ["the cat sat on the mat"])
    shares = [5 / 6, 3 / 5, 2 / 4, 1 / 3]
    assert found.precisions == pytest.approx([100 * share for share in shares])
    assert found.bleu == pytest.approx(100 * math.prod(shares) ** 0.25)
    assert (found.brevity_penalty, found.length_ratio) == (1.0, 1.0)


def test_short_translations_pay():
    found = score_translations(["the cat sat on"], ["the cat sat on the mat"])
    assert found.brevity_penalty == pytest.approx(math.exp(1 - 6 / 4))
    assert found.bleu == pytest.approx(100 * math.exp(1 - 6 / 4))


def test_signatures_say_how_it_was_measured():
    cased = score_translations(["A"], ["a"])
    folded = score_translations(["A"], ["a"], lowercase=True, tokenize="char")
    assert cased.bleu_signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert "case:lc|eff:no|tok:char" in folded.bleu_signature
    assert "nc:6|nw:0" in cased.chrf_signature
    assert (cased.exact, folded.exact) == (0.0, 1.0)


def test_exact_matches_pass_over_blanks_at_the_ends():
    found = score_translations(["one", " two ", "three"], ["one", "two", "four"])
    assert found.exact == pytest.approx(2 / 3)
    assert found.rows == 3


def test_the_best_is_100_of_both_and_nothing_in_common_is_nearly_0():
    perfect = score_translations(["the cat sat on the mat"], ["the cat sat on the mat"])
    assert (perfect.bleu, perfect.chrf) == (pytest.approx(100), pytest.approx(100))
    nothing = score_translations(["", "x"], ["the cat sat on", "the dog ran off"])
    assert nothing.chrf == 0.0
    assert nothing.bleu < 1e-6


def test_bleu_is_undefined_where_no_reference_has_four_tokens():
    found = score_translations(["a dog runs", "b"], ["a dog runs", "b"])
    assert (found.bleu, found.chrf, found.exact) == (None, pytest.approx(100), 1.0)
    assert score_translations(["a"], ["a dog runs."]).bleu == 0.0


def test_plain_data():
    value = json.loads(json.dumps(score_translations(["a b"], ["a b"]).to_json()))
    assert len(value["precisions"]) == 4
    assert value["exact"] == 1.0


def test_wrong_arguments():
    assert message(["a"], []) == "translations are 1, references 0; pass one for each, one at least"
    assert message([], []).startswith("translations are 0, references 0")
    assert "tokenize is '13b'; did you mean '13a'?" in message(["a"], ["a"], tokenize="13b")


def test_without_sacrebleu_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    with pytest.raises(RecurraError, match=r"pip install recurra\[text\]"):
        score_translations(["a"], ["a"])
