"""Scaling of windows: each window is brought to a common size by its own past alone.

A window's context c_1 .. c_L (its observed values) gives a location and a scale; the network sees
(value - location) / scale and its output is brought back by the inverse. Computed in float64, so that series of
1e-30 or 1e30 reach the network as numbers near one; a constant context has no spread and is scaled by its size.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Scaling", "ScalingName", "window_scaling"]

ScalingName = Literal["mean", "standard"]

_FLAT = 1e-9  # a spread below this share of the size is rounding, not signal


class Scaling(NamedTuple):
    """One location and scale a window, each of shape (window,), float64; scales are positive and finite."""

    location: NDArray[np.float64]
    scale: NDArray[np.float64]

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float32]:
        """Values (window, ...) in the target's units to scaled float32."""
        shape = (-1,) + (1,) * (values.ndim - 1)
        return ((values - self.location.reshape(shape)) / self.scale.reshape(shape)).astype(np.float32)

    def undo(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Scaled values (window, ...) back to the target's units."""
        shape = (-1,) + (1,) * (values.ndim - 1)
        return values.astype(np.float64) * self.scale.reshape(shape) + self.location.reshape(shape)


def window_scaling(context: NDArray[np.float64], *, by: ScalingName) -> Scaling:
    """The scaling of each window by its context (window, lookback); NaN marks what was not observed.

    Args:
        context: past values in the target's units.
        by: "mean" divides by the mean size, which keeps ratios (a series of counts or loads, all of one sign);
            "standard" subtracts the mean and divides by the standard deviation.

    >>> window_scaling(np.array([[2.0, np.nan, 4.0]]), by="mean").scale
    array([3.])
    >>> window_scaling(np.array([[7.0, 7.0, 7.0]]), by="standard")
    Scaling(location=array([7.]), scale=array([7.]))
    """
    seen = ~np.isnan(context)
    count = np.maximum(seen.sum(axis=1), 1)
    size = np.where(seen, np.abs(context), 0.0).max(axis=1)  # dividing first keeps squares of 1e200 finite
    unit = np.where(size > 0, size, 1.0)
    shares = np.where(seen, context, 0.0) / unit[:, None]
    mean = shares.sum(axis=1) / count
    if by == "mean":
        spread = np.abs(shares).sum(axis=1) / count
    else:
        spread = np.sqrt((np.where(seen, shares - mean[:, None], 0.0) ** 2).sum(axis=1) / count)
        spread = np.where(spread > _FLAT, spread, np.abs(mean))
    scale = np.where(spread > _FLAT, spread, 1.0) * unit
    return Scaling(location=mean * unit, scale=scale)
