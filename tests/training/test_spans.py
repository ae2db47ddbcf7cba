"""Tags are the spans that conlleval sees, and the scores are those counted by hand."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recurra.errors import ArgumentError
from recurra.layers.crf import ConditionalRandomField
from recurra.training.spans import (
    SCHEMES,
    Span,
    TypeScores,
    bio_transitions,
    convert_tags,
    score_spans,
    spans_of_tags,
    tags_of_spans,
    token_accuracy,
)

TYPES = st.sampled_from(["person", "place", "date-time", ""])
TAG = st.one_of(
    st.just("O"), st.builds(lambda letter, kind: f"{letter}-{kind}" if kind else letter, st.sampled_from("BIES"), TYPES)
)


@st.composite
def sentences(draw):
    """Spans that do not overlap, some of them touching, and the length of the sentence."""
    spans, end = [], 0
    for _ in range(draw(st.integers(0, 5))):
        begin = end + draw(st.integers(0, 2))
        end = begin + draw(st.integers(1, 3))
        spans.append(Span(draw(TYPES), begin, end))
    return spans, end + draw(st.integers(0, 2))


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("O O", []),
        ("B-a I-a O B-b", [("a", 0, 2), ("b", 3, 4)]),
        ("B-a B-a", [("a", 0, 1), ("a", 1, 2)]),
        ("I-a I-a O I-a", [("a", 0, 2), ("a", 3, 4)]),  # IOB1
        ("I-a B-a I-a I-b", [("a", 0, 1), ("a", 1, 3), ("b", 3, 4)]),
        ("B-a I-b", [("a", 0, 1), ("b", 1, 2)]),
        ("S-a B-a I-a E-a E-a", [("a", 0, 1), ("a", 1, 4), ("a", 4, 5)]),
        ("B-a E-a I-a", [("a", 0, 2), ("a", 2, 3)]),
        ("S-a E-a O E-b", [("a", 0, 1), ("a", 1, 2), ("b", 3, 4)]),
        ("B-date-time I-date-time I-date", [("date-time", 0, 2), ("date", 2, 3)]),
        ("B I O I", [("", 0, 2), ("", 3, 4)]),
        ("", []),
    ],
)
def test_spans_are_those_that_conlleval_sees(tags, spans):
    assert spans_of_tags(tags.split()) == [Span(*span) for span in spans]


def test_each_scheme_says_the_same_spans_in_its_own_tags():
    spans = [Span("a", 0, 1), Span("a", 1, 4), Span("b", 4, 6), Span("b", 7, 8)]
    assert tags_of_spans(spans, 8, "bio") == ["B-a", "B-a", "I-a", "I-a", "B-b", "I-b", "O", "B-b"]
    assert tags_of_spans(spans, 8, "bioes") == ["S-a", "B-a", "I-a", "E-a", "B-b", "E-b", "O", "S-b"]
    assert tags_of_spans(spans, 8, "iob1") == ["I-a", "B-a", "I-a", "I-a", "I-b", "I-b", "O", "I-b"]
    assert convert_tags(["I-a", "B-a", "I-a", "I-b"], "bioes") == ["S-a", "B-a", "E-a", "S-b"]


@given(sentences(), st.sampled_from(SCHEMES))
def test_spans_to_tags_and_back(sentence, scheme):
    spans, length = sentence
    tags = tags_of_spans(spans, length, scheme)
    assert len(tags) == length
    assert spans_of_tags(tags) == spans


@given(st.lists(TAG, max_size=12), st.sampled_from(SCHEMES))
def test_converting_keeps_the_spans_of_any_tags_and_is_done_once(tags, scheme):
    converted = convert_tags(tags, scheme)
    assert spans_of_tags(converted) == spans_of_tags(tags)
    assert convert_tags(converted, scheme) == converted


def test_scores_are_those_counted_by_hand():
    truth = [["B-per", "I-per", "O", "B-loc", "O"], ["B-org", "O", "B-per"], ["O", "O"]]
    found = [["B-per", "I-per", "O", "B-org", "O"], ["B-org", "I-org", "B-per"], ["B-loc", "O"]]
    scores = score_spans(truth, found)
    # Right: two of per. Found: per 2, org 2, loc 1. True: per 2, loc 1, org 1.
    assert scores.micro == TypeScores(2 / 5, 2 / 4, 4 / 9, 4, 5, 2)
    assert scores.types == {
        "loc": TypeScores(0.0, 0.0, 0.0, 1, 1, 0),
        "org": TypeScores(0.0, 0.0, 0.0, 1, 2, 0),
        "per": TypeScores(1.0, 1.0, 1.0, 2, 2, 2),
    }
    assert scores.macro == TypeScores(1 / 3, 1 / 3, 1 / 3, 4, 5, 2)
    assert scores.accuracy == 7 / 10
    assert token_accuracy(truth, found) == 7 / 10


def test_the_macro_f1_is_the_mean_of_f1s():
    scores = score_spans([["B-a", "B-a", "B-b"]], [["B-a", "O", "B-b"]])
    assert scores.types["a"] == TypeScores(1.0, 0.5, 2 / 3, 2, 1, 1)
    assert scores.macro.f1 == pytest.approx((2 / 3 + 1) / 2, rel=1e-15)
    assert scores.macro.recall == 0.75
    assert scores.micro.f1 == 4 / 5


def test_nothing_to_find_and_nothing_found():
    scores = score_spans([["O", "O"]], [["O", "O"]])
    assert scores.micro == scores.macro == TypeScores(0.0, 0.0, 0.0, 0, 0, 0)
    assert scores.accuracy == 1.0
    assert scores.types == {}
    assert math.isnan(score_spans([], []).accuracy)


@given(st.lists(st.lists(TAG, min_size=1, max_size=9), min_size=1, max_size=4))
def test_what_is_perfect_scores_one_in_any_scheme(truth):
    scores = score_spans(truth, [convert_tags(tags, "bioes") for tags in truth])
    some = scores.micro.true > 0
    assert scores.micro[:3] == scores.macro[:3] == ((1.0,) * 3 if some else (0.0,) * 3)
    assert score_spans(truth, truth).accuracy == 1.0


@given(st.data(), st.lists(st.lists(TAG, min_size=1, max_size=9), min_size=1, max_size=4))
def test_truth_and_found_exchanged_exchange_precision_and_recall(data, truth):
    found = [data.draw(st.lists(TAG, min_size=len(tags), max_size=len(tags))) for tags in truth]
    one, other = score_spans(truth, found), score_spans(found, truth)
    assert (one.micro.precision, one.micro.recall) == (other.micro.recall, other.micro.precision)
    assert one.micro.f1 == other.micro.f1
    assert 0 <= one.micro.f1 <= 1
    assert sum(each.true for each in one.types.values()) == one.micro.true


@given(sentences(), st.sampled_from(["bio", "bioes"]))
def test_transitions_allow_the_tags_of_any_spans(sentence, scheme):
    spans, length = sentence
    tags = tags_of_spans(spans, length, scheme) or ["O"]
    classes = ["O", *(f"{letter}-{kind}" if kind else letter for kind in ("person", "place", "date-time", "")
                      for letter in ("BI" if scheme == "bio" else "BIES"))]  # fmt: skip
    allowed = bio_transitions(classes)
    codes = [classes.index(tag) for tag in tags]
    assert allowed.starts[codes[0]]
    assert allowed.ends[codes[-1]]
    assert all(allowed.transitions[one, other] for one, other in itertools.pairwise(codes))


@given(st.lists(st.sampled_from(["O", "B-a", "I-a", "E-a", "S-a", "B-b", "I-b", "E-b", "S-b"]), min_size=1, max_size=6))
def test_transitions_of_bioes_forbid_what_is_no_bioes(tags):
    classes = ["O", "B-a", "I-a", "E-a", "S-a", "B-b", "I-b", "E-b", "S-b"]
    allowed, codes = bio_transitions(classes), [classes.index(tag) for tag in tags]
    legal = bool(allowed.starts[codes[0]] and allowed.ends[codes[-1]]) and all(
        bool(allowed.transitions[one, other]) for one, other in itertools.pairwise(codes)
    )
    assert legal == (convert_tags(tags, "bioes") == tags)


@given(st.lists(st.sampled_from(["O", "B-a", "I-a", "B-b", "I-b"]), min_size=1, max_size=6))
def test_transitions_of_bio_forbid_what_is_no_bio(tags):
    classes = ["O", "B-a", "I-a", "B-b", "I-b"]
    allowed, codes = bio_transitions(classes), [classes.index(tag) for tag in tags]
    legal = bool(allowed.starts[codes[0]] and allowed.ends[codes[-1]]) and all(
        bool(allowed.transitions[one, other]) for one, other in itertools.pairwise(codes)
    )
    assert legal == (convert_tags(tags, "bio") == tags)


def test_a_field_with_these_constraints_says_whole_spans_only():
    classes = ["O", "B-a", "I-a", "E-a", "S-a", "B-b", "I-b", "E-b", "S-b"]
    head = ConditionalRandomField(4, 9, constraints=bio_transitions(classes), seed=0)
    codes = head.predict(torch.randn(40, 25, 9, generator=torch.Generator().manual_seed(0)))
    for row in codes.T.tolist():
        tags = [classes[code] for code in row]
        assert convert_tags(tags, "bioes") == tags


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: spans_of_tags(["person"]), "tag 'person' says no span; expected 'O', or B-, I-, E- or S- and a type"),
        (lambda: spans_of_tags(["O-person"]), "tag 'O-person' says no span"),
        (lambda: spans_of_tags([3]), "tag 3 says no span"),
        (lambda: bio_transitions(["O", "X-a"]), "tag 'X-a' says no span"),
        (lambda: tags_of_spans([Span("a", 0, 3)], 2), "Span(type='a', begin=0, end=3) does not lie in 0 to 2"),
        (lambda: tags_of_spans([Span("a", 1, 1)], 2), "does not lie in 0 to 2"),
        (lambda: tags_of_spans([Span("a", 1, 3), Span("b", 0, 2)], 4), "begin=1, end=3) overlaps Span(type='b'"),
        (lambda: tags_of_spans([], 2, "bioe"), "scheme is 'bioe'; did you mean 'bioes' or 'bio'?"),
        (lambda: score_spans([["O"]], []), "truth has 1 sentences, found 0"),
        (lambda: score_spans([["O"], ["O"]], [["O"], []]), "sentence 1 has 1 tags in truth, 0 in found"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert words in str(caught.value)
