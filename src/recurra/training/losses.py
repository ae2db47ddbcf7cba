"""Losses over a forecast's horizon; a NaN in the target is a step that was not observed and costs nothing.

Every loss takes `output` (batch horizon output), `target` (batch horizon) and, if wanted, `weights` (batch,), and
returns a scalar, the weighted mean over the observed steps. Outputs are quantiles for `pinball`, one column for the
point losses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from recurra.errors import ArgumentError, nearest
from recurra.layers.quantiles import pinball as pinball_of

__all__ = ["LOSSES", "huber", "make_loss", "mean_absolute_error", "mean_squared_error", "pinball"]

Loss = Callable[..., Tensor]


def pinball(output: Tensor, target: Tensor, weights: Tensor | None = None, *, quantiles: Tensor) -> Tensor:
    """Pinball (quantile) loss, whose minimiser is the quantile tau (Koenker and Bassett 1978), doubled.

        L = 2 max(tau (y - q), (tau - 1) (y - q)),  averaged over steps and quantiles

    The factor makes the loss of the median equal to the mean absolute error.

    >>> pinball(torch.tensor([[[1.0]]]), torch.tensor([[3.0]]), quantiles=torch.tensor([0.5])).item()
    2.0
    """
    target, observed = _observed(target)
    error = target.unsqueeze(-1) - output  # batch horizon quantile
    return _mean(pinball_of(error, quantiles).mean(-1), observed, weights)


def mean_absolute_error(output: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean of |y - f|; its minimiser is the median."""
    target, observed = _observed(target)
    return _mean((target - output.squeeze(-1)).abs(), observed, weights)


def mean_squared_error(output: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean of (y - f)^2; its minimiser is the mean."""
    target, observed = _observed(target)
    return _mean((target - output.squeeze(-1)) ** 2, observed, weights)


def huber(output: Tensor, target: Tensor, weights: Tensor | None = None, *, delta: float = 1.0) -> Tensor:
    """Huber's loss (1964): quadratic up to `delta` (in scaled units of the target), linear beyond."""
    target, observed = _observed(target)
    each = torch.nn.functional.huber_loss(output.squeeze(-1), target, reduction="none", delta=delta)
    return _mean(each, observed, weights)


LOSSES: dict[str, Loss] = {"mae": mean_absolute_error, "mse": mean_squared_error, "huber": huber}


def make_loss(name: str, *, quantiles: Sequence[float] = ()) -> Loss:
    """The loss called `name`: "quantile" (pinball at `quantiles`), "mae", "mse" or "huber"."""
    if name == "quantile":
        taus = torch.tensor(tuple(quantiles))
        return lambda output, target, weights=None: pinball(output, target, weights, quantiles=taus.to(output))
    if name not in LOSSES:
        raise ArgumentError(f"loss is {name!r}; {nearest(name, ['quantile', *LOSSES])}")
    return LOSSES[name]


def _observed(target: Tensor) -> tuple[Tensor, Tensor]:
    observed = ~torch.isnan(target)
    return torch.where(observed, target, torch.zeros_like(target)), observed


def _mean(each: Tensor, observed: Tensor, weights: Tensor | None) -> Tensor:
    counted = observed if weights is None else observed * weights.unsqueeze(-1)
    return (each * counted).sum() / observed.sum().clamp(min=1)
