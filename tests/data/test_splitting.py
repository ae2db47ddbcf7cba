"""Rows held back: how many, of which group, and always the same."""

import numpy as np
import pytest

from recurra.data.splitting import split_rows
from recurra.errors import ArgumentError


@pytest.mark.parametrize(("count", "share", "held"), [(10, 0.1, 1), (10, 0.25, 2), (7, 0.01, 1), (1000, 0.333, 333)])
def test_rows_are_parted_by_the_share_and_none_is_lost(count, share, held):
    kept, back = split_rows(count, share, seed=0)
    assert len(back) == held
    assert sorted([*kept, *back]) == list(range(count))
    assert (np.diff(kept) > 0).all()
    assert (np.diff(back) > 0).all()


def test_the_rows_are_a_function_of_the_seed():
    first, same, other = (split_rows(100, 0.2, seed=seed)[1] for seed in (0, 0, 1))
    assert (first == same).all()
    assert set(first) != set(other)


def test_each_group_is_held_back_in_its_share():
    groups = ["a"] * 50 + ["b"] * 30 + ["c"] * 20
    kept, back = split_rows(100, 0.1, seed=3, groups=groups)
    assert [sum(groups[row] == name for row in back) for name in "abc"] == [5, 3, 2]
    assert len(kept) == 90


def test_fractions_of_rows_of_small_groups_add_up():
    groups = [i % 10 for i in range(50)]  # five rows each: half a row of each group
    _, back = split_rows(50, 0.1, seed=0, groups=groups)
    assert len(back) == 5
    assert len({groups[row] for row in back}) == 5


def test_every_group_keeps_a_row_to_learn_from():
    groups = ["a"] * 20 + ["alone"]
    kept, back = split_rows(21, 0.9, seed=0, groups=groups)
    assert {groups[row] for row in kept} == {"a", "alone"}
    assert len(back) == 18


def test_a_tiny_share_holds_back_one_row_of_a_group_that_has_two():
    groups = ["alone", "a", "a"]
    _, back = split_rows(3, 0.01, seed=0, groups=groups)
    assert [groups[row] for row in back] == ["a"]


def test_nothing_is_held_back_for_a_share_of_0():
    kept, back = split_rows(3, 0, seed=0)
    assert (list(kept), list(back)) == ([0, 1, 2], [])


@pytest.mark.parametrize("share", [1, 1.5, -0.1, "half", True, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ArgumentError, match=r"the share held back is .*; it lies between 0 and 1, such as 0.1"):
        split_rows(10, share, seed=0)


@pytest.mark.parametrize(("count", "groups"), [(1, None), (2, ["a", "b"]), (0, None)])
def test_too_few_rows_are_refused(count, groups):
    with pytest.raises(ArgumentError, match=f"0.5 of {count} rows cannot be held back; give more rows"):
        split_rows(count, 0.5, seed=0, groups=groups)


def test_rows_of_a_file_are_refused_by_its_name():
    with pytest.raises(ArgumentError, match=r"^a\.tsv: 0\.5 of 1 rows cannot be held back"):
        split_rows(1, 0.5, seed=0, name="a.tsv")
