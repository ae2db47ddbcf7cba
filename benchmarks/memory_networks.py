"""The networks that the memory problems are put to: a recurrence and a linear answer."""

from __future__ import annotations

from typing import NamedTuple

import torch
from memory_problems import Problem
from torch import Tensor, nn

from recurra.nn import Recurrent

HIDDEN_SIZE = 64


class Body(NamedTuple):
    """A cell, how it is begun and how it is stacked."""

    cell: str
    num_layers: int = 1
    initializer: str = "torch"
    forget_bias: float | None = None
    pointwise: bool = False
    """A dense layer with GELU before the recurrence and a GELU after it, for a cell that is linear from end to end."""
    bounded: bool = False
    """Each unit's weight on itself stays within 2^(1/T), so that no unit grows more than twofold over a sequence."""


BODIES = {
    "elman": Body("elman"),
    "elman, orthogonal": Body("elman", initializer="orthogonal"),
    "irnn": Body("elman-relu", initializer="identity"),
    "lstm": Body("lstm", forget_bias=1.0),
    "gru": Body("gru"),
    "cifg": Body("cifg", forget_bias=1.0),
    "slstm": Body("slstm", forget_bias=1.0),
    "indrnn": Body("indrnn", num_layers=2, bounded=True),
    "mingru": Body("mingru", num_layers=2),
    "lru": Body("lru", pointwise=True),
}


class Network(nn.Module):
    """Reads a problem's sequences, answers at its last steps."""

    def __init__(self, body: Body, problem: Problem) -> None:
        super().__init__()
        self.answers = problem.answers
        self.bound = 2 ** (1 / problem.time) if body.bounded else None
        features = HIDDEN_SIZE if body.pointwise else problem.input_size
        self.before: nn.Module = nn.Identity()
        if body.pointwise:
            self.before = nn.Sequential(nn.Linear(problem.input_size, HIDDEN_SIZE), nn.GELU())
        self.recurrent = Recurrent(
            body.cell,
            features,
            HIDDEN_SIZE,
            body.num_layers,
            initializer=body.initializer,
            forget_bias=body.forget_bias,
        )
        self.after = nn.GELU() if body.pointwise else nn.Identity()
        self.head = nn.Linear(HIDDEN_SIZE, problem.output_size)

    def forward(self, x: Tensor) -> Tensor:
        """x: (time, batch, feature). Returns (answers, batch, output)."""
        y, _ = self.recurrent(self.before(x))
        answer: Tensor = self.head(self.after(y[-self.answers :]))
        return answer

    def keep_bounds(self) -> None:
        """To be called before the weights are used, for the optimizer knows of no bound."""
        if self.bound is not None:
            with torch.no_grad():
                for layer in range(self.recurrent.num_layers):
                    getattr(self.recurrent, f"u_l{layer}").clamp_(-self.bound, self.bound)
