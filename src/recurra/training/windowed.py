"""Fitting window networks: choose the number of steps on held-back windows, then train an ensemble on everything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from recurra.cells import Cell
from recurra.data.series import SeriesSet
from recurra.data.windows import Cutoffs, Windows, training_cutoffs
from recurra.errors import DataError
from recurra.models.plan import NetworkOptions, Plan
from recurra.models.window import WindowConfig, WindowNetwork
from recurra.training.contract import Floats
from recurra.training.loop import Outcome, train
from recurra.training.losses import make_loss
from recurra.training.recorder import Recorder
from recurra.training.settings import TrainingSettings

__all__ = ["WindowForecaster"]

_VALIDATION_WINDOWS = 2048
_PREDICTION_BATCH = 1024
_ROUGHNESS_POWER = 0.3
_SMOOTHEST = 1e-3


class WindowForecaster:
    """An ensemble of window networks with the contract of `ForecastModel`.

    `fit` trains one network on all windows before the held-back ones, keeps the step at which its loss on the last
    windows of what it may see was lowest, and is done; `refit` trains `members` networks for that many steps on
    every window. The forecast is the mean of the members' quantiles.

    Args:
        options: the architecture, as far as the user fixed it.
        settings: the training.
        name: how tables and columns call it.
        loss: "quantile" (forecasts every one of `quantiles`), or "mae", "mse", "huber" (forecasts a point).
        quantiles: levels in (0, 1), rising.
        members: networks in the ensemble.
        cell: the recurrence where it is not one of recurra's own names.
        recorder: where checkpoints, metrics and progress go.
    """

    def __init__(
        self,
        options: NetworkOptions,
        settings: TrainingSettings,
        *,
        name: str,
        loss: str = "quantile",
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
        members: int = 1,
        cell: Cell | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.options, self.settings, self.name = options, settings, name
        self.loss, self.quantiles, self.members, self.cell = loss, tuple(quantiles), members, cell
        self.recorder = recorder or Recorder()
        self.plan: Plan | None = None
        self.config: WindowConfig | None = None
        self.networks: list[WindowNetwork] = []
        self.best_steps = settings.steps

    def fit(self, series: SeriesSet, plan: Plan, *, held_back: int = 0) -> None:
        """Train one network on what lies before the last `held_back` steps, stopping early on its last windows.

        Raises:
            DataError: the series are too short.
        """
        self.plan = plan
        windows = plan.windows(series)
        outputs = len(self.quantiles) if self.loss == "quantile" else 1
        self.config = plan.config(self.options, series, outputs=outputs)
        validation = plan.held_back(series, after=held_back)
        cutoffs = self._cutoffs(series, held_back + plan.held_back_steps)
        network, outcome = self._train(windows, cutoffs, "select", seed=0, validation=validation)
        self.networks, self.best_steps = [network], max(1, outcome.best_step)

    def refit(self, series: SeriesSet) -> None:
        """Train the ensemble on every window of `series` for the number of steps that `fit` found."""
        plan, _ = self._fitted()
        windows = plan.windows(series)
        cutoffs = self._cutoffs(series, 0)
        self.networks = [
            self._train(windows, cutoffs, f"member-{member}", seed=member, steps=self.best_steps)[0]
            for member in range(self.members)
        ]

    def predict(self, series: SeriesSet, cutoffs: Cutoffs) -> Floats:
        """Forecasts (window, horizon, quantile or 1) in the target's units."""
        plan, config = self._fitted()
        windows = plan.windows(series)
        parts = [np.zeros((0, config.horizon, config.output_size))]
        with torch.no_grad():
            for start in range(0, cutoffs.total, _PREDICTION_BATCH):
                batch = windows.batch(cutoffs.take(slice(start, start + _PREDICTION_BATCH)))
                scaled = torch.stack([network.eval()(batch) for network in self.networks]).mean(0)
                parts.append(batch.scaling.undo(np.sort(scaled.double().numpy(), axis=-1)))
        return np.concatenate(parts)

    def _train(
        self,
        windows: Windows,
        cutoffs: Cutoffs,
        name: str,
        *,
        seed: int,
        validation: Cutoffs | None = None,
        steps: int | None = None,
    ) -> tuple[WindowNetwork, Outcome]:
        _, config = self._fitted()
        settings = self.settings.replaced(
            seed=(self.settings.seed + 7919 * seed) % 2**32, steps=steps or self.settings.steps
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            network = WindowNetwork(config, cell=self.cell)
        loss = make_loss(self.loss, quantiles=self.quantiles)
        order = _Order(cutoffs.total, settings.batch_size, settings.seed)

        def step_loss(step: int) -> torch.Tensor:
            batch = windows.batch(cutoffs.take(order.rows(step)))
            return loss(network(batch), batch.target, _weights(batch.roughness))

        score = None
        if validation is not None and validation.total:
            held = [windows.batch(part) for part in _spread(validation)]

            def score() -> float:
                losses = [loss(network(batch), batch.target, _weights(batch.roughness)) for batch in held]
                return float(np.mean([value.item() for value in losses]))

        outcome = train(
            network,
            step_loss,
            settings,
            validate=score,
            stage=self.recorder.stage(name),
            on_step=self.recorder.watch(name, settings.steps),
        )
        return network, outcome

    def _cutoffs(self, series: SeriesSet, held_back: int) -> Cutoffs:
        plan, _ = self._fitted()
        cutoffs = training_cutoffs(series, horizon=plan.horizon, min_context=plan.min_context, held_back=held_back)
        if not cutoffs.total:
            raise DataError(
                f"no window of {plan.min_context} past and {plan.horizon} forecast steps fits before the last "
                f"{held_back} steps, which are held back; the longest series has {series.lengths.max()}. Give more "
                "history, a shorter horizon or a shorter lookback"
            )
        return cutoffs

    def _fitted(self) -> tuple[Plan, WindowConfig]:
        if self.plan is None or self.config is None:
            raise DataError(f"{self.name} is not fitted; call fit first")
        return self.plan, self.config


def _weights(roughness: torch.Tensor) -> torch.Tensor:
    """Each window's weight in the loss: rough windows, whose errors are larger anyway, count less.

    The weight is roughness^-0.3, half-way between counting errors as they are and counting them against the
    window's own seasonal naive; its mean is 1.
    """
    weights = roughness.clamp(min=_SMOOTHEST) ** -_ROUGHNESS_POWER
    return weights / weights.mean()


class _Order:
    """Which windows each step takes: epochs of permutations, each a function of (seed, epoch)."""

    def __init__(self, count: int, batch_size: int, seed: int) -> None:
        self.count, self.batch_size, self.seed = count, min(batch_size, count), seed
        self._epoch, self._permutation = -1, np.zeros(0, dtype=np.int64)

    def rows(self, step: int) -> np.ndarray:
        """The windows of `step`."""
        start = step * self.batch_size
        epoch, offset = divmod(start, self.count)
        rows = self._of(epoch)[offset : offset + self.batch_size]
        if len(rows) < self.batch_size:
            rows = np.concatenate([rows, self._of(epoch + 1)[: self.batch_size - len(rows)]])
        return rows

    def _of(self, epoch: int) -> np.ndarray:
        if epoch != self._epoch:
            self._epoch = epoch
            self._permutation = np.random.default_rng([self.seed, epoch]).permutation(self.count)
        return self._permutation


def _spread(cutoffs: Cutoffs) -> list[Cutoffs]:
    """At most 2,048 of the windows, evenly spread, in equal batches."""
    picked = np.unique(np.linspace(0, cutoffs.total - 1, min(_VALIDATION_WINDOWS, cutoffs.total)).round().astype(int))
    return [cutoffs.take(rows) for rows in np.array_split(picked, -(-len(picked) // 512))]
