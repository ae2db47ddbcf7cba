"""The values that a layer's parameters begin with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from recurra.cells import Cell
from recurra.errors import ArgumentError, nearest
from recurra.layers.options import Initializer

__all__ = ["INITIALIZERS", "Role", "check_initializer", "initialise"]

Generator = torch.Generator | None


class Role(NamedTuple):
    """What a parameter is for."""

    kind: str
    """weight_ih, weight_hh, weight_hr, bias_ih, bias_hh, vector, gain, magnitude or initial."""
    hidden_size: int
    of: str = ""
    """The vector's or the state's own name; the name of the weight that a magnitude or a gain scales."""


def initialise(
    cell: Cell,
    parameters: list[tuple[str, Tensor, Role]],
    *,
    initializer: Initializer,
    forget_bias: float | None,
    generator: Generator,
) -> None:
    """Draw all parameters anew, in place.

    First every weight, bias and vector as torch.nn's recurrences do, uniform within 1/sqrt(hidden_size) of 0, in the
    order of the parameters, which is torch's; then what `initializer` and `forget_bias` ask for.
    """
    with torch.no_grad():
        for _, parameter, role in parameters:
            _fill_as_usual(cell, parameter, role, generator)
        if initializer != "torch":
            for name, parameter, role in parameters:
                _fill_by_gate(cell, name, parameter, role, initializer, generator)
        if forget_bias is not None and cell.forget_gate is not None:
            for _, parameter, role in parameters:
                for gate, block in _blocks(cell, parameter, role):
                    if gate == cell.forget_gate and role.kind in ("bias_ih", "bias_hh"):
                        block.fill_(forget_bias if role.kind == "bias_ih" else 0.0)
        by_name = {name: parameter for name, parameter, _ in parameters}
        for _, parameter, role in parameters:
            if role.kind == "magnitude":
                parameter.copy_(by_name[role.of].flatten(1).norm(dim=1))


def _fill_as_usual(cell: Cell, parameter: Tensor, role: Role, generator: Generator) -> None:
    if role.kind in ("gain", "magnitude"):
        parameter.fill_(1.0)
    elif role.kind == "initial":
        parameter.zero_()
    elif role.kind == "vector" and (shape := cell.vectors[role.of]) is not None:
        _draw(parameter, lambda empty: shape(empty.uniform_(generator=generator)))
    else:
        bound = 1 / math.sqrt(role.hidden_size)
        _draw(parameter, lambda empty: empty.uniform_(-bound, bound, generator=generator))


def _fill_by_gate(
    cell: Cell, name: str, parameter: Tensor, role: Role, initializer: Initializer, generator: Generator
) -> None:
    for gate, block in _blocks(cell, parameter, role):
        if callable(initializer):
            initializer(name, gate, block)
        elif role.kind in ("bias_ih", "bias_hh"):
            block.zero_()
        else:
            fill = INITIALIZERS[initializer]
            _draw(block, lambda empty: fill(empty, role.kind == "weight_hh", generator))  # noqa: B023 - called now


def _blocks(cell: Cell, parameter: Tensor, role: Role) -> Iterator[tuple[str, Tensor]]:
    """The rows of each gate; nothing for a parameter that has no gates."""
    kinds = {"weight_ih": cell.gates, "bias_ih": cell.gates}
    gates = (kinds | dict.fromkeys(("weight_hh", "bias_hh"), cell.recurrent_gates)).get(role.kind, ())
    return zip(gates, parameter.detach().split(role.hidden_size) if gates else (), strict=True)


def _draw(parameter: Tensor, fill: Callable[[Tensor], Tensor]) -> None:
    """On the CPU, so that a seed means the same on any device."""
    if parameter.is_meta:
        return
    parameter.copy_(fill(torch.empty(parameter.shape, dtype=parameter.dtype)))


def _glorot(block: Tensor, recurrent: bool, generator: Generator) -> Tensor:
    """Uniform with variance 2 / (fan in + fan out) (Glorot & Bengio 2010)."""
    field = math.prod(block.shape[2:])
    bound = math.sqrt(6 / ((block.shape[0] + block.shape[1]) * field))
    return block.uniform_(-bound, bound, generator=generator)


def _orthogonal(block: Tensor, recurrent: bool, generator: Generator) -> Tensor:
    """Recurrent weights orthogonal, gate by gate (Saxe et al. 2014): they keep the length of what passes through."""
    if not recurrent:
        return _glorot(block, recurrent, generator)
    wide = block if block.dtype in (torch.float32, torch.float64) else block.float()  # QR knows no shorter types
    return nn.init.orthogonal_(wide, generator=generator).to(block.dtype)


def _identity(block: Tensor, recurrent: bool, generator: Generator) -> Tensor:
    """Recurrent weights the identity (Le et al. 2015, IRNN): a unit that is told nothing stays as it is."""
    if not recurrent:
        return _glorot(block, recurrent, generator)
    return nn.init.eye_(block) if block.dim() == 2 else nn.init.dirac_(block)


INITIALIZERS: dict[str, Callable[[Tensor, bool, Generator], Tensor]] = {
    "glorot": _glorot,
    "orthogonal": _orthogonal,
    "identity": _identity,
}


def check_initializer(value: object) -> None:
    """Raise ArgumentError unless value is a known name or can be called."""
    known = ["torch", *INITIALIZERS]
    if callable(value) or value in known:
        return
    raise ArgumentError(
        f"initializer {value!r} is unknown; {nearest(str(value), known)} Or pass a function(name, gate, block) that "
        f"fills a gate's rows in place"
    )
