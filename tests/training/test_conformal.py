"""Calibrated intervals cover what they promise, on data whose quantiles the forecaster gets wrong."""

import numpy as np
import pytest

from recurra.training.conformal import calibrate, interpolate_quantiles, window_overlap

QUANTILES = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


def windows(seed, count=400, horizon=6):
    generator = np.random.default_rng(seed)
    scale = np.exp(generator.normal(size=count))
    noise = generator.standard_t(4, size=(count, horizon)) * np.arange(1, horizon + 1)
    return noise * scale[:, None], scale


@pytest.mark.parametrize("columns", [1, 5], ids=["point", "quantiles"])
def test_coverage_on_new_windows(columns):
    truth, scale = windows(0)
    guess = np.zeros((*truth.shape, columns)) + np.linspace(-0.1, 0.1, columns)  # far too narrow
    calibration = calibrate(guess, truth, scale, quantiles=QUANTILES)
    new, new_scale = windows(1, count=4000)
    guess = np.zeros((*new.shape, columns)) + np.linspace(-0.1, 0.1, columns)
    bounds = calibration.apply(guess, new_scale)
    for low, high, level in ((0, 4, 0.9), (1, 3, 0.5)):
        inside = (new >= bounds[..., low]) & (new <= bounds[..., high])
        assert inside.mean() == pytest.approx(level, abs=0.02)
    by_step = ((new >= bounds[..., 0]) & (new <= bounds[..., 4])).mean(axis=0)
    assert by_step.min() > 0.86  # 400 scores a step: every step is calibrated by its own


def test_the_point_is_never_moved_and_bounds_never_cross():
    truth, scale = windows(2, count=30)
    guess = np.random.default_rng(3).normal(size=(*truth.shape, 5))
    bounds = calibrate(guess, truth, scale, quantiles=QUANTILES).apply(guess, scale)
    assert (bounds[..., 2] == guess[..., 2]).all()
    assert (np.diff(bounds, axis=-1) >= 0).all()


def test_the_finite_sample_rank():
    truth = np.arange(1.0, 20.0)[:, None]  # 19 scores 1 .. 19; ceil(20 * 0.95) = 19, floor(20 * 0.05) = 1
    calibration = calibrate(np.zeros((19, 1, 1)), truth, np.ones(19), quantiles=np.array([0.05, 0.5, 0.95]))
    assert calibration.shifts.tolist() == [[1.0, 0.0, 19.0]]


def test_windows_whose_errors_go_together_count_as_few():
    generator = np.random.default_rng(0)
    separate = generator.normal(size=(300, 4))
    owners = np.repeat([0, 1, 2], 100)
    assert window_overlap(separate, owners) == pytest.approx(1.0, abs=0.15)
    moving = np.lib.stride_tricks.sliding_window_view(generator.normal(size=4009), 10).mean(axis=1)  # 10 shared steps
    assert window_overlap(moving[:, None], np.zeros(4000, dtype=np.int64)) == pytest.approx(10, rel=0.15)
    assert window_overlap(np.full((300, 4), np.nan), owners) == 1.0
    assert window_overlap(np.ones((300, 4)), np.arange(300)) == 1.0


def test_too_few_windows_for_a_rank_widen_the_largest_score():
    truth = np.array([[1.0], [-3.0], [2.0]])
    shifts = calibrate(np.zeros((3, 1, 1)), truth, np.ones(3), quantiles=np.array([0.05, 0.5, 0.95])).shifts
    factor = 2.1318 / 1.6449  # Student's t with 4 degrees of freedom over the normal, at 0.95
    assert shifts[0].tolist() == pytest.approx([-3 * factor, 0, 2 * factor], rel=1e-3)
    low_side = calibrate(np.zeros((1, 1, 1)), np.array([[-2.0]]), np.ones(1), quantiles=np.array([0.5, 0.95])).shifts
    assert low_side[0].tolist() == [0.0, -2.0]  # a largest score below the point is not moved further down


def test_few_windows_make_wide_intervals():
    truth, scale = windows(0, count=60)
    guess = np.zeros((60, 6, 1))
    wide, narrow = (calibrate(guess, truth, scale, quantiles=QUANTILES, overlap=o).shifts for o in (12.0, 1.0))
    assert (wide[:, -1] > narrow[:, -1]).all()
    assert (wide[:, 0] < narrow[:, 0]).all()


def test_interpolation_between_known_quantiles():
    values = np.array([0.0, 10.0, 20.0])
    known = np.array([0.1, 0.5, 0.9])
    assert interpolate_quantiles(values, known, np.array([0.1, 0.3, 0.5, 0.9])).tolist() == pytest.approx(
        [0, 5, 10, 20]
    )
