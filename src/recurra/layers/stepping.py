"""The short way of one step: no derivative, no options, straight to the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from recurra.cells import State
from recurra.engines.stepping import StepKernel, get_step
from recurra.errors import RecurraError
from recurra.layers.shortway import ShortWay

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


class Stepper(ShortWay):
    """Takes the steps of a layer where nothing but arithmetic is asked for; the layer's own way takes the others."""

    def __init__(self, layer: RecurrentModule) -> None:
        super().__init__(layer)
        self._plain = self._plain and not layer.bidirectional
        self._frame: _Frame | None = None

    def __call__(self, x_t: Any, state: Any) -> tuple[Tensor, State] | None:
        """What the layer's step returns; None where this is not the way."""
        if torch.is_grad_enabled() or type(x_t) is not Tensor or not self.is_open():
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
        else:
            state = self.read_state(state, frame.state, dtype)
            if state is None:
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
            (*recurrence.kernel_names(), *map(recurrence.named, kernel.vectors))
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
            tuple(torch.empty((*batch, one.output_size), dtype=dtype, device="cpu") for one in self._recurrences),
            tuple(strides) if layers > 1 else (),
        )


def _shapes(recurrence: Recurrence, names: tuple[str | None, ...]) -> tuple[torch.Size | None, ...]:
    """Of those parameters."""
    shapes = {name: torch.Size(shape) for name, shape, _ in recurrence.shapes()}
    return tuple(None if name is None else shapes[name] for name in names)
