"""torch.nn's single-step cells under their own names: same arguments, state_dict and results."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from recurra.cells import Cell, State, get_cell
from recurra.engines import Weights, choose, get_engine
from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count, check_dtype, check_flag
from recurra.layers.dropin import check_nonlinearity
from recurra.layers.initialising import Role, initialise
from recurra.layers.shapes import check_step
from recurra.layers.stack import needs_of

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]


class _Single(nn.Module):
    """One step of a cell, with parameters weight_ih, weight_hh, bias_ih, bias_hh."""

    cell: Cell
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None

    _cell: str  # its name

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_count("input_size", input_size)
        check_count("hidden_size", hidden_size)
        check_flag("bias", bias)
        check_dtype(dtype)
        self.cell = get_cell(self._cell)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = len(self.cell.gates) * hidden_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, input_size), "weight_hh": (rows, hidden_size)}
        biases: dict[str, tuple[int, ...]] = {"bias_ih": (rows,), "bias_hh": (rows,)}
        for name, shape in (shapes | biases).items():
            owned = bias or name in shapes
            empty = nn.Parameter(torch.empty(shape, device=device, dtype=dtype)) if owned else None
            self.register_parameter(name, empty)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew, uniform within 1/sqrt(hidden_size) of 0."""
        parameters = [
            (name, parameter.detach(), Role(name, self.hidden_size)) for name, parameter in self.named_parameters()
        ]
        initialise(self.cell, parameters, initializer="torch", forget_bias=None, generator=None)

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """One step, as torch.nn's cell makes it.

        input: (batch, feature) or (feature,).
        hx: h, or (h, c) for an LSTMCell, (batch, hidden) or (hidden,) each; None: zeros.
        Returns h, or (h, c) for an LSTMCell.
        Raises ArgumentError if a shape, dtype or device does not fit.
        """
        weights = Weights(self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        check_step(input, input_size=self.input_size, weight=weights.input, name="input")
        state = self._read(input, hx)
        x = input
        if input.dim() == 1:
            x, state = input.unsqueeze(0), state.map(lambda part: part.unsqueeze(0))
        state = get_engine(choose(self.cell, needs_of(x)).engine).advance(self.cell, weights, x, state)
        if input.dim() == 1:
            state = state.map(lambda part: part.squeeze(0))
        return tuple(state) if len(state) > 1 else state[0]

    def extra_repr(self) -> str:
        """The constructor's arguments, those that differ from the defaults."""
        said = f"{self.input_size}, {self.hidden_size}"
        return said if self.bias else f"{said}, bias=False"

    def _read(self, input: Tensor, hx: Any) -> State:
        shape = (*input.shape[:-1], self.hidden_size)
        if hx is None:
            return self.cell.by_state(input.new_zeros(shape) for _ in self.cell.states)
        given = (hx,) if len(self.cell.states) == 1 and isinstance(hx, Tensor) else hx
        spelled = "h" if len(self.cell.states) == 1 else "(h, c)"
        if not isinstance(given, tuple) or len(given) != len(self.cell.states):
            raise ArgumentError(f"hx is a {type(hx).__name__}; {type(self).__name__} takes {spelled}, {shape} each")
        for name, part in zip(self.cell.states, given, strict=True):
            if not isinstance(part, Tensor) or part.shape != shape:
                came = tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__
                raise ArgumentError(f"{name} of hx is {came}, input {tuple(input.shape)}; expected {shape}, or omit hx")
            if part.device != input.device:
                raise ArgumentError(
                    f"{name} of hx is on {part.device}, input on {input.device}; move one with .to(...)"
                )
            if part.dtype != input.dtype and not torch.is_autocast_enabled(input.device.type):
                raise ArgumentError(f"{name} of hx has dtype {part.dtype}, input {input.dtype}; convert it")
        return self.cell.by_state(given)


class LSTMCell(_Single):
    """torch.nn.LSTMCell, drop-in: (h, c) = cell(input, (h, c)).

    >>> h, c = LSTMCell(3, 8)(torch.zeros(5, 3))
    >>> h.shape
    torch.Size([5, 8])
    """

    _cell = "lstm"


class GRUCell(_Single):
    """torch.nn.GRUCell, drop-in: h = cell(input, h).

    >>> GRUCell(3, 8)(torch.zeros(3)).shape
    torch.Size([8])
    """

    _cell = "gru"


class RNNCell(_Single):
    """torch.nn.RNNCell, drop-in: h = cell(input, h), with nonlinearity "tanh" or "relu".

    >>> RNNCell(3, 8, nonlinearity="relu")(torch.zeros(5, 3)).shape
    torch.Size([5, 8])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_nonlinearity(nonlinearity)
        self._cell = f"elman-{nonlinearity}"
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def extra_repr(self) -> str:
        """The constructor's arguments, those that differ from the defaults."""
        said = super().extra_repr()
        return said if self.nonlinearity == "tanh" else f"{said}, nonlinearity={self.nonlinearity!r}"
