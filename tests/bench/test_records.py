"""Ratios, goals and verdicts."""

import pytest

from recurra.bench.records import Check, Record, geometric_mean, least
from recurra.bench.sizes import SIZES, Size

SIZE = Size(9, 2, 3, 4)
RECORD = Record("GRU", "torch.nn", SIZE, 1, 0.002, 0.005, (2.0, 3.0), "layer 0: gru by reference (asked for by name)")


def test_a_record_is_faster_by_the_time_of_the_peer_over_ours():
    assert RECORD.ratio == 2.5
    assert RECORD.to_json()["peer / ours"] == 2.5
    assert RECORD.to_json()["ours, s"] == 0.002


def test_the_engine_is_read_from_what_the_layer_says():
    assert RECORD.engine == "reference"
    assert RECORD._replace(explained="").engine == ""


def test_the_geometric_mean_of_a_half_and_a_double_is_one():
    assert geometric_mean([RECORD._replace(theirs=0.001), RECORD._replace(theirs=0.004)]) == pytest.approx(1.0)
    assert geometric_mean([]) is None


def test_the_least_is_the_slowest_beside_its_peer():
    slow = RECORD._replace(theirs=0.001)
    assert least([RECORD, slow]) is slow
    assert least([]) is None


@pytest.mark.parametrize(
    ("sign", "measured", "verdict"),
    [
        (">=", 2.0, "met"),
        (">=", 1.99, "missed"),
        ("<=", 2.0, "met"),
        ("<=", 2.01, "missed"),
        (">=", None, "not measured"),
    ],
)
def test_a_goal_is_met_on_its_own_side(sign, measured, verdict):
    assert Check("what", sign, 2.0, measured).verdict == verdict


@pytest.mark.parametrize(("unit", "written"), [("x", "0.123x"), ("%", "12.3 %"), ("us", "0.123 us")])
def test_values_are_written_in_their_unit(unit, written):
    assert Check("what", ">=", 1.0, 0.1234, unit).written(0.1234) == written


def test_the_sizes_are_those_of_the_goals():
    assert len(set(SIZES)) == 9
    assert {size.time for size in SIZES if size.hidden == 64} == {100, 1000}
    assert str(Size(10_000, 16, 64, 64)) == "10,000, 16, 64, 64"
