"""Texts that are too long for a classifier: what is left of them, and what is said."""

import warnings

import polars as pl
import pytest

from recurra.data import Table
from recurra.data.labelled import Labelled
from recurra.errors import Notice
from recurra.tasks.classification_codes import cut_middle, note_cut, usual_length


def part(name, texts):
    return Labelled(["x"] * texts, None, Table(pl.DataFrame(), name, text=True))


@pytest.mark.parametrize("most", [1, 2, 3, 6, 7, None])
def test_beginning_and_end_are_kept(most):
    found = cut_middle(list(range(7)), most)
    assert len(found) == min(7, most or 7)
    assert found[0] == 0
    assert found == sorted(found)
    assert most == 1 or found[-1] == 6
    assert cut_middle([], most) == []


def test_the_first_long_text_is_named_and_all_are_counted():
    with pytest.warns(Notice) as caught:
        assert note_cut([part("a.csv", 2), part("b.csv", 3)], [[[1], [1, 2]], [[], [1] * 1000, [1] * 3]], 2) == 2
    assert [str(one.message) for one in caught] == [
        "b.csv line 3: the text has 1,000 tokens, of which max_tokens=2 are read; 1 row like it. "
        "Their middle is left out; give a larger max_tokens, or none"
    ]


def test_nothing_is_said_where_nothing_is_left_out():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert note_cut([part("a.csv", 1)], [[[1] * 9]], 9) == 0
        assert note_cut([part("a.csv", 1)], [[[1] * 9]], None) == 0


def test_letters_are_more_than_words():
    assert [usual_length(kind) for kind in ("word", "whitespace", "subword", "character", "byte")] == [
        400, 400, 400, 2000, 2000,
    ]  # fmt: skip
