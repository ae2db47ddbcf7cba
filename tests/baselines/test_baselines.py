"""Baselines against forecasts worked out by hand, and against what they should win on."""

import numpy as np
import polars as pl
import pytest

from recurra.baselines import ARIMA, BASELINES, Drift, Naive, SeasonalNaive
from recurra.data import Columns, build_series, to_table
from recurra.data.windows import Cutoffs
from recurra.models.plan import Plan

NAN = float("nan")


def make_series(*values, missing=None):
    frames = [pl.DataFrame({"unique_id": str(i), "ds": range(len(v)), "y": v}) for i, v in enumerate(values)]
    return build_series(to_table(pl.concat(frames)), Columns(), freq=1, missing=missing)


def make_plan(horizon, periods=()):
    return Plan(
        horizon=horizon,
        periods=periods,
        lookback=8,
        season=1,
        scaling="standard",
        spread=1.0,
        yearly=False,
        min_context=1,
        held_back_count=1,
        held_back_stride=1,
    )


def forecast(model, series, positions, horizon=3, periods=()):
    model.fit(series, make_plan(horizon, periods))
    owner = np.searchsorted(series.offsets, np.array(positions) - 1, side="right") - 1
    return model.predict(series, Cutoffs(owner, np.array(positions)))[:, :, 0].tolist()


def test_naive_keeps_the_last_value():
    series = make_series([1.0, 2.0, 5.0, 3.0], [7.0, 8.0])
    assert forecast(Naive(), series, [3, 5]) == [[5, 5, 5], [7, 7, 7]]


def test_naive_passes_over_what_was_not_observed_but_not_into_another_series():
    with pytest.warns(UserWarning, match="is empty"):
        series = make_series([1.0, 2.0], [None, 4.0, None, 6.0], missing="mask")
    assert forecast(Naive(), series, [3, 5], horizon=1) == [[0], [4]]


def test_seasonal_naive_repeats_the_season():
    series = make_series([1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 9.0])
    assert forecast(SeasonalNaive(), series, [6], horizon=5, periods=(3,)) == [[1, 2, 3, 1, 2]]
    assert forecast(SeasonalNaive(), series, [6], horizon=2) == [[3, 3]]


def test_seasonal_naive_takes_the_period_that_did_better():
    t = np.arange(400)
    fortnight = np.where((t // 7) % 2, 5.0, 1.0) + t % 7
    model = SeasonalNaive()
    model.fit(make_series(fortnight), make_plan(7, periods=(7, 14)))
    assert model.period == 14
    model.fit(make_series(t % 7 * 1.0), make_plan(7, periods=(7, 14)))
    assert model.period == 7


def test_seasonal_naive_takes_the_last_value_where_the_season_lies_before_the_start():
    series = make_series([4.0, 5.0, 6.0, 7.0])
    assert forecast(SeasonalNaive(), series, [2], horizon=2, periods=(3,)) == [[5, 4]]


def test_drift_continues_the_line_through_the_ends():
    series = make_series([1.0, 9.0, 5.0, 0.0], [3.0, 3.0])
    assert forecast(Drift(), series, [3, 6]) == [[7, 9, 11], [3, 3, 3]]
    assert forecast(Drift(), series, [1], horizon=2) == [[1, 1]]


def test_drift_takes_its_line_through_what_was_observed():
    with pytest.warns(UserWarning, match="is empty"):
        late = make_series([None] * 100 + [float(i) for i in range(100, 200)] + [None] * 10, missing="mask")
    assert forecast(Drift(), late, [200], horizon=2) == [[200, 201]]
    assert forecast(Drift(), late, [210], horizon=2) == [[210, 211]]
    assert forecast(Drift(), late, [50], horizon=2) == [[0, 0]]


def test_arima_finds_an_autoregression():
    generator = np.random.default_rng(0)
    noise = generator.normal(size=2000)
    values = np.zeros(2000)
    for t in range(1, 2000):
        values[t] = 0.8 * values[t - 1] + noise[t]
    series = make_series(values)
    model = ARIMA()
    positions = list(range(1500, 2000, 10))
    ahead = np.array(forecast(model, series, positions, horizon=2))
    best = np.stack([0.8 * values[np.array(positions) - 1], 0.64 * values[np.array(positions) - 1]], axis=1)
    assert np.abs(ahead - best).mean() < 0.15


def test_arima_with_a_season_and_a_trend_goes_on():
    t = np.arange(300)
    values = 0.1 * t + np.sin(2 * np.pi * t / 12)
    ahead = np.array(forecast(ARIMA(), make_series(values), [288], horizon=12, periods=(12,)))
    assert np.abs(ahead[0] - values[288:]).max() < 0.05


@pytest.mark.parametrize("values", [[5.0] * 60, [1.0, 2.0, 4.0] * 20, [3.0, 4.0]])
def test_arima_is_finite_on_constant_short_and_exact_series(values):
    ahead = forecast(ARIMA(), make_series(values), [len(values)], horizon=3)
    assert np.isfinite(ahead).all()
    if len(set(values)) == 1:
        assert ahead == [[5, 5, 5]]


def test_arima_bears_missing_values():
    values = np.sin(np.arange(120) / 5)
    holes = [None if i in (10, 50, 51, 118) else v for i, v in enumerate(values)]
    with pytest.warns(UserWarning, match="is empty"):
        series = make_series(holes, missing="mask")
    assert np.isfinite(forecast(ARIMA(), series, [120])).all()


def test_no_baseline_looks_at_or_after_the_cutoff():
    values = np.random.default_rng(1).normal(size=80).cumsum()
    changed = np.concatenate([values[:60], np.full(20, 1e6)])
    for model in (Naive, SeasonalNaive, Drift, ARIMA):
        before, after = model(), model()
        for fitted, data in ((before, values), (after, changed)):
            fitted.fit(make_series(data), make_plan(3, (7,)), held_back=20)
        cutoffs = Cutoffs(np.array([0]), np.array([60]))
        first = before.predict(make_series(values), cutoffs)
        assert (first == after.predict(make_series(changed), cutoffs)).all(), model.name


def test_the_names_are_all_there():
    assert BASELINES == ("naive", "seasonal_naive", "drift", "arima", "dense", "cnn")
