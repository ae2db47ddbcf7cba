"""Penalties on what a recurrent layer says: large outputs, and outputs that leap from step to step."""

from __future__ import annotations

from torch import Tensor

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_not_negative
from recurra.layers.head import check_mask

__all__ = ["activation_penalty"]


def activation_penalty(
    outputs: Tensor,
    dropped: Tensor | None = None,
    *,
    alpha: float = 2.0,
    beta: float = 1.0,
    mask: Tensor | None = None,
    batch_first: bool = False,
) -> Tensor:
    """Activation regularisation and its temporal kin, to add to a loss (Merity et al. 2017, 2018).

        AR + TAR = alpha mean(m_t^2) + beta mean((h_(t+1) - h_t)^2)

    Means are over the numbers of all steps, and of all pairs of steps that follow each other in a row; 0 where there is
    none.

    outputs: h, of the last recurrent layer, (time, batch, hidden).
    dropped: m, the same after dropout; None: h.
    alpha, beta: how much each counts, 0 for none; 2 and 1 are the paper's.
    mask: True where a row has a step, (time, batch); None: everywhere. What stands elsewhere does not matter.
    batch_first: tensors are (batch, time, ...) and not (time, batch, ...).

    Raises ArgumentError if a shape or number does not fit.

    >>> import torch
    >>> h = torch.tensor([1.0, 3.0]).view(2, 1, 1)  # time batch hidden
    >>> activation_penalty(h, alpha=1, beta=0), activation_penalty(h, alpha=0, beta=1)
    (tensor(5.), tensor(4.))
    """
    check_not_negative("alpha", alpha)
    check_not_negative("beta", beta)
    if not isinstance(outputs, Tensor) or outputs.dim() != 3:
        came = f"has shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else f"is {type(outputs).__name__}"
        raise ArgumentError(f"outputs {came}; expected {'(batch, time' if batch_first else '(time, batch'}, hidden)")
    dropped = outputs if dropped is None else dropped
    if dropped.shape != outputs.shape:
        raise ArgumentError(
            f"dropped has shape {tuple(dropped.shape)}, outputs {tuple(outputs.shape)}; pass h after dropout"
        )
    if mask is not None:
        check_mask(mask, outputs.shape[:2])
    axis = int(batch_first)
    pairs = outputs.shape[axis] - 1
    leaps = outputs.narrow(axis, 1, pairs) - outputs.narrow(axis, 0, pairs) if pairs > 0 else outputs[:0]
    both = None if mask is None or pairs < 1 else mask.narrow(axis, 1, pairs) & mask.narrow(axis, 0, pairs)
    return alpha * _mean_square(dropped, mask) + beta * _mean_square(leaps, both)


def _mean_square(values: Tensor, mask: Tensor | None) -> Tensor:
    """Over the numbers of the steps that the mask keeps; 0 if it keeps none."""
    kept = values if mask is None else values[mask]
    return (kept**2).mean() if kept.numel() else kept.sum()
