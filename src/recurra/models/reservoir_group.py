"""Reservoirs side by side: all read the same, and what is read of them are the states of all."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recurra.cells import State
from recurra.errors import ArgumentError
from recurra.layers import Reservoir
from recurra.layers.reservoir import ReservoirStream

__all__ = ["ReservoirGroup", "Starts"]

Starts = tuple[tuple[State, ...], ...]
"""Where each reservoir begins, or ends: a State of each of its layers."""


class ReservoirGroup(nn.ModuleList):
    """Reservoirs with one input_size, each with its own dynamics.

    Raises ArgumentError unless they fit together.

    >>> group = ReservoirGroup([Reservoir(1, 20, leak=0.1, seed=0), Reservoir(1, 30, leak=0.9, seed=1)])
    >>> y, state = group(torch.zeros(5, 2, 1), group.initial_state(2))  # time batch feature
    >>> y.shape, len(state)
    (torch.Size([5, 2, 50]), 2)
    """

    def __init__(self, reservoirs: Reservoir | Sequence[Reservoir]) -> None:
        several = [reservoirs] if isinstance(reservoirs, Reservoir) else list(reservoirs)
        if not several or not all(isinstance(one, Reservoir) for one in several):
            raise ArgumentError(f"reservoirs is {reservoirs!r}; expected a Reservoir, or a sequence of some")
        if len({one.input_size for one in several}) > 1 or any(one.batch_first for one in several):
            raise ArgumentError("reservoirs side by side must have one input_size, and be built with batch_first=False")
        dtypes = {next(one.parameters()).dtype for one in several}
        if len(dtypes) > 1:
            raise ArgumentError(f"reservoirs have the dtypes {sorted(map(str, dtypes))}; build all with one dtype")
        super().__init__(several)

    @property
    def input_size(self) -> int:
        """Features that each reads."""
        return self._all()[0].input_size

    @property
    def output_size(self) -> int:
        """The units of all."""
        return sum(one.output_size for one in self._all())

    @property
    def weight(self) -> Tensor:
        """Any of the weights, for their dtype and device."""
        return next(self.parameters())

    def forward(self, x: Tensor, state: Starts, lengths: Tensor | Sequence[int] | None = None) -> tuple[Tensor, Starts]:
        """The states of all units at every step, (time, batch, unit) or (time, unit), and where they end."""
        found = [one(x, start, lengths=lengths) for one, start in zip(self._all(), state, strict=True)]
        return _joined([y for y, _ in found]), tuple(last for _, last in found)

    def step(self, x_t: Tensor, state: Starts) -> tuple[Tensor, Starts]:
        """One step: (batch, feature) or (feature,)."""
        found = [one.step(x_t, start) for one, start in zip(self._all(), state, strict=True)]
        return _joined([y for y, _ in found]), tuple(last for _, last in found)

    def initial_state(self, batch: int | None = None) -> Starts:
        """Zeros."""
        return tuple(one.initial_state(batch) for one in self._all())

    def walk(self, batch: int | None, state: Starts) -> Streams | Steps:
        """Step by step from there: by streams where there are kernels, else by steps."""
        try:
            return Streams([one.stream(batch, start) for one, start in zip(self._all(), state, strict=True)])
        except ArgumentError:
            return Steps(self, state)

    def explain(self) -> str:
        """Which engine runs each layer of each reservoir, and how they are walked through step by step."""
        said = [f"reservoir {place}, {line}" for place, one in enumerate(self._all()) for line in _lines(one)]
        try:
            for one in self._all():
                one.stream()
        except ArgumentError as why:
            return "\n".join([*said, f"generate: step by step, slower ({why})"])
        return "\n".join([*said, "generate: by streams"])

    def _all(self) -> list[Reservoir]:
        return [one for one in self if isinstance(one, Reservoir)]


class Steps:
    """Reservoirs step by step, by their `step`: u_t = steps(x_t), with gradients."""

    def __init__(self, group: ReservoirGroup, state: Starts) -> None:
        self._group, self.state = group, state

    def __call__(self, x_t: Tensor) -> Tensor:
        """The states of all units after this step."""
        units, self.state = self._group.step(x_t, self.state)
        return units


class Streams:
    """Reservoirs step by step, by streams: what it returns is overwritten by the next step."""

    def __init__(self, streams: Sequence[ReservoirStream]) -> None:
        self._streams = streams

    def __call__(self, x_t: Tensor) -> Tensor:
        """The states of all units after this step."""
        read = x_t.detach().numpy()
        return _joined([torch.from_numpy(one(read)) for one in self._streams])

    @property
    def state(self) -> Starts:
        """Where they are."""
        return tuple(one.state for one in self._streams)


def _joined(outputs: Sequence[Tensor]) -> Tensor:
    return outputs[0] if len(outputs) == 1 else torch.cat(list(outputs), -1)


def _lines(reservoir: Reservoir) -> list[str]:
    return reservoir.explain().splitlines()
