"""Rolling-origin comparison of forecasters on windows that none of them has seen."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from recurra.baselines import BASELINES, make_baseline
from recurra.data.series import SeriesSet
from recurra.data.windows import Cutoffs
from recurra.errors import Notice, RecurraError
from recurra.models.plan import Plan
from recurra.tasks.frames import id_columns, time_values
from recurra.tasks.transform import TargetTransform
from recurra.training.calibrated import Calibrated
from recurra.training.conformal import interpolate_quantiles
from recurra.training.contract import Floats
from recurra.training.metrics import Scores, score, seasonal_scale
from recurra.training.windowed import WindowForecaster

__all__ = ["Backtest", "compare", "cutoffs_from", "fit_rivals"]

_MOST_ARIMA_SERIES = 50


@dataclass(frozen=True)
class Backtest:
    """What a rolling-origin comparison found.

    scores: measures by forecaster, in the order given; the first is the model.
    forecasts: one row a forecast step: id, cutoff (last time seen), time, truth, and each forecaster's point and
        interval at `level`.
    horizon, windows, level: steps ahead, windows compared (over all series), the interval's level in percent.
    """

    scores: Mapping[str, Scores]
    forecasts: pl.DataFrame
    horizon: int
    windows: int
    level: float

    def to_frame(self) -> pl.DataFrame:
        """One row a forecaster, one column a measure; undefined measures are null."""
        rows = [{"model": name, **values._asdict()} for name, values in self.scores.items()]
        return pl.DataFrame(rows).with_columns(pl.col(pl.Float64).fill_nan(None))

    def to_json(self) -> dict[str, Any]:
        """Plain data: the measures by forecaster and what they were measured on."""
        return {
            "horizon": self.horizon,
            "windows": self.windows,
            "level": self.level,
            "scores": {row.pop("model"): row for row in self.to_frame().to_dicts()},
        }


def fit_rivals(
    network: WindowForecaster, history: SeriesSet, plan: Plan, names: Sequence[str] | None, quantiles: Sequence[float]
) -> list[Calibrated]:
    """Baselines fitted on `history` by the procedure of the model they are compared with, which is `network`'s.

    Args:
        names: among `recurra.baselines.BASELINES`; None is all that are quick enough for these series.
    """
    if names is None:
        names = [name for name in BASELINES if name != "arima" or len(history) <= _MOST_ARIMA_SERIES]
        if "arima" not in names:
            warnings.warn(
                f"ARIMA is left out: a model for each of {len(history)} series takes long; name it among the "
                "baselines to have it",
                Notice,
                stacklevel=2,
            )
    rivals = [Calibrated(make_baseline(name, network), quantiles=quantiles) for name in names]
    for rival in rivals:
        rival.fit(history, plan)
    return rivals


def compare(
    models: Sequence[Calibrated],
    series: SeriesSet,
    cutoffs: Cutoffs,
    *,
    transform: TargetTransform,
    period: int,
    level: float,
    known_until: np.ndarray[Any, Any],
    timezone: str | None = None,
) -> Backtest:
    """Score fitted `models` on the windows at `cutoffs`.

    Args:
        models: fitted on nothing from the first cutoff on.
        series: in the table's units; what the models read, once transformed, and what is true.
        transform: between the table's units and the models'.
        period: of the seasonal naive whose error scales MASE.
        level: of the intervals scored, in percent.
        known_until: (series,) flat positions of the first step not to be known; MASE's scale comes from before.
    """
    horizon = models[0].horizon
    inner = transform.apply(series)
    truth = series.target[cutoffs.position[:, None] + np.arange(horizon)]
    spans = zip(series.offsets[:-1], known_until, strict=True)
    scale = np.array([seasonal_scale(series.target[start:end], period) for start, end in spans])[cutoffs.series]
    tail = (1 - level / 100) / 2
    columns: dict[str, Floats] = {}
    scores: dict[str, Scores] = {}
    for model in models:
        forecast = transform.undo(model.predict(inner, cutoffs))
        wanted = interpolate_quantiles(forecast, model.quantiles, np.array([0.5, tail, 1 - tail]))
        point, low, high = np.moveaxis(wanted, -1, 0)
        if np.isnan(wanted[~np.isnan(truth)]).any():
            raise RecurraError(f"{model.name} gave no number for some windows; leave it out of the baselines")
        scores[model.name] = score(truth, point, scale, low=low, high=high)
        columns |= {model.name: point, f"{model.name}-lo-{level:g}": low, f"{model.name}-hi-{level:g}": high}
    frame = _forecast_rows(series, cutoffs, truth, columns, timezone)
    return Backtest(scores, frame, horizon=horizon, windows=cutoffs.total, level=level)


def cutoffs_from(series: SeriesSet, first: np.ndarray[Any, Any], *, horizon: int, step: int) -> Cutoffs:
    """Cutoffs from each series' flat position `first`, `step` apart, with whole horizons and something before them."""
    first = np.maximum(first, series.offsets[:-1] + 1)
    counts = np.maximum((series.offsets[1:] - horizon - first) // step + 1, 0)
    owner = np.repeat(np.arange(len(series)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return Cutoffs(owner, first[owner] + step * within)


def _forecast_rows(
    series: SeriesSet, cutoffs: Cutoffs, truth: Floats, columns: Mapping[str, Floats], timezone: str | None
) -> pl.DataFrame:
    horizon = truth.shape[1]
    steps = cutoffs.position[:, None] + np.arange(horizon)
    origin = np.repeat(cutoffs.position - 1, horizon)
    names = series.columns
    return pl.DataFrame(
        [
            *id_columns(series, np.repeat(cutoffs.series, horizon)),
            time_values(series.times[origin], series.frequency, timezone).alias("cutoff"),
            time_values(series.times[steps.ravel()], series.frequency, timezone).alias(names.time),
            pl.Series(names.target, truth.ravel()).fill_nan(None),
            *(pl.Series(name, values.ravel()) for name, values in columns.items()),
        ]
    )
