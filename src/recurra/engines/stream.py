"""A recurrence that runs step by step on NumPy arrays, outside torch: its kernel, its packed weights and its state."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.cells import Cell, State
from recurra.compiler.forms import Form
from recurra.compiler.library import Call, addresses, get_library, parts_for
from recurra.compiler.program import make_program
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
        zoneout = tuple("share" if shares.get(state) else "" for state in cell.states)
        form = Form(
            layer_norm=weights.input_gain is not None,
            zoneout=zoneout if any(zoneout) else (),
            projected=weights.projection is not None,
        )
        program, dtype = make_program(cell, form), weights.input.dtype
        batch, output = start[0].shape
        hidden, features = len(weights.input) // len(cell.gates), weights.input.shape[1]
        library = get_library(program, weights.input.element_size() * 8, parts_for(program, hidden, dtype))
        kind = np.dtype(str(dtype).removeprefix("torch."))
        self.x = np.zeros((batch, features), kind) if x is None else x
        self.y, self.gaps = np.zeros((batch, output), kind), np.ones(batch, kind)
        self._cell, self._shapes, self._kind = cell, [tuple(part.shape) for part in start], kind
        call = Call(1, batch, features, hidden, output, 0, 1, batch, self.x.size, features, self.x.ctypes.data)
        call.y, call.gaps = self.y.ctypes.data, self.gaps.ctypes.data
        held = [one if one is None else one.detach().contiguous() for one in weights[:5]]
        for name, one in zip(_WEIGHTS, held, strict=True):
            setattr(call, name, 0 if one is None else one.data_ptr())
        vectors = [one.detach().contiguous() for one in compute_vectors(make_recipe(program), cell, weights, shares)]
        arrays = [addresses(vectors), addresses([part.contiguous() for part in start])]
        call.vectors, call.start = map(ctypes.addressof, arrays)
        self._functions = library.stream_functions()
        handle = self._functions.open(ctypes.addressof(call))
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


_WEIGHTS = ("weight_input", "weight_recurrent", "bias_input", "bias_recurrent", "projection")


def _pointers(parts: Sequence[Array]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(parts))(*(part.ctypes.data for part in parts))
