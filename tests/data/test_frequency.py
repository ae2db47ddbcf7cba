import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.data import Frequency
from recurra.errors import ArgumentError


def dates(*text):
    return np.array(text, "M8[us]")


@pytest.mark.parametrize(
    ("text", "every"),
    [
        ("h", "1h"), ("H", "1h"), ("D", "1d"), ("W", "1w"), ("W-SUN", "1w"), ("MS", "1mo"), ("ME", "1me"), ("M", "1me"),
        ("QS", "1q"), ("QE-DEC", "1qe"), ("YS", "1y"), ("B", "1bd"), ("15min", "15m"), ("15m", "15m"), ("60m", "1h"),
        ("24h", "1d"), ("7d", "1w"), ("3mo", "1q"), ("12mo", "1y"), ("daily", "1d"), (1, "1i"), ("2i", "2i"),
        ("90s", "90s"),
    ],
)  # fmt: skip
def test_spellings(text, every):
    frequency = Frequency.parse(text)
    assert frequency.every == every
    assert Frequency.parse(json.loads(json.dumps(str(frequency)))) == frequency


@pytest.mark.parametrize("text", ["", "fortnight", "0d", "-1d", "1.5h", None, True])
def test_unknown_spellings_are_refused(text):
    with pytest.raises(ArgumentError, match="is not known; write 15m, 1h, 1d"):
        Frequency.parse(text)


def test_only_canonical_forms_are_constructed():
    with pytest.raises(ArgumentError, match="not in canonical form"):
        Frequency("60m")


def test_the_end_of_the_month_stays_the_end():
    stamps = Frequency("1me").next(dates("2023-01-31", "2023-02-28"), 3).astype("M8[D]").astype(str)
    assert stamps.tolist() == [["2023-02-28", "2023-03-31", "2023-04-30"], ["2023-03-31", "2023-04-30", "2023-05-31"]]


def test_months_quarters_years_keep_day_and_clock():
    assert Frequency("1mo").next(dates("2024-11-15T06:30"), 2)[0].astype(str).tolist() == [
        "2024-12-15T06:30:00.000000",
        "2025-01-15T06:30:00.000000",
    ]
    assert Frequency("1qe").next(dates("2024-12-31"), 2).astype("M8[D]").astype(str).tolist() == [
        ["2025-03-31", "2025-06-30"]
    ]
    assert Frequency("1y").next(dates("2024-02-29"), 1).astype("M8[D]").astype(str).tolist() == [["2025-02-28"]]


def test_business_days_and_whole_numbers():
    assert Frequency("1bd").next(dates("2024-03-08"), 1).astype("M8[D]").astype(str).tolist() == [["2024-03-11"]]
    assert Frequency("2i").next(np.array([5, 9]), 2).tolist() == [[7, 9], [11, 13]]
    _, on_grid = Frequency("1bd").count(dates("2024-03-08", "2024-03-08"), dates("2024-03-09", "2024-03-11"))
    assert on_grid.tolist() == [False, True]


def test_horizon_is_checked():
    with pytest.raises(ArgumentError, match="horizon is 0"):
        Frequency("1d").next(dates("2024-03-08"), 0)


@pytest.mark.parametrize(
    ("every", "seasons"),
    [
        ("1h", (24, 168)), ("15m", (96, 672)), ("1m", (60, 1440)), ("1s", (60, 3600)), ("6h", (4, 28)),
        ("1d", (7, 365)), ("1w", (52,)), ("1mo", (12,)), ("1me", (12,)), ("1q", (4,)), ("1bd", (5,)),
        ("1y", ()), ("1i", ()),
        ("7h", (24,)),
    ],
)  # fmt: skip
def test_seasons(every, seasons):
    assert Frequency(every).seasons() == seasons


@settings(max_examples=60, deadline=None)
@given(
    every=st.sampled_from(["15m", "1h", "1d", "2w", "1mo", "1me", "1q", "2y", "1bd", "3bd", "3i"]),
    day=st.integers(0, 30_000),
    steps=st.integers(0, 400),
)
def test_count_undoes_advance(every, day, steps):
    frequency = Frequency(every)
    start = np.array([day]) if frequency.integer else np.array([day], "M8[D]").astype("M8[us]")
    if frequency.unit == "bd":
        start = np.busday_offset(start.astype("M8[D]"), 0, roll="forward").astype("M8[us]")
    start = frequency.advance(start, np.array([0]))
    counted, on_grid = frequency.count(start, frequency.advance(start, np.array([steps])))
    assert (counted.tolist(), on_grid.tolist()) == ([steps], [True])
