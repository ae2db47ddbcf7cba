"""A vector as the state that a recurrence begins in."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.cells import State
from recurra.layers.linear import draw_linear

__all__ = ["InitialState"]


class InitialState(nn.Module):
    """The first state of a recurrence by a vector, s_0 = tanh(A z + a), for each field, layer and direction.

    Fields that have no values of their own, as a cell says by refusing learn_initial_state, begin as the body begins.

    body: with `initial_state(batch)`, as a `Recurrent`; it is not a part of this module.
    vector_size: features of z.
    seed: A and a, torch.nn.Linear's, come from this seed alone; None: from torch's global generator.
    """

    def __init__(
        self,
        body: Any,
        vector_size: int,
        *,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        count = sum(_sizes(_mapped(body, body.initial_state(1))))
        linear = nn.Linear(vector_size, count, device=device, dtype=dtype)
        draw_linear([linear], seed)
        self.weight, self.bias = linear.weight, linear.bias

    def forward(self, vector: Tensor, body: Any) -> Any:
        """The state for vectors (batch, vector_size), or for one (vector_size,) without a batch."""
        batched = vector.dim() == 2
        rows = vector if batched else vector.unsqueeze(0)
        zeros = body.initial_state(len(rows))
        mapped = _mapped(body, zeros)
        values = iter(torch.tanh(F.linear(rows, self.weight, self.bias)).split(_sizes(mapped), 1))

        def keep(part: Tensor) -> Tensor:
            return part if batched else part.squeeze(1)

        def fill(part: Tensor) -> Tensor:
            filled: Tensor = next(values).reshape(len(rows), part.shape[0], part.shape[2]).transpose(0, 1)
            return keep(filled).contiguous()  # slot batch unit

        return zeros.map(keep)._replace(**mapped.map(fill)._asdict())


def _mapped(body: Any, state: Any) -> State:
    """The fields that a vector is mapped to: all, or the output alone where the others are no free numbers."""
    refused = "learn_initial_state" in getattr(getattr(body, "cell", None), "refuses", ())
    fields = state._asdict()
    return State(**dict(list(fields.items())[:1])) if refused else State(**fields)


def _sizes(state: State) -> list[int]:
    """Numbers of one row in each tensor (slot, batch, unit) of a state, in the order of its map."""
    sizes: list[int] = []
    state.map(lambda part: sizes.append(part.shape[0] * part.shape[2]))
    return sizes
