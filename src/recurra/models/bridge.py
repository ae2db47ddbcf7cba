"""The bridge from an encoder's last state to a decoder's first."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from recurra.cells import State
from recurra.layers import Recurrent

__all__ = ["Bridge"]


class Bridge(nn.Module):
    """What a decoder begins with, layer by layer and field by field.

        s_0 = s_T                                 of an encoder in one direction (Sutskever et al. 2014)
        s_0 = W [s_T forwards; s_1 backwards] + b of one in both (after Bahdanau et al. 2015, who take the second alone)

    Where a cell's fields cannot be mapped one by one (it refuses learn_initial_state), only its output is, and the
    other fields begin at zeros.

    encoder: in one or both directions.
    seed: initial weights come from this seed alone; None: from torch's global generator.

    >>> encoder = Recurrent("lstm", 3, 4, 2, bidirectional=True)
    >>> _, state = encoder(torch.zeros(5, 2, 3))
    >>> start = Bridge(encoder)(state)
    >>> start.h.shape, start.c.shape
    (torch.Size([2, 2, 4]), torch.Size([2, 2, 4]))
    """

    def __init__(self, encoder: Recurrent, *, seed: int | None = None) -> None:
        super().__init__()
        self.seed, self.num_layers = seed, encoder.num_layers
        self.fields = encoder.cell.states if encoder.bidirectional else ()
        self.mapped = self.fields[:1] if "learn_initial_state" in encoder.cell.refuses else self.fields
        for field, last in encoder.initial_state(1)._asdict().items():
            if field in self.mapped:
                units = last.shape[-1]
                self.register_parameter(
                    f"weight_{field}", nn.Parameter(last.new_empty(self.num_layers, 2 * units, units))
                )
                self.register_parameter(f"bias_{field}", nn.Parameter(last.new_empty(self.num_layers, 1, units)))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all parameters anew, uniform within 1/sqrt(2 * units) of 0."""
        generator = None if self.seed is None else torch.Generator().manual_seed(self.seed)
        for parameter in self.parameters():
            bound = 1 / math.sqrt(2 * parameter.shape[-1])
            drawn = torch.empty(parameter.shape, dtype=parameter.dtype, device="cpu")
            parameter.copy_(drawn.uniform_(-bound, bound, generator=generator))

    def forward(self, state: State) -> State:
        """The decoder's first state, (layers, batch, unit) per field, of the encoder's last."""
        if not self.fields:
            return state
        return state._make(self._map(field, last) for field, last in zip(self.fields, state, strict=True))

    def extra_repr(self) -> str:
        """What is mapped."""
        return f"maps {', '.join(self.mapped)}" if self.mapped else "copies"

    def _map(self, field: str, last: Tensor) -> Tensor:
        both = last.unflatten(0, (self.num_layers, 2))  # layer direction batch unit
        if field not in self.mapped:
            return torch.zeros_like(both[:, 0])
        weight, bias = getattr(self, f"weight_{field}"), getattr(self, f"bias_{field}")
        mapped: Tensor = torch.baddbmm(bias, both.transpose(1, 2).flatten(2), weight)  # layer batch unit
        return mapped
