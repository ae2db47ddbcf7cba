"""Streams: a layer that runs step by step on NumPy arrays and holds its state itself, for real time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.cells import State
from recurra.engines.compiled import refusal
from recurra.engines.stream import CompiledStream
from recurra.errors import ArgumentError
from recurra.layers.arguments import one_per_state

if TYPE_CHECKING:
    from recurra.layers.recurrent import Recurrent

__all__ = ["Stream"]

Array = NDArray[Any]


class Stream:
    """A layer in evaluation mode, step by step: `layer.stream()` opens one.

        y_t = stream(x_t)

    x_t: (batch, feature), or (feature,) for a stream without a batch, in the layer's dtype.
    y_t: (batch, output) or (output,): the stream's own array, which the next step overwrites; copy what is to be kept.

    Weights are those at the time of opening. A step neither allocates memory nor calls torch. One thread at a time.

    >>> from recurra.nn import Recurrent
    >>> layer = Recurrent("gru", 2, 3, seed=0)
    >>> stream = layer.stream()
    >>> y_t = stream(np.zeros(2, np.float32))
    >>> y, _ = layer(torch.zeros(1, 2))
    >>> bool(np.allclose(y_t, y[0].detach(), atol=1e-6))
    True
    """

    def __init__(self, layer: Recurrent, batch: int | None = None, state: Any = None) -> None:
        _check(layer)
        if batch is not None and (not isinstance(batch, int) or isinstance(batch, bool) or batch < 0):
            raise ArgumentError(f"batch is {batch!r}; expected a number of rows, or None for steps without a batch")
        self._gapped = False
        self._layout, self._cell, self._batch = layer._layout, layer.cell, batch
        rows = 1 if batch is None else batch
        start = layer.initial_state(rows) if state is None else layer.read_state(self._with_batch(state), rows)
        self._start = [part.map(lambda one: one[0].detach()) for part in self._layout.split(start)]
        shares = dict(zip(layer.cell.states, one_per_state("zoneout", layer.zoneout, layer.cell.states), strict=True))
        self._layers: list[CompiledStream] = []
        for recurrence, begun in zip(layer._stack.recurrences, self._start, strict=True):
            below = self._layers[-1].y if self._layers and not layer.residual else None
            weights = recurrence.weights(layer, None)
            self._layers.append(CompiledStream(layer.cell, weights, begun, shares, below))
        self._residual = layer.residual and len(self._layers) > 1
        self._x = self._layers[0].x if batch is not None else self._layers[0].x[0]
        self._y = self._layers[-1].y if batch is not None else self._layers[-1].y[0]
        self._only = self._layers[0].step if len(self._layers) == 1 else None

    def __call__(self, x_t: Any, gaps: Any = None) -> Array:
        """One step. gaps: time that passed since the step before, a number or (batch,), for a cell that reads it.

        Raises ArgumentError if the shape does not fit.
        """
        if getattr(x_t, "shape", None) != self._x.shape and np.shape(x_t) != self._x.shape:
            raise ArgumentError(f"x_t has shape {np.shape(x_t)}; expected {self._x.shape}, as the stream was opened")
        self._x[...] = x_t
        if gaps is not None or self._gapped:
            self._set_gaps(1 if gaps is None else gaps)
            self._gapped = gaps is not None
        if self._only is not None:
            self._only()
        else:
            self._run()
        return self._y

    @property
    def state(self) -> State:
        """A copy of the state as the layer has it: (layers, batch, unit) per field, without batch if it has none."""
        parts = [self._cell.by_state(map(torch.from_numpy, one.read_state())) for one in self._layers]
        joined = self._layout.join([part.map(lambda one: one.unsqueeze(0)) for part in parts])
        return joined if self._batch is not None else joined.map(lambda part: part.squeeze(1))

    @state.setter
    def state(self, state: State) -> None:
        given = self._layout.check(self._with_batch(state), torch.from_numpy(self._layers[0].x), self._rows, ())
        for one, part in zip(self._layers, self._layout.split(given), strict=True):
            one.write_state([field[0].detach().numpy() for field in part])

    def reset(self) -> None:
        """Begin anew, where the stream began."""
        for one, begun in zip(self._layers, self._start, strict=True):
            one.write_state([part.numpy() for part in begun])

    @property
    def _rows(self) -> tuple[int]:
        return (1 if self._batch is None else self._batch,)

    def _run(self) -> None:
        below: CompiledStream | None = None
        for one in self._layers:
            if below is not None and self._residual:
                one.x[...] = below.y
            one.step()
            if below is not None and self._residual:
                one.y += below.y
            below = one

    def _with_batch(self, state: Any) -> Any:
        if self._batch is not None or not isinstance(state, tuple):
            return state
        given = (
            state if isinstance(state, State) or len(state) != len(self._cell.states) else self._cell.by_state(state)
        )
        return given if not isinstance(given, State) else given.map(lambda part: part.unsqueeze(1))

    def _set_gaps(self, gaps: Any) -> None:
        if not self._cell.reads_gaps:
            raise ArgumentError(f"gaps was passed; cell {self._cell.name!r} reads no time gaps, 'cfc' does")
        for one in self._layers:
            one.gaps[...] = gaps


def _check(layer: Recurrent) -> None:
    if layer.bidirectional:
        raise ArgumentError("stream was called on a bidirectional layer, whose outputs depend on the future")
    if max(layer._stack.dilations) > 1:
        raise ArgumentError(f"stream was called on a layer with dilation={layer.dilation}; use layer.step")
    why = refusal(layer.cell, layer._needs())
    if why:
        raise ArgumentError(f"a stream needs a compiled kernel, and there is none: {why}; use layer.step")
