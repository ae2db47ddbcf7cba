"""A recurrence that runs step by step on NumPy arrays, outside torch: its kernel, its packed weights and its state."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.cells import Cell, State
from recurra.compiler.library import pack
from recurra.compiler.program import make_program
from recurra.engines.conditions import Conditions
from recurra.engines.inputs import Inputs, check_inputs
from recurra.engines.kernel import Frame, plan_for
from recurra.engines.task import form_of
from recurra.engines.vectors import compute_vectors, make_recipe
from recurra.engines.weights import Weights
from recurra.errors import RecurraError

__all__ = ["CompiledStream"]

Array = NDArray[Any]


class CompiledStream:
    """One layer in one direction.

    x: where a step reads, (batch, feature); y: where it writes, (batch, output); gaps: (batch,), ones at first.
    Call `step()` between writing x and reading y. Weights are those at the time of opening.
    A stream is for one thread at a time.

    shares: per field of the state, how much of it zoneout keeps.
    Raises BuildError if the kernel cannot be built, Untraceable if there is none.
    """

    def __init__(
        self, cell: Cell, weights: Weights, start: State, shares: dict[str, float], x: Array | None = None
    ) -> None:
        kept = tuple(shares.get(state) or None for state in cell.states)
        form = form_of(Conditions(zoneout=kept), weights)
        program, dtype = make_program(cell, form), weights.input.dtype
        batch, output = start[0].shape
        kind = np.dtype(str(dtype).removeprefix("torch."))
        self.x = np.zeros((batch, weights.input.shape[1]), kind) if x is None else x
        self.y, self.gaps = np.zeros((batch, output), kind), np.ones(batch, kind)
        self._shapes, self._kind = [tuple(part.shape) for part in start], kind
        recurrent, bias, recurrent_bias, projection = (
            one if one is None else one.detach().contiguous() for one in weights[1:5]
        )
        inputs = Inputs(
            torch.from_numpy(self.x)[None],
            [part.contiguous() for part in start],
            weights.input.detach().contiguous(),
            recurrent,
            bias,
            recurrent_bias,
            projection,
            [one.detach().contiguous() for one in compute_vectors(make_recipe(program), cell, weights, shares)],
            gaps=torch.from_numpy(self.gaps)[None],
            connections=weights.connections,
        )
        check_inputs(program, inputs)
        plan = plan_for(program, inputs)
        frame = Frame(plan, inputs, reverse=False, slabs=1)
        frame.set("y", torch.from_numpy(self.y))
        self._functions = plan.library.stream_functions()
        handle = self._functions.open(pack(frame.values()))
        if not handle:
            raise RecurraError("there is no memory for the stream's buffers")
        self._handle = ctypes.c_void_p(handle)
        weakref.finalize(self, self._functions.close, self._handle)
        self._step = self._functions.step

    def step(self) -> None:
        """One step: y and the state from x."""
        self._step(self._handle)

    def read_state(self) -> list[Array]:
        """A copy of the state, (batch, unit) per field."""
        parts = [np.empty(shape, self._kind) for shape in self._shapes]
        self._functions.read(self._handle, _pointers(parts))
        return parts

    def write_state(self, parts: Sequence[Array]) -> None:
        """Go on from another state."""
        self._functions.write(self._handle, _pointers([np.ascontiguousarray(part, self._kind) for part in parts]))


def _pointers(parts: Sequence[Array]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(parts))(*(part.ctypes.data for part in parts))
