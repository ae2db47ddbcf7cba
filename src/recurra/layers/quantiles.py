"""The quantile head: numbers with their uncertainty."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count
from recurra.layers.head import Head, check_numbers, check_raw
from recurra.layers.sampling import check_temperature

__all__ = ["Quantiles", "pinball"]


class Quantiles(Head):
    """Numbers with their uncertainty: the values below which the truth falls with given probabilities.

        q_1 = r_1,  q_k = q_(k-1) + softplus(r_k),  r = V h + c                 so that quantiles never cross
        loss: 2 max(level (y - q), (level - 1) (y - q)), a mean over levels     (Koenker & Bassett 1978, doubled)

    The median's loss is the absolute error.

    output_size: numbers in a step.
    levels: the probabilities, rising, each between 0 and 1.

    Raises ArgumentError for any invalid argument.

    >>> head = Quantiles(4, 1, levels=(0.1, 0.5, 0.9), seed=0)
    >>> raw = head(torch.zeros(5, 2, 4))  # time batch feature
    >>> low, middle, high = head.quantiles(raw).unbind(-1)
    >>> bool((low < middle).all() and (middle < high).all()), bool((head.predict(raw) == middle).all())
    (True, True)
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        levels: Sequence[float] = (0.1, 0.5, 0.9),
        *,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        given = tuple(levels) if isinstance(levels, list | tuple) else ()
        if not given or not all(isinstance(level, int | float) and 0 < level < 1 for level in given):
            raise ArgumentError(f"levels is {levels!r}; expected probabilities between 0 and 1, as (0.1, 0.5, 0.9)")
        if any(one >= other for one, other in itertools.pairwise(given)):
            raise ArgumentError(f"levels is {given!r}; expected them to rise: {tuple(sorted(set(given)))}")
        raw_size = check_count("output_size", output_size) * len(given)
        super().__init__(input_size, raw_size, seed=seed, device=device, dtype=dtype)
        self.output_size = self.target_size = output_size
        self.levels = given

    def quantiles(self, raw: Tensor) -> Tensor:
        """(..., output_size, level), rising along the last axis, of raw outputs."""
        check_raw(raw, self.raw_size)
        sizes = (self.output_size, len(self.levels))
        first, gaps = raw.unflatten(-1, sizes).split([1, len(self.levels) - 1], -1)
        return torch.cat([first, F.softplus(gaps)], -1).cumsum(-1)

    def predict(self, raw: Tensor) -> Tensor:
        """The median, (..., output_size): between the nearest levels, or the outermost one if all lie to one side."""
        quantiles = self.quantiles(raw)
        return self._at(quantiles, torch.full_like(quantiles[..., :1], 0.5))

    def sample(self, raw: Tensor, *, temperature: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
        """A value of each number, (..., output_size): at a uniform probability between the quantiles, straight from one
        to the next; nothing lies beyond the outermost.

        temperature: factor of the distance from the median; 0: the median.
        Raises ArgumentError for a temperature below 0.
        """
        if not check_temperature(temperature):
            return self.predict(raw)
        quantiles = self.quantiles(raw)
        empty = torch.empty_like(quantiles[..., :1])
        drawn = self._at(quantiles, empty.uniform_(generator=generator))
        middle = self.predict(raw)
        return middle + temperature * (drawn - middle)

    def _at(self, quantiles: Tensor, probability: Tensor) -> Tensor:
        """The values at probabilities (..., output_size, 1)."""
        levels = quantiles.new_tensor(self.levels)
        if len(levels) == 1:
            return quantiles[..., 0]
        above = torch.searchsorted(levels, probability.contiguous()).clamp(1, len(levels) - 1)
        low, high = quantiles.gather(-1, above - 1), quantiles.gather(-1, above)
        share = (probability - levels[above - 1]) / (levels[above] - levels[above - 1])
        return (low + share.clamp(0, 1) * (high - low)).squeeze(-1)

    def _check_target(self, raw: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        return check_numbers(target, raw, self.output_size)

    def _errors(self, raw: Tensor, target: Tensor) -> Tensor:
        return pinball(target.unsqueeze(-1) - self.quantiles(raw), raw.new_tensor(self.levels))


def pinball(error: Tensor, levels: Tensor) -> Tensor:
    """Twice the pinball loss of each error, target minus quantile, whose last axis is that of the levels.

    >>> pinball(torch.tensor([2.0]), torch.tensor([0.5]))
    tensor([2.])
    """
    return 2 * torch.maximum(levels * error, (levels - 1) * error)
