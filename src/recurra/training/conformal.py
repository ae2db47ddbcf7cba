"""Intervals that cover: split conformal calibration of any forecaster's quantiles, on windows it has not seen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

__all__ = ["Calibration", "calibrate", "interpolate_quantiles", "window_overlap"]

Floats = NDArray[np.float64]

_INDEPENDENT = 0.05  # a correlation that counts as none
_SCORES = 200  # wanted behind each correction: neighbouring horizon steps are pooled to reach it


class Calibration(NamedTuple):
    """Corrections to add to forecast quantiles, in units of each window's scale."""

    quantiles: Floats
    """(quantile,), rising."""
    shifts: Floats
    """(horizon, quantile)."""

    def apply(self, forecast: Floats, scale: Floats) -> Floats:
        """Calibrated quantiles (window, horizon, quantile) of a forecast (window, horizon, quantile or 1).

        A forecast with one column is a point, from which every quantile is made; the median is never moved.
        """
        shifted = forecast + self.shifts[None] * scale[:, None, None]
        middle = int(np.abs(self.quantiles - 0.5).argmin())
        upper = np.maximum.accumulate(shifted[..., middle:], axis=-1)
        lower = np.minimum.accumulate(shifted[..., middle::-1], axis=-1)[..., ::-1]
        return np.concatenate([lower[..., :-1], upper], axis=-1)


def calibrate(
    forecast: Floats, truth: Floats, scale: Floats, *, quantiles: Floats, overlap: float = 1.0
) -> Calibration:
    """Each quantile's split conformal correction, one-sided (Romano, Patterson and Candes 2019, section 6).

    The scores of the quantile tau are (y - q_tau) / scale over n held-back windows; its correction is their quantile
    at ceil((n + 1) tau) / n for tau > 1/2 and at floor((n + 1) tau) / n for tau < 1/2, so that an interval between
    two corrected quantiles covers at least its level where held-back and new windows are exchangeable. Windows whose
    errors go together say less than separate ones: n counts them as `windows / overlap`, so that few make wide
    intervals. Where n is too small for a rank, the largest score is widened as Student's t with n + 1 degrees of
    freedom is wider than the normal distribution: a rule of thumb, without the guarantee. The horizon is cut into
    groups of neighbouring steps with at least 200 scores each, if there are as many.

    Args:
        forecast: (window, horizon, quantile), or (window, horizon, 1) for a point.
        truth: (window, horizon), NaN where unknown.
        scale: (window,), the size of each window's errors to be expected.
        quantiles: (quantile,), rising.
        overlap: `window_overlap` of the errors; 1 for separate windows.
    """
    horizon = truth.shape[1]
    groups = int(np.clip(truth.size // _SCORES, 1, horizon))
    shifts = np.zeros((horizon, len(quantiles)))
    scores = (truth[:, :, None] - forecast) / scale[:, None, None]
    scores = np.broadcast_to(scores, (*truth.shape, len(quantiles)))
    for steps in np.array_split(np.arange(horizon), groups):
        for column, tau in enumerate(quantiles):
            shifts[steps, column] = _corrected(scores[:, steps, column].ravel(), float(tau), len(truth) / overlap)
    return Calibration(quantiles, shifts)


def window_overlap(errors: Floats, owners: NDArray[np.int64]) -> float:
    """How many consecutive windows say as much as one separate window: 1 for errors that are independent.

        1 + 2 sum_j rho_j,  rho_j = sum_t e_t e_(t+j) / sum_t e_t^2

    over windows of one series and all steps of the horizon, until the first lag without correlation (Geyer 1992). The
    errors are not centred: a block on which a forecaster is wrong in one direction throughout says it once.

    Args:
        errors: (window, horizon), scaled; NaN where unknown.
        owners: (window,), the series of each window; a series' windows stand together, in the order of time.

    >>> window_overlap(np.array([[1.0], [-1.0], [1.0], [-1.0]]), np.zeros(4, dtype=np.int64))
    1.0
    >>> window_overlap(np.ones((4, 1)), np.zeros(4, dtype=np.int64))
    4.0
    """
    errors = np.nan_to_num(errors)
    total = float((errors**2).sum())
    overlap = 1.0
    for lag in range(1, int(np.bincount(owners).max())):
        same = owners[lag:] == owners[:-lag]
        shared = float((errors[lag:] * errors[:-lag])[same].sum())
        if total == 0 or shared <= _INDEPENDENT * total:
            break
        overlap += 2 * shared / total
    return overlap


def interpolate_quantiles(values: Floats, known: Floats, wanted: Floats) -> Floats:
    """Quantiles `wanted`, linearly between those `known`; values (..., quantile)."""
    right = np.clip(np.searchsorted(known, wanted), 1, len(known) - 1)
    left = right - 1
    share = np.clip((wanted - known[left]) / (known[right] - known[left]), 0, 1)
    return values[..., left] * (1 - share) + values[..., right] * share


def _corrected(scores: Floats, tau: float, windows: float) -> float:
    scores = scores[~np.isnan(scores)]
    if tau == 0.5 or not len(scores):
        return 0.0
    outward = max(tau, 1 - tau)
    level = float(np.ceil(round((windows + 1) * outward, 9))) / windows
    signed = scores if tau > 0.5 else -scores
    score = float(np.quantile(signed, min(1.0, level), method="inverted_cdf"))
    if level > 1 and score > 0:
        score *= float(stdtrit(windows + 1, outward) / ndtri(outward))
    return float(np.copysign(score, score * (tau - 0.5)))
