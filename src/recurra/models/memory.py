"""What passes between an encoder and a decoder, from step to step, and to who calls them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from recurra.cells import State
from recurra.layers.attention import Prepared

__all__ = ["Decoded", "DecoderState", "Memory"]


class DecoderState(NamedTuple):
    """What a decoder remembers from one step to the next. It has a batch, of one row where sequences have none."""

    recurrent: State
    """Of the recurrence, (layers, batch, hidden) per field."""
    fed: Tensor | None
    """What input feeding gives to the next step, (batch, hidden_size)."""
    position: Tensor
    """Steps taken so far, (batch,) integers."""

    def select(self, rows: Tensor) -> DecoderState:
        """Of these rows of the batch, in their order: (new_batch,) integers."""
        fed = None if self.fed is None else self.fed[rows]
        return DecoderState(self.recurrent.map(lambda part: part[:, rows]), fed, self.position[rows])

    def join(self, others: Sequence[DecoderState]) -> DecoderState:
        """With the rows of others of its kind behind its own."""
        states = [self, *others]
        recurrent = self.recurrent._make(
            torch.cat(parts, 1) for parts in zip(*(s.recurrent for s in states), strict=True)
        )
        fed = None if self.fed is None else torch.cat([s.fed for s in states if s.fed is not None])
        return DecoderState(recurrent, fed, torch.cat([s.position for s in states]))


class Memory(NamedTuple):
    """What an encoder has made of a batch of sources."""

    prepared: Prepared | None
    """What attention looks at; None without attention."""
    start: DecoderState
    """What the decoder begins with."""

    def select(self, rows: Tensor) -> Memory:
        """Of these rows of the batch, in their order: (new_batch,) integers."""
        return Memory(None if self.prepared is None else self.prepared.select(rows), self.start.select(rows))


class Decoded(NamedTuple):
    """What a decoder makes of a target."""

    raw: Tensor
    """What the head returns, (time, batch, raw_size), batch first or without a batch as the target, 0 past a row's
    end."""
    alignment: Tensor | None
    """Weights of the source's steps, (time, batch, source_time), in the order of raw, 0 past a row's end; None
    without attention."""
    state: DecoderState
    """After each row's last step."""
