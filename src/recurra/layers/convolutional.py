"""Recurrences over images, signals and volumes: the same equations, with convolutions for the projections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Unpack

from recurra.cells import Cell
from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count
from recurra.layers.options import LayerOptions
from recurra.layers.recurrent import Recurrent

__all__ = ["ConvGRU", "ConvLSTM", "ConvRecurrent"]

_SPACES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}


class ConvRecurrent(Recurrent):
    """A recurrence whose W x_t and U h_(t-1) are convolutions (Shi et al. 2015, Convolutional LSTM network).

    A step is an image (channel, height, width), a signal (channel, length) or a volume; a unit of the cell is a
    channel, and every place of the image runs the cell's equations with the places around it for inputs. Padding keeps
    the size. Vectors of a cell, peepholes for example, are one number per channel.

    cell: as for `Recurrent`.
    input_size, hidden_size: channels of x and of the output.
    kernel_size: places that a convolution sees, odd: one number for images, or a tuple with one each for 1 to 3 axes.
    options: as for `Recurrent`. Dropped are whole channels; layer_norm normalises over a gate's channels at each place.

    x is (time, batch, channel, ...), or (batch, time, channel, ...) if batch_first; states are
    (layers*directions, batch, channel, ...).

    Raises ArgumentError for an invalid argument; proj_size does not fit.

    >>> import torch
    >>> y, state = ConvRecurrent("lstm", 3, 8, kernel_size=3)(torch.zeros(5, 2, 3, 16, 16))
    >>> y.shape, state.c.shape
    (torch.Size([5, 2, 8, 16, 16]), torch.Size([1, 2, 8, 16, 16]))
    """

    def __init__(
        self,
        cell: str | type[Cell] | Cell,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        *,
        kernel_size: int | tuple[int, ...] = 3,
        **options: Unpack[LayerOptions],
    ) -> None:
        self._kernel = _read_kernel(kernel_size)
        self._space = _SPACES[len(self._kernel)]
        super().__init__(cell, input_size, hidden_size, num_layers, **options)
        self.kernel_size = kernel_size

    def extra_repr(self) -> str:
        """The constructor's arguments, those that differ from the defaults."""
        return f"{super().extra_repr()}, kernel_size={self.kernel_size}"


class _ConvNamed(ConvRecurrent):
    """A `ConvRecurrent` whose class says the cell."""

    _cell: ClassVar[str]

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        *,
        kernel_size: int | tuple[int, ...] = 3,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(self._cell, input_size, hidden_size, num_layers, kernel_size=kernel_size, **options)

    def extra_repr(self) -> str:
        """The constructor's arguments, those that differ from the defaults."""
        return super().extra_repr().partition(", ")[2]  # but for the cell


class ConvLSTM(_ConvNamed):
    """`ConvRecurrent` with the cell "lstm" (Shi et al. 2015), without peepholes.

    ConvRecurrent("peepholelstm") has them, one number per channel; the authors have one per channel and place.

    >>> import torch
    >>> ConvLSTM(1, 4, kernel_size=5)(torch.zeros(2, 3, 1, 8, 8))[0].shape
    torch.Size([2, 3, 4, 8, 8])
    """

    _cell = "lstm"


class ConvGRU(_ConvNamed):
    """`ConvRecurrent` with the cell "gru" (Ballas et al. 2016).

    >>> import torch
    >>> ConvGRU(1, 4, kernel_size=(3, 5))(torch.zeros(2, 3, 1, 8, 8))[1].h.shape
    torch.Size([1, 3, 4, 8, 8])
    """

    _cell = "gru"


def _read_kernel(value: object) -> tuple[int, ...]:
    kernel = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(kernel) not in _SPACES:
        raise ArgumentError(f"kernel_size is {value!r}; expected an odd number for images, or a tuple of 1 to 3")
    for size in kernel:
        check_count("kernel_size", size)
        if size % 2 == 0:
            raise ArgumentError(f"kernel_size is {value!r}; expected odd numbers, so that a place is in the middle")
    return kernel
