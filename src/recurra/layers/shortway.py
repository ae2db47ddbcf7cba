"""What the short ways through a layer have in common: when they are open, and how they are kept.

A short way does what the layer's own way does where nothing but the recurrence is asked for. Every line on it is paid
for at every call, which is why it looks things up once and compares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from recurra.engines import is_plain_call

if TYPE_CHECKING:
    from recurra.layers.module import RecurrentModule

__all__ = ["ShortWay"]


class ShortWay:
    """A short way through one layer; a copy of the layer makes its own.

    It holds no values, only where they were found last: parameters may be changed, moved or replaced between calls.
    A setting that is changed closes it, and the layer opens another.
    """

    def __init__(self, layer: RecurrentModule) -> None:
        self.layer, self._parameters = layer, layer._parameters
        self._recurrences = layer._stack.recurrences
        self._noisy = any((layer.dropout, layer.recurrent_dropout, layer.input_dropout, layer.weight_dropout))
        options = (layer._kernel, layer.layer_norm, layer.weight_norm, layer.residual, layer.connectivity != 1)
        self._plain = not any(options) and max(layer._stack.dilations) == 1 and layer._layout.stacked
        self._make: Any = type(layer.cell.by_state(layer.cell.states))

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return type(None), ()

    def is_open(self) -> bool:
        """Whether nothing acts on a call but the equations."""
        zoneout = self.layer.zoneout  # a mapping may be changed in place
        return (
            self._plain
            and not (zoneout if isinstance(zoneout, (int, float)) else any(zoneout.values()))
            and not (self._noisy and self.layer.training)
            and is_plain_call()
        )

    def read_state(self, state: Any, shapes: tuple[torch.Size, ...], dtype: torch.dtype) -> Any:
        """The state given, as a State; None if it is not one of such fields, or takes more reading."""
        if type(state) is not self._make:
            if type(state) is tuple and len(state) == len(shapes):
                state = self._make(*state)
            elif type(state) is torch.Tensor and len(shapes) == 1:  # as the drop-ins have it
                state = self._make(state)
            else:
                return None
        for part, expected in zip(state, shapes):  # noqa: B905 - a named tuple has all of its fields
            if type(part) is not torch.Tensor or part.shape != expected or part.dtype is not dtype:
                return None
            if not (part.is_cpu and part.is_contiguous()) or part.is_neg():
                return None
        return state
