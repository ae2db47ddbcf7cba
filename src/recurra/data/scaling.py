"""Scaling of windows: each window is brought to a common size by its own past alone.

A window's context (its observed values) gives a location and a scale; the network sees (value - location) / scale and
its output is brought back by the inverse. Computed in float64, so that series of 1e-30 or 1e30 reach the network as
numbers near one; a constant context has no spread and is scaled by its size.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Scaler", "Scaling", "ScalingName", "roughness"]

ScalingName = Literal["recent", "standard", "mean"]
Floats = NDArray[np.float64]

FURTHEST = 1e6  # scaled values lie within: an outlier of 1e30 among values near one leaves gradients finite in float32
_FLAT = 1e-9  # a spread below this share of the size is rounding, not signal


class Scaling(NamedTuple):
    """One location and scale a window, each of shape (window,), float64; scales are positive and finite."""

    location: Floats
    scale: Floats

    def apply(self, values: Floats) -> NDArray[np.float32]:
        """Values (window, ...) in the target's units to scaled float32, cut at a million scales from the location."""
        shape = (-1,) + (1,) * (values.ndim - 1)
        scaled = (values - self.location.reshape(shape)) / self.scale.reshape(shape)
        return np.clip(scaled, -FURTHEST, FURTHEST).astype(np.float32)

    def undo(self, values: NDArray[np.floating]) -> Floats:
        """Scaled values (window, ...) back to the target's units."""
        shape = (-1,) + (1,) * (values.ndim - 1)
        return values.astype(np.float64) * self.scale.reshape(shape) + self.location.reshape(shape)


class Scaler(NamedTuple):
    """How windows are scaled.

        recent      location: mean of the last `recent` steps;  scale: `spread`, the same for all windows
        standard    location: mean of the context;              scale: its standard deviation
        mean        location: mean of the context;              scale: mean of its absolute values

    "recent" keeps what changes of size mean (one series, or logarithms of many); "standard" and "mean" make series of
    different sizes alike, "mean" keeping ratios.
    """

    name: ScalingName
    recent: int = 1
    spread: float = 1.0

    def of(self, context: Floats) -> Scaling:
        """The scaling of each window by its context (window, lookback); NaN marks what was not observed.

        >>> Scaler("mean").of(np.array([[2.0, np.nan, 4.0]])).scale
        array([3.])
        >>> Scaler("standard").of(np.array([[7.0, 7.0, 7.0]]))
        Scaling(location=array([7.]), scale=array([7.]))
        >>> Scaler("recent", recent=2, spread=0.5).of(np.array([[9.0, 1.0, 3.0]]))
        Scaling(location=array([2.]), scale=array([0.5]))
        """
        size = np.where(np.isnan(context), 0.0, np.abs(context)).max(axis=1, initial=0.0)
        unit = np.where(size > 0, size, 1.0)  # dividing first keeps the squares of 1e200 finite
        shares = context / unit[:, None]
        mean = _mean(shares)
        if self.name == "recent":
            recent = shares[:, -self.recent :]
            location = np.where(np.isnan(recent).all(axis=1), mean, _mean(recent))
            return Scaling(location * unit, np.full(len(context), self.spread))
        spread = _mean(np.abs(shares)) if self.name == "mean" else np.sqrt(_mean((shares - mean[:, None]) ** 2))
        spread = np.where(spread > _FLAT, spread, np.abs(mean))
        return Scaling(mean * unit, np.where(spread > _FLAT, spread, 1.0) * unit)


def roughness(context: Floats, period: int) -> Floats:
    """Mean |c_t - c_(t-period)| of each context (window, lookback): the error of repeating the season; 0 if unknown."""
    if context.shape[1] <= period:
        return np.zeros(len(context))
    return _mean(np.abs(context[:, period:] - context[:, :-period]))


def _mean(values: Floats) -> Floats:
    """Row means over what was observed; 0 where nothing was."""
    seen = ~np.isnan(values)
    return np.asarray(np.where(seen, values, 0.0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1))
