"""The comparison is on the same unseen windows for all, and nothing in it looks ahead."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from recurra.errors import ArgumentError, DataError, Notice
from recurra.training.metrics import mae

ALL = ["naive", "seasonal_naive", "drift", "arima", "dense", "cnn"]


@pytest.fixture(scope="session")
def result(fitted):
    return fitted.backtest(n_windows=2, baselines=ALL)


def test_every_forecaster_is_scored_on_the_same_windows(result):
    assert list(result.scores) == ["GRU", "Naive", "SeasonalNaive", "Drift", "ARIMA", "Dense", "CNN"]
    assert (result.windows, result.horizon) == (6, 7)
    assert result.forecasts.height == 6 * 7
    assert result.to_frame().columns == ["model", "mae", "rmse", "r2", "mase", "smape", "coverage", "width"]


def test_scores_are_those_of_the_rows_that_are_given(result):
    rows = result.forecasts
    for name, scores in result.scores.items():
        truth, forecast = (rows[column].to_numpy().reshape(6, 7) for column in ("y", name))
        assert scores.mae == pytest.approx(mae(truth, forecast))
        inside = (rows["y"] >= rows[f"{name}-lo-90"]) & (rows["y"] <= rows[f"{name}-hi-90"])
        assert scores.coverage == pytest.approx(inside.mean())


def test_truths_and_cutoffs_are_the_tables_own(result, table):
    joined = result.forecasts.join(table, on=["unique_id", "ds"], suffix="_table")
    assert joined.height == result.forecasts.height
    assert joined["y"].to_numpy() == pytest.approx(joined["y_table"].to_numpy())
    ahead = (result.forecasts["ds"] - result.forecasts["cutoff"]).dt.total_days()
    assert ahead.to_list() == list(range(1, 8)) * 6


@pytest.mark.parametrize("missing", [None, "interpolate", "mask"])
def test_changing_what_comes_after_a_cutoff_changes_nothing_before_it(tiny, make_table, missing):
    table = make_table(visits="past", holiday="future").with_row_index()
    if missing:
        table = table.filter(~pl.col("index").is_in([100, 193, 194, 393, 394]))  # holes on both sides of cutoffs
    cutoff = table["ds"].max() - timedelta(days=7)
    after = pl.col("ds") > cutoff
    changed = table.with_columns(
        y=pl.when(after).then(pl.col("y") * 100 + 1e5).otherwise("y"),
        visits=pl.when(after).then(1e6).otherwise("visits"),
    )

    def forecasts(data):
        forecaster = tiny(past=["visits"], future=["holiday"], missing=missing)
        rows = forecaster.backtest(data.drop("index"), n_windows=2, baselines=ALL).forecasts
        return rows.filter(pl.col("cutoff") <= cutoff).drop("y")

    if missing:
        with pytest.warns(Notice):
            before, with_change = forecasts(table), forecasts(changed)
    else:
        before, with_change = forecasts(table), forecasts(changed)
    assert before.height == 3 * 2 * 7
    assert before.equals(with_change)


def test_a_backtest_leaves_the_fitted_forecaster_as_it_was(tiny, table):
    forecaster = tiny().fit(table)
    before = forecaster.predict()
    forecaster.backtest(n_windows=1, baselines=[])
    assert forecaster.predict().equals(before)


def test_evaluate_scores_only_what_came_after_training(fitted, make_table):
    longer = make_table(length=230)
    result = fitted.evaluate(longer, baselines=["naive"])
    assert result.windows == 3 * 4  # thirty new days hold four whole weeks
    assert result.forecasts["ds"].min() == pl.Series(["2024-07-19"]).str.to_date().item()
    late = fitted.evaluate(longer, start="2024-08-01", step=1, baselines=[])
    assert late.forecasts["ds"].min() == pl.Series(["2024-08-01"]).str.to_date().item()
    assert late.windows == 3 * 11


def test_evaluate_without_new_rows_and_with_a_bad_start_is_refused(fitted, make_table):
    with pytest.raises(DataError, match="no horizon of 7 steps lies after the training table's end"):
        fitted.evaluate(make_table(length=205))
    with pytest.raises(ArgumentError, match="start is 'tomorrow'"):
        fitted.evaluate(make_table(length=230), start="tomorrow")


def test_bad_arguments_are_refused(fitted, table):
    with pytest.raises(ArgumentError, match="did you mean 'arima'"):
        fitted.backtest(baselines=["arimaa"])
    with pytest.raises(ArgumentError, match="n_windows is 0"):
        fitted.backtest(n_windows=0)
    with pytest.raises(DataError, match="are needed"):
        fitted.backtest(n_windows=50)


def test_windows_that_reach_no_further_than_their_step_do_not_overlap(result):
    keys = result.forecasts.select("unique_id", "ds")
    assert keys.is_unique().all()
    assert np.isfinite(result.forecasts.select(pl.col(pl.Float64)).to_numpy()).all()


def test_a_category_that_comes_only_after_the_cutoff_changes_nothing_before_it(tiny, make_table):
    table = make_table(count=2)
    table = table.with_columns(kind=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("a")).otherwise(pl.lit("b")))
    last = pl.col("ds") == table["ds"].max()
    changed = table.with_columns(kind=pl.when(last).then(pl.lit("new")).otherwise("kind"))
    rows = [tiny(past=["kind"]).backtest(t, n_windows=1, baselines=[]).forecasts for t in (table, changed)]
    assert rows[0].equals(rows[1])


def test_a_value_without_logarithm_after_the_cutoff_is_scored_all_the_same(tiny, make_table):
    table = make_table()
    zero = table.with_columns(y=pl.when(pl.col("ds") == table["ds"].max()).then(-1.0).otherwise("y"))
    result = tiny().backtest(zero, n_windows=1, baselines=["naive"])
    assert result.forecasts["y"].null_count() == 0
    assert np.isfinite(result.scores["GRU"].mae)


def test_evaluate_keeps_series_and_their_baselines_together(fitted, make_table):
    longer = make_table(length=230)
    new = make_table(length=100, count=1, seed=5)
    new = new.with_columns(unique_id=pl.lit("new"), ds=pl.col("ds") + pl.duration(days=130))
    with pytest.warns(Notice, match=r"'new' were not there in training"):
        mixed = fitted.evaluate(pl.concat([new, longer]), baselines=["arima"]).forecasts
    alone = fitted.evaluate(longer, baselines=["arima"]).forecasts
    arima = ["unique_id", "ds", "y", "ARIMA"]  # the intervals are calibrated on all series together
    assert mixed.filter(pl.col("unique_id") != "new").select(arima).equals(alone.select(arima))
    assert mixed.filter(unique_id="new").height > 0


def test_ids_are_compared_as_text(tiny, make_table):
    table = make_table(length=230).with_columns(unique_id=pl.col("unique_id").str.slice(1))
    early = table.filter(pl.col("ds") < pl.date(2024, 7, 19))
    forecaster = tiny().fit(early.with_columns(pl.col("unique_id").cast(pl.Int64)))
    assert forecaster.evaluate(table, baselines=[]).windows == 12
