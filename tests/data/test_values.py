import numpy as np
import polars as pl
import pytest

from recurra.data import Table, read_table
from recurra.data.values import check_finite, check_transform, read_numbers
from recurra.errors import DataError


def column(*values):
    return Table(pl.DataFrame({"y": values}), "sales.csv", text=True)


def test_missing_spellings_and_spaces():
    numbers = read_numbers(column("1", " 2 ", "", "NA", "n/a", "NaN", "null", None, "1e30", "-.5"), "y")
    np.testing.assert_array_equal(numbers, [1, 2, *[np.nan] * 6, 1e30, -0.5])


@pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt64, pl.Float32, pl.Decimal(10, 2), pl.Boolean])
def test_number_types(dtype):
    numbers = read_numbers(Table(pl.DataFrame({"y": pl.Series([1, None, 0]).cast(dtype)})), "y")
    np.testing.assert_array_equal(numbers, [1.0, np.nan, 0.0])


def test_text_lists_the_first_five_rows_and_counts_the_others():
    with pytest.raises(DataError) as caught:
        read_numbers(column("1", *["abc"] * 42), "y")
    assert str(caught.value) == (
        "sales.csv line 3: column 'y' holds text where numbers are needed: line 3 'abc', line 4 'abc', line 5 'abc', "
        "line 6 'abc', line 7 'abc'; 37 rows like them. Clean them; an empty cell counts as missing"
    )


def test_long_text_with_line_breaks_stays_short_and_on_one_line():
    with pytest.raises(DataError) as caught:
        read_numbers(column("a\nb" * 1000), "y")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_decimal_commas_are_named_and_read_when_asked_for(csv):
    path = csv("ds;y\n1;3,14\n2;1.234,5\n3;7\n")
    with pytest.raises(DataError) as caught:
        read_numbers(read_table(path), "y")
    assert str(caught.value) == (
        "sales.csv line 2: column 'y' writes decimals with a comma, '3,14'; 1 row like it. "
        "Pass --decimal , or write '3.14'"
    )
    assert read_numbers(read_table(path, decimal=","), "y").tolist() == [3.14, 1234.5, 7.0]


def test_dates_are_no_numbers():
    with pytest.raises(DataError, match="column 'y' is of type Date; numbers are needed"):
        read_numbers(Table(pl.DataFrame({"y": pl.Series([0]).cast(pl.Date)})), "y")


def test_inf_is_refused_with_its_row_and_1e30_passes():
    table = column("1", "inf", "-inf", "1e30")
    with pytest.raises(DataError, match=r"^sales.csv line 3: column 'y' is inf; 1 row like it\."):
        check_finite(table, "y", read_numbers(table, "y"))
    check_finite(table, "y", np.array([1e30, -1e300, np.nan]))


def test_log_needs_values_above_zero():
    table = column("1", "0", "-2")
    with pytest.raises(DataError) as caught:
        check_transform(table, "y", np.array([1.0, 0.0, -2.0]), transform="log")
    assert str(caught.value) == (
        "sales.csv line 3: column 'y' is 0; 1 row like it; --transform log needs values above 0. "
        "Choose another transform, or mend the values"
    )
    check_transform(table, "y", np.array([1.0, 0.0, -0.5]), transform="log1p")
    check_transform(table, "y", np.array([-5.0]), transform=None)
