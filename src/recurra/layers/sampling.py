"""Drawing classes from logits: how far from the likeliest, and with the unlikely ones cut off."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count, check_not_negative

__all__ = ["check_sampling", "check_temperature", "draw_classes", "restrict"]


def check_temperature(value: object) -> float:
    """The value; raise ArgumentError unless it is a number of at least 0."""
    return check_not_negative("temperature", value, at_zero="for the best guess")


def check_sampling(
    temperature: object, top_k: object, top_p: object, num_classes: int, *, noun: str = "classes"
) -> None:
    """Raise ArgumentError for an invalid argument of `draw_classes`.

    num_classes: that there are to draw from. noun: what messages call them.
    """
    check_temperature(temperature)
    if top_k is not None and check_count("top_k", top_k) > num_classes:
        raise ArgumentError(f"top_k is {top_k}, there are {num_classes} {noun}; expected at most so many")
    if top_p is not None and (not isinstance(top_p, int | float) or isinstance(top_p, bool) or not 0 < top_p <= 1):
        raise ArgumentError(f"top_p is {top_p!r}; expected a probability above 0, up to 1, or None for all {noun}")


def restrict(raw: Tensor, *, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None) -> Tensor:
    """Logits of which a class is drawn: raw / temperature, to within a constant; -inf for the classes cut off.

    raw: (..., classes) logits.
    temperature: above 0; below 1 sharper, above 1 flatter.
    top_k: keep the k likeliest classes (Fan et al. 2018), of equal ones the first.
    top_p: of these keep the fewest, likeliest first, that together have at least this probability (nucleus sampling,
        Holtzman et al. 2020).

    >>> raw = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    >>> restrict(raw, top_p=0.7).softmax(-1)
    tensor([0.6250, 0.3750, 0.0000, 0.0000])
    """
    logits = raw
    if temperature != 1:
        # Less the maximum, and by no temperature that is 0 in the type of raw: the likeliest stays at 0.
        logits = (raw - raw.amax(-1, keepdim=True)) / max(temperature, torch.finfo(raw.dtype).tiny)
    if top_k is None and top_p is None:
        return logits
    ordered, places = logits.sort(dim=-1, descending=True, stable=True)
    if top_k is not None:
        ordered[..., top_k:] = -math.inf
    if top_p is not None:
        shares = ordered.softmax(-1)
        before = shares.cumsum(-1) - shares  # of all that is likelier
        before[..., 0] = 0.0  # the likeliest stays, whatever rounding says
        ordered = ordered.masked_fill(before >= top_p, -math.inf)
    return torch.empty_like(logits).scatter_(-1, places, ordered)


def draw_classes(
    raw: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """One class of each step, (...), of logits (..., classes).

    temperature: 0: the likeliest, of equal ones the first, and nothing is drawn. The other arguments: `restrict`.

    >>> draw_classes(torch.tensor([[1.0, 3.0, 2.0], [0.0, -1.0, -1.0]]), temperature=0)
    tensor([1, 0])
    """
    if not temperature:
        return raw.argmax(-1)
    shares = restrict(raw, temperature=temperature, top_k=top_k, top_p=top_p).softmax(-1)
    return torch.multinomial(shares.reshape(-1, raw.shape[-1]), 1, generator=generator).reshape(raw.shape[:-1])
