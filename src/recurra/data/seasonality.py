"""The periods at which series repeat, found in the data.

For a candidate period p the slow part is removed by a moving average over p steps; what remains repeats if its
autocorrelation has a high local maximum at p. Candidates come from the calendar (a day and a week of hours, ...) and,
where the calendar names none that holds, from the autocorrelation's own first high peak and its multiples. A longer
period is kept beside a shorter one only if it stands out from the shorter one's repetitions before and after it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recurra.data.series import SeriesSet

__all__ = ["autocorrelation", "find_periods"]

Floats = NDArray[np.float64]

_SAMPLE = 64  # series looked at
_STEPS = 4096  # last steps of each
_LEAST = 0.3  # autocorrelation at a period
_REPETITIONS = 8  # of a period that the calendar does not name: fewer are seen in any random walk
_MOST_SHORT_IN_LONG = 14  # short periods in a long one that the calendar does not name
_GAIN = 0.03  # how far a longer period must stand out


def find_periods(series: SeriesSet) -> tuple[int, ...]:
    """The shortest period of the series in steps, and a longer one if there is; empty where nothing repeats.

    At most 64 series are looked at, spread evenly; a period needs three repetitions in half of them, eight if the
    calendar does not name it.
    """
    picked = np.unique(np.linspace(0, len(series) - 1, min(_SAMPLE, len(series))).round().astype(int))
    values = [_without_gaps(series.target[series.offsets[i] : series.offsets[i + 1]][-_STEPS:]) for i in picked]
    longest = int(np.median([len(v) for v in values])) // 3
    values = [v for v in values if len(v) >= 3 * longest and len(v) > 8]
    if not values or longest < 2:
        return ()
    candidates = [p for p in series.frequency.seasons() if p <= longest]
    found = [p for p in candidates if _repeats(values, p)]
    if not found:
        peak = _first_peak(values, max(3 * longest // _REPETITIONS, 2))
        found = [peak, *_multiples(peak, longest)] if peak and _repeats(values, peak) else []
    longer = [p for p in found[1:] if p > found[0] and _adds(values, p, found[0])]
    return tuple(found[:1] + longer[:1])


def autocorrelation(values: Floats, max_lag: int) -> Floats:
    """The autocorrelation of one series at lags 0 .. max_lag (by FFT); zeros for a constant."""
    centred = values - values.mean()
    spectrum = np.fft.rfft(centred, 2 * len(centred))
    raw = np.fft.irfft(spectrum * spectrum.conj())[: max_lag + 1]
    counts = len(centred) - np.arange(len(raw))
    unbiased = raw / np.maximum(counts, 1)
    return unbiased / unbiased[0] if unbiased[0] > 0 else np.zeros_like(unbiased)


def _repeats(values: list[Floats], period: int) -> bool:
    mean = _mean_autocorrelation(values, period, period + max(1, period // 10))
    around = mean[period - max(1, period // 10) : period + max(1, period // 10) + 1]
    return bool(mean[period] >= _LEAST and mean[period] >= around.max() - 0.02)


def _multiples(period: int, longest: int) -> list[int]:
    return [k * period for k in range(2, _MOST_SHORT_IN_LONG + 1) if k * period <= longest]


def _adds(values: list[Floats], longer: int, shorter: int) -> bool:
    mean = _mean_autocorrelation(values, longer, longer + shorter)
    return bool(mean[longer] > max(mean[longer - shorter], mean[longer + shorter]) + _GAIN)


def _first_peak(values: list[Floats], longest: int) -> int | None:
    mean = _mean_autocorrelation(values, min(longest, 400), longest)
    lags = np.arange(2, len(mean) - 1)
    peaks = lags[(mean[lags] > mean[lags - 1]) & (mean[lags] >= mean[lags + 1]) & (mean[lags] >= _LEAST)]
    if not len(peaks):
        return None
    high = peaks[mean[peaks] >= 0.9 * mean[peaks].max()]
    return int(high[0])


def _mean_autocorrelation(values: list[Floats], window: int, max_lag: int) -> Floats:
    each = [autocorrelation(_without_slow_part(v, window), max_lag) for v in values]
    return np.asarray(np.mean(each, axis=0))


def _without_slow_part(values: Floats, window: int) -> Floats:
    window = min(max(window, 2), len(values))
    sums = np.cumsum(np.concatenate([[0.0], values]))
    slow = (sums[window:] - sums[:-window]) / window
    start = window // 2
    return np.asarray(values[start : start + len(slow)] - slow)


def _without_gaps(values: Floats) -> Floats:
    seen = ~np.isnan(values)
    if not seen.any():
        return np.zeros(0)
    filled = np.interp(np.arange(len(values)), np.flatnonzero(seen), values[seen])
    size = np.abs(filled).max()
    return filled / size if size > 0 else filled
