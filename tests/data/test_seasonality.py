"""Periods are found where there are some, and not where there are none."""

import numpy as np
import polars as pl
import pytest

from recurra.data import Columns, build_series, to_table
from recurra.data.seasonality import autocorrelation, find_periods
from recurra.errors import Notice


def series_of(values, every="1h"):
    if every == "1i":
        ds = np.arange(len(values))
    else:
        step = {"1h": np.timedelta64(1, "h"), "1d": np.timedelta64(1, "D")}[every]
        ds = np.datetime64("2024-01-01", "us") + step * np.arange(len(values))
    return build_series(to_table(pl.DataFrame({"ds": ds, "y": values})), Columns(), missing="mask")


@pytest.fixture
def noise():
    return np.random.default_rng(0).normal(size=1000)


def test_a_day_in_hours(noise):
    t = np.arange(1000)
    assert find_periods(series_of(np.sin(2 * np.pi * t / 24) + 0.3 * noise)) == (24,)


def test_a_day_and_a_week(noise):
    t = np.arange(1000)
    weekend = (t // 24) % 7 >= 5
    values = np.sin(2 * np.pi * t / 24) * np.where(weekend, 0.2, 1.0) + 0.1 * noise
    assert find_periods(series_of(values)) == (24, 168)


def test_a_trend_does_not_hide_a_period(noise):
    t = np.arange(1000)
    assert find_periods(series_of(0.05 * t**1.2 + np.sin(2 * np.pi * t / 24) + 0.2 * noise)) == (24,)


@pytest.mark.parametrize("period", [10, 37])
def test_a_period_the_calendar_does_not_know(noise, period):
    t = np.arange(1000)
    assert find_periods(series_of(np.sin(2 * np.pi * t / period) + 0.2 * noise, "1i")) == (period,)


def test_noise_a_walk_and_a_constant_have_none(noise):
    assert find_periods(series_of(noise)) == ()
    for seed in range(5):
        walk = np.cumsum(np.random.default_rng(seed).normal(size=1000))
        assert find_periods(series_of(walk, "1i")) == ()
        assert find_periods(series_of(walk)) == ()
    assert find_periods(series_of(np.full(500, 3.0))) == ()
    assert find_periods(series_of(noise[:5])) == ()


def test_gaps_do_not_hide_a_period(noise):
    values = np.sin(2 * np.pi * np.arange(1000) / 24) + 0.2 * noise
    values[100:130] = np.nan
    with pytest.warns(Notice, match="29 rows like it"):
        series = series_of(values)
    assert find_periods(series) == (24,)


def test_autocorrelation_by_hand():
    assert autocorrelation(np.array([1.0, -1.0, 1.0, -1.0]), 2).tolist() == pytest.approx([1, -1, 1])
