"""The short way of one step: no derivative, no options, straight to the kernel.

Every line here is paid for at every step of every stream, which is why it looks things up once and compares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from recurra.cells import State
from recurra.engines.stepping import StepKernel, get_step, is_plain_call
from recurra.errors import RecurraError

if TYPE_CHECKING:
    from recurra.layers.module import RecurrentModule
    from recurra.layers.parameters import Recurrence

__all__ = ["Stepper"]


_FEW = 32  # rows; for more, weights are worth packing


class _Frame(NamedTuple):
    """What steps of so many rows in one dtype have in common.

    x: the shape of x.
    kernels, names, shapes: of each layer, its kernel, and names and shapes of the parameters that it takes.
    sizes: of each layer, (rows, features, hidden, output).
    state: the shape of each field. outputs: a tensor in the shape of each layer's output.
    strides: bytes from one layer of each field to the next.
    """

    x: torch.Size
    dtype: torch.dtype
    kernels: tuple[StepKernel, ...]
    names: tuple[tuple[str | None, ...], ...]
    shapes: tuple[tuple[torch.Size | None, ...], ...]
    sizes: tuple[tuple[int, int, int, int], ...]
    state: tuple[torch.Size, ...]
    outputs: tuple[Tensor, ...]
    strides: tuple[int, ...]


class Stepper:
    """Takes the steps of a layer where nothing but arithmetic is asked for; the layer's own way takes the others.

    It holds no values, only where they were found last: parameters may be changed, moved or replaced between steps. A
    copy of the layer makes its own.
    """

    def __init__(self, layer: RecurrentModule) -> None:
        self.layer, self._parameters = layer, layer._parameters
        self._recurrences = layer._stack.recurrences
        self._noisy = any((layer.dropout, layer.recurrent_dropout, layer.input_dropout, layer.weight_dropout))
        self._plain = _is_plain(layer)
        self._frame: _Frame | None = None
        self._make: Any = type(layer.cell.by_state(layer.cell.states))

    def _zones(self) -> bool:
        """Whether zoneout acts by now: a mapping may be changed in place."""
        zoneout = self.layer.zoneout
        return bool(zoneout) and (isinstance(zoneout, (int, float)) or any(zoneout.values()))

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return type(None), ()

    def __call__(self, x_t: Any, state: Any) -> tuple[Tensor, State] | None:
        """What the layer's step returns; None where this is not the way."""
        if (
            not self._plain
            or self._zones()
            or type(x_t) is not Tensor
            or not is_plain_call()
            or (self._noisy and self.layer.training)
        ):
            return None
        frame, dtype = self._frame, x_t.dtype
        if frame is None or x_t.shape != frame.x or dtype is not frame.dtype:
            frame = self._frame = self._build(x_t.shape, dtype)
        if frame is None or not (x_t.is_cpu and x_t.is_contiguous()) or x_t.is_neg():
            return None
        if state is None:
            if self.layer.learn_initial_state:
                return None
            state = self._make(*[x_t.new_zeros(shape) for shape in frame.state])
        elif type(state) is not self._make:
            if type(state) is tuple and len(state) == len(frame.state):
                state = self._make(*state)
            elif type(state) is Tensor and len(frame.state) == 1:  # as the drop-ins have it
                state = self._make(state)
            else:
                return None
        for part, expected in zip(state, frame.state):  # noqa: B905 - a named tuple has all of its fields
            if type(part) is not Tensor or part.shape != expected or part.dtype is not dtype:
                return None
            if not (part.is_cpu and part.is_contiguous()) or part.is_neg():
                return None
        return self._run(frame, x_t, state)

    def _run(self, frame: _Frame, x_t: Tensor, state: State) -> tuple[Tensor, State] | None:
        after = [torch.empty_like(part) for part in state]
        fields = [part.data_ptr() for part in state] + [part.data_ptr() for part in after]
        y = x_t
        for place, (pack, call, _) in enumerate(frame.kernels):
            weights = self._addresses(frame.names[place], frame.shapes[place], x_t.dtype)
            if weights is None:
                return None
            below, y = y, torch.empty_like(frame.outputs[place])
            packed = pack(*frame.sizes[place], below.data_ptr(), *weights[:5], y.data_ptr(), *weights[5:], *fields)
            if call(packed):
                raise RecurraError("there is no memory for the kernel's buffers")
            if frame.strides:
                fields = [address + stride for address, stride in zip(fields, frame.strides, strict=True)]
        return y, self._make(*after)

    def _addresses(
        self, names: tuple[str | None, ...], shapes: tuple[torch.Size | None, ...], dtype: torch.dtype
    ) -> list[int] | None:
        """Where the parameters of a layer are; None if there are others in their place, or of another kind."""
        found = []
        for name, shape in zip(names, shapes):  # noqa: B905 - of one length
            if name is None:
                found.append(0)
                continue
            one = self._parameters.get(name)
            if one is None or one.shape != shape or one.dtype is not dtype:  # computed ones: parametrizations, pruning
                return None
            if not (one.is_cpu and one.is_contiguous()) or one.is_neg():
                return None
            found.append(one.data_ptr())
        return found

    def _build(self, shape: torch.Size, dtype: torch.dtype) -> _Frame | None:
        if len(shape) not in (1, 2) or shape[-1] != self._recurrences[0].features or shape[:-1].numel() > _FEW:
            return None
        kernels = [
            get_step(one.cell, one.hidden_size, dtype, projected=one.output_size != one.hidden_size)
            for one in self._recurrences
        ]
        found = tuple(kernel for kernel in kernels if kernel is not None)
        if len(found) < len(kernels):
            return None
        batch, layers = tuple(shape[:-1]), len(self._recurrences)
        rows = batch[0] if batch else 1
        widths = self._recurrences[0].widths()
        names = tuple(
            (*_names(recurrence), *map(recurrence.named, kernel.vectors))
            for recurrence, kernel in zip(self._recurrences, found, strict=True)
        )
        strides = [rows * width * dtype.itemsize for width in widths] * 2
        return _Frame(
            shape,
            dtype,
            found,
            names,
            tuple(_shapes(one, those) for one, those in zip(self._recurrences, names, strict=True)),
            tuple((rows, one.features, one.hidden_size, one.output_size) for one in self._recurrences),
            tuple(torch.Size((layers, *batch, width)) for width in widths),
            tuple(torch.empty((*batch, one.output_size), dtype=dtype) for one in self._recurrences),
            tuple(strides) if layers > 1 else (),
        )


def _is_plain(layer: RecurrentModule) -> bool:
    """Whether the layer has no option that acts on a step in evaluation."""
    zoneout = layer.zoneout
    zoned = any(zoneout.values()) if not isinstance(zoneout, (int, float)) else zoneout
    options = (layer.bidirectional, layer._kernel, layer.layer_norm, layer.weight_norm, layer.residual, zoned)
    return not any(options) and max(layer._stack.dilations) == 1 and layer._layout.stacked


def _shapes(recurrence: Recurrence, names: tuple[str | None, ...]) -> tuple[torch.Size | None, ...]:
    """Of those parameters."""
    shapes = {name: torch.Size(shape) for name, shape, _ in recurrence.shapes()}
    return tuple(None if name is None else shapes[name] for name in names)


def _names(recurrence: Recurrence) -> tuple[str | None, ...]:
    """The parameters that a kernel takes, without vectors, in its order."""
    again = bool(recurrence.cell.recurrent_gates)
    wanted = {
        "weight_ih": True,
        "weight_hh": again,
        "bias_ih": recurrence.bias,
        "bias_hh": again and recurrence.bias,
        "weight_hr": recurrence.output_size != recurrence.hidden_size,
    }
    return tuple(recurrence.named(name) if there else None for name, there in wanted.items())
