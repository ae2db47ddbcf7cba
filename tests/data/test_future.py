import numpy as np
import polars as pl
import pytest

from recurra.data import Columns, CovariateEncoder, Frequency, Table, future_values
from recurra.errors import DataError

COLUMNS = Columns(future=("price",))
ENCODER = CovariateEncoder({"price": (0.0, 1.0)}, {})
IDS = pl.Series(["a", "b"])
EXPECTED = Frequency("1d").next(np.array(["2024-01-31"] * 2, "M8[us]"), 2)


def rows(*lines):
    return Table(pl.DataFrame(lines, schema=["unique_id", "ds", "price"], orient="row"), "plan.csv", text=True)


FULL = [("b", "2024-02-02", "4"), ("a", "2024-02-01", "1"), ("a", "2024-02-02", "2"), ("b", "2024-02-01", "3")]


def read(*lines, ids=IDS, expected=EXPECTED):
    return future_values(rows(*lines), COLUMNS, ENCODER, ids, expected, frequency=Frequency("1d"))


def refusal(*lines, **options):
    with pytest.raises(DataError) as caught:
        read(*lines, **options)
    return str(caught.value)


def test_rows_in_any_order_and_beyond_the_horizon():
    values = read(*FULL, ("a", "2024-02-03", "n/a"))
    assert values[:, :, 0].tolist() == [[1, 2], [3, 4]]
    assert values.dtype == np.float64


def test_missing_dates_are_listed_with_their_count():
    assert refusal(*FULL[:2]) == (
        "plan.csv lacks 2 rows of future covariates: series 'a' 2024-02-02, series 'b' 2024-02-01. "
        "Add one row for every series and step of the horizon"
    )
    long = Frequency("1d").next(np.array(["2024-01-31"] * 2, "M8[us]"), 30)
    assert "lacks 56 rows" in refusal(*FULL, expected=long)
    assert "series 'a' 2024-02-07 and 51 more." in refusal(*FULL, expected=long)


def test_unknown_series_empty_cells_and_duplicates_are_named():
    assert "plan.csv line 6: series 'aa' is unknown to the model; did you mean 'a'?" in refusal(
        *FULL, ("aa", "2024-02-01", "1")
    )
    empty = [(*row[:2], "") if row[0] == "b" else row for row in FULL]
    assert refusal(*empty) == "plan.csv line 5: the future covariate 'price' is empty; 1 row like it. Fill it"
    assert refusal(*FULL, FULL[1]) == "plan.csv line 3 and line 6 hold the same series and 'ds'; remove one"


def test_numbers_for_ids_match_text():
    lines = [("1", "2024-02-01", "1"), ("1", "2024-02-02", "2")]
    assert read(*lines, ids=pl.Series([1]), expected=EXPECTED[:1])[0, :, 0].tolist() == [1, 2]


def test_whole_numbers_for_dates_are_refused():
    assert "disagree: dates or whole numbers" in refusal(("a", "1", "1"))
