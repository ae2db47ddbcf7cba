"""Windows see what they may: their own series, before their cutoff, without copies of the table."""

import numpy as np
import polars as pl
import pytest

from recurra.data import Columns, build_series, to_table
from recurra.data.scaling import Scaler
from recurra.data.windows import Cutoffs, Windows, extend, rolling_cutoffs, training_cutoffs


def make_series(lengths=(12, 5, 20), **columns):
    start = np.datetime64("2024-01-01")
    frames = []
    for number, length in enumerate(lengths):
        values = 100.0 * (number + 1) + np.arange(length)
        extra = {name: values * factor for name, factor in columns.items()}
        frames.append(pl.DataFrame({"unique_id": str(number), "ds": start + np.arange(length), "y": values, **extra}))
    return build_series(to_table(pl.concat(frames)), Columns(past=tuple(columns)), missing="mask")


def windows(series, lookback=4, horizon=3):
    return Windows(series, lookback=lookback, horizon=horizon, season=1, scaler=Scaler("standard"))


def test_training_cutoffs_are_all_those_that_fit():
    series = make_series()
    cutoffs = training_cutoffs(series, horizon=3, min_context=4, held_back=2)
    expected = [(s, series.offsets[s] + p) for s, n in enumerate((12, 5, 20)) for p in range(4, n - 2 - 3 + 1)]
    assert list(zip(cutoffs.series.tolist(), cutoffs.position.tolist(), strict=True)) == expected


def test_rolling_cutoffs_count_back_from_each_end():
    series = make_series()
    cutoffs = rolling_cutoffs(series, horizon=3, count=2, stride=4, min_context=2, held_back=1)
    local = (cutoffs.position - series.offsets[cutoffs.series]).tolist()
    assert list(zip(cutoffs.series.tolist(), local, strict=True)) == [(0, 4), (0, 8), (2, 12), (2, 16)]


def test_a_window_holds_its_own_past_and_future():
    series = make_series()
    batch = windows(series).batch(Cutoffs(np.array([2]), series.offsets[[2]] + 10))
    values = batch.scaling.undo(batch.context.numpy())
    assert values[0].tolist() == pytest.approx([306, 307, 308, 309])
    assert batch.scaling.undo(batch.target.numpy())[0].tolist() == pytest.approx([310, 311, 312])


def test_a_window_never_reaches_into_a_neighbouring_series():
    series = make_series()
    at_start = Cutoffs(np.array([1]), series.offsets[[1]] + 2)
    batch = windows(series).batch(at_start)
    assert batch.observed[0].tolist() == [0, 0, 1, 1]
    assert windows(series).context(at_start)[0, 2:].tolist() == [200, 201]
    at_end = Cutoffs(np.array([1]), series.offsets[[2]] - 1)
    assert np.isnan(windows(series).truth(at_end)[0]).tolist() == [False, True, True]
    assert np.isnan(windows(series).batch(at_end).target[0].numpy()).tolist() == [False, True, True]


@pytest.mark.parametrize("column", ["target", "past"])
def test_nothing_after_the_cutoff_reaches_the_context(column):
    series = make_series(visits=2.0)
    cutoffs = training_cutoffs(series, horizon=3, min_context=4)
    before = windows(series).batch(cutoffs)
    changed = getattr(series, column).copy()
    cut = int(series.offsets[2] + 10)
    changed[cut:] = 1e6
    object.__setattr__(series, column, changed)
    after = windows(series).batch(cutoffs)
    early = cutoffs.position <= cut
    for name in ("context", "observed", "past", "static"):
        assert (getattr(before, name)[early] == getattr(after, name)[early]).all(), name
    assert (before.scaling.scale[early] == after.scaling.scale[early]).all()
    part = "past" if column == "past" else "context"
    assert (getattr(before, part)[~early] != getattr(after, part)[~early]).any()


def test_gaps_in_the_context_carry_the_last_value():
    series = make_series((12,))
    series.target[[5, 6]] = np.nan
    batch = windows(series).batch(Cutoffs(np.array([0]), np.array([8])))
    assert batch.scaling.undo(batch.context.numpy())[0].tolist() == pytest.approx([104, 104, 104, 107])
    assert batch.observed[0].tolist() == [1, 0, 0, 1]


def test_holes_lie_on_lines_between_what_the_window_itself_holds():
    series = make_series((12,))
    series.target[:] = np.arange(12.0) ** 2
    series.target[[5, 6, 9]] = np.nan
    object.__setattr__(series, "interpolated", True)
    batch = windows(series, lookback=6).batch(Cutoffs(np.array([0, 0]), np.array([8, 10])))
    values = batch.scaling.undo(batch.context.numpy())
    assert values[0].tolist() == pytest.approx([4, 9, 16, 27, 38, 49], rel=1e-5)
    assert values[1].tolist() == pytest.approx([16, 27, 38, 49, 64, 64], rel=1e-5)  # the next value is not known yet
    assert batch.observed[1].tolist() == [1, 1, 1, 1, 1, 0]


def test_extending_adds_unknown_steps_with_the_calendar_gone_on():
    series = make_series((3, 2))
    longer = extend(series, horizon=2)
    assert longer.lengths.tolist() == [5, 4]
    assert np.isnan(longer.target).tolist() == [False] * 3 + [True] * 2 + [False] * 2 + [True] * 2
    assert longer.times[3:5].astype("M8[D]").astype(str).tolist() == ["2024-01-04", "2024-01-05"]
    assert longer.times[7:].astype("M8[D]").astype(str).tolist() == ["2024-01-03", "2024-01-04"]


def test_windows_are_views_until_a_batch_is_asked_for():
    series = make_series((1000,))
    view = windows(series, lookback=100, horizon=50)
    assert np.shares_memory(view._target[0], view._target[1])
    assert view._target.base is not None
