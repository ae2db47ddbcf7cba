"""How many steps each row of a batch has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from recurra.errors import ArgumentError

__all__ = ["lengths_of_mask", "mask_of_lengths", "read_lengths"]


def read_lengths(lengths: Any, *, batch: int, time: int, name: str = "lengths", of: str = "x") -> Tensor | None:
    """The steps of each row as int64 on the CPU, where kernels and checks want them; None if all rows are whole.

    name, of: of the argument, and of the one whose steps it counts, for errors.
    Under torch.compile, torch.export and vmap, which cannot look at values, they are taken as they come.
    Raises ArgumentError unless lengths are `batch` integers from 0 to `time`.
    """
    if lengths is None:
        return None
    try:
        read = torch.as_tensor(lengths)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ArgumentError(
            f"{name} is {lengths!r}; expected one integer per row of the batch, as in [5, 3]"
        ) from error
    if isinstance(lengths, Sequence) and not len(lengths):
        read = read.long()  # of an empty list torch cannot know better than float
    if read.dtype == torch.bool or read.is_floating_point() or read.is_complex():
        raise ArgumentError(f"{name} has dtype {read.dtype}; expected integers, as in {name}.long()")
    if read.dim() != 1 or read.shape[0] != batch:  # torch.export takes what len returns for a constant
        raise ArgumentError(
            f"{name} has shape {tuple(read.shape)}, {of} has batch {batch}; pass one length per row, shape ({batch},)"
        )
    if _is_hidden(read):
        return read.detach().to(torch.int64)
    read = read.detach().to("cpu", torch.int64)
    for row, length in enumerate(read.tolist()):
        if not 0 <= length <= time:
            raise ArgumentError(
                f"{name}[{row}] is {length}; expected 0 to {time}, the time steps of {of}; "
                f"mend the length, or pad {of} to at least that many steps"
            )
    return None if bool((read == time).all()) else read


def mask_of_lengths(lengths: Any, *, shape: Sequence[int], batch_first: bool, device: torch.device) -> Tensor | None:
    """The mask that lengths say: True where a row has a step; None if all rows are whole.

    shape: (time, batch), (batch, time) if batch_first, or (time,) without a batch; the mask's own too.
    Raises ArgumentError unless lengths are as many integers from 0 to time.
    """
    time = shape[1] if batch_first and len(shape) == 2 else shape[0]
    batch = 1 if len(shape) == 1 else shape[0] if batch_first else shape[1]
    read = read_lengths(lengths, batch=batch, time=time)
    if read is None:
        return None
    mask = torch.arange(time, device=device).unsqueeze(1) < read.to(device)  # time batch
    if len(shape) == 1:
        return mask.squeeze(1)
    return mask.T if batch_first else mask


def lengths_of_mask(mask: Any, *, shape: tuple[int, ...], batch_first: bool) -> Tensor:
    """The lengths that a mask says: True where a row has a step, then False to the end.

    shape: (time, batch), or (time,) without a batch; the mask has the batch first if batch_first.
    Raises ArgumentError for another shape or type, or a hole in a row.
    """
    expected = shape[::-1] if batch_first else shape
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or tuple(mask.shape) != expected:
        came = f"{tuple(mask.shape)} of {mask.dtype}" if isinstance(mask, Tensor) else type(mask).__name__
        raise ArgumentError(f"mask is {came}; expected a boolean tensor {expected}, True where a row has a step")
    steps = mask.transpose(0, 1) if batch_first else mask.view(shape[0], -1)
    lengths = steps.sum(0)
    if not _is_hidden(steps):
        hole = (steps != (torch.arange(len(steps), device=steps.device)[:, None] < lengths)).any(0)
        if bool(hole.any()):
            row = int(hole.int().argmax())
            raise ArgumentError(
                f"mask has a step behind a False in row {row}; a row's steps come first and its padding behind them: "
                f"move them to the front, or pass the row as several sequences with resets"
            )
    return lengths


def _is_hidden(value: Tensor) -> bool:
    """Whether nobody can look at the values yet: they are traced, or mapped by vmap."""
    return torch.compiler.is_compiling() or torch._C._functorch.is_batchedtensor(value)
