"""The vectors of a program: what is made of parameters alone, computed by torch once a sequence, not once a step."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.compiler.graph import Node, ancestors
from recurra.compiler.program import Program
from recurra.engines.weights import Weights

__all__ = ["compute_vectors"]


def compute_vectors(program: Program, weights: Weights, shares: dict[str, float]) -> list[Tensor]:
    """Their values, (hidden,) each; differentiable.

    shares: per field of the state, how much of it zoneout keeps, where it keeps a share.
    """
    if not program.vectors:
        return []
    known = _parameters(program, weights)
    hidden = len(weights.input) // len(program.cell.gates)
    known |= {f"share.{state}": weights.input.new_full((hidden,), share) for state, share in shares.items()}
    values: dict[Node, Tensor | float] = {}
    for node in ancestors(program.vectors):
        values[node] = _value(node, [values[one] for one in node.inputs], known)
    return [_tensor(values[node]) for node in program.vectors]


def _value(node: Node, inputs: list[Tensor | float], known: dict[str, Tensor]) -> Tensor | float:
    if node.op == "constant":
        return node.value
    if node.op == "leaf" and node.name is not None:
        return known[node.name[1]]
    like = next(value for value in inputs if isinstance(value, Tensor))
    one, *others = (value if isinstance(value, Tensor) else like.new_tensor(value) for value in inputs)
    value: Tensor = getattr(torch, node.op)(one, *others)
    return value


def _parameters(program: Program, weights: Weights) -> dict[str, Tensor]:
    """The cell's vectors, and what layer normalisation needs gate by gate, by their names in the equations."""
    cell = program.cell
    known = dict(zip(cell.vectors, weights.vectors, strict=True))
    if not program.form.layer_norm:
        return known
    sides = (
        ("ih", cell.gates, weights.input_gain, weights.input_bias),
        ("hh", cell.recurrent_gates, weights.recurrent_gain, weights.recurrent_bias),
    )
    for side, gates, gain, bias in sides:
        if gain is None:
            continue
        bias = torch.zeros_like(gain) if bias is None else bias
        for kind, whole in (("gain", gain), ("bias", bias)):
            rows = whole.unflatten(0, (len(gates), -1)).unbind(0)
            known |= {f"{kind}_{side}.{gate}": row for gate, row in zip(gates, rows, strict=True)}
    return known


def _tensor(value: Tensor | float) -> Tensor:
    if not isinstance(value, Tensor):
        raise AssertionError("a vector is made of parameters")
    return value
