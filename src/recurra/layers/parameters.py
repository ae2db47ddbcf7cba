"""The parameters of one recurrence in a layer: names, shapes, roles, and the weights that are made of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from recurra.cells import Cell, State
from recurra.engines import Weights
from recurra.layers.initialising import Role

__all__ = ["Recurrence", "only_connected"]


class Recurrence(NamedTuple):
    """One layer in one direction of a module, which owns its parameters under torch.nn's names."""

    cell: Cell
    layer: int
    direction: int
    features: int
    hidden_size: int
    output_size: int
    bias: bool
    kernel: tuple[int, ...]
    """Of the convolutions; () where projections are products."""
    layer_norm: bool
    weight_norm: bool
    connected: int
    """Outputs that each row of weight_hh reads; 0: all."""
    learn_initial_state: bool

    def named(self, name: str) -> str:
        """torch's: weight_ih_l0, weight_ih_l0_reverse."""
        return f"{name}_l{self.layer}{'_reverse' if self.direction else ''}"

    def widths(self) -> tuple[int, ...]:
        """Units of each field of the state."""
        return (self.output_size, *[self.hidden_size] * (len(self.cell.states) - 1))

    def recurrent_shape(self) -> tuple[int, ...]:
        """Of weight_hh."""
        return (len(self.cell.recurrent_gates) * self.hidden_size, self.output_size, *self.kernel)

    def shapes(self) -> list[tuple[str, tuple[int, ...], Role]]:
        """Name, shape and role of each parameter, in torch's order, by which initial values are drawn."""
        hidden, cell = self.hidden_size, self.cell
        rows, again = len(cell.gates) * hidden, len(cell.recurrent_gates) * hidden
        found: list[tuple[str, tuple[int, ...], str, str]] = [
            ("weight_ih", (rows, self.features, *self.kernel), "weight_ih", "")
        ]
        if again:
            found.append(("weight_hh", self.recurrent_shape(), "weight_hh", ""))
        if self.bias:
            found.append(("bias_ih", (rows,), "bias_ih", ""))
            if again:
                found.append(("bias_hh", (again,), "bias_hh", ""))
        if self.output_size != hidden:
            found.append(("weight_hr", (self.output_size, hidden), "weight_hr", ""))
        found += [(vector, (hidden,), "vector", vector) for vector in cell.vectors]
        for asked, kind in ((self.layer_norm, "gain"), (self.weight_norm, "magnitude")):
            if asked:
                found.append((f"{kind}_ih", (rows,), kind, self.named("weight_ih")))
                if again:
                    found.append((f"{kind}_hh", (again,), kind, self.named("weight_hh")))
        if self.learn_initial_state:
            widths = zip(cell.states, self.widths(), strict=True)
            found += [(f"initial_{state}", (width,), "initial", state) for state, width in widths]
        return [(self.named(name), shape, Role(kind, hidden, of)) for name, shape, kind, of in found]

    def draw_connections(self, generator: torch.Generator | None) -> Tensor:
        """Which outputs each row of weight_hh reads, in rising order: so many for each, all equally likely."""
        rows, output = self.recurrent_shape()
        drawn = torch.rand(rows, output, generator=generator).topk(self.connected, 1, sorted=False).indices
        return drawn.sort(1).values

    def kernel_names(self) -> tuple[str | None, ...]:
        """The parameters that every kernel takes, in its order: weight_ih, weight_hh, bias_ih, bias_hh, weight_hr; None
        for what there is not."""
        again = bool(self.cell.recurrent_gates)
        wanted = {
            "weight_ih": True,
            "weight_hh": again,
            "bias_ih": self.bias,
            "bias_hh": again and self.bias,
            "weight_hr": self.output_size != self.hidden_size,
        }
        return tuple(self.named(name) if there else None for name, there in wanted.items())

    def weights(self, module: nn.Module, dropped: Tensor | None) -> Weights:
        """What an engine takes. dropped: factors of the recurrent weights, or None."""
        weight_ih, weight_hh = self._get(module, "weight_ih"), None
        if self.cell.recurrent_gates:
            weight_hh = self._get(module, "weight_hh")
        connections = self._get(module, "connections_hh") if self.connected else None
        if weight_hh is not None and connections is not None:
            weight_hh = only_connected(weight_hh, connections)
        if self.weight_norm:
            weight_ih = _with_row_norms(weight_ih, self._get(module, "magnitude_ih"))
            if weight_hh is not None:
                weight_hh = _with_row_norms(weight_hh, self._get(module, "magnitude_hh"))
        if dropped is not None and weight_hh is not None:
            weight_hh = weight_hh * dropped
        again = weight_hh is not None
        return Weights(
            weight_ih,
            weight_hh,
            self._get(module, "bias_ih") if self.bias else None,
            self._get(module, "bias_hh") if self.bias and again else None,
            self._get(module, "weight_hr") if self.output_size != self.hidden_size else None,
            tuple(self._get(module, vector) for vector in self.cell.vectors),
            self._get(module, "gain_ih") if self.layer_norm else None,
            self._get(module, "gain_hh") if self.layer_norm and again else None,
            connections,
        )

    def initial(self, module: nn.Module, like: State) -> State:
        """What a row begins with, in the shapes of `like`, (..., batch, unit, ...): learned values or zeros."""
        if not self.learn_initial_state:
            return like.map(torch.zeros_like)
        spatial = len(self.kernel)
        return like._make(
            self._get(module, f"initial_{name}").view(-1, *([1] * spatial)).to(part.dtype).expand_as(part)
            for name, part in like._asdict().items()
        )

    def _get(self, module: nn.Module, name: str) -> Tensor:
        tensor: Tensor = getattr(module, self.named(name))
        return tensor


def only_connected(weight: Tensor, connections: Tensor) -> Tensor:
    """The weights with 0 for those of outputs that their row does not read."""
    return torch.zeros_like(weight).scatter(1, connections, weight.gather(1, connections))


def _with_row_norms(weight: Tensor, magnitude: Tensor) -> Tensor:
    """magnitude * weight / |weight|, row by row (Salimans & Kingma 2016)."""
    rows = weight.flatten(1)
    norms = rows.norm(dim=1).clamp(min=torch.finfo(rows.dtype).tiny)  # a row of zeros stays one
    scaled: Tensor = rows * (magnitude / norms).unsqueeze(1)
    return scaled.view_as(weight)
