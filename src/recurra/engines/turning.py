"""Sequences turned round in time, each row within its own length."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["turned"]


def turned(x: Tensor, lengths: Tensor | None) -> Tensor:
    """x, (time, batch, ...), with each row reversed within its length; padding stays where it is. Its own inverse."""
    if lengths is None:
        return x.flip(0)
    lengths = lengths.to(x.device)
    time = torch.arange(len(x), device=x.device)[:, None]  # time 1
    source = torch.where(time < lengths, lengths - 1 - time, time)  # time batch
    return x.gather(0, source.view(*source.shape, *([1] * (x.dim() - 2))).expand_as(x))
