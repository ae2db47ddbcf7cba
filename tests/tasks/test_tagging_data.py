"""Schemes of tags, as they are found in what people have."""

import warnings

import pytest

from recurra.errors import DataError, Notice
from recurra.tasks.tagging_data import find_tagset, of_lists
from recurra.training.spans import spans_of_tags


def tagged(*tags):
    return of_lists([["w"] * len(row) for row in tags], [list(row) for row in tags])


def found(data, scheme="auto"):
    """The tagset, and what was told of it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tagset = find_tagset(data, scheme)
    assert all(one.category is Notice for one in caught)
    return tagset, [str(one.message) for one in caught]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["B-p", "I-p", "L-p", "O", "U-q"], ["B-p", "I-p", "E-p", "O", "S-q"]),
        (["B-p", "M-p", "E-p", "O", "S-q"], ["B-p", "I-p", "E-p", "O", "S-q"]),
        (["B", "M", "E", "S"], ["B", "I", "E", "S"]),
        (["U-p", "O"], ["S-p", "O"]),
    ],
    ids=["BILUO", "BMES", "words", "single ones"],
)
def test_other_letters_of_the_same_scheme_are_read(tags, expected):
    data = tagged(tags)
    tagset, told = found(data)
    assert tagset.scheme == "bioes"
    assert tagset.rewrite([tags]) == [expected]
    assert [tagset.names[code] for code in tagset.encode([tags])[0]] == expected
    assert len(told) == 1
    assert "is rewritten as" in told[0]
    tagset.check(data)
    tagset.check(tagged(expected))


def test_other_letters_are_rewritten_as_the_scheme_asked_for():
    tags = ["B-p", "I-p", "L-p", "O", "U-q"]
    tagset, told = found(tagged(tags), "bio")
    assert (tagset.names, told) == (("O", "B-p", "I-p", "B-q", "I-q"), [])
    assert tagset.rewrite([tags]) == [["B-p", "I-p", "I-p", "O", "B-q"]]
    assert spans_of_tags(tagset.rewrite([tags])[0]) == [("p", 0, 3), ("q", 4, 5)]


def test_a_tagset_of_spans_reads_letters_of_all_schemes():
    tagset, _ = found(tagged(["B-p", "E-p", "O", "S-p"]))
    tagset.check(tagged(["U-p", "O"]))
    assert tagset.rewrite([["U-p", "B-p", "M-p", "L-p"]]) == [["S-p", "B-p", "I-p", "E-p"]]
    with pytest.raises(DataError, match="'U-q', which training did not see"):
        tagset.check(tagged(["U-q", "O"]))


def test_a_tag_that_says_no_span_among_many_that_do_is_told_of():
    data = tagged(["B-p", "I-p", "O"], ["B-q", "O", "VERB"], ["VERB", "I-q"])
    tagset, told = found(data)
    assert (tagset.scheme, tagset.rewrite(data.tags)) == ("none", data.tags)
    assert told == [
        "sentences row 1: token 3: the tag 'VERB' says no span, though most do; 1 token like it. All are learnt as "
        "plain tags, and spans are not measured; mend it, or choose the scheme none"
    ]
    assert found(data, "none")[1] == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        find_tagset(data, "auto", quiet=True)


def test_letters_of_two_schemes_together_are_plain_tags_and_told_of():
    data = tagged(["B-p", "L-p", "O", "S-q"])
    tagset, told = found(data)
    assert tagset.scheme == "none"
    assert told[0].startswith("sentences row 0: token 2: the tag 'L-p' says no span, though most do. All are learnt")
    with pytest.raises(DataError, match="token 2: the tag 'L-p' says no span, which scheme 'bio' needs"):
        find_tagset(data, "bio")


@pytest.mark.parametrize(
    "tags", [["NOUN", "VERB", "O"], ["B", "VERB", "NOUN"], ["U", "O"], ["L-p", "O"], ["M-a", "S-b"]], ids=str
)
def test_plain_tags_are_plain_without_a_word(tags):
    tagset, told = found(tagged(tags))
    assert (tagset.names, tagset.scheme, told) == (tuple(sorted(tags)), "none", [])
