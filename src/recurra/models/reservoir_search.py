"""Search for a reservoir's hyperparameters, on a part of the data that nothing is learned from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import qmc
from torch import Tensor

from recurra.errors import ArgumentError
from recurra.layers import Reservoir
from recurra.layers.arguments import check_count
from recurra.models.echo_state import EchoStateNetwork

__all__ = ["RANGES", "Search", "Trial", "search_reservoir"]

RANGES: Mapping[str, tuple[float, float]] = {
    "spectral_radius": (0.1, 1.5),
    "leak": (0.05, 1.0),
    "input_scaling": (0.1, 2.0),
    "bias_scaling": (0.01, 1.0),
}
"""What is searched, evenly in the logarithm, where nothing else is said."""

_RIDGES = tuple(10.0**power for power in range(-12, 1))


class Trial(NamedTuple):
    """One reservoir, and the ridge that suited it best.

    error: root of the mean squared error of the validation part, over the targets' deviation there (NRMSE).
    """

    options: dict[str, float]
    ridge: float
    error: float


class Search(NamedTuple):
    """What was found. trials: the best first."""

    trials: tuple[Trial, ...]
    validated: int
    """Steps of the validation part."""

    @property
    def best(self) -> Trial:
        """The trial of the smallest error."""
        return self.trials[0]


def search_reservoir(
    x: Tensor,
    y: Tensor | None = None,
    *,
    hidden_size: int,
    trials: int = 32,
    ranges: Mapping[str, tuple[float, float]] = RANGES,
    ridges: Sequence[float] = _RIDGES,
    validation: float = 0.2,
    washout: int = 100,
    seed: int = 0,
    fixed: Mapping[str, Any] | None = None,
    on_trial: Callable[[int, Trial], None] = lambda number, trial: None,
) -> Search:
    """Try reservoirs on the first part of a series and measure each on the rest; all ridges at nearly no cost.

    x, y: (time, feature), as `EchoStateNetwork.fit` takes them.
    trials: reservoirs tried, at points that fill the ranges evenly (Sobol 1967).
    ranges: arguments of `Reservoir`, from and to, both above 0. fixed: its other arguments.
    validation: share of the steps, the last, on which errors are measured.
    on_trial: hears of each trial and its number.

    What is best here is best on the validation part: to say how good it is, measure it on data of which no part was
    searched on.
    Raises ArgumentError for an invalid argument.
    """
    check_count("trials", trials)
    for name, (low, high) in ranges.items():
        if not 0 < low <= high:
            raise ArgumentError(f"ranges[{name!r}] is {(low, high)}; expected two numbers above 0, the smaller first")
    if not 0 < validation < 1:
        raise ArgumentError(f"validation is {validation!r}; expected a share between 0 and 1")
    if y is None:
        x, y = x[:-1], x[1:]
    begin = len(x) - math.ceil(validation * len(x))
    found = []
    points = qmc.Sobol(len(ranges), seed=seed).random_base2(math.ceil(math.log2(trials)))[:trials]
    for number, point in enumerate(points):
        options = {
            name: float(np.exp(np.log(low) + share * (np.log(high) - np.log(low))))
            for share, (name, (low, high)) in zip(point, ranges.items(), strict=True)
        }
        arguments: dict[str, Any] = {"seed": seed, "dtype": x.dtype, **options, **(fixed or {})}
        reservoir = Reservoir(x.shape[-1], hidden_size, **arguments)
        trial = _measure(EchoStateNetwork(reservoir, y.shape[-1], washout=washout), x, y, begin, options, ridges)
        found.append(trial)
        on_trial(number, trial)
    return Search(tuple(sorted(found, key=lambda trial: trial.error)), len(x) - begin)


@torch.no_grad()
def _measure(
    network: EchoStateNetwork, x: Tensor, y: Tensor, begin: int, options: dict[str, float], ridges: Sequence[float]
) -> Trial:
    state = network.add(x[:begin], y[:begin])
    states, _ = network.read(x[begin:], state)
    truth, best = y[begin:], Trial(options, ridges[0], math.inf)
    for ridge in ridges:
        try:
            network.readout.solve(ridge)
        except ArgumentError:  # too small for these states
            continue
        error = float((network.readout(states) - truth).square().mean().sqrt() / truth.std())
        if error < best.error:
            best = Trial(options, ridge, error)
    return best
