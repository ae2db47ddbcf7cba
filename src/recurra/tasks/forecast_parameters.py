"""What a forecaster is asked to be: its parameters, stored as given and checked when used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from recurra.cells import Cell, get_cell
from recurra.errors import ArgumentError
from recurra.models.plan import NetworkOptions
from recurra.tasks.frames import level_columns
from recurra.tasks.parameters import Parameters, training_settings
from recurra.training.losses import make_loss
from recurra.training.recorder import Recorder
from recurra.training.settings import TrainingSettings
from recurra.training.windowed import WindowForecaster

__all__ = ["ForecastParameters"]


class ForecastParameters(Parameters):
    """The parameters of a `Forecaster`, and the untrained network they describe.

    Args:
        horizon: steps to forecast.
        cell: the recurrence, by name ("gru", "lstm", "elman", ...), class or instance.
        hidden_size, num_layers, dropout: of the network.
        lookback: past steps the model sees, in samples; None decides from the periods found.
        season: samples read by one step of the recurrence; None takes the shortest period found.
        periods: periods at which the series repeat, in samples, shortest first; None finds them, () is none.
        scaling: "recent", "standard" or "mean" (`recurra.data.scaling.Scaler`); None decides.
        transform: "log" models the logarithm of a positive target, "none" the target; "auto" takes logarithms of
            several series that are all positive, so that series of any size are compared by ratio.
        loss: "quantile" (pinball), or "mae", "mse", "huber" for a point with intervals from its errors.
        levels: intervals the model is trained for, in percent; narrower ones are interpolated.
        members: networks in the ensemble.
        training: a `TrainingSettings` or a dict of its fields.
        series, time, target, future, past, static: names of the table's columns.
        freq: step of the series ("1h", "D", "MS", ...); None infers it.
        missing: "interpolate", "mask" or "drop"; None refuses tables with gaps.
        timezone, time_format: how to read times; see `recurra.data.build_series`.
    """

    def __init__(
        self,
        horizon: int,
        *,
        cell: str | type[Cell] | Cell = "gru",
        hidden_size: int = 64,
        num_layers: int = 2,
        dropout: float = 0.1,
        lookback: int | None = None,
        season: int | None = None,
        periods: Sequence[int] | None = None,
        scaling: str | None = None,
        transform: Literal["auto", "log", "none"] = "auto",
        loss: str = "quantile",
        levels: Sequence[float] = (50, 80, 90, 95),
        members: int = 3,
        training: TrainingSettings | dict[str, Any] | None = None,
        series: str | None = "unique_id",
        time: str = "ds",
        target: str = "y",
        future: Sequence[str] = (),
        past: Sequence[str] = (),
        static: Sequence[str] = (),
        freq: str | int | None = None,
        missing: str | None = None,
        timezone: str | None = None,
        time_format: str | None = None,
    ) -> None:
        self.horizon, self.cell = horizon, cell
        self.hidden_size, self.num_layers, self.dropout = hidden_size, num_layers, dropout
        self.lookback, self.season, self.periods = lookback, season, periods
        self.scaling, self.transform = scaling, transform
        self.loss, self.levels, self.members, self.training = loss, levels, members, training
        self.series, self.time, self.target = series, time, target
        self.future, self.past, self.static = future, past, static
        self.freq, self.missing, self.timezone, self.time_format = freq, missing, timezone, time_format

    @property
    def name(self) -> str:
        """What tables call this forecaster: its cell's class."""
        return type(get_cell(self.cell)).__name__

    @property
    def quantiles(self) -> tuple[float, ...]:
        """The quantiles that the levels ask for, rising, the median among them."""
        if not self.levels or any(not 0 < level < 100 for level in self.levels):
            raise ArgumentError(f"levels are {list(self.levels)}; each must lie between 0 and 100, such as 80 or 95")
        return tuple(sorted({quantile for _, quantile in level_columns("", self.levels)}))

    def network(self, recorder: Recorder) -> WindowForecaster:
        """The untrained networks of these parameters."""
        if not isinstance(self.members, int) or self.members < 1:
            raise ArgumentError(f"members is {self.members!r}; it is a whole number of networks, 1 or more")
        make_loss(self.loss, quantiles=self.quantiles)
        return WindowForecaster(
            self.options(),
            training_settings(self.training, {}),
            name=self.name,
            loss=self.loss,
            quantiles=self.quantiles,
            members=self.members,
            cell=get_cell(self.cell),
            recorder=recorder,
        )

    def options(self) -> NetworkOptions:
        """The architecture as far as the parameters fix it."""
        return NetworkOptions(
            cell=get_cell(self.cell).name,
            hidden_size=self.hidden_size,
            num_layers=self.num_layers,
            dropout=self.dropout,
            lookback=self.lookback,
            season=self.season,
            periods=None if self.periods is None else tuple(sorted({int(period) for period in self.periods})),
            scaling=self.scaling,
        )

    def checked_levels(self, level: Sequence[float]) -> list[float]:
        """The levels, each once, or `ArgumentError` for one beyond those trained for."""
        for value in level:
            if not 0 < value <= max(self.levels):
                raise ArgumentError(
                    f"level {value:g} is outside what the model was trained for (up to {max(self.levels):g}); fit "
                    f"with levels including {value:g}"
                )
        return list(dict.fromkeys(level))
