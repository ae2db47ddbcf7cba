"""Measures against values worked out by hand and the definitions of their papers."""

import numpy as np
import pytest

from recurra.training import metrics

TRUTH = np.array([[1.0, 2.0, 4.0], [2.0, np.nan, 0.0]])
FORECAST = np.array([[2.0, 2.0, 2.0], [2.0, 5.0, 0.0]])


def test_by_hand():
    assert metrics.mae(TRUTH, FORECAST) == pytest.approx(3 / 5)
    assert metrics.rmse(TRUTH, FORECAST) == pytest.approx(1.0)
    seen = np.array([1.0, 2, 4, 2, 0])
    assert metrics.r2(TRUTH, FORECAST) == pytest.approx(1 - 5 / ((seen - seen.mean()) ** 2).sum())
    assert metrics.smape(TRUTH, FORECAST) == pytest.approx(200 * (1 / 3 + 0 + 2 / 6 + 0 + 0) / 5)


def test_mase_is_scaled_by_the_seasonal_naive_of_the_history():
    history = np.array([1.0, 5.0, 2.0, 7.0, 3.0])
    assert metrics.seasonal_scale(history, 2) == pytest.approx((1 + 2 + 1) / 3)
    scale = np.array([2.0, 4.0])
    assert metrics.mase(TRUTH, FORECAST, scale) == pytest.approx((1 / 2 + 0 / 4) / 2)


def test_windows_without_a_scale_are_left_out():
    assert np.isnan(metrics.seasonal_scale(np.array([3.0, 3.0, 3.0]), 1))
    assert np.isnan(metrics.seasonal_scale(np.array([3.0]), 1))
    assert metrics.mase(TRUTH, FORECAST, np.array([2.0, np.nan])) == pytest.approx(0.5)


def test_coverage_counts_the_bounds_as_inside():
    assert metrics.coverage(TRUTH, TRUTH - 1, TRUTH) == 1.0
    low, high = np.full_like(TRUTH, 1.5), np.full_like(TRUTH, 2.5)
    assert metrics.coverage(TRUTH, low, high) == pytest.approx(2 / 5)


def test_constant_truth_has_no_r2_and_zero_over_zero_no_smape():
    assert np.isnan(metrics.r2(np.ones((1, 3)), np.ones((1, 3))))
    assert metrics.smape(np.zeros((1, 3)), np.zeros((1, 3))) == 0.0
