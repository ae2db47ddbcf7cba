"""Sums, best paths and draws over all label sequences of a chain, one pass over time each.

Scores are emissions (time, batch, class) and transitions (from, to), of one kind of number; kept (time, batch) is True
where a row has a step, None where all have.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from recurra.layers.sampling import draw_classes

__all__ = ["LogPartition", "accumulate", "best_path", "distribute", "draw_path"]


class LogPartition(torch.autograd.Function):
    """log Z of each row (batch,), whose derivatives are the probabilities of labels and of transitions."""

    @staticmethod
    def forward(ctx: Any, emissions: Tensor, transitions: Tensor, kept: Tensor | None) -> Tensor:
        alphas, norms = accumulate(emissions, transitions, kept)
        ctx.save_for_backward(alphas, norms, transitions, kept)
        last: Tensor = alphas[-1].logsumexp(-1)
        return last if kept is None else last * kept[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        alphas, norms, transitions, kept = ctx.saved_tensors
        shares, pairs = distribute(alphas, norms, transitions, kept, gradient)
        return shares if kept is None else shares * kept.unsqueeze(-1), pairs, None


def accumulate(emissions: Tensor, transitions: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor]:
    """Logarithms of the sum over all sequences up to a step that end there in a class, (time, batch, class).

    Returns (alphas, norms): with that class's own score, and without it. Behind a row's end stands what stood at it.
    """
    alphas, norms = [emissions[0]], [emissions[0]]
    for t, emission in enumerate(emissions[1:].unbind(), 1):
        norms.append((alphas[-1].unsqueeze(2) + transitions).logsumexp(1))  # batch from to -> batch to
        alpha = norms[-1] + emission
        alphas.append(alpha if kept is None else torch.where(kept[t].unsqueeze(1), alpha, alphas[-1]))
    return torch.stack(alphas), torch.stack(norms)


def distribute(
    alphas: Tensor, norms: Tensor, transitions: Tensor, kept: Tensor | None, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Each row's weight (batch,) shared out by probability: to labels (time, batch, class) and to transitions.

    Labels behind a row's end have what those at its end have.
    """
    share = alphas[-1].softmax(-1) * weights.unsqueeze(1)
    shares, pairs = [share], torch.zeros_like(transitions)
    for t in range(len(alphas) - 2, -1, -1):
        pair = (alphas[t].unsqueeze(2) + transitions).sub_(norms[t + 1].unsqueeze(1)).exp_()  # batch from to
        if kept is None:
            pair = pair.mul_(share.unsqueeze(1))
            share = pair.sum(2)
        else:
            there = kept[t + 1].unsqueeze(1)
            pair = pair.mul_((share * there).unsqueeze(1))
            share = torch.where(there, pair.sum(2), share)
        shares.append(share)
        pairs += pair.sum(0)
    return torch.stack(shares[::-1]), pairs


def best_path(emissions: Tensor, transitions: Tensor, kept: Tensor | None) -> Tensor:
    """The labels (time, batch) of the best score; behind a row's end stands its last."""
    best, froms = emissions[0], []
    for t, emission in enumerate(emissions[1:].unbind(), 1):
        scores, places = (best.unsqueeze(2) + transitions).max(1)
        scores = scores + emission
        if kept is not None:
            there = kept[t].unsqueeze(1)
            scores = torch.where(there, scores, best)
            places = torch.where(there, places, torch.arange(len(transitions), device=places.device))
        best = scores
        froms.append(places)
    path = [best.argmax(1, keepdim=True)]
    for places in reversed(froms):
        path.append(places.gather(1, path[-1]))
    return torch.stack(path[::-1]).squeeze(2)


def draw_path(emissions: Tensor, transitions: Tensor, kept: Tensor | None, generator: torch.Generator | None) -> Tensor:
    """Labels (time, batch) at random: the last first, then each given the one behind it."""
    alphas, _ = accumulate(emissions, transitions, kept)
    path = [draw_classes(alphas[-1], generator=generator)]
    for t in range(len(alphas) - 2, -1, -1):
        drawn = draw_classes(alphas[t] + transitions[:, path[-1]].T, generator=generator)
        path.append(drawn if kept is None else torch.where(kept[t + 1], drawn, path[-1]))
    return torch.stack(path[::-1])
