"""The mixture density head: numbers with a distribution of several peaks, as pen strokes have it."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count, check_flag
from recurra.layers.head import Head, check_numbers, check_raw, check_temperature

__all__ = ["Mixture", "MixtureDensity"]

_LOG_TWO_PI = math.log(2 * math.pi)


class Mixture(NamedTuple):
    """The parts of a mixture of Gaussians, for each step (...)."""

    log_weights: Tensor
    """(..., component): the logarithm of each component's share."""
    means: Tensor
    """(..., component, output_size)"""
    log_deviations: Tensor
    """(..., component, output_size): the logarithm of the standard deviations."""
    correlations: Tensor | None
    """(..., component): rho, before its tanh; None for single numbers."""
    pen: Tensor | None
    """(...): the logit of the pen's being lifted; None where there is no pen."""


class MixtureDensity(Head):
    """A mixture of Gaussians for one number or a pair, and a pen that is lifted or not (Bishop 1994; Graves 2013).

        p(y) = sum_k w_k N(y; m_k, s_k, rho_k)                  loss: -log p(y), and with a pen its cross entropy too
        w = softmax(w'),  s = exp(s') + min_deviation,  rho = tanh(rho'),  p(pen) = sigmoid(e');  primes: V h + c

    output_size: 1, a number, or 2, a pair with a correlation, as the offsets of a pen.
    num_components: Gaussians.
    pen: whether the last number of a target is 1 or 0, as of a pen that is lifted after this point.
    min_deviation: the least standard deviation, in units of the target: without one, a component that comes to lie on
        a single point makes the loss infinite.

    A target is (..., output_size), or (..., output_size + 1) with a pen. Raises ArgumentError for any invalid argument.

    >>> head = MixtureDensity(8, 2, 5, pen=True, seed=0)
    >>> raw = head(torch.zeros(7, 3, 8))  # time batch feature
    >>> raw.shape, head.sample(raw, generator=torch.Generator().manual_seed(0)).shape
    (torch.Size([7, 3, 31]), torch.Size([7, 3, 3]))
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        num_components: int,
        *,
        pen: bool = False,
        min_deviation: float = 1e-3,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if output_size not in (1, 2) or isinstance(output_size, bool):
            raise ArgumentError(f"output_size is {output_size!r}; expected 1, a number, or 2, a pair")
        check_count("num_components", num_components)
        check_flag("pen", pen)
        if not isinstance(min_deviation, int | float) or not 0 <= min_deviation < math.inf:
            raise ArgumentError(f"min_deviation is {min_deviation!r}; expected a number of at least 0, as 1e-3")
        raw_size = num_components * (6 if output_size == 2 else 3) + pen
        super().__init__(input_size, raw_size, seed=seed, device=device, dtype=dtype)
        self.output_size, self.num_components = output_size, num_components
        self.pen, self.min_deviation = pen, min_deviation

    @property
    def target_size(self) -> int:
        """Numbers in a target."""
        return self.output_size + self.pen

    def mixture(self, raw: Tensor) -> Mixture:
        """What raw outputs (..., raw_size) say.

        Raises ArgumentError if their last axis is another.
        """
        check_raw(raw, self.raw_size)
        count, size = self.num_components, self.output_size
        sizes = [count, count * size, count * size, count * (size - 1), int(self.pen)]
        weights, means, deviations, correlations, pen = raw.split(sizes, -1)
        floor = math.log(self.min_deviation) if self.min_deviation else -math.inf
        deviations = torch.logaddexp(deviations, torch.full_like(deviations, floor))
        return Mixture(
            weights.log_softmax(-1),
            means.unflatten(-1, (count, size)),
            deviations.unflatten(-1, (count, size)),
            correlations if size == 2 else None,
            pen.squeeze(-1) if self.pen else None,
        )

    def log_prob(self, raw: Tensor, target: Tensor) -> Tensor:
        """log p(target), with the pen's part: (...). target: (..., target_size).

        Raises ArgumentError if a shape does not fit.
        """
        mixture = self.mixture(raw)
        check_numbers(target, raw, self.target_size)
        density = torch.logsumexp(mixture.log_weights + _log_gaussians(mixture, target[..., : self.output_size]), -1)
        if mixture.pen is None:
            return density
        return density - F.binary_cross_entropy_with_logits(mixture.pen, target[..., -1], reduction="none")

    def mean(self, raw: Tensor) -> Tensor:
        """The mean over all components, (..., target_size), with the pen's probability: the least squared error."""
        mixture = self.mixture(raw)
        mean = (mixture.log_weights.exp().unsqueeze(-1) * mixture.means).sum(-2)
        return mean if mixture.pen is None else torch.cat([mean, mixture.pen.sigmoid().unsqueeze(-1)], -1)

    def predict(self, raw: Tensor) -> Tensor:
        """The centre of the heaviest component, and the pen's likelier state: (..., target_size)."""
        mixture = self.mixture(raw)
        picked = _pick(mixture.means, mixture.log_weights.argmax(-1))
        return picked if mixture.pen is None else torch.cat([picked, (mixture.pen > 0).to(raw).unsqueeze(-1)], -1)

    def sample(
        self,
        raw: Tensor,
        *,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        bias: float = 0.0,
    ) -> Tensor:
        """An answer at random, (..., target_size).

        temperature: divides the logits of components and pen and multiplies variances (Ha & Eck 2018); 0: the best
            guess.
        bias: Graves' (2013) b, for neater strokes: components' logits times 1 + b, deviations times exp(-b).
        Raises ArgumentError for a temperature or bias below 0.
        """
        if not isinstance(bias, int | float) or isinstance(bias, bool) or not 0 <= bias < math.inf:
            raise ArgumentError(f"bias is {bias!r}; expected a number of at least 0, 0 for none")
        if not check_temperature(temperature):
            return self.predict(raw)
        mixture = self.mixture(raw)
        shares = (mixture.log_weights * ((1 + bias) / temperature)).softmax(-1)
        which = torch.multinomial(shares.reshape(-1, self.num_components), 1, generator=generator)
        which = which.reshape(raw.shape[:-1])
        centre = _pick(mixture.means, which)
        noise = torch.empty_like(centre).normal_(generator=generator)
        if mixture.correlations is not None:
            rho = mixture.correlations.gather(-1, which.unsqueeze(-1)).squeeze(-1)
            first, second = noise.unbind(-1)
            noise = torch.stack([first, torch.tanh(rho) * first + second / torch.cosh(rho)], -1)
        drawn = centre + _pick(mixture.log_deviations, which).exp() * noise * (math.sqrt(temperature) * math.exp(-bias))
        if mixture.pen is None:
            return drawn
        pen = torch.bernoulli((mixture.pen / temperature).sigmoid(), generator=generator)
        return torch.cat([drawn, pen.unsqueeze(-1)], -1)

    def _check_target(self, raw: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        return check_numbers(target, raw, self.target_size)

    def _errors(self, raw: Tensor, target: Tensor) -> Tensor:
        return -self.log_prob(raw, target)


def _log_gaussians(mixture: Mixture, target: Tensor) -> Tensor:
    """log N(target) of each component: (..., component)."""
    z = (target.unsqueeze(-2) - mixture.means) * torch.exp(-mixture.log_deviations)  # ... component number
    scale = mixture.log_deviations.sum(-1)
    if mixture.correlations is None:
        return -0.5 * (z.squeeze(-1) ** 2 + _LOG_TWO_PI) - scale
    rho = mixture.correlations
    # log sqrt(1 - tanh^2 rho') = -log cosh rho'; the second number given the first has that deviation.
    log_cosh = rho.abs() + F.softplus(-2 * rho.abs()) - math.log(2)
    first, second = z.unbind(-1)
    given = second * torch.cosh(rho) - first * torch.sinh(rho)
    return -0.5 * (first**2 + given**2) - _LOG_TWO_PI - scale + log_cosh


def _pick(parts: Tensor, which: Tensor) -> Tensor:
    """Of parts (..., component, number) those of the components `which` (...)."""
    index = which[..., None, None].expand(*which.shape, 1, parts.shape[-1])
    return parts.gather(-2, index).squeeze(-2)
