"""The matrix of an alignment in a terminal."""

import json

import numpy as np
import pytest

from recurra.tasks.alignment import Alignment


def aligned(source=("ein", "Hund"), target=("a", "dog"), weights=((0.9, 0.1), (0.2, 0.8))):
    return Alignment("ein Hund", "a dog", -0.5, source, target, np.array(weights, np.float32))


def test_each_target_token_has_a_row_with_what_it_was_made_of_most():
    lines = aligned().to_text().splitlines()
    assert lines[0] == "a dog"
    assert lines[-2].split() == ["a", "█", "·", "ein", "90%"]
    assert lines[-1].split() == ["dog", "·", "▓", "Hund", "80%"]


def test_numbers_are_shares_of_a_row_whatever_it_adds_up_to():
    found = aligned(weights=((0.45, 0.05), (0.0, 0.0)))
    *_, first, second = found.to_text().splitlines()
    assert first.split() == ["a", "█", "·", "ein", "90%"]
    assert second.split() == ["dog", "ein", "0%"]
    assert found.to_json()["weights"] == [[0.45, 0.05], [0.0, 0.0]]


def test_columns_stand_under_their_tokens():
    lines = aligned(("a", "bc"), ("x",), ((0.0, 1.0),)).to_text().splitlines()
    column = lines[-1].index("█")
    assert [line[column] for line in lines[2:4]] == ["b", "c"]
    assert lines[3][column - 2] == "a"


@pytest.mark.parametrize(("token", "shown"), [(" ", "␣"), (" dog", "dog"), ("\n", "↵"), ("x" * 20, "x" * 15 + "…")])
def test_no_token_breaks_the_matrix(token, shown):
    lines = aligned(("a",), (token,), ((1.0,),)).to_text().splitlines()
    assert lines[-1].split()[0] == shown
    assert len(lines) == 4


def test_plain_data():
    value = json.loads(json.dumps(aligned().to_json()))
    assert value["weights"] == [[0.9, 0.1], [0.2, 0.8]]
    assert value["source"] == ["ein", "Hund"]
    assert value["score"] == -0.5
