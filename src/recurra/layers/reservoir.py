"""Reservoirs: recurrences of many units that are drawn and stay as they are; only what reads them is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor, nn

from recurra.cells import State
from recurra.cells.leaky import Leaky
from recurra.errors import ArgumentError
from recurra.layers.arguments import check_connectivity, check_count, check_seed
from recurra.layers.recurrent import Recurrent
from recurra.layers.spectrum import spectral_radius as spectral_radius_of
from recurra.layers.streaming import Stream

__all__ = ["Reservoir", "ReservoirStream"]

_CONNECTIONS = 10  # of a unit, where nothing else is said

Numbers = float | Sequence[float]
Array = NDArray[Any]


class Reservoir(nn.Module):
    """The reservoir of an echo state network (Jaeger 2001; leaky: Jaeger et al. 2007; deep: Gallicchio et al. 2017).

        h_t = (1 - leak) h_(t-1) + leak g(W x_t + U h_(t-1) + b)

    W, U and b are drawn once: U sparse, and scaled until its largest eigenvalue is `spectral_radius`; all elements
    uniform, those of W within `input_scaling` of 0, those of b within `bias_scaling`. A deep reservoir has layers that
    read the one below; what is read of it are the states of all.

    input_size: features of x.
    hidden_size: units of each layer.
    num_layers: layers of a deep reservoir.
    spectral_radius: of U; just below 1 remembers longest, and a driven reservoir often stays stable above 1.
    leak: the part of its way that a unit goes at each step, above 0, at most 1; a slow signal wants a small one.
        These two: one for all layers, or a sequence with one each.
    input_scaling: of x; a number, or one for each feature. Layers above the first take the largest.
    bias_scaling: of b.
    connectivity: share of U that is there, as many for each unit; None: 10 for each.
    input_connectivity: share of W that is there.
    input_weights: "uniform", within `input_scaling` of 0; or "signs", all as large and some negative.
    activation: g, "tanh", "relu", "sigmoid" or "linear".
    trainable: whether the weights may be trained after all; else they need no gradient, and get none.
    batch_first: x and y are (batch, time, feature) and not (time, batch, feature).
    seed: weights come from this alone; None: from torch's global generator.

    Raises ArgumentError for an invalid argument.

    >>> reservoir = Reservoir(1, 50, spectral_radius=0.9, seed=0)
    >>> y, state = reservoir(torch.zeros(20, 3, 1))
    >>> y.shape
    torch.Size([20, 3, 50])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        spectral_radius: Numbers = 0.9,
        leak: Numbers = 0.3,
        input_scaling: Numbers = 1.0,
        bias_scaling: float = 0.0,
        connectivity: float | None = None,
        input_connectivity: float = 1.0,
        input_weights: str = "uniform",
        activation: str = "tanh",
        trainable: bool = False,
        batch_first: bool = False,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.spectral_radius, self.leak, self.input_scaling = spectral_radius, leak, input_scaling
        self.bias_scaling, self.connectivity = bias_scaling, connectivity
        self.input_connectivity, self.activation, self.trainable = input_connectivity, activation, trainable
        self.input_weights, self.batch_first, self.seed = input_weights, batch_first, seed
        if input_weights not in ("uniform", "signs"):
            raise ArgumentError(f"input_weights is {input_weights!r}; expected 'uniform' or 'signs'")
        check_count("hidden_size", hidden_size)
        check_count("num_layers", num_layers)
        check_seed(seed)
        check_connectivity(input_connectivity)
        leaks = _each("leak", leak, num_layers)
        radii = _each("spectral_radius", spectral_radius, num_layers, zero=True)
        scales = _each("input_scaling", input_scaling, input_size, zero=True)
        _each("bias_scaling", bias_scaling, 1, zero=True)
        there = min(1.0, _CONNECTIONS / hidden_size) if connectivity is None else connectivity
        generator = torch.default_generator if seed is None else torch.Generator().manual_seed(seed)
        self.layers = nn.ModuleList()
        for place in range(num_layers):
            layer = Recurrent(
                Leaky(leaks[place], activation),
                input_size if place == 0 else hidden_size,
                hidden_size,
                batch_first=batch_first,
                connectivity=there,
                seed=int(torch.randint(2**62, (), generator=generator)),
                device=device,
                dtype=dtype,
            )
            widths = scales if place == 0 else [max(scales)] * hidden_size
            self._draw(layer, widths, radii[place], generator)
            self.layers.append(layer.requires_grad_(trainable))

    @property
    def output_size(self) -> int:
        """Features of y: the units of all layers."""
        return self.num_layers * self.hidden_size

    def forward(
        self, x: Any, state: Sequence[State] | None = None, *, lengths: Tensor | Sequence[int] | None = None
    ) -> tuple[Any, tuple[State, ...]]:
        """The states of all units at every step, and where they end.

        x, lengths: as `Recurrent` takes them, but not packed or nested.
        state: where to begin, as returned: a State of each layer; None: zeros.
        Returns (y, state): y (time, batch, layers*hidden), layer by layer.
        Raises ArgumentError if a shape, dtype, device or length does not fit.
        """
        outputs, states = [], []
        for layer, start in zip(self._layers(), self._starts(state), strict=True):
            x, last = layer(x, start, lengths=lengths)
            outputs.append(x)
            states.append(last)
        return _joined(outputs), tuple(states)

    def step(self, x_t: Tensor, state: Sequence[State] | None = None) -> tuple[Tensor, tuple[State, ...]]:
        """One time step, for streams: x_t (batch, feature) or (feature,); the state as a call returns it."""
        outputs, states = [], []
        for layer, start in zip(self._layers(), self._starts(state), strict=True):
            x_t, last = layer.step(x_t, start)
            outputs.append(x_t)
            states.append(last)
        return _joined(outputs), tuple(states)

    def initial_state(self, batch: int | None = None) -> tuple[State, ...]:
        """What a sequence begins with, zeros: a State of each layer, without batch if None."""
        return tuple(layer.initial_state(batch) for layer in self._layers())

    def stream(self, batch: int | None = None, state: Sequence[State] | None = None) -> ReservoirStream:
        """The reservoir as a stream on NumPy arrays, which holds its state itself: y_t = stream(x_t), much faster than
        `step`.

        batch: rows that are stepped together; None: vectors without a batch.
        state: where to begin, as for a step.
        Raises ArgumentError where there is no compiled kernel.
        """
        starts = self._starts(state)
        return ReservoirStream(
            [layer.stream(batch, start) for layer, start in zip(self._layers(), starts, strict=True)]
        )

    def explain(self) -> str:
        """Which engine runs each layer here and now, and why."""
        said = [layer.explain() for layer in self._layers()]
        return "\n".join(one.replace("layer 0", f"layer {place}") for place, one in enumerate(said))

    def extra_repr(self) -> str:
        """The sizes, and what the dynamics are made of."""
        sizes = [str(self.input_size), str(self.hidden_size), str(self.num_layers)]
        named = ("spectral_radius", "leak", "input_scaling")
        return ", ".join(sizes + [f"{name}={getattr(self, name)}" for name in named])

    def _layers(self) -> list[Recurrent]:
        return [layer for layer in self.layers if isinstance(layer, Recurrent)]

    def _starts(self, state: Sequence[State] | None) -> Sequence[State | None]:
        if state is None:
            return [None] * self.num_layers
        if (
            not isinstance(state, tuple)
            or len(state) != self.num_layers
            or not all(isinstance(s, State) for s in state)
        ):
            count = self.num_layers
            raise ArgumentError(
                f"state is {type(state).__name__}; expected a tuple of {count} States, one a layer, as returned"
            )
        return state

    @torch.no_grad()
    def _draw(self, layer: Recurrent, scales: Sequence[float], radius: float, generator: torch.Generator) -> None:
        """The weights of one layer."""
        parameters = {name.removesuffix("_l0"): one for name, one in layer.named_parameters()}
        like = parameters["weight_ih"]
        if like.is_meta:
            return
        units, features = like.shape
        into = _uniform(units, features, generator)
        into = (into.sign() if self.input_weights == "signs" else into) * torch.tensor(scales, dtype=torch.float64)
        if self.input_connectivity < 1:
            into *= torch.rand(units, features, generator=generator) < self.input_connectivity
        like.copy_(into)
        places = getattr(layer, "connections_hh_l0", torch.arange(units).expand(units, units)).cpu()  # unit connected
        again = _uniform(units, places.shape[1], generator)
        found = spectral_radius_of(_as_sparse(again, places))
        if radius and not found:
            raise ArgumentError(
                f"the drawn weights have no eigenvalue but 0, which nothing scales to {radius}; "
                f"use more units, a larger connectivity or another seed"
            )
        again *= radius / found if found else 0.0
        weight = parameters["weight_hh"]
        weight.zero_().scatter_(1, places.to(weight.device), again.to(weight))
        parameters["bias_ih"].copy_(_uniform(1, units, generator)[0] * self.bias_scaling)
        parameters["bias_hh"].zero_()


class ReservoirStream:
    """A reservoir step by step: `reservoir.stream()` opens one.

        y_t = stream(x_t)

    x_t: (batch, feature), or (feature,) for a stream without a batch, in the reservoir's dtype.
    y_t: the states of all units; of a single layer the stream's own array, which the next step overwrites.
    """

    def __init__(self, layers: Sequence[Stream]) -> None:
        self._layers = layers

    def __call__(self, x_t: Any) -> Array:
        """One step. Raises ArgumentError if the shape does not fit."""
        outputs = []
        for layer in self._layers:
            x_t = layer(x_t)
            outputs.append(x_t)
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs, -1)

    @property
    def state(self) -> tuple[State, ...]:
        """A copy of the state as the reservoir has it, a State of each layer."""
        return tuple(layer.state for layer in self._layers)


def _as_sparse(weights: Tensor, places: Tensor) -> csr_array:
    """The square matrix with such weights in such columns of its rows."""
    units, connected = places.shape
    ends = np.arange(units + 1) * connected
    return csr_array((weights.flatten().numpy(), places.flatten().numpy(), ends), shape=(units, units))


def _uniform(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Numbers from -1 to 1."""
    return 2 * torch.rand(rows, columns, generator=generator, dtype=torch.float64) - 1


def _joined(outputs: Sequence[Tensor]) -> Tensor:
    return outputs[0] if len(outputs) == 1 else torch.cat(list(outputs), -1)


def _each(name: str, value: Any, count: int, *, zero: bool = False) -> list[float]:
    """So many numbers; raise ArgumentError unless one for all or one each is given, above 0, or 0 where it may be."""
    given = list(value) if isinstance(value, list | tuple) else [value] * count
    if len(given) != count:
        raise ArgumentError(f"{name} has {len(given)} numbers; expected one, or {count}")
    for one in given:
        fits = isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one)
        if not fits or one < 0 or (one == 0 and not zero):
            raise ArgumentError(f"{name} is {value!r}; expected {'a number of at least 0' if zero else 'one above 0'}")
    return [float(one) for one in given]
