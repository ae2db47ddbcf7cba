"""The vectors of a program: what is made of parameters alone, computed by torch once a sequence, not once a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from recurra.cells import Cell
from recurra.compiler.graph import ancestors
from recurra.compiler.program import Program
from recurra.engines.weights import Weights

__all__ = ["Recipe", "compute_vectors", "make_recipe", "owed_to_leaves"]


class Recipe(NamedTuple):
    """How vectors are made, in words and numbers alone, so that torch.compile can follow it.

    steps: (operation, places of its inputs among the steps before, name of a parameter, value of a constant).
    results: the places of the vectors.
    layer_norm: whether gains and biases are among the parameters, gate by gate.
    """

    steps: tuple[tuple[str, tuple[int, ...], str, float], ...]
    results: tuple[int, ...]
    layer_norm: bool
    leaves: tuple[str, ...] | None
    """The vectors' names, where none is computed: parameters of the cell, rows of others, shares."""


def make_recipe(program: Program) -> Recipe:
    """That of a program's vectors."""
    nodes = list(ancestors(program.vectors))
    places = {node: place for place, node in enumerate(nodes)}
    steps = tuple(
        (node.op, tuple(places[one] for one in node.inputs), node.name[1] if node.name else "", node.value)
        for node in nodes
    )
    names = tuple(node.name[1] for node in program.vectors if node.name)
    results = tuple(places[node] for node in program.vectors)
    return Recipe(steps, results, program.form.layer_norm, names if len(names) == len(results) else None)


def compute_vectors(recipe: Recipe, cell: Cell, weights: Weights, shares: Mapping[str, float]) -> list[Tensor]:
    """The values of vectors, (hidden,) each; differentiable.

    shares: per field of the state, how much of it zoneout keeps, where it keeps a share.
    """
    if not recipe.results:
        return []
    known = dict(zip(cell.vectors, weights.vectors, strict=True))
    if recipe.layer_norm:
        known |= _by_gate("ih", cell.gates, weights.input_gain, weights.input_bias)
        known |= _by_gate("hh", cell.recurrent_gates, weights.recurrent_gain, weights.recurrent_bias)
    hidden = weights.input.shape[0] // len(cell.gates)
    known |= {f"share.{state}": weights.input.new_full((hidden,), share) for state, share in shares.items()}
    if recipe.leaves is not None:
        return [known[name] for name in recipe.leaves]
    values: list[Tensor] = []
    for op, inputs, name, value in recipe.steps:
        if op == "constant":
            values.append(weights.input.new_full((), value))
        elif name:
            values.append(known[name])
        else:
            values.append(getattr(torch, op)(*[values[place] for place in inputs]))
    return [values[place] for place in recipe.results]


def owed_to_leaves(leaves: tuple[str, ...], cell: Cell, gradients: Tensor) -> dict[str, Tensor]:
    """What vectors that are leaves owe to the parameters that they are, or are rows of: those of the cell by their
    names, gain_ih, bias_ih, gain_hh, bias_hh. gradients: of the vectors, (vector, hidden)."""
    rows = dict(zip(leaves, gradients.unbind(0), strict=True))
    found = {name: row for name, row in rows.items() if name in cell.vectors}
    for side, gates in (("ih", cell.gates), ("hh", cell.recurrent_gates)):
        for kind in ("gain", "bias"):
            parts = [rows.get(f"{kind}_{side}.{gate}") for gate in gates]
            there = next((part for part in parts if part is not None), None)
            if there is not None:
                found[f"{kind}_{side}"] = torch.cat([torch.zeros_like(there) if one is None else one for one in parts])
    return found


def _by_gate(side: str, gates: tuple[str, ...], gain: Tensor | None, bias: Tensor | None) -> dict[str, Tensor]:
    """The gains and biases of one side's projections, by their names in the equations."""
    if gain is None:
        return {}
    bias = torch.zeros_like(gain) if bias is None else bias
    found: dict[str, Tensor] = {}
    for kind, whole in (("gain", gain), ("bias", bias)):
        rows = whole.unflatten(0, (len(gates), -1)).unbind(0)
        found |= {f"{kind}_{side}.{gate}": row for gate, row in zip(gates, rows, strict=True)}
    return found
