"""What is decided from the data, and what is refused."""

import numpy as np
import polars as pl
import pytest

from recurra.data import Columns, build_series, to_table
from recurra.errors import ArgumentError, DataError, Notice
from recurra.models.plan import NetworkOptions, make_plan


def hourly(length, count=1, weekly=False, seed=0):
    generator = np.random.default_rng(seed)
    t = np.arange(length)
    size = np.where((t // 24) % 7 >= 5, 0.2, 1.0) if weekly else 1.0
    ds = np.datetime64("2024-01-01", "us") + np.timedelta64(1, "h") * t
    frames = [
        pl.DataFrame(
            {
                "unique_id": str(i),
                "ds": ds,
                "y": size * np.sin(2 * np.pi * t / 24) + 0.1 * generator.normal(size=length),
            }
        )
        for i in range(count)
    ]
    return build_series(to_table(pl.concat(frames)), Columns())


def plan_of(series, horizon=24, comparable=True, **options):
    return make_plan(series, NetworkOptions(**options), horizon=horizon, comparable=comparable)


def test_a_day_a_step_and_a_fortnight_of_lookback_for_a_weekly_rhythm():
    plan = plan_of(hourly(1500, weekly=True))
    assert (plan.periods, plan.season, plan.lookback, plan.long_period) == ((24, 168), 24, 336, 168)


def test_a_single_short_period_gets_eight_seasons():
    plan = plan_of(hourly(1500))
    assert (plan.periods, plan.season, plan.lookback) == ((24,), 24, 192)


def test_short_series_get_as_many_whole_seasons_as_fit():
    plan = plan_of(hourly(300))
    assert plan.lookback % 24 == 0
    assert plan.lookback + 24 + 2 * plan.held_back_steps <= 300
    assert plan.lookback >= 48


def test_a_horizon_within_a_season_is_read_sample_by_sample_if_the_lookback_is_short():
    assert plan_of(hourly(1500), horizon=23, lookback=96).season == 1
    assert plan_of(hourly(1500), horizon=23, lookback=192).season == 24
    assert plan_of(hourly(1500), horizon=24, lookback=96).season == 24


def test_the_day_of_the_year_is_told_only_to_tables_of_years():
    days = np.datetime64("2016-01-01") + np.arange(1500)
    table = pl.DataFrame({"ds": days, "y": np.random.default_rng(0).normal(size=1500)})
    assert plan_of(build_series(to_table(table)), horizon=3).yearly
    assert not plan_of(build_series(to_table(table.head(1400))), horizon=3).yearly


def test_a_short_series_among_long_ones_does_not_shrink_the_lookback():
    parts = (("long", hourly(1500)), ("short", hourly(60, seed=1)))
    table = pl.concat([pl.DataFrame({"unique_id": name, "ds": s.times, "y": s.target}) for name, s in parts])
    with pytest.warns(Notice, match="1 of 2 series are shorter than the"):
        plan = plan_of(build_series(to_table(table), Columns()))
    assert (plan.lookback, plan.season, plan.min_context) == (192, 24, 24)


def test_what_the_user_fixed_is_kept():
    plan = plan_of(hourly(1500), lookback=50, season=10, periods=(7, 30), scaling="mean")
    assert (plan.lookback, plan.season, plan.periods, plan.scaling) == (50, 10, (7, 30), "mean")
    assert plan_of(hourly(1500), periods=()).season == 1


def test_series_of_different_sizes_are_standardised_unless_logarithms_compare_them():
    series = hourly(400, count=3)
    assert plan_of(series, comparable=False).scaling == "standard"
    assert plan_of(series, comparable=True).scaling == "recent"


def test_the_spread_is_the_distance_of_horizons_from_the_recent_level():
    series = hourly(1500)
    assert plan_of(series).spread == pytest.approx(2 / np.pi, rel=0.05)  # mean |sin| about a day's mean of 0
    flat = build_series(to_table(pl.DataFrame({"ds": range(300), "y": [7.0] * 300})), Columns())
    assert plan_of(flat, horizon=5).spread == 7.0


def test_held_back_windows_are_about_a_hundred_over_all_series_within_a_tenth():
    assert plan_of(hourly(400, count=50), horizon=12).held_back_count == 2
    one = plan_of(hourly(1500), horizon=1)
    assert (one.held_back_count, one.held_back_steps) == (100, 100)
    assert plan_of(hourly(600), horizon=12).held_back_steps <= 60


def test_too_short_series_are_refused_with_needed_and_found_counts():
    with pytest.raises(
        DataError, match=r"'0', the longest, has 90 steps; 96 are needed: at least 24 of past \+ horizon"
    ):
        plan_of(hourly(90, count=2), horizon=24)
    with pytest.raises(DataError, match=r"has 200 steps; 404 are needed: lookback 300 \+ horizon 24 \+ 80 held back"):
        plan_of(hourly(200), horizon=24, lookback=300)


def test_bad_options_are_refused_by_name():
    with pytest.raises(ArgumentError, match="hidden_size is 0: input should be greater"):
        NetworkOptions(hidden_size=0)
    with pytest.raises(ArgumentError, match=r"dropout is 1\.7"):
        NetworkOptions(dropout=1.7)
    with pytest.raises(ArgumentError, match="scaling is 'minmax'"):
        NetworkOptions(scaling="minmax")
