import warnings

import pytest

from recurra.data import Columns, build_series, read_table
from recurra.errors import DataError, Notice


def refusal(path, columns=None, **options):
    with pytest.raises(DataError) as caught:
        build_series(read_table(path), columns, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_duplicates_name_both_lines(csv):
    path = csv("unique_id,ds,y\na,2024-01-01,1\na,2024-01-02,2\nb,2024-01-02,2\na,2024-01-02,3\na,2024-01-02,4\n")
    assert refusal(path) == (
        "sales.csv line 3 and line 5: series 'a' has 'ds' 2024-01-02 twice; 1 more like it. Remove one of them"
    )


def test_duplicates_of_a_table_taken_as_one_series_suggest_the_series_column(csv):
    path = csv("shop,ds,y\na,2024-01-01,1\nb,2024-01-01,2\na,2024-01-02,1\n")
    assert refusal(path).startswith("sales.csv line 2 and line 3: series 'series' has 'ds' 2024-01-01 twice.")
    assert "pass --series COLUMN" in refusal(path)
    assert len(build_series(read_table(csv("shop,ds,y\na,1,1\nb,1,2\na,2,1\nb,2,1\n")), Columns(id="shop"))) == 2


def test_duplicates_of_an_hour_set_back_mention_the_time_zone(csv):
    path = csv("ds,y\n2024-10-27 01:00,1\n2024-10-27 02:00,2\n2024-10-27 02:00,3\n2024-10-27 03:00,4\n")
    named = refusal(path, Columns(id=None))
    assert "line 3 and line 4" in named
    assert "if the time zone set its clocks back" in named
    path = csv("unique_id,ds,y\na,2024-10-27 01:00,1\na,2024-10-27 02:00,2\na,2024-10-27 02:00,3\n")
    assert "or write UTC or offsets (02:30+01:00) if the time zone set its clocks back" in refusal(path)


def test_unsorted_rows_are_sorted_stably_with_a_notice(csv):
    path = csv("unique_id,ds,y\nb,3,30\na,1,1\nb,1,10\na,2,2\nb,2,20\n")
    with pytest.warns(Notice) as caught:
        series = build_series(read_table(path))
    assert str(caught[0].message) == (
        "sales.csv line 4: the time goes back here; 1 row was out of order and is now sorted"
    )
    assert series.ids.to_list() == ["b", "a"]
    assert series.target.tolist() == [10, 20, 30, 1, 2]


def test_rows_by_time_then_series_are_in_order(csv):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        series = build_series(read_table(csv("unique_id,ds,y\na,1,1\nb,1,10\na,2,2\nb,2,20\n")))
    assert series.target.tolist() == [1, 2, 10, 20]


def test_rows_without_a_series_are_named(csv):
    assert refusal(csv("unique_id,ds,y\na,1,1\n,2,1\n,3,1\n")) == (
        "sales.csv line 3: column 'unique_id' names no series; 1 row like it. Fill or remove these rows"
    )


def test_one_row_needs_a_frequency(csv):
    path = csv("unique_id,ds,y\na,2024-01-01,1\n")
    assert refusal(path) == (
        "sales.csv line 2: the longest series has 1 row; 2 are needed to find the frequency. "
        "Pass --freq, such as --freq 1d"
    )
    assert build_series(read_table(path), freq="D").lengths.tolist() == [1]


def test_a_series_of_another_frequency_is_refused_with_both_steps(csv):
    hourly = "".join(f"a,2024-01-01 {hour:02}:00,1\n" for hour in range(9))
    daily = "".join(f"b,2024-01-{day:02} 00:00,1\n" for day in range(1, 6))
    assert refusal(csv("unique_id,ds,y\n" + hourly + daily)) == (
        "sales.csv line 11: mixed frequency: series 'b' steps by 1d, most of the data by 1h. "
        "Give each frequency a file of its own, or pass --freq"
    )


def test_a_stamp_off_the_grid_is_refused_with_both_steps(csv):
    path = csv("ds,y\n2024-01-01 00:00,1\n2024-01-01 00:15,1\n2024-01-01 00:30,1\n2024-01-01 00:37,1\n")
    assert refusal(path) == (
        "sales.csv line 5: mixed frequency: series 'series' steps by 7m from 2024-01-01 00:30 to 2024-01-01 00:37, "
        "the data by 15m. Mend the stamp, resample, or pass --freq"
    )


def test_a_given_frequency_must_suit_the_times(csv):
    path = csv("ds,y\n2024-01-31,1\n2024-02-29,2\n2024-03-31,3\n")
    assert build_series(read_table(path), freq="1mo").frequency.every == "1me"
    assert refusal(path, freq="1i") == "sales.csv: column 'ds' holds dates; --freq 1i needs whole numbers"
    assert "line 2: series 'series' begins at 2024-01-15, which is not on a grid of 1me" in refusal(
        csv("ds,y\n2024-01-15,1\n2024-02-15,2\n"), freq="ME"
    )
