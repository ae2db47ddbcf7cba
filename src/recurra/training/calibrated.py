"""A forecaster with intervals: fit before a held-back block, calibrate on it, then fit again on everything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recurra.data.scaling import Scaler
from recurra.data.series import SeriesSet
from recurra.data.windows import Cutoffs, Windows
from recurra.models.plan import Plan
from recurra.training.conformal import Calibration, calibrate, window_overlap
from recurra.training.contract import Floats, ForecastModel

__all__ = ["Calibrated"]


class Calibrated:
    """`model` with split conformal quantiles; the same procedure for every forecaster.

    The block of windows that the corrections come from was never seen by the weights they correct; the weights that
    forecast in the end have seen it, as is usual when recent data matter more than the guarantee's last inch.

    Args:
        model: any `ForecastModel`.
        quantiles: levels in (0, 1), rising, the median among them.
    """

    def __init__(self, model: ForecastModel, *, quantiles: Sequence[float]) -> None:
        self.model, self.quantiles = model, np.array(quantiles)
        self.plan: Plan | None = None
        self.calibration: Calibration | None = None

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    @property
    def horizon(self) -> int:
        """Steps it forecasts."""
        if self.plan is None:
            raise RuntimeError(f"{self.name} is not fitted")
        return self.plan.horizon

    def fit(self, series: SeriesSet, plan: Plan) -> None:
        """Fit, calibrate on the windows of the plan's last held-back block, refit on everything."""
        self.plan = plan
        self.model.fit(series, plan, held_back=plan.held_back_steps)
        cutoffs = plan.held_back(series, after=0)
        windows = plan.windows(series)
        forecast, truth, spread = self.model.predict(series, cutoffs), windows.truth(cutoffs), _spread(windows, cutoffs)
        point = forecast[:, :, np.abs(self.quantiles - 0.5).argmin() if forecast.shape[-1] > 1 else 0]
        overlap = window_overlap((truth - point) / spread[:, None], cutoffs.series)
        self.calibration = calibrate(forecast, truth, spread, quantiles=self.quantiles, overlap=overlap)
        self.model.refit(series)

    def predict(self, series: SeriesSet, cutoffs: Cutoffs) -> Floats:
        """Calibrated quantiles (window, horizon, quantile) in the target's units."""
        if self.plan is None or self.calibration is None:
            raise RuntimeError("predict before fit")
        forecast = self.model.predict(series, cutoffs)
        return self.calibration.apply(forecast, _spread(self.plan.windows(series), cutoffs))


def _spread(windows: Windows, cutoffs: Cutoffs) -> Floats:
    """The size of the errors to expect of each window: the standard deviation of its context."""
    return Scaler("standard").of(windows.context(cutoffs)).scale
