import datetime as dt

import numpy as np
import polars as pl
import pytest

from recurra.data import Table
from recurra.data.stamps import read_times
from recurra.errors import ArgumentError, DataError


def column(*values):
    return Table(pl.DataFrame({"ds": values}), "sales.csv", text=True)


def read(*values, **options):
    return read_times(column(*values), "ds", **options)


def refusal(*values, **options):
    with pytest.raises(DataError) as caught:
        read(*values, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def stamps(*text):
    return np.array(text, "M8[us]")


@pytest.mark.parametrize(
    "texts",
    [
        ("2024-01-31", "2024-02-01"), ("2024-01-31 00:00:00", "2024-02-01"), ("2024-01-31T00:00", "2024-02-01T00:00"),
        ("2024/01/31", "2024/02/01"), ("20240131", "20240201"), ("31.01.2024", "01.02.2024"), ("1/31/2024", "2/1/2024"),
        ("31/1/2024", "1/2/2024"), ("31-01-2024", "01-02-2024"), ("31 Jan 2024", "1 Feb 2024"), ("1/31/24", "2/1/24"),
        ("Jan 31, 2024", "Feb 1, 2024"), (" 2024-1-31 ", "2024-2-1"), ("2024-01-31T00:00:00Z", "2024-02-01T00:00:00Z"),
        ("01/31/2024 12:00:00 AM", "02/01/2024 12:00:00 AM"),
    ],
)  # fmt: skip
def test_forms(texts):
    assert (read(*texts) == stamps("2024-01-31", "2024-02-01")).all()


def test_months_and_fractions():
    assert (read("2024-01", "2024-02") == stamps("2024-01-01", "2024-02-01")).all()
    assert read("2024-01-01 00:00:00.250")[0] == np.datetime64("2024-01-01T00:00:00.250")


def test_whole_numbers_are_steps_in_text_and_in_numbers():
    for times in (read("1", "2", "10"), read(1, 2, 10), read(1.0, 2.0, 10.0)):
        assert times.dtype == np.int64
        assert times.tolist() == [1, 2, 10]
    assert "sales.csv line 3: column 'ds' is neither date nor whole number: line 3 1.5" in refusal(1.0, 1.5)


def test_numbers_that_are_all_dates_are_dates():
    assert (read(20240131, 20240201) == stamps("2024-01-31", "2024-02-01")).all()
    assert read(20240131, 20240199).dtype == np.int64


def test_day_or_month_first_is_refused_unless_a_value_settles_it():
    assert refusal("01/02/2024", "03/04/2024") == (
        "sales.csv line 2: '01/02/2024' in column 'ds' may be day or month first and no value settles it; "
        "pass --time-format %d/%m/%Y or %m/%d/%Y"
    )
    assert (read("01/02/2024", "13/02/2024") == stamps("2024-02-01", "2024-02-13")).all()
    assert (read("01/02/2024", "02/13/2024") == stamps("2024-01-02", "2024-02-13")).all()
    assert (read("01/02/2024", time_format="%d/%m/%Y") == stamps("2024-02-01")).all()


def test_text_that_is_no_time_lists_five_rows():
    assert refusal("2024-01-01", *["soon"] * 7) == (
        "sales.csv line 3: column 'ds' holds text where dates are needed: line 3 'soon', line 4 'soon', line 5 'soon', "
        "line 6 'soon', line 7 'soon'; 2 rows like them. Mend them, or pass --time-format"
    )
    assert "line 3 empty" in refusal("2024-01-01", None)
    assert "line 3 empty" in refusal(dt.date(2024, 1, 1), None)
    assert "line 2 '2024-02-30'" in refusal("2024-02-30")
    assert "in the form %d/%m/%Y are needed: line 2 '2024-01-01'" in refusal("2024-01-01", time_format="%d/%m/%Y")


def test_offsets_become_utc_even_mixed_ones():
    times = read("2024-10-27T02:30:00+02:00", "2024-10-27 02:30+0100", "2024-10-27 02:30:00Z")
    assert (times == stamps("2024-10-27T00:30", "2024-10-27T01:30", "2024-10-27T02:30")).all()


def test_stamps_with_and_without_offset_are_refused():
    assert refusal("2024-01-01 00:00", "2024-01-01 01:00+01:00") == (
        "sales.csv line 3: '2024-01-01 01:00+01:00' in column 'ds' carries an offset, line 2 '2024-01-01 00:00' "
        "does not; write all stamps with one, or none"
    )


def test_local_midnights_need_the_zones_name():
    texts = ("2024-03-30 00:00+01:00", "2024-03-31 00:00+01:00", "2024-04-01 00:00+02:00")
    assert refusal(*texts).startswith("sales.csv line 2: column 'ds' holds daily stamps by a local clock (+01:00)")
    assert "pass --timezone NAME" in refusal(*texts)
    wall = stamps("2024-03-30", "2024-03-31", "2024-04-01")
    assert (read(*texts, timezone="Europe/Paris") == wall).all()
    aware = pl.Series(wall).dt.replace_time_zone("Europe/Paris").to_list()
    assert "--timezone" in refusal(*aware)
    assert (read(*aware, timezone="Europe/Paris") == wall).all()


def test_naive_clocks_of_a_zone_become_utc_below_a_day_only():
    hours = read("2024-07-01 00:00", "2024-07-01 01:00", timezone="Europe/Paris")
    assert (hours == stamps("2024-06-30T22:00", "2024-06-30T23:00")).all()
    assert (read("2024-07-01", "2024-07-02", timezone="Europe/Paris") == stamps("2024-07-01", "2024-07-02")).all()
    assert (read("2024-07-01 00:00", timezone="Europe/Paris", daily=False) == stamps("2024-06-30T22:00")).all()


def test_hours_that_are_skipped_or_come_twice_are_refused():
    assert refusal("2024-10-27 01:30", "2024-10-27 02:30", timezone="Europe/Paris").startswith(
        "sales.csv line 3: 2024-10-27 02:30:00 comes twice in Europe/Paris as the clocks change. Write column 'ds' with"
    )
    assert "2024-03-31 02:30:00 is skipped in Europe/Paris" in refusal(
        "2024-03-31 01:30", "2024-03-31 02:30", timezone="Europe/Paris"
    )


def test_an_unknown_zone_gets_its_nearest_names():
    with pytest.raises(ArgumentError, match="timezone 'Europe/Pariss' is not known; did you mean 'Europe/Paris'"):
        read("2024-01-01", timezone="Europe/Pariss")


def test_other_types_are_refused():
    assert "is of type List(Int64); dates or whole numbers are needed" in refusal([1], [2])
