"""Drawing tokens from what a model puts out, with the unlikely ones cut off."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count

__all__ = ["check_sampling", "draw_tokens", "restrict"]


def check_sampling(method: object, temperature: object, top_k: object, top_p: object) -> None:
    """Raise ArgumentError for an invalid argument of `restrict`, or one that means nothing for the method."""
    valid = isinstance(temperature, int | float) and not isinstance(temperature, bool)
    if not valid or not 0 < temperature < math.inf:  # type: ignore[operator]
        raise ArgumentError(f"temperature is {temperature!r}; expected a number above 0; for 0 use method='greedy'")
    if top_k is not None:
        check_count("top_k", top_k)
    if top_p is not None and (not isinstance(top_p, int | float) or isinstance(top_p, bool) or not 0 < top_p <= 1):
        raise ArgumentError(f"top_p is {top_p!r}; expected a probability above 0, up to 1, or None for all tokens")
    if method != "sample" and (temperature != 1 or top_k is not None or top_p is not None):
        raise ArgumentError(
            f"temperature is {temperature}, top_k {top_k}, top_p {top_p} and method {method!r}, which draws nothing; "
            f"leave them out, or use method='sample'"
        )


def restrict(raw: Tensor, *, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None) -> Tensor:
    """Logits of which a token is drawn: raw / temperature, -inf for the tokens cut off.

    raw: (..., classes) logits.
    temperature: below 1 sharper, above 1 flatter.
    top_k: keep the k likeliest tokens (Fan et al. 2018).
    top_p: of these keep the fewest, likeliest first, that together have at least this probability (nucleus sampling,
        Holtzman et al. 2020).

    >>> raw = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    >>> restrict(raw, top_p=0.7).softmax(-1)
    tensor([0.6250, 0.3750, 0.0000, 0.0000])
    """
    logits = raw / temperature
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


def draw_tokens(
    raw: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """One token a row, (batch,), of logits (batch, classes); the arguments are those of `restrict`."""
    shares = restrict(raw, temperature=temperature, top_k=top_k, top_p=top_p).softmax(-1)
    return torch.multinomial(shares, 1, generator=generator).squeeze(1)
