"""The short way of one step: no derivative, no options, straight to the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from recurra.cells import State
from recurra.engines.stepping import StepKernel, get_step, is_plain_call
from recurra.errors import RecurraError

if TYPE_CHECKING:
    from recurra.layers.module import RecurrentModule
    from recurra.layers.parameters import Recurrence

__all__ = ["Stepper"]


class Stepper:
    """Takes the steps of a layer where nothing but arithmetic is asked for; the layer's own way takes the others.

    It holds no values, only where they are found: parameters may be changed, moved or replaced between steps. A copy of
    the layer makes its own.
    """

    def __init__(self, layer: RecurrentModule) -> None:
        self._layer, stack = layer, layer._stack
        self._recurrences = stack.recurrences
        self._cell, self._features = layer.cell, layer.input_size
        self._kernels: dict[torch.dtype, tuple[StepKernel, ...] | None] = {}
        self._noisy = any((layer.dropout, layer.recurrent_dropout, layer.input_dropout, layer.weight_dropout))
        zoneout = layer.zoneout
        self._plain = (
            not layer.bidirectional
            and not layer._kernel
            and not any((layer.layer_norm, layer.weight_norm, layer.residual))
            and not (any(zoneout.values()) if hasattr(zoneout, "values") else zoneout)
            and max(stack.dilations) == 1
            and layer._layout.stacked
        )
        self._names = [_names(recurrence) for recurrence in stack.recurrences]

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return type(None), ()

    def __call__(self, x_t: Any, state: Any) -> tuple[Tensor, State] | None:
        """What the layer's step returns; None where this is not the way."""
        if not self._plain or type(x_t) is not Tensor or not is_plain_call() or (self._noisy and self._layer.training):
            return None
        shape, dtype = x_t.shape, x_t.dtype
        batch = shape[:-1]
        if len(shape) not in (1, 2) or shape[-1] != self._features or not (x_t.is_cpu and x_t.is_contiguous()):
            return None
        state = self._given(state, x_t, batch)
        kernels = self._kernels[dtype] if dtype in self._kernels else self._build(dtype)
        if state is None or kernels is None:
            return None
        return self._run(kernels, x_t, state, batch)

    def _run(
        self, kernels: tuple[StepKernel, ...], x_t: Tensor, state: State, batch: torch.Size
    ) -> tuple[Tensor, State] | None:
        parameters = self._layer._parameters
        rows, size = batch[0] if batch else 1, x_t.element_size()
        after = [part.new_empty(part.shape) for part in state]
        starts, ends = [part.data_ptr() for part in state], [part.data_ptr() for part in after]
        y = x_t
        for place, recurrence in enumerate(self._recurrences):
            try:
                weights = [None if name is None else parameters[name] for name in self._names[place]]
            except KeyError:  # computed ones: parametrizations, pruning
                return None
            if any(one is not None and not _fits(one, x_t) for one in weights):
                return None
            below, y = y, x_t.new_empty((*batch, recurrence.output_size))
            addresses = [0 if one is None else one.data_ptr() for one in weights]
            packed = kernels[place].pack(
                rows,
                recurrence.features,
                recurrence.hidden_size,
                recurrence.output_size,
                below.data_ptr(),
                *addresses[:5],
                y.data_ptr(),
                *addresses[5:],
                *starts,
                *ends,
            )
            if kernels[place].call(packed):
                raise RecurraError("there is no memory for the kernel's buffers")
            for field, width in enumerate(recurrence.widths()) if len(self._recurrences) > 1 else ():
                starts[field] += rows * width * size
                ends[field] += rows * width * size
        return y, state._make(after)

    def _given(self, state: Any, x_t: Tensor, batch: torch.Size) -> State | None:
        """The state, if it is one as this layer returns it."""
        if state is None:
            return None if self._layer.learn_initial_state else self._layer._layout.zeros(x_t, tuple(batch), ())
        if not isinstance(state, State) or state._fields != self._cell.states:
            return None
        layers = len(self._recurrences)
        for part, width in zip(state, self._recurrences[0].widths(), strict=True):
            if type(part) is not Tensor or part.shape != (layers, *batch, width) or not _fits(part, x_t):
                return None
        return state

    def _build(self, dtype: torch.dtype) -> tuple[StepKernel, ...] | None:
        found = [get_step(self._cell, recurrence.hidden_size, dtype) for recurrence in self._recurrences]
        kernels = tuple(kernel for kernel in found if kernel is not None)
        self._kernels[dtype] = kernels if len(kernels) == len(found) else None
        if self._kernels[dtype]:
            self._names = [
                (*_names(recurrence), *map(recurrence.named, kernel.vectors))
                for recurrence, kernel in zip(self._recurrences, kernels, strict=True)
            ]
        return self._kernels[dtype]


def _names(recurrence: Recurrence) -> tuple[str | None, ...]:
    """The parameters that a kernel takes, without vectors, in its order."""
    projection = recurrence.named("weight_hr") if recurrence.output_size != recurrence.hidden_size else None
    again = bool(recurrence.cell.recurrent_gates)
    bias = recurrence.named("bias_ih") if recurrence.bias else None
    return (
        recurrence.named("weight_ih"),
        recurrence.named("weight_hh") if again else None,
        bias,
        recurrence.named("bias_hh") if again and recurrence.bias else None,
        projection,
    )


def _fits(tensor: Tensor, x_t: Tensor) -> bool:
    return tensor.dtype is x_t.dtype and tensor.is_cpu and tensor.is_contiguous()
