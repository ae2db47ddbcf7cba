"""torch.nn's recurrent layers under their own names: same arguments, state_dict and results, and our options.

What is passed on by keyword is named and typed once, in `RecurrentOptions`; `Recurrent` documents it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from recurra.cells import State
from recurra.errors import ArgumentError, nearest
from recurra.layers.noise import Noise
from recurra.layers.options import RecurrentOptions
from recurra.layers.recurrent import Recurrent

__all__ = ["GRU", "LSTM", "RNN"]

_Hidden = Tensor | tuple[Any, ...] | list[Tensor] | State | None


class _DropIn(Recurrent):
    """A `Recurrent` that is called and answers as torch.nn's layers do."""

    mode: str
    _x_name, _state_name = "input", "hx"

    def forward(  # type: ignore[override]  # torch calls it input, and its states by the place
        self,
        input: Tensor | PackedSequence,
        hx: _Hidden = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        mask: Tensor | None = None,
        resets: Tensor | None = None,
        noise: Noise | None = None,
    ) -> tuple[Any, Any]:
        """Outputs of every time step and the final state, as torch.nn returns them.

        input: (time, batch, feature), (batch, time, feature) if batch_first, (time, feature), or packed, or nested.
        hx: where to begin: h_0, or (h_0, c_0) for an LSTM, (layers*directions, batch, hidden) each; None: zeros.
        lengths, mask, resets, noise: as `Recurrent` takes them.
        Returns (output, h_n), or (output, (h_n, c_n)) for an LSTM.
        Raises ArgumentError if a shape, dtype, device or length does not fit.
        """
        y, state = super().forward(input, hx, lengths=lengths, mask=mask, resets=resets, noise=noise)
        return y, self._shown(state)

    def step(  # type: ignore[override]
        self, x_t: Tensor, hx: _Hidden = None, *, noise: Noise | None = None
    ) -> tuple[Tensor, Any]:
        """One time step; hx and the state returned are in torch's form."""
        y_t, state = super().step(x_t, hx, noise=noise)
        return y_t, self._shown(state)

    def flatten_parameters(self) -> None:
        """Does nothing: torch's kernels lay the weights out by themselves when they are called."""

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters of each layer and direction, in torch's order."""
        return [[getattr(self, name) for name, _, _ in one.shapes()] for one in self._stack.recurrences]

    def extra_repr(self) -> str:
        """The constructor's arguments, those that differ from the defaults."""
        return super().extra_repr().partition(", ")[2]  # but for the cell, which the class says

    def _read(self, hx: _Hidden) -> State | tuple[Any, ...] | None:
        if isinstance(hx, State) or hx is None:
            return hx
        hx = tuple(hx) if isinstance(hx, list) else hx
        if len(self.cell.states) == 1:
            if isinstance(hx, tuple) and self._layout.stacked:
                raise ArgumentError(f"hx is a tuple of {len(hx)}; {type(self).__name__} has one state: pass h_0 itself")
            return (hx,)
        if isinstance(hx, Tensor):
            raise ArgumentError(f"hx is a Tensor; {type(self).__name__} has two states: pass (h_0, c_0)")
        return hx

    def _shown(self, state: State) -> Any:
        return tuple(state) if len(state) > 1 else state[0]


class LSTM(_DropIn):
    """torch.nn.LSTM, drop-in: arguments, initial values, state_dict (strictly, both ways) and results are the same.

    options: what torch has not, all of `Recurrent`'s: recurrent_dropout, zoneout, layer_norm, ...

    Raises ArgumentError for an invalid argument.

    >>> layer = LSTM(3, 8, 2, batch_first=True, recurrent_dropout=0.2)
    >>> y, (h_n, c_n) = layer(torch.zeros(5, 4, 3), lengths=[4, 4, 1, 0, 2])
    >>> h_n.shape
    torch.Size([2, 5, 8])
    """

    mode = "LSTM"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[RecurrentOptions],
    ) -> None:
        super().__init__(
            "lstm",
            input_size,
            hidden_size,
            num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            proj_size=proj_size,
            device=device,
            dtype=dtype,
            **options,
        )


class GRU(_DropIn):
    """torch.nn.GRU, drop-in, as `LSTM` is.

    >>> GRU(3, 8, zoneout=0.1)(torch.zeros(4, 5, 3))[1].shape
    torch.Size([1, 5, 8])
    """

    mode = "GRU"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[RecurrentOptions],
    ) -> None:
        super().__init__(
            "gru",
            input_size,
            hidden_size,
            num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            device=device,
            dtype=dtype,
            **options,
        )


class RNN(_DropIn):
    """torch.nn.RNN, drop-in, as `LSTM` is: Elman's network with nonlinearity "tanh" or "relu".

    >>> RNN(3, 8, nonlinearity="relu", layer_norm=True)(torch.zeros(4, 5, 3))[0].shape
    torch.Size([4, 5, 8])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[RecurrentOptions],
    ) -> None:
        check_nonlinearity(nonlinearity)
        super().__init__(
            f"elman-{nonlinearity}",
            input_size,
            hidden_size,
            num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            device=device,
            dtype=dtype,
            **options,
        )
        self.nonlinearity, self.mode = nonlinearity, f"RNN_{nonlinearity.upper()}"

    def extra_repr(self) -> str:
        """The constructor's arguments, those that differ from the defaults."""
        said = super().extra_repr()
        return said if self.nonlinearity == "tanh" else f"{said}, nonlinearity={self.nonlinearity!r}"


def check_nonlinearity(value: object) -> None:
    """Raise ArgumentError unless value is one of torch's two."""
    if value not in ("tanh", "relu"):
        raise ArgumentError(f"nonlinearity {value!r} is unknown; {nearest(str(value), ['tanh', 'relu'])}")
