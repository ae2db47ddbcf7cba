import warnings

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.data import Columns, CovariateEncoder, Table, build_series, read_table, to_table
from recurra.errors import DataError, Notice


def refusal(path, columns=None, **options):
    with pytest.raises(DataError) as caught:
        build_series(read_table(path), columns, **options)
    return str(caught.value)


def test_a_table_by_every_road_is_the_same_set(csv):
    frame = pl.DataFrame(
        {"unique_id": ["a", "a", "b", "b"], "ds": ["2024-01-01", "2024-01-02"] * 2, "y": [1.0, 2, 3, 4]}
    )
    dated = frame.with_columns(pl.col("ds").str.to_date())
    for table in (
        read_table(csv(frame.write_csv())),
        *map(to_table, (frame, dated, dated.to_pandas(), dated.to_arrow())),
    ):
        series = build_series(table)
        assert (series.ids.to_list(), series.offsets.tolist()) == (["a", "b"], [0, 2, 4])
        assert series.times.dtype == np.dtype("M8[us]")
        assert series.target.tolist() == [1, 2, 3, 4]
        assert series.frequency.every == "1d"


def test_ids_keep_their_type():
    series = build_series(Table(pl.DataFrame({"unique_id": [7, 7], "ds": [1, 2], "y": [1, 2]})))
    assert series.ids.to_list() == [7]


def test_faults_come_in_order_columns_times_numbers_duplicates_gaps(csv):
    assert "no column 'x'" in refusal(csv("ds,y\nsoon,abc\n"), Columns(target="x"))
    assert "dates are needed" in refusal(csv("ds,y\nsoon,abc\n"))
    assert "numbers are needed" in refusal(csv("ds,y\n1,abc\n1,2\n"))
    assert "twice" in refusal(csv("ds,y\n1,1\n1,2\n3,\n"))
    assert "is empty" in refusal(csv("ds,y\n1,1\n2,\n"))


def test_inf_and_log_are_refused_and_1e30_passes(csv):
    assert refusal(csv("ds,y\n1,1\n2,inf\n")).startswith("sales.csv line 3: column 'y' is inf.")
    assert "line 3: column 'y' is -2; --transform log needs values above 0" in refusal(
        csv("ds,y\n1,1\n2,-2\n"), transform="log"
    )
    assert build_series(read_table(csv("ds,y\n1,1e30\n2,-1e30\n"))).target.tolist() == [1e30, -1e30]


def test_a_constant_series_with_constant_covariates_is_accepted(csv):
    series = build_series(read_table(csv("ds,y,price\n1,5,3\n2,5,3\n3,5,3\n")), Columns(past=("price",)))
    assert series.standardized("past").tolist() == [[0], [0], [0]]


def test_lines_in_messages_count_what_the_reader_skipped(csv):
    assert refusal(csv("ds,y\n\n1,1\n2,abc\n")).startswith("sales.csv line 4:")


def test_a_given_encoder_is_not_fitted_again(csv):
    encoder = CovariateEncoder({"price": (10.0, 2.0)}, {})
    series = build_series(read_table(csv("ds,y,price\n1,5,12\n2,5,8\n")), Columns(future=("price",)), encoder=encoder)
    assert series.future.tolist() == [[12], [8]]
    assert series.standardized("future").tolist() == [[1], [-1]]
    assert series.encoder is encoder


def test_a_static_covariate_that_changes_is_refused_with_its_line(csv):
    path = csv("unique_id,ds,y,size\na,1,1,5\nb,1,1,6\na,2,1,5\nb,2,1,7\n")
    assert refusal(path, Columns(static=("size",))) == (
        "sales.csv line 5: the static covariate 'size' of series 'b' is not what it was on line 3; "
        "a static one never changes: make it --past or --future"
    )


def test_daylight_saving_does_not_bend_an_hourly_grid(csv):
    stamps = ["01:00+02:00", "02:00+02:00", "02:00+01:00", "03:00+01:00"]
    path = csv("ds,y\n" + "".join(f"2024-10-27 {stamp},1\n" for stamp in stamps))
    series = build_series(read_table(path))
    assert series.frequency.every == "1h"
    assert series.times[0] == np.datetime64("2024-10-26T23:00")


def test_ten_thousand_series_are_quick():
    n = 10_000
    ids, steps = np.repeat(np.arange(n), 5), np.tile(np.arange(5), n)
    series = build_series(Table(pl.DataFrame({"unique_id": ids, "ds": steps, "y": steps * 1.0})))
    assert len(series) == n
    assert series.head(drop=1).target.sum() == n * 6


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(range(12)), holes=st.sets(st.integers(1, 4), max_size=3))
def test_the_order_of_rows_never_changes_the_set(order, holes):
    rows = [(s, t, 10.0 * t) for s in "ab" for t in range(6) if not (s == "a" and t in holes)]
    shuffled = [rows[k] for k in order if k < len(rows)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Notice)
        series = build_series(
            Table(pl.DataFrame(shuffled, schema=["unique_id", "ds", "y"], orient="row")), freq=1, missing="interpolate"
        )
    for k in range(len(series)):
        own = slice(series.offsets[k], series.offsets[k + 1])
        assert series.times[own].tolist() == list(range(6))
        gone = series.ids[k] == "a" and np.isin(np.arange(6), list(holes))
        np.testing.assert_array_equal(series.target[own], np.where(gone, np.nan, 10.0 * np.arange(6)))
