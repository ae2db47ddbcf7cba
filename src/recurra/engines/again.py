"""Derivatives that can be differentiated again, or are many at once, by the reference: kernels give neither."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from recurra.cells import Cell
from recurra.errors import Notice

__all__ = ["derive_by_reference", "needs_reference"]


def needs_reference(gradients: Sequence[Tensor | None]) -> bool:
    """Whether a kernel cannot give the derivative that is being taken. gradients: of the results."""
    return torch.is_grad_enabled() or _are_batched(gradients)


def _are_batched(gradients: Sequence[Tensor | None]) -> bool:
    """Whether there are many at once, of which no kernel knows: is_grads_batched of torch.autograd.grad."""
    batched, legacy = torch._C._functorch.is_batchedtensor, torch._C._functorch.is_legacy_batchedtensor
    return any(one is not None and (batched(one) or legacy(one)) for one in gradients)


def derive_by_reference(
    cell: Cell,
    run: Callable[[Sequence[Tensor | None]], Sequence[Tensor]],
    tensors: Sequence[Tensor | None],
    wanted: Sequence[bool],
    gradients: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """The gradients of tensors, as far as they are wanted, from those of what `run` makes of them by the reference.

    A Notice tells of it, but for many gradients at once.
    """
    if not _are_batched(gradients):
        warnings.warn(
            f"a derivative of a derivative was asked for: the reference runs cell {cell.name!r} for it, step by step",
            Notice,
            stacklevel=3,
        )
    with torch.enable_grad():  # views, so that what one argument owes to another is left to the graph they came from
        given = [
            one if not want or one is None else one.view_as(one) for one, want in zip(tensors, wanted, strict=True)
        ]
        results = run(given)
    pairs = [(one, gradient) for one, gradient in zip(results, gradients, strict=True) if gradient is not None]
    pairs = [(one, gradient) for one, gradient in pairs if one.requires_grad]
    found = iter(
        torch.autograd.grad(
            [one for one, _ in pairs],
            [one for one, want in zip(given, wanted, strict=True) if want and one is not None],
            [gradient for _, gradient in pairs],
            create_graph=True,
            allow_unused=True,
        )
    )
    return [next(found) if want else None for want in wanted]
