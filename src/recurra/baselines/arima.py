"""ARIMA per series, by statsmodels, on seasonal differences where there is a season."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from recurra.data.series import SeriesSet
from recurra.data.windows import Cutoffs
from recurra.models.plan import Plan
from recurra.training.contract import Floats

__all__ = ["ARIMA"]

_ORDERS = ((1, 0, 0), (1, 0, 1), (2, 0, 2), (0, 1, 1), (1, 1, 1), (2, 1, 2))
_STEPS = 1000  # last steps that parameters are estimated from
_TRIALS = 3  # windows that the order is chosen on


class ARIMA:
    """Autoregressive integrated moving average (Box and Jenkins 1970), one model a series.

        w_t = y_t - y_(t-p)                              p the shortest period of the plan, if any
        (1 - a_1 B - ...) (1 - B)^d w_t = (1 + b_1 B + ...) e_t

    The order (p, d, q) is chosen among six by the error over the last windows of what may be seen; parameters are
    those of maximum likelihood on the last 1,000 steps.
    """

    name = "ARIMA"

    def fit(self, series: SeriesSet, plan: Plan, *, held_back: int = 0) -> None:
        """Choose the order and estimate the parameters of every series before its last `held_back` steps."""
        self.horizon, self.period = plan.horizon, min(plan.periods, default=0)
        self.orders = [self._order(history) for history in _histories(series, held_back)]
        self._estimate(series, held_back)

    def refit(self, series: SeriesSet) -> None:
        """Estimate the parameters again on everything, the orders kept."""
        self._estimate(series, 0)

    def predict(self, series: SeriesSet, cutoffs: Cutoffs) -> Floats:
        """Forecasts (window, horizon, 1) in the target's units."""
        rows = []
        for owner, position in zip(cutoffs.series, cutoffs.position, strict=True):
            history = series.target[series.offsets[owner] : position][-_STEPS - self.period :]
            rows.append(self._forecast(history, self.orders[owner], self.parameters[owner]))
        return np.array(rows).reshape(cutoffs.total, self.horizon, 1)

    def _estimate(self, series: SeriesSet, held_back: int) -> None:
        histories = _histories(series, held_back)
        self.parameters = [self._fitted(h, order) for h, order in zip(histories, self.orders, strict=True)]

    def _order(self, history: Floats) -> tuple[int, int, int]:
        errors = {}
        for order in _ORDERS:
            cut = len(history) - _TRIALS * self.horizon
            if cut < self.period + 30:
                return (0, 1, 1)
            parameters = self._fitted(history[:cut], order)
            starts = range(cut, len(history) - self.horizon + 1, self.horizon)
            errors[order] = float(
                np.nanmean(
                    [
                        np.abs(history[s : s + self.horizon] - self._forecast(history[:s], order, parameters))
                        for s in starts
                    ]
                )
            )
        return min(errors, key=errors.__getitem__)

    def _fitted(self, history: Floats, order: tuple[int, int, int]) -> Floats | None:
        values = self._differenced(history[-_STEPS - self.period :])
        if np.isfinite(values).sum() < 10 or np.nanstd(values) == 0:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                fitted = _model(values / np.nanstd(values), order).fit(disp=False, maxiter=50)
            except (np.linalg.LinAlgError, ValueError):
                return None
        return np.asarray(fitted.params)

    def _forecast(self, history: Floats, order: tuple[int, int, int], parameters: Floats | None) -> Floats:
        values = self._differenced(history)
        scale = np.nanstd(values) if np.isfinite(values).any() else 0.0
        if parameters is None or not scale > 0:
            ahead = np.zeros(self.horizon)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ahead = _model(values / scale, order).filter(parameters).forecast(self.horizon) * scale
        return self._integrated(history, ahead)

    def _differenced(self, history: Floats) -> Floats:
        return history[self.period :] - history[: -self.period] if self.period else history - _level(history)

    def _integrated(self, history: Floats, ahead: Floats) -> Floats:
        if not self.period:
            return _level(history) + ahead
        path = list(_carried(history)[-self.period :])
        for step in ahead:
            path.append(path[-self.period] + step)
        return np.array(path[self.period :])


def _model(values: Floats, order: tuple[int, int, int]) -> Any:
    from statsmodels.tsa.statespace.sarimax import SARIMAX  # half a second to import, for those who ask for it

    return SARIMAX(values, order=order, enforce_stationarity=True, enforce_invertibility=True)


def _histories(series: SeriesSet, held_back: int) -> list[Floats]:
    return [
        series.target[start : max(start + 1, end - held_back)]
        for start, end in zip(series.offsets[:-1], series.offsets[1:], strict=True)
    ]


def _level(history: Floats) -> float:
    return float(np.nanmean(history)) if np.isfinite(history).any() else 0.0


def _carried(values: Floats) -> Floats:
    last = np.maximum.accumulate(np.where(np.isnan(values), -1, np.arange(len(values))))
    first = values[~np.isnan(values)][0] if (~np.isnan(values)).any() else 0.0
    return np.where(last >= 0, values[np.maximum(last, 0)], first)
