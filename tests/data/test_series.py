from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from recurra.data import Columns, Table, build_series
from recurra.errors import ArgumentError, DataError


@pytest.fixture
def series():
    """Series a (5 steps), b (2 steps), c (3 steps) with a past and a static covariate."""
    ids = ["a"] * 5 + ["b"] * 2 + ["c"] * 3
    frame = pl.DataFrame({"unique_id": ids, "ds": [*range(5), *range(2), *range(3)], "y": np.arange(10.0)})
    frame = frame.with_columns(visits=pl.col("y") * 2, region=pl.col("unique_id"))
    return build_series(Table(frame), Columns(past=("visits",), static=("region",)))


def test_layout(series):
    assert len(series) == 3
    assert series.lengths.tolist() == [5, 2, 3]
    assert series.last_times.tolist() == [4, 1, 2]
    assert series.static.tolist() == np.eye(3).tolist()
    assert (series.past_names, series.static_names, series.future_names) == (
        ("visits",),
        ("region=a", "region=b", "region=c"),
        (),
    )


def test_tail_head_and_select_cut_every_array_alike(series):
    assert series.tail(3).target.tolist() == [2, 3, 4, 5, 6, 7, 8, 9]
    head = series.head(drop=2)
    assert (head.ids.to_list(), head.target.tolist(), head.times.tolist()) == (["a", "c"], [0, 1, 2, 7], [0, 1, 2, 0])
    assert head.static.tolist() == [[1, 0, 0], [0, 0, 1]]
    chosen = series.select([2, 0])
    assert (chosen.ids.to_list(), chosen.target.tolist()) == (["c", "a"], [7, 8, 9, 0, 1, 2, 3, 4])
    np.testing.assert_array_equal(chosen.past[:, 0], series.past[[7, 8, 9, 0, 1, 2, 3, 4], 0])
    assert series.head(drop=0).target.tolist() == series.target.tolist()


@pytest.mark.parametrize(
    ("last", "following"),
    [("2020-02-29", ["2020-03-30", "2020-04-30"]), ("2020-01-30", ["2020-02-29", "2020-03-30"])],
)
def test_months_go_on_at_the_day_they_keep(last, following):
    days = pl.Series(["2019-11-30", "2019-12-30", "2020-01-30", "2020-02-29"]).str.to_date()
    days = days.filter(days <= pl.Series([last]).str.to_date().item())
    series = build_series(Table(pl.DataFrame({"ds": days, "y": range(len(days))})))
    assert series.next_times(2).astype("M8[D]").astype(str).tolist() == [following]


def test_what_cannot_be_cut_is_refused(series):
    with pytest.raises(DataError, match="the longest series has 5 steps; 6 are needed to leave out 5"):
        series.head(drop=5)
    with pytest.raises(ArgumentError, match="indices reach from 0 to 3; there are 3 series"):
        series.select([0, 3])
    with pytest.raises(ArgumentError, match="n_steps is 0"):
        series.tail(0)
    with pytest.raises(ArgumentError, match="drop is -1"):
        series.head(drop=-1)


def test_refit_forgets_the_scale_and_the_categories_of_the_rows_left_out(series):
    head = series.head(drop=2).refit()
    raw = 2 * head.target
    assert head.encoder.numeric["visits"] == pytest.approx((raw.mean(), raw.std()), rel=1e-6)
    np.testing.assert_allclose(head.standardized("past")[:, 0], (raw - raw.mean()) / raw.std(), atol=1e-6)
    assert head.static_names == ("region=a", "region=c")
    assert head.static.tolist() == [[1, 0], [0, 1]]


def test_until_cuts_each_series_at_its_own_place(series):
    part = series.until(np.array([2, 6, 10]))
    assert (part.lengths.tolist(), part.target.tolist()) == ([2, 1, 3], [0, 1, 5, 7, 8, 9])
    with pytest.raises(ArgumentError, match="one step at least"):
        series.until(np.array([0, 6, 10]))


def test_scaled_as_reads_covariates_on_the_other_sets_scale(series):
    head = series.head(drop=2).refit()
    mean, deviation = head.encoder.numeric["visits"]
    moved = series.scaled_as(head).standardized("past")
    np.testing.assert_allclose(moved[:, 0], (2 * series.target - mean) / deviation, atol=1e-6)
    assert moved.dtype == np.float32
    assert series.scaled_as(head).static.tolist() == [[1, 0], [0, 0], [0, 1]]


def test_shapes_are_checked(series):
    with pytest.raises(ArgumentError, match="target has 9 rows, times have 10"):
        replace(series, target=series.target[1:])
    with pytest.raises(ArgumentError, match="offsets are not 0 to 10 in 4 entries"):
        replace(series, offsets=series.offsets[:-1])
