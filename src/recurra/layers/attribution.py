"""What each step of a sequence contributes to a number that a network makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count
from recurra.layers.lengths import mask_of_lengths

__all__ = ["IntegratedGradients", "gradient_times_input", "integrated_gradients", "occlusion"]

Score = Callable[[Tensor], Tensor]
Lengths = Tensor | Sequence[int] | None


class IntegratedGradients(NamedTuple):
    """What `integrated_gradients` found."""

    contributions: Tensor
    """(time, batch)"""
    gap: Tensor
    """(batch,): how far each row's contributions are from adding up to score(x) - score(baseline); more steps narrow
    it."""


def gradient_times_input(score: Score, vectors: Tensor, *, lengths: Lengths = None) -> Tensor:
    """How the score changes, to first order, as a step's vector grows from 0:

        a_t = <ds / dx_t, x_t>

    One pass back. Exact where the score is linear; where a gate is saturated it shows less than there is.

    score: maps vectors (time, batch, feature) to (batch,), each row by itself: a class's logit, a word's log
        probability. In evaluation, where no dropout is drawn; its parameters' gradients stay as they are.
    vectors: (time, batch, feature), what goes into the network: embeddings, or measurements.
    lengths: steps of each row, 0 to time; None: all. The score sees zeros past the end, whatever vectors hold there,
        and must respect the lengths itself.
    Returns (time, batch), 0 past the end.
    Raises ArgumentError if a shape or length does not fit, or no gradient leads from the score back to vectors.

    >>> x = torch.tensor([[[2.0, 1.0]], [[0.0, 3.0]]])  # time batch feature
    >>> gradient_times_input(lambda x: (x @ torch.tensor([1.0, -1.0])).sum(0), x).flatten()
    tensor([ 1., -3.])
    """
    with torch.inference_mode(False):
        x, mask = _read(vectors, lengths)
        _, gradient = _differentiate(score, x)
        return _per_step(gradient * x, mask)


def integrated_gradients(
    score: Score, vectors: Tensor, *, steps: int = 32, baseline: Tensor | None = None, lengths: Lengths = None
) -> IntegratedGradients:
    """The gradient on the straight way from a baseline to the vectors (Sundararajan et al. 2017):

        a_t = <x_t - b_t, integral over r from 0 to 1 of ds/dx_t at b + r (x - b)>

    so that the contributions of a row add up to score(x) - score(b). The integral is a Gauss-Legendre sum, which is
    exact for polynomials up to degree 2 steps - 1 along the way, and better by far than equal steps on a smooth one.

    score, vectors, lengths: as for `gradient_times_input`.
    steps: of the sum; each is one pass there and back.
    baseline: what says nothing, in a shape that broadcasts to vectors' own; None: zeros.
    Returns the contributions (time, batch), 0 past the end, and the gap (batch,) that the sum leaves.
    Raises ArgumentError as `gradient_times_input` does, or for wrong steps or baseline.

    >>> x = torch.tensor([[[2.0]], [[3.0]]])
    >>> integrated_gradients(lambda x: x[0, :, 0] * x[1, :, 0], x, steps=1).contributions.flatten()  # 6, shared alike
    tensor([3., 3.])
    """
    check_count("steps", steps)
    with torch.inference_mode(False):
        x, mask = _read(vectors, lengths)
        base = _baseline(baseline, x, mask)
        nodes, weights = np.polynomial.legendre.leggauss(steps)  # on -1 to 1
        total = torch.zeros_like(x)
        for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True):
            _, gradient = _differentiate(score, base + (node + 1) / 2 * (x - base))
            total += weight / 2 * gradient
        contributions = _per_step(total * (x - base), mask)
        with torch.no_grad():
            gap = contributions.sum(0) - (_value(score, x) - _value(score, base))
        return IntegratedGradients(contributions, gap)


def occlusion(score: Score, vectors: Tensor, *, baseline: Tensor | None = None, lengths: Lengths = None) -> Tensor:
    """How much lower the score is when one step is blanked:

        a_t = score(x) - score(x with x_t = b_t)

    One pass for each step, no gradient: it works where nothing can be differentiated, and shows what the network does,
    not how its slope is. Two steps that say the same hide each other.

    score, vectors, lengths: as for `gradient_times_input`; the score need not be differentiable.
    baseline: what a blanked step holds, in a shape that broadcasts to vectors' own; None: zeros.
    Returns (time, batch), 0 past the end.
    Raises ArgumentError if a shape or length does not fit.

    >>> x = torch.tensor([[[2.0]], [[5.0]]])
    >>> occlusion(lambda x: x.amax(0)[:, 0], x).flatten()
    tensor([0., 3.])
    """
    with torch.inference_mode(False), torch.no_grad():
        x, mask = _read(vectors, lengths)
        base = _baseline(baseline, x, mask)
        whole = _value(score, x)
        changes = []
        for t in range(len(x)):
            if not bool(mask[t].any()):
                changes.append(torch.zeros_like(whole))
                continue
            blanked = x.clone()
            blanked[t] = base[t]
            changes.append(whole - _value(score, blanked))
        return torch.stack(changes).masked_fill(~mask, 0.0)


def _read(vectors: Tensor, lengths: Lengths) -> tuple[Tensor, Tensor]:
    """The vectors by themselves, zeros past each row's end; and the mask (time, batch), True where a row has a step."""
    if not isinstance(vectors, Tensor) or vectors.dim() != 3 or not len(vectors):
        came = f"has shape {tuple(vectors.shape)}" if isinstance(vectors, Tensor) else f"is {type(vectors).__name__}"
        raise ArgumentError(f"vectors {came}; expected a tensor (time, batch, feature) with one step at least")
    if not vectors.is_floating_point():
        raise ArgumentError(
            f"vectors has dtype {vectors.dtype}; expected floating-point numbers: pass the embeddings of codes"
        )
    mask = mask_of_lengths(lengths, shape=vectors.shape[:2], batch_first=False, device=vectors.device)
    x = vectors.detach().clone()
    if mask is None:
        return x, torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    return x.masked_fill_(~mask.unsqueeze(-1), 0.0), mask


def _baseline(baseline: Tensor | None, x: Tensor, mask: Tensor) -> Tensor:
    """In the shape of x, zeros past each row's end."""
    if baseline is None:
        return torch.zeros_like(x)
    try:
        whole = torch.as_tensor(baseline).detach().to(x).expand_as(x)
    except (TypeError, RuntimeError):
        came = f"has shape {tuple(baseline.shape)}" if isinstance(baseline, Tensor) else f"is {baseline!r}"
        raise ArgumentError(
            f"baseline {came}; expected a tensor that broadcasts to {tuple(x.shape)}, as (feature,) does"
        ) from None
    return whole.masked_fill(~mask.unsqueeze(-1), 0.0)


def _value(score: Score, x: Tensor) -> Tensor:
    value = score(x)
    if not isinstance(value, Tensor) or value.shape != x.shape[1:2]:
        came = f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ArgumentError(f"score returned {came}; expected a number for each row of the batch, ({x.shape[1]},)")
    return value


def _differentiate(score: Score, x: Tensor) -> tuple[Tensor, Tensor]:
    """The score (batch,), and its gradient in the shape of x."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = _value(score, x)
        gradient = torch.autograd.grad(value.sum(), x, allow_unused=True)[0] if value.requires_grad else None
    if gradient is None:
        raise ArgumentError(
            "score returned numbers that no gradient leads back from to vectors; make them of its argument without "
            "no_grad or detach, or use occlusion"
        )
    return value.detach(), gradient


def _per_step(products: Tensor, mask: Tensor) -> Tensor:
    """(time, batch) of (time, batch, feature), 0 past each row's end."""
    return products.sum(-1).masked_fill(~mask, 0.0)
