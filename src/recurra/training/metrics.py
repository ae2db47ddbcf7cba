"""Measures of forecasts, in float64, over windows: arrays are (window, horizon) and a NaN in the truth is left out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Scores", "coverage", "mae", "mase", "r2", "rmse", "score", "seasonal_scale", "smape"]

Array = NDArray[np.float64]


class Scores(NamedTuple):
    """One forecaster's measures on one set of windows."""

    mae: float
    rmse: float
    r2: float
    mase: float
    smape: float
    coverage: float
    """Share of the truths inside the interval, 0 to 1; NaN without intervals."""
    width: float
    """Mean width of the interval in the target's units; NaN without intervals."""


def mae(truth: Array, forecast: Array) -> float:
    """Mean absolute error, in the target's units."""
    return _mean(np.abs(truth - forecast))


def rmse(truth: Array, forecast: Array) -> float:
    """Root of the mean squared error, in the target's units."""
    error = truth - forecast
    size = _size(error)
    return float(size * np.sqrt(_mean((error / size) ** 2)))


def r2(truth: Array, forecast: Array) -> float:
    """Coefficient of determination, 1 - SS_res / SS_tot; NaN when the truth is constant.

    >>> r2(np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 2.0, 3.0]]))
    1.0
    """
    seen = ~np.isnan(truth)
    if not seen.any():
        return float("nan")
    spread = truth[seen] - truth[seen].mean()
    size = _size(spread)
    total = float(((spread / size) ** 2).sum())
    return 1.0 - float((((truth - forecast)[seen] / size) ** 2).sum()) / total if total > 0 else float("nan")


def smape(truth: Array, forecast: Array) -> float:
    """Symmetric mean absolute percentage error as in M4, 0 to 200: mean of 200 |y - f| / (|y| + |f|), 0 for 0 / 0."""
    size = np.abs(truth) + np.abs(forecast)
    each = np.divide(200 * np.abs(truth - forecast), size, out=np.zeros_like(size), where=size != 0)
    return _mean(np.where(np.isnan(truth), np.nan, each))


def seasonal_scale(history: Array, period: int) -> float:
    """The denominator of MASE: mean |y_t - y_(t-period)| of the history (Hyndman and Koehler 2006); NaN if it is 0."""
    if len(history) <= period:
        return float("nan")
    scale = _mean(np.abs(history[period:] - history[:-period]))
    return scale if scale > 0 else float("nan")


def mase(truth: Array, forecast: Array, scale: Array) -> float:
    """Mean absolute scaled error: each window's MAE over its series' `scale` (window,), averaged over windows.

    Windows whose scale is NaN (a constant or too short history) have no MASE and are left out.
    """
    error = np.abs(truth - forecast)
    seen = ~np.isnan(error)
    count = seen.sum(axis=1)
    each = np.where(seen, error, 0.0).sum(axis=1) / np.where(count > 0, count, 1)
    return _mean(np.where(count > 0, each, np.nan) / scale)


def coverage(truth: Array, low: Array, high: Array) -> float:
    """Share of the truths with low <= y <= high, 0 to 1."""
    inside = ((truth >= low) & (truth <= high)).astype(float)
    return _mean(np.where(np.isnan(truth), np.nan, inside))


def score(
    truth: Array, forecast: Array, scale: Array, *, low: Array | None = None, high: Array | None = None
) -> Scores:
    """All measures of one forecaster on windows (window, horizon); `scale` (window,) is `seasonal_scale`'s."""
    has_interval = low is not None and high is not None
    return Scores(
        mae=mae(truth, forecast),
        rmse=rmse(truth, forecast),
        r2=r2(truth, forecast),
        mase=mase(truth, forecast, scale),
        smape=smape(truth, forecast),
        coverage=coverage(truth, low, high) if has_interval else float("nan"),  # type: ignore[arg-type]
        width=_mean(np.where(np.isnan(truth), np.nan, high - low)) if has_interval else float("nan"),  # type: ignore[operator]
    )


def _size(values: Array) -> float:
    """The largest absolute value, 1 where all are 0: dividing by it keeps the squares of 1e200 finite."""
    return float(np.abs(values[~np.isnan(values)]).max(initial=0.0)) or 1.0


def _mean(values: Array) -> float:
    seen = values[~np.isnan(values)]
    return float(seen.mean()) if seen.size else float("nan")
