"""What models are measured against: forecasters, all with the contract of `recurra.training.contract.ForecastModel`;
beside them, in files of their own, classifiers and taggers of texts and n-gram language models."""

from __future__ import annotations

from collections.abc import Callable

from recurra.baselines.arima import ARIMA
from recurra.baselines.naive import Drift, Naive, SeasonalNaive
from recurra.baselines.neural import cnn, dense
from recurra.errors import ArgumentError, nearest
from recurra.training.contract import ForecastModel
from recurra.training.windowed import WindowForecaster

__all__ = ["ARIMA", "BASELINES", "Drift", "Naive", "SeasonalNaive", "check_baseline", "cnn", "dense", "make_baseline"]

_SIMPLE: dict[str, Callable[[], ForecastModel]] = {
    "naive": Naive,
    "seasonal_naive": SeasonalNaive,
    "drift": Drift,
    "arima": ARIMA,
}
_NEURAL: dict[str, Callable[[WindowForecaster], ForecastModel]] = {"dense": dense, "cnn": cnn}
BASELINES: tuple[str, ...] = (*_SIMPLE, *_NEURAL)


def check_baseline(name: str) -> None:
    """Raise `ArgumentError` with the nearest names if there is no baseline called `name`."""
    if name not in BASELINES:
        raise ArgumentError(f"baseline is {name!r}; {nearest(name, BASELINES)}")


def make_baseline(name: str, network: WindowForecaster) -> ForecastModel:
    """The baseline called `name`; the neural ones are trained as `network`, which they are compared with.

    Raises:
        ArgumentError: there is none of that name.
    """
    check_baseline(name)
    return _SIMPLE[name]() if name in _SIMPLE else _NEURAL[name](network)
