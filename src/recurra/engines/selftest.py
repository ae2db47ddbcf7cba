"""A short trial of the kernels on this machine: built, run, and compared with the reference."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from recurra.cells import Cell, get_cell
from recurra.engines import compiled, reference
from recurra.engines.conditions import Conditions
from recurra.engines.weights import Weights

__all__ = ["run"]

_CELLS = ("lstm", "gru", "resetbeforegru", "lru")
_TIME, _BATCH, _FEATURES, _HIDDEN = 9, 3, 2, 21


def run() -> list[tuple[str, bool, str]]:
    """(what was tried, whether it passed, what was measured) of each trial.

    Raises BuildError if a kernel cannot be built.
    """
    return [_try(get_cell(name), dtype) for name in _CELLS for dtype in (torch.float32, torch.float64)]


def _try(cell: Cell, dtype: torch.dtype) -> tuple[str, bool, str]:
    """Outputs and gradients of both engines, for the same random numbers."""
    generator = torch.Generator().manual_seed(0)
    gates, again = len(cell.gates), len(cell.recurrent_gates)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=dtype).mul_(0.3).requires_grad_()

    weights = Weights(
        draw(gates * _HIDDEN, _FEATURES),
        draw(again * _HIDDEN, _HIDDEN) if again else None,
        draw(gates * _HIDDEN),
        draw(again * _HIDDEN) if again else None,
        vectors=tuple(draw(_HIDDEN) for _ in cell.vectors),
    )
    x, state = draw(_TIME, _BATCH, _FEATURES), cell.by_state(draw(_BATCH, _HIDDEN) for _ in cell.states)
    conditions = Conditions(lengths=torch.tensor([_TIME, 0, 4]))
    leaves = [one for one in (x, *state, *weights[:4], *weights.vectors) if one is not None]
    results = []
    seconds = 0.0
    for engine in (compiled, reference):
        begun = time.perf_counter()
        y, last = engine.run(cell, weights, x, state, conditions)
        total = torch.stack([part.sum() for part in (y, *last)]).sum()
        gradients = torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)
        seconds = seconds or time.perf_counter() - begun
        results.append([y.detach(), *gradients])
    differences = [
        float((one - other).abs().max() / other.abs().max().clamp(min=1)) for one, other in zip(*results, strict=True)
    ]
    worst = max(differences)
    passed = worst <= 256 * torch.finfo(dtype).eps
    name = f"{cell.name}, {str(dtype).removeprefix('torch.')}"
    return name, passed, f"differs from the reference by {worst:.1e} at most; {seconds:.2f} s with its build"
