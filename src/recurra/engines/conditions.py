"""What acts on a recurrence on its way through time, beside its equations."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from recurra.cells import State

__all__ = ["Conditions"]


class Conditions(NamedTuple):
    """One layer's, in one direction; None where nothing acts.

    lengths: steps that each row has, 0 to time, (batch,). Past its end a row's state stands still and its output is 0;
        whatever x holds there reaches neither results nor gradients.
    resets: whether a row's state is `restart` before that step is taken, in whichever direction, (time, batch).
    restart: what a reset goes back to, (batch, output or hidden, ...) per field.
    gaps: time between that step and the one taken before it, (time, batch).
    dropout: multiplies what recurrent projections read, (batch, output, ...): the same at every step.
    zoneout: per field of the state, what is kept of the state before: a boolean (time, batch, ...) says which units
        are, a number how much of each; None: nothing.
    """

    lengths: Tensor | None = None
    resets: Tensor | None = None
    restart: State | None = None
    gaps: Tensor | None = None
    dropout: Tensor | None = None
    zoneout: tuple[Tensor | float | None, ...] | None = None

    def between(self, start: int, stop: int) -> Conditions:
        """Those of the steps from start to stop."""

        def cut(value: Tensor | None) -> Tensor | None:
            return None if value is None else value[start:stop]

        lengths = None if self.lengths is None else (self.lengths - start).clamp(0, stop - start)
        zoneout = self.zoneout and tuple(cut(kept) if isinstance(kept, Tensor) else kept for kept in self.zoneout)
        return self._replace(lengths=lengths, resets=cut(self.resets), gaps=cut(self.gaps), zoneout=zoneout)

    def alive(self, time: int, device: torch.device) -> Tensor | None:
        """Whether a row still has a step, (time, batch); None if all have all."""
        if self.lengths is None:
            return None
        return torch.arange(time, device=device)[:, None] < self.lengths.to(device)
