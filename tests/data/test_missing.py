import numpy as np
import pytest

from recurra.data import Columns, build_series, read_table
from recurra.errors import ArgumentError, DataError, Notice

#        line 2      3      4 (2 steps missing before)  5        6 (series b)
HOLES = "unique_id,ds,y\na,1,10\na,2,\na,5,40\na,6,n/a\nb,1,7\nb,2,8\n"


def build(path, missing, columns=None):
    with pytest.warns(Notice) as caught:
        series = build_series(read_table(path), columns, missing=missing)
    assert len(caught) == 1
    return series, str(caught[0].message)


def test_gaps_and_empty_cells_are_refused_with_places_and_counts(csv):
    with pytest.raises(DataError) as caught:
        build_series(read_table(csv(HOLES)))
    assert str(caught.value) == (
        "sales.csv line 4: series 'a' jumps from 2 to 5; 2 steps of 1i are missing in 1 of 2 series; "
        "also sales.csv line 3: column 'y' is empty; 1 row like it. "
        "Clean them, or pass --missing interpolate|mask|drop"
    )


def test_a_missing_word_is_quoted(csv):
    with pytest.raises(DataError) as caught:
        build_series(read_table(csv("ds,units\n1,2\n2,n/a\n3,NA\n")), Columns(target="units"))
    assert str(caught.value) == (
        "sales.csv line 3: column 'units' holds 'n/a'; 1 row like it. "
        "Clean them, or pass --missing interpolate|mask|drop"
    )


def test_interpolate_fills_the_grid_and_leaves_the_lines_to_the_windows(csv):
    series, notice = build(csv(HOLES), "interpolate")
    assert series.times.tolist() == [1, 2, 3, 4, 5, 6, 1, 2]
    np.testing.assert_array_equal(series.target, [10, np.nan, np.nan, np.nan, 40, np.nan, 7, 8])
    assert series.interpolated
    assert notice.startswith("sales.csv line 4: series 'a' jumps from 2 to 5; 2 steps")
    assert notice.endswith("Treated by --missing interpolate")


def test_mask_keeps_nan_on_a_whole_grid(csv):
    series, _ = build(csv(HOLES), "mask")
    np.testing.assert_array_equal(series.target, [10, np.nan, np.nan, np.nan, 40, np.nan, 7, 8])
    assert series.offsets.tolist() == [0, 6, 8]


def test_drop_closes_the_gap_and_keeps_observed_times(csv):
    series, _ = build(csv(HOLES), "drop")
    assert (series.times.tolist(), series.target.tolist()) == ([1, 5, 1, 2], [10, 40, 7, 8])
    assert series.offsets.tolist() == [0, 2, 4]


def test_filling_never_crosses_into_another_series(csv):
    path = csv("unique_id,ds,y,price\na,1,1,1\na,2,1,\nb,1,1,\nb,2,1,9\n")
    series, _ = build(path, "interpolate", Columns(future=("price",)))
    np.testing.assert_allclose(series.future[:, 0], [1, 1, 9, 9])


def test_past_covariates_never_take_a_later_value(csv):
    path = csv("ds,y,visits\n1,1,\n2,1,2\n3,1,\n4,1,8\n")
    series, _ = build(path, "mask", Columns(past=("visits",)))
    np.testing.assert_array_equal(series.past[:, 0], [np.nan, 2, 2, 8])
    assert series.standardized("past")[0, 0] == 0


def test_covariates_are_filled_numbers_by_line_and_words_by_the_last(csv):
    path = csv("ds,y,price,kind\n1,1,,\n2,1,2,a\n3,1,,\n5,1,8,b\n")
    for missing in ("interpolate", "mask"):
        series, notice = build(path, missing, Columns(future=("price", "kind")))
        np.testing.assert_allclose(series.future[:, 0], [2, 2, 4, 6, 8])
        assert series.future[:, 1].tolist() == [1, 1, 1, 1, 0]
        assert "also sales.csv line 2: column 'price' is empty; 1 row like it" in notice
    assert build(path, "drop", Columns(future=("price", "kind")))[0].times.tolist() == [2, 5]


def test_months_are_filled_by_the_calendar(csv):
    path = csv("ds,y\n2024-01-31,1\n2024-02-29,2\n2024-03-31,3\n2024-05-31,5\n")
    series, _ = build(path, "interpolate")
    assert series.times.astype("M8[D]").astype(str).tolist()[2:] == ["2024-03-31", "2024-04-30", "2024-05-31"]
    np.testing.assert_array_equal(series.target, [1, 2, 3, np.nan, 5])


@pytest.mark.parametrize("missing", ["interpolate", "mask", "drop"])
def test_a_series_without_any_value_is_refused(csv, missing):
    path = csv("unique_id,ds,y\na,1,1\na,2,1\nb,1,\nb,2,NaN\n")
    with pytest.raises(DataError, match=r"sales.csv line 4: series 'b' has no value of 'y' at all\. Remove it"):
        build_series(read_table(path), missing=missing)


def test_a_stray_stamp_does_not_fill_the_memory(csv):
    path = csv("ds,y\n1,1\n2,1\n3,1\n999999999999,1\n")
    with (
        pytest.warns(Notice),
        pytest.raises(DataError, match=r"line 5: .* 999999999999 steps of 1i would be needed for 4"),
    ):
        build_series(read_table(path), missing="mask")


def test_an_unknown_policy_is_refused(csv):
    with pytest.raises(ArgumentError, match=r"missing is 'ffill'; pass --missing interpolate\|mask\|drop"):
        build_series(read_table(csv("ds,y\n1,1\n2,1\n")), missing="ffill")
