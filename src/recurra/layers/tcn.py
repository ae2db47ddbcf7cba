"""The temporal convolutional network: residual blocks of causal convolutions, for what a recurrence is used for."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from recurra.errors import ArgumentError
from recurra.layers.arguments import (
    check_count,
    check_dtype,
    check_flag,
    check_probability,
    check_seed,
    one_per_layer,
)
from recurra.layers.causal import CausalConvolution, padding_of
from recurra.layers.forms import read_sequences
from recurra.layers.noise import draw_mask
from recurra.layers.pasts import Past, Pasts, read_past
from recurra.layers.shapes import check_sequence, check_step

__all__ = ["TCN"]


class TCN(nn.Module):
    """Residual blocks of two causal convolutions each, dilated by 1, 2, 4, ... (Bai et al. 2018, An empirical
    evaluation of generic convolutional and recurrent networks for sequence modeling).

        u = dropout(relu(b_1 + sum_k W_(1,k) x_(t - k d)))
        v = dropout(relu(b_2 + sum_k W_(2,k) u_(t - k d)))
        y_t = relu(v + x_t)                                     R x_t + r for x_t where the widths differ

    input_size: features of x.
    hidden_size: features of every block, or a sequence with one number each; y has those of the last.
    num_layers: blocks; may be left out where hidden_size is a sequence.
    kernel_size: steps that a convolution reads.
    dilations: d of each block; None: 1, 2, 4, ...
    dropout: probability with which a feature is zeroed in training, for a whole sequence at a time; in steps, for each.
    weight_norm: learn length and direction of each feature's weights apart (Salimans & Kingma 2016), as the authors do.
    batch_first: x and y are (batch, time, feature) and not (time, batch, feature); states are the same either way.
    seed: initial weights come from this seed alone; None: from torch's global generator. As torch.nn.Conv1d draws them.

    Raises ArgumentError for any invalid argument.

    >>> net = TCN(3, 16, 4, kernel_size=3, seed=0)
    >>> y, state = net(torch.zeros(20, 2, 3))  # time batch feature
    >>> y.shape, net.receptive_field
    (torch.Size([20, 2, 16]), 61)
    >>> y_t, state = net.step(torch.zeros(2, 3), state)
    >>> y_t.shape
    torch.Size([2, 16])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int | None = None,
        *,
        kernel_size: int = 3,
        dilations: Sequence[int] | None = None,
        dropout: float = 0.0,
        weight_norm: bool = False,
        batch_first: bool = False,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_count("input_size", input_size)
        check_count("kernel_size", kernel_size)
        check_probability("dropout", dropout)
        check_flag("weight_norm", weight_norm)
        check_flag("batch_first", batch_first)
        check_seed(seed)
        check_dtype(dtype)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.kernel_size, self.dilations, self.dropout = kernel_size, dilations, dropout
        self.weight_norm, self.batch_first, self.seed = weight_norm, batch_first, seed
        widths = _read_widths(hidden_size, num_layers)
        spread = _read_dilations(dilations, len(widths))
        self.blocks = nn.ModuleList(
            _Block(before, after, kernel_size, dilation, weight_norm, device, dtype)
            for (before, after), dilation in zip(itertools.pairwise((input_size, *widths)), spread, strict=True)
        )
        self.reset_parameters()

    @property
    def output_size(self) -> int:
        """Features of y."""
        return self._convolutions()[-1].output_size

    @property
    def receptive_field(self) -> int:
        """Steps from the first that an output depends on to its own, both counted."""
        return 1 + sum(convolution.remembered for convolution in self._convolutions())

    def reset_parameters(self) -> None:
        """Draw all parameters anew, as when the net was built."""
        generator = None if self.seed is None else torch.Generator().manual_seed(self.seed)
        for module in self.modules():
            if isinstance(module, CausalConvolution):
                module._draw(generator)

    def forward(
        self, x: Any, state: Pasts | None = None, *, lengths: Tensor | Sequence[int] | None = None
    ) -> tuple[Any, Pasts]:
        """Outputs of every time step, and the state after the last.

        x: (time, batch, feature), or (batch, time, feature) if batch_first; or unbatched, (time, feature); or packed,
            or nested.
        state: what the call before returned; None: nothing was before, zeros in every convolution.
        lengths: steps of each row, 0 to time; None: all. Outputs past a row's end are 0, its state is the one at its
            end. What x holds past the end does not matter.
        Returns (y, state): y in the form of x with the features of the output.
        Raises ArgumentError if a shape, dtype, device or length does not fit.
        """
        check_sequence(x, input_size=self.input_size, batch_first=self.batch_first, weight=self._any_weight())
        sequences = read_sequences(x, rank=3, batch_first=self.batch_first, lengths=lengths, mask=None)
        padding = padding_of(sequences)
        y = sequences.x if padding is None else sequences.x.masked_fill(padding, 0)
        pasts = iter(self._read_state(state, y, sequences.batch))
        lasts: list[Past] = []
        for block in self._all():
            below = y
            for convolution in block.pair():
                past = next(pasts)
                past = past if sequences.batch else past.map(lambda part: part.unsqueeze(-2))
                y, last = convolution._run(y, past, sequences.lengths)
                y = self._drop(y.relu(), y.shape[1:])
                lasts.append(last if sequences.batch else last.map(lambda part: part.squeeze(-2)))
            y = (y + block.carry(below)).relu()
        y = y if padding is None else y.masked_fill(padding, 0)
        return sequences.restore(y), Pasts(tuple(lasts))

    def step(self, x_t: Tensor, state: Pasts | None = None) -> tuple[Tensor, Pasts]:
        """One time step, for streams; step by step equals the whole sequence. It costs the same for any dilations.

        x_t: (batch, feature) or (feature,).
        state: what the last step returned; None at the beginning.
        Returns (y_t, state): (batch, output) or (output,), and the state to pass to the next step.
        Raises ArgumentError if a shape does not fit.
        """
        check_step(x_t, input_size=self.input_size, weight=self._any_weight())
        pasts = iter(self._read_state(state, x_t, tuple(x_t.shape[:-1])))
        y_t, lasts = x_t, []
        for block in self._all():
            below = y_t
            for convolution in block.pair():
                y_t, last = convolution._advance(y_t, next(pasts))
                y_t = self._drop(y_t.relu(), y_t.shape)
                lasts.append(last)
            y_t = (y_t + block.carry(below)).relu()
        return y_t, Pasts(tuple(lasts))

    def extra_repr(self) -> str:
        """The constructor's arguments, those that differ from the defaults, and what an output depends on."""
        said = [str(self.input_size), str(self.hidden_size)]
        said += [str(self.num_layers)] if self.num_layers is not None else []
        said += [f"kernel_size={self.kernel_size}"]
        said += [f"{name}={value}" for name in _OPTIONS if (value := getattr(self, name))]
        return ", ".join([*said, f"receptive_field={self.receptive_field}"])

    def _drop(self, y: Tensor, shape: torch.Size) -> Tensor:
        mask = draw_mask(self.dropout, tuple(shape), y) if self.training else None
        return y if mask is None else y * mask

    def _all(self) -> list[_Block]:
        return [block for block in self.blocks if isinstance(block, _Block)]

    def _convolutions(self) -> list[CausalConvolution]:
        """Those that have a past, the first first."""
        return [convolution for block in self._all() for convolution in block.pair()]

    def _read_state(self, state: Any, x: Tensor, batch: tuple[int, ...]) -> list[Past]:
        convolutions = self._convolutions()
        count = len(convolutions)
        if state is not None and (not isinstance(state, Pasts) or len(state.layers) != count):
            came = f"Pasts of {len(state.layers)}" if isinstance(state, Pasts) else type(state).__name__
            raise ArgumentError(
                f"state is {came}; pass the Pasts of {count} convolutions that the last call returned, or omit it"
            )
        pasts = (None,) * count if state is None else state.parted().layers
        return [
            read_past(f"state.layers[{place}]", past, one.remembered, one.input_size, x, batch)
            for place, (past, one) in enumerate(zip(pasts, convolutions, strict=True))
        ]

    def _any_weight(self) -> Tensor:
        return self._convolutions()[0].weight


_OPTIONS = ("dilations", "dropout", "weight_norm", "batch_first")


class _Block(nn.Module):
    """Two convolutions, and what carries the input past them."""

    def __init__(
        self,
        before: int,
        after: int,
        kernel_size: int,
        dilation: int,
        weight_norm: bool,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()

        def convolution(inputs: int, kernel_size: int, dilation: int, weight_norm: bool) -> CausalConvolution:
            # A seed of its own, so that torch's generator stands where it stood when the net draws all weights.
            return CausalConvolution(
                inputs,
                after,
                kernel_size=kernel_size,
                dilation=dilation,
                weight_norm=weight_norm,
                seed=0,
                device=device,
                dtype=dtype,
            )

        self.first = convolution(before, kernel_size, dilation, weight_norm)
        self.second = convolution(after, kernel_size, dilation, weight_norm)
        self.residual = convolution(before, 1, 1, False) if before != after else None

    def pair(self) -> tuple[CausalConvolution, CausalConvolution]:
        """The two convolutions."""
        return self.first, self.second

    def carry(self, x: Tensor) -> Tensor:
        """The input in the width of the output."""
        if self.residual is None:
            return x
        return nn.functional.linear(x, self.residual.weight.squeeze(2), self.residual.bias)


def _read_widths(hidden_size: int | Sequence[int], num_layers: int | None) -> tuple[int, ...]:
    if num_layers is not None:
        return one_per_layer("hidden_size", hidden_size, check_count("num_layers", num_layers))
    if not isinstance(hidden_size, list | tuple) or not hidden_size:
        raise ArgumentError(
            f"hidden_size is {hidden_size!r} and num_layers was left out; pass num_layers, or one number for each block"
        )
    return one_per_layer("hidden_size", hidden_size, len(hidden_size))


def _read_dilations(dilations: Sequence[int] | None, num_layers: int) -> tuple[int, ...]:
    if dilations is None:
        return tuple(2**layer for layer in range(num_layers))
    if not isinstance(dilations, list | tuple):
        raise ArgumentError(f"dilations is {dilations!r}; expected one int for each block, as [1, 2, 4], or None")
    return one_per_layer("dilations", dilations, num_layers)
