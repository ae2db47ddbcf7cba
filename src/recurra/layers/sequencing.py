"""The short way of a whole sequence: no options and no lengths, straight to the kernels and their derivative."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from recurra.cells import State
from recurra.engines.compiled import get_task
from recurra.layers.shortway import ShortWay

if TYPE_CHECKING:
    from recurra.layers.module import RecurrentModule

__all__ = ["Sequencer"]


class Sequencer(ShortWay):
    """Runs sequences through a layer where nothing but its recurrences is asked for; others go the layer's own way."""

    def __init__(self, layer: RecurrentModule) -> None:
        super().__init__(layer)
        self._plain = self._plain and not layer.checkpoint
        self._widths = self._recurrences[0].widths()
        self._names = [
            (*one.kernel_names(), None, None, *map(one.named, one.cell.vectors)) for one in self._recurrences
        ]
        self._zeros: tuple[Tensor, ...] = ()

    def __call__(self, x: Any, state: Any) -> tuple[Tensor, State] | None:
        """What a call of the layer returns; None where this is not the way."""
        if type(x) is not Tensor or x.layout is not torch.strided or x.is_nested or x.dim() != 3 or not self.is_open():
            return None
        layer = self.layer
        if layer.batch_first:
            x = x.transpose(0, 1)
        time, batch, features = x.shape
        if not time or features != layer.input_size or not x.is_cpu or x.dtype not in (torch.float32, torch.float64):
            return None
        weights = [self._weights(names, x.dtype) for names in self._names]
        starts = self._starts(state, batch, x.dtype)
        if starts is None or not all(weights):
            return None
        finals: list[Sequence[Tensor]] = []
        y = x
        for place in range(0, len(weights), layer.num_directions):
            outputs = []
            for one in range(place, place + layer.num_directions):
                recurrence = self._recurrences[one]
                projected = recurrence.hidden_size != recurrence.output_size
                task = get_task(recurrence.cell, projected=projected, reverse=recurrence.direction == 1)
                if task is None:
                    return None
                output, final = task([y, *starts[one], *weights[one]])
                outputs.append(output)
                finals.append(final)
            y = outputs[0] if len(outputs) == 1 else torch.cat(outputs, 2)
        return y.transpose(0, 1) if layer.batch_first else y, self._make(*map(_stacked, zip(*finals, strict=True)))

    def _weights(self, names: Sequence[str | None], dtype: torch.dtype) -> list[Tensor | None]:
        """The parameters of a recurrence in the order of a task; none if one is computed: parametrizations, pruning."""
        found: list[Tensor | None] = []
        for name in names:
            one = None if name is None else self._parameters.get(name)
            if name is not None and (one is None or one.dtype is not dtype or not one.is_cpu):
                return []
            found.append(one)
        return found

    def _starts(self, state: Any, batch: int, dtype: torch.dtype) -> Sequence[Sequence[Tensor]] | None:
        """What each recurrence begins with, (batch, unit) per field."""
        count = len(self._recurrences)
        if state is None:
            if self.layer.learn_initial_state:
                return None
            zeros = self._zeros  # which another thread may change
            if not zeros or len(zeros[0]) != batch or zeros[0].dtype is not dtype:
                with torch.inference_mode(False):  # they may be kept for a derivative later
                    zeros = self._zeros = tuple(
                        torch.zeros(batch, width, dtype=dtype, device="cpu") for width in self._widths
                    )
            return [zeros] * count
        read = self.read_state(state, tuple(torch.Size((count, batch, width)) for width in self._widths), dtype)
        return None if read is None else [[part[place] for part in read] for place in range(count)]


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    """One field of the state of all recurrences."""
    return parts[0].unsqueeze(0) if len(parts) == 1 else torch.stack(tuple(parts))
