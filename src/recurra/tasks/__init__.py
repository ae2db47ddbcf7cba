"""One class a task: from a table, text or sound to a measured model."""

from recurra.tasks.backtest import Backtest
from recurra.tasks.forecasting import Forecaster

__all__ = ["Backtest", "Forecaster"]
