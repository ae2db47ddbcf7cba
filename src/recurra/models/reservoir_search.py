"""Search for a reservoir's hyperparameters, on a part of the data that nothing is learned from."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from recurra.errors import ArgumentError, nearest
from recurra.layers import Reservoir
from recurra.layers.arguments import check_count, check_not_negative
from recurra.models.echo_state import EchoStateNetwork

__all__ = ["RANGES", "Search", "Trial", "search_reservoir"]

RANGES: Mapping[str, tuple[float, float]] = {
    "spectral_radius": (0.1, 1.5),
    "leak": (0.05, 1.0),
    "input_scaling": (0.1, 2.0),
    "bias_scaling": (0.01, 1.0),
}
"""What is searched, evenly in the logarithm, where nothing else is said."""

_MOST = dict.fromkeys(("spectral_radius", "input_scaling", "bias_scaling"), math.inf) | dict.fromkeys(
    ("leak", "connectivity", "input_connectivity"), 1.0
)  # that may be searched, and up to which value a reservoir takes them
_GIVEN = ("input_size", "hidden_size", "batch_first")  # arguments of a reservoir that the search itself gives
_RIDGES = tuple(10.0**power for power in range(-12, 1))


class Trial(NamedTuple):
    """One reservoir, and the ridge that suited it best.

    error: root of the mean squared error of the validation part, over the targets' deviation there (NRMSE); infinite
        if it was nowhere finite.
    """

    options: dict[str, float]
    ridge: float
    error: float


class Search(NamedTuple):
    """What was found.

    trials: the best first.
    validated: steps of the validation part.
    network: arguments of `EchoStateNetwork` but the reservoir and the ridge.
    reservoir: arguments of `Reservoir` but those that were searched.
    """

    trials: tuple[Trial, ...]
    validated: int
    network: dict[str, Any]
    reservoir: dict[str, Any]

    @property
    def best(self) -> Trial:
        """The trial of the smallest error."""
        return self.trials[0]

    def build(self, trial: Trial | None = None) -> EchoStateNetwork:
        """The network of a trial, the best if None: the very reservoir that was tried, and a readout to be fitted."""
        trial = self.best if trial is None else trial
        arguments = self.reservoir | trial.options
        return EchoStateNetwork(Reservoir(**arguments), **self.network, ridge=trial.ridge)


def search_reservoir(
    x: Tensor,
    y: Tensor | None = None,
    *,
    hidden_size: int,
    trials: int = 32,
    ranges: Mapping[str, tuple[float, float]] | None = None,
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
    ranges: arguments of `Reservoir`, from and to, both above 0; None: `RANGES`, but for what is fixed.
    ridges: of which each reservoir gets the best.
    validation: share of the steps, the last, on which errors are measured.
    seed: of the points, and of the reservoirs' weights.
    fixed: other arguments of `Reservoir`.
    on_trial: hears of each trial and its number.

    What is best here is best on the validation part: to say how good it is, measure it on data of which no part was
    searched on. Networks with feedback are not searched for: how far they go by themselves is not told by errors of one
    step; try some by hand.
    Raises ArgumentError for an invalid argument, or if nothing could be measured.

    >>> wave = torch.sin(torch.arange(600, dtype=torch.float64) / 5)[:, None]
    >>> found = search_reservoir(wave, hidden_size=30, trials=4)
    >>> network = found.build()
    >>> network.fit(wave)
    >>> sorted(found.best.options)
    ['bias_scaling', 'input_scaling', 'leak', 'spectral_radius']
    """
    check_count("trials", trials)
    fixed = {} if fixed is None else fixed
    if ranges is None:
        ranges = {name: ends for name, ends in RANGES.items() if name not in fixed}
    _check_ranges(ranges, fixed)
    if not ridges:
        raise ArgumentError("ridges is empty; pass one at least, as (1e-8,)")
    for ridge in ridges:
        check_not_negative("ridges", ridge)
    x, y, begin = _split(x, y, validation)
    network = {"output_size": y.shape[-1], "washout": washout}
    reservoir = {"input_size": x.shape[-1], "hidden_size": hidden_size, "seed": seed, "dtype": x.dtype, **fixed}
    found: list[Trial] = []
    from scipy.stats import qmc  # here, since importing it takes long

    points = qmc.Sobol(len(ranges), seed=seed).random_base2(math.ceil(math.log2(trials)))[:trials] if ranges else [()]
    for number, point in enumerate(points):
        options = {
            name: float(np.exp(np.log(low) + share * (np.log(high) - np.log(low))))
            for share, (name, (low, high)) in zip(point, ranges.items(), strict=True)
        }
        tried = Search((Trial(options, ridges[0], math.inf),), len(x) - begin, network, reservoir)
        found.append(_measure(tried.build(), x, y, begin, tried.best, ridges))
        on_trial(number, found[-1])
    result = Search(tuple(sorted(found, key=lambda trial: trial.error)), len(x) - begin, network, reservoir)
    if math.isinf(result.best.error):
        raise ArgumentError(
            f"none of {trials} reservoirs could be measured with any of ridges {tuple(ridges)}; pass larger ridges, "
            f"and series without NaN"
        )
    return result


def _check_ranges(ranges: Mapping[str, tuple[float, float]], fixed: Mapping[str, Any]) -> None:
    """Raise ArgumentError unless all are arguments of a reservoir, each is there once, and ranges hold what fits."""
    for name in fixed:
        known = [one for one in inspect.signature(Reservoir).parameters if one not in _GIVEN]
        if name not in known:
            raise ArgumentError(f"fixed names {name!r}, which is no argument of Reservoir; {nearest(name, known)}")
    for name, ends in ranges.items():
        if name not in _MOST:
            raise ArgumentError(f"ranges names {name!r}, which cannot be searched; {nearest(name, _MOST)}")
        if name in fixed:
            raise ArgumentError(f"{name} is in ranges and in fixed; leave it out of one")
        low, high = ends
        if not 0 < low <= high <= _MOST[name] or math.isinf(high):
            most = "" if math.isinf(_MOST[name]) else f" and at most {_MOST[name]:g}"
            raise ArgumentError(
                f"ranges[{name!r}] is {(low, high)}; expected two numbers above 0{most}, the smaller first"
            )


def _split(x: Tensor, y: Tensor | None, validation: float) -> tuple[Tensor, Tensor, int]:
    """Inputs, targets, and where the validation part begins. Raises ArgumentError where nothing can be measured."""
    if not 0 < validation < 1:
        raise ArgumentError(f"validation is {validation!r}; expected a share between 0 and 1")
    for name, series in (("x", x), ("y", x if y is None else y)):
        if not isinstance(series, Tensor) or series.dim() != 2:
            came = tuple(series.shape) if isinstance(series, Tensor) else type(series).__name__
            raise ArgumentError(f"{name} is {came}; expected one series, (time, feature)")
    if y is None:
        x, y = x[:-1], x[1:]
    if len(x) != len(y):
        raise ArgumentError(f"x has {len(x)} steps, y {len(y)}; expected as many")
    begin = len(x) - math.ceil(validation * len(x))
    if len(x) - begin < 2 or not float(y[begin:].std()) > 0:
        raise ArgumentError(
            f"the last {len(x) - begin} steps of y, the validation part, are constant or not finite, and errors have "
            f"no scale there; pass others, or a larger validation"
        )
    return x, y, begin


@torch.no_grad()
def _measure(
    network: EchoStateNetwork, x: Tensor, y: Tensor, begin: int, trial: Trial, ridges: Sequence[float]
) -> Trial:
    """The trial with the best ridge and its error."""
    state = network.add(x[:begin], y[:begin])
    if begin <= network.washout:
        raise ArgumentError(
            f"x has {begin} steps before the validation part, washout is {network.washout}; pass more, or a smaller "
            f"washout or validation"
        )
    states, _ = network.read(x[begin:], state)
    truth = y[begin:]
    for ridge in ridges:
        try:
            network.solve(ridge)
        except ArgumentError:  # too small for these states
            continue
        error = float((network.readout(states) - truth).square().mean().sqrt() / truth.std())
        if error < trial.error:
            trial = Trial(trial.options, ridge, error)
    return trial
