"""The mixture density head: numbers with a distribution of several peaks, as pen strokes have it."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.layers.arguments import check_count, check_flag, check_not_negative
from recurra.layers.head import Head, check_numbers, check_raw, check_shares
from recurra.layers.sampling import check_temperature, draw_classes

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
    """(..., component, pair): c_ij of i = 2, 3, ..., each with j = 1 .. i - 1, of a single pair c'; None for single
    numbers."""
    pen: Tensor | None
    """(...): the logit of the pen's being lifted; None where there is no pen."""


class MixtureDensity(Head):
    """A mixture of Gaussians for numbers that depend on each other, and a pen that is lifted or not (Bishop 1994;
    Graves 2013).

        p(y) = sum_k w_k N(y; m_k, S_k)                         loss: -log p(y), and with a pen its cross entropy too
        S = diag(s) L L^T diag(s)                               s are deviations, L L^T correlations, of a component
        L_ij = c_ij / n_i for j < i,  L_ii = 1 / n_i            n_i gives each row of L the length 1
        w = softmax(w'),  s = exp(s') + min_deviation,  p(pen) = sigmoid(e');  primes, m and c: V h + c

    Every correlation is free in any dimension. That of a pair is tanh(c'), as Graves has it: c = sinh(c').

    output_size: numbers in a step: 1; 2, as the offsets of a pen; 3, as a path in space; or more.
    num_components: Gaussians. Each has 1 + 2 d + d (d - 1) / 2 raw outputs, d the output_size.
    pen: whether the last number of a target is 1 or 0, as of a pen that is lifted after this point.
    min_deviation: the least standard deviation, in units of the target: without one, a component that comes to lie on
        a single point makes the loss infinite.

    A target is (..., output_size), or (..., output_size + 1) with a pen. Raises ArgumentError for any invalid argument.

    >>> head = MixtureDensity(8, 2, 5, pen=True, seed=0)
    >>> raw = head(torch.zeros(7, 3, 8))  # time batch feature
    >>> raw.shape, head.sample(raw, generator=torch.Generator().manual_seed(0)).shape
    (torch.Size([7, 3, 31]), torch.Size([7, 3, 3]))
    """

    target_size: int
    """Numbers in the target of a step: those of output_size, and the pen."""

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
        check_count("output_size", output_size)
        check_count("num_components", num_components)
        check_flag("pen", pen)
        check_not_negative("min_deviation", min_deviation)
        raw_size = num_components * (1 + 2 * output_size + math.comb(output_size, 2)) + pen
        super().__init__(input_size, raw_size, seed=seed, device=device, dtype=dtype)
        self.output_size, self.num_components = output_size, num_components
        self.pen, self.min_deviation = pen, min_deviation
        self.target_size = output_size + pen

    def mixture(self, raw: Tensor) -> Mixture:
        """What raw outputs (..., raw_size) say.

        Raises ArgumentError if their last axis is another.
        """
        check_raw(raw, self.raw_size)
        count, size, pairs = self.num_components, self.output_size, math.comb(self.output_size, 2)
        sizes = [count, count * size, count * size, count * pairs, int(self.pen)]
        weights, means, deviations, correlations, pen = raw.split(sizes, -1)
        floor = math.log(self.min_deviation) if self.min_deviation else -math.inf
        deviations = torch.logaddexp(deviations, torch.full_like(deviations, floor))
        return Mixture(
            weights.log_softmax(-1),
            means.unflatten(-1, (count, size)),
            deviations.unflatten(-1, (count, size)),
            correlations.unflatten(-1, (count, pairs)) if pairs else None,
            pen.squeeze(-1) if self.pen else None,
        )

    def log_prob(self, raw: Tensor, target: Tensor) -> Tensor:
        """log p(target), with the pen's part: (...). target: (..., target_size).

        Raises ArgumentError if a shape does not fit, or the pen of a target is neither 0 nor 1.
        """
        return self._log_prob(raw, self._check_target(raw, target, None))

    def _log_prob(self, raw: Tensor, target: Tensor) -> Tensor:
        mixture = self.mixture(raw)
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
        check_not_negative("bias", bias)
        if not check_temperature(temperature):
            return self.predict(raw)
        mixture = self.mixture(raw)
        which = draw_classes(mixture.log_weights * (1 + bias), temperature=temperature, generator=generator)
        centre = _pick(mixture.means, which)
        noise = torch.empty_like(centre).normal_(generator=generator)
        if mixture.correlations is not None:
            noise = _correlate(noise, _pick(mixture.correlations, which))
        drawn = centre + _pick(mixture.log_deviations, which).exp() * noise * (math.sqrt(temperature) * math.exp(-bias))
        if mixture.pen is None:
            return drawn
        pen = torch.bernoulli((mixture.pen / temperature).sigmoid(), generator=generator)
        return torch.cat([drawn, pen.unsqueeze(-1)], -1)

    def _check_target(self, raw: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        check_numbers(target, raw, self.target_size)
        if self.pen:
            pen = torch.zeros_like(target, dtype=torch.bool)
            pen[..., -1] = True if mask is None else mask
            check_shares("target", target, pen, whole=True)
        return target

    def _errors(self, raw: Tensor, target: Tensor) -> Tensor:
        return -self._log_prob(raw, target)


def _log_gaussians(mixture: Mixture, target: Tensor) -> Tensor:
    """log N(target) of each component: (..., component)."""
    z = (target.unsqueeze(-2) - mixture.means) * torch.exp(-mixture.log_deviations)  # ... component number
    scale = mixture.log_deviations.sum(-1)
    if mixture.correlations is not None:
        z, log_norms = _decorrelate(z, mixture.correlations)
        scale = scale - log_norms
    return -0.5 * (z**2 + _LOG_TWO_PI).sum(-1) - scale


def _rows(correlations: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Of the matrix L, from its second row on: n_i L_ij (..., j) and n_i (...)."""
    rows: list[tuple[Tensor, Tensor]] = []
    begin = 0
    if correlations.shape[-1] == 1:
        correlations = torch.sinh(correlations)
    while begin < correlations.shape[-1]:
        row = correlations[..., begin : begin + len(rows) + 1]
        rows.append((row, torch.sqrt(1 + (row**2).sum(-1))))
        begin += len(rows)
    return rows


def _correlate(noise: Tensor, correlations: Tensor) -> Tensor:
    """L z of independent numbers z (..., number)."""
    parts = [noise[..., 0]]
    for row, norm in _rows(correlations):
        count = row.shape[-1]
        parts.append(((row * noise[..., :count]).sum(-1) + noise[..., count]) / norm)
    return torch.stack(parts, -1)


def _decorrelate(z: Tensor, correlations: Tensor) -> tuple[Tensor, Tensor]:
    """L^-1 z, each number given those before it in units of its deviation, and -log det L."""
    parts, log_norms = [z[..., 0]], torch.zeros_like(z[..., 0])
    for row, norm in _rows(correlations):
        given = torch.stack(parts, -1)
        parts.append(norm * z[..., len(parts)] - (row * given).sum(-1))
        log_norms = log_norms + norm.log()
    return torch.stack(parts, -1), log_norms


def _pick(parts: Tensor, which: Tensor) -> Tensor:
    """Of parts (..., component, number) those of the components `which` (...)."""
    index = which[..., None, None].expand(*which.shape, 1, parts.shape[-1])
    return parts.gather(-2, index).squeeze(-2)
