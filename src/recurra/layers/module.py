"""What a recurrent layer is before any sequence comes: its settings, parameters, states and noise."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from recurra.cells import Cell, State, get_cell
from recurra.errors import ArgumentError
from recurra.layers.arguments import check_dtype
from recurra.layers.building import make_stack
from recurra.layers.initialising import initialise
from recurra.layers.noise import Noise, draw_mask
from recurra.layers.options import Initializer
from recurra.layers.parameters import Recurrence, only_connected
from recurra.layers.states import StateLayout

__all__ = ["RecurrentModule"]

_UNSAID = ("seed", "device", "dtype")
_SETTINGS = (
    "batch_first",
    "dropout",
    "input_dropout",
    "recurrent_dropout",
    "weight_dropout",
    "zoneout",
    "residual",
    "forget_bias",
    "initializer",
    "checkpoint",
    "seed",
)
# What parameters and their shapes are made by: fixed when the layer is built. Settings may be changed on it later.
_FIXED = (
    "cell",
    "input_size",
    "hidden_size",
    "num_layers",
    "bias",
    "bidirectional",
    "layer_norm",
    "weight_norm",
    "connectivity",
    "learn_initial_state",
    "proj_size",
    "dilation",
)


class RecurrentModule(nn.Module):
    """The part of `Recurrent`, which documents the arguments, that no sequence passes through."""

    _space: tuple[str, ...] = ()  # names of the axes behind the features
    _kernel: tuple[int, ...] = ()
    _x_name, _state_name = "x", "state"  # as the caller knows them

    def __init__(
        self,
        cell: str | type[Cell] | Cell,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        *,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        zoneout: float | Mapping[str, float] = 0.0,
        layer_norm: bool = False,
        weight_norm: bool = False,
        connectivity: float = 1.0,
        residual: bool = False,
        learn_initial_state: bool = False,
        forget_bias: float | None = None,
        initializer: Initializer = "torch",
        proj_size: int = 0,
        dilation: int | Sequence[int] = 1,
        checkpoint: bool | int = False,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.cell = get_cell(cell)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, dropout, bidirectional
        self.input_dropout, self.recurrent_dropout = input_dropout, recurrent_dropout
        self.weight_dropout, self.zoneout = weight_dropout, zoneout
        self.layer_norm, self.weight_norm, self.residual = layer_norm, weight_norm, residual
        self.connectivity = connectivity
        self.learn_initial_state, self.forget_bias, self.initializer = learn_initial_state, forget_bias, initializer
        self.proj_size, self.dilation, self.checkpoint, self.seed = proj_size, dilation, checkpoint, seed
        check_dtype(dtype)
        self._stack = make_stack(self, self._kernel)
        recurrences = self._stack.recurrences
        self._layout = StateLayout(
            self.cell,
            [recurrence.widths() for recurrence in recurrences[:: self.num_directions]],
            directions=self.num_directions,
            dilations=self._stack.dilations,
        )
        for recurrence in recurrences:
            for name, shape, _ in recurrence.shapes():
                self.register_parameter(name, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
            if recurrence.connected:
                shape = (recurrence.recurrent_shape()[0], recurrence.connected)
                empty = torch.empty(shape, device=device, dtype=torch.int64)
                self.register_buffer(recurrence.named("connections_hh"), empty)
        self.reset_parameters()

    def __setattr__(self, name: str, value: Any) -> None:
        built = "_layout" in self.__dict__
        if built and name in _FIXED:
            raise ArgumentError(
                f"{name} is what the layer's parameters were made by; build another with {name}={value!r}"
            )
        before: Any = self.__dict__.get(name)
        super().__setattr__(name, value)
        if built and name in _SETTINGS:
            self.__dict__["_stepper"] = self.__dict__["_sequencer"] = None
            try:
                make_stack(self, self._kernel)
            except ArgumentError:
                super().__setattr__(name, before)
                raise

    @property
    def num_directions(self) -> int:
        """2 if bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def space_axes(self) -> tuple[str, ...]:
        """Names of the axes behind the features, () where a step is a vector."""
        return self._space

    @property
    def output_size(self) -> int:
        """Features of y, over both directions."""
        return self._stack.recurrences[-1].output_size * self.num_directions

    def reset_parameters(self) -> None:
        """Draw all parameters anew, as when the layer was built."""
        parameters = [
            (name, getattr(self, name), role)
            for recurrence in self._stack.recurrences
            for name, _, role in recurrence.shapes()
        ]
        generator = None if self.seed is None else torch.Generator().manual_seed(self.seed)
        initialise(
            self.cell,
            parameters,
            initializer=self.initializer,
            forget_bias=self.forget_bias,
            generator=generator,
        )
        for recurrence in self._stack.recurrences:
            if recurrence.connected:
                self._connect(recurrence, generator)

    @torch.no_grad()
    def _connect(self, recurrence: Recurrence, generator: torch.Generator | None) -> None:
        """Draw which recurrent weights there are, and set the others to 0."""
        connections, weight = (getattr(self, recurrence.named(name)) for name in ("connections_hh", "weight_hh"))
        if not weight.is_meta:
            connections.copy_(recurrence.draw_connections(generator))
            weight.copy_(only_connected(weight, connections))

    def initial_state(self, batch: int | None = None, *, space: tuple[int, ...] = ()) -> State:
        """What a sequence begins with, zeros or what was learned: (layers*directions, batch, hidden), without batch if
        None. space: sizes of the axes behind the features, where a step has any."""
        return self._begin(self._any_weight(), () if batch is None else (batch,), space)

    def read_state(self, state: Any, batch: int) -> State:
        """A state of so many rows, in the form that a call returns, as a State.

        Raises ArgumentError if it is not one of this layer.
        """
        given = self._read(state)
        part = given[0] if isinstance(given, tuple) and given else None
        part = part[0] if isinstance(part, tuple) and part else part
        like = part if isinstance(part, Tensor) else self._any_weight()
        return self._layout.check(given, like, (batch,), tuple(like.shape[3:]), name=self._state_name)

    @property
    def draws_once(self) -> bool:
        """Whether it drops, in training, what stays dropped for a whole sequence: its steps must share one draw."""
        return self.training and any((self.input_dropout, self.recurrent_dropout, self.weight_dropout))

    def draw_noise(self, batch: int) -> Noise:
        """One draw of what is dropped for a whole sequence, to be passed to several calls: chunks of one sequence, or
        its steps. From torch's global generator."""
        like, shapes = self._any_weight(), self._noise_shapes(batch)
        chances = (self.input_dropout, self.recurrent_dropout, self.weight_dropout)
        return Noise(
            *(
                tuple(draw_mask(chance, shape, like) for shape in kind)
                for chance, kind in zip(chances, shapes, strict=True)
            )
        )

    def extra_repr(self) -> str:
        """The constructor's arguments, those that differ from the defaults."""
        said = [repr(self.cell.name), str(self.input_size), str(self.hidden_size)]
        parameters = inspect.signature(RecurrentModule.__init__).parameters.values()
        named = {p.name: p.default for p in parameters if p.default is not p.empty and p.name not in _UNSAID}
        said += [f"{name}={getattr(self, name)}" for name, usual in named.items() if getattr(self, name) != usual]
        return ", ".join(said)

    def _noise_shapes(self, batch: int) -> tuple[list[tuple[int, ...]], ...]:
        """Of inputs per layer, of states and of recurrent weights per recurrence."""
        recurrences, flat = self._stack.recurrences, [1] * len(self._space)
        return (
            [(batch, recurrence.features, *flat) for recurrence in recurrences[:: self.num_directions]],
            [(batch, recurrence.output_size, *flat) for recurrence in recurrences],
            [recurrence.recurrent_shape() for recurrence in recurrences],
        )

    def _begin(self, like: Tensor, batch: tuple[int, ...], space: tuple[int, ...]) -> State:
        """What a sequence begins with where no state is given."""
        zeros = self._layout.zeros(like, batch, space)
        if not self.learn_initial_state:
            return zeros
        starts = zip(self._stack.recurrences, self._layout.split(zeros), strict=True)
        return self._layout.join([recurrence.initial(self, part) for recurrence, part in starts])

    def _given(self, state: Any, x: Tensor, batch: tuple[int, ...]) -> State:
        """The state given, with its batch axis."""
        given = self._layout.check(self._read(state), x, batch, tuple(x.shape[3:]), name=self._state_name)
        return given if batch else given.map(lambda part: part.unsqueeze(1))

    def _read(self, state: Any) -> Any:
        """The state as a State or a tuple of its fields; for classes that take it in another form."""
        return state

    def _any_weight(self) -> Tensor:
        weight: Tensor = getattr(self, self._stack.recurrences[0].named("weight_ih"))
        return weight
