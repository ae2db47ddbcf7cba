"""Three ways to read the same steps: recurrent, dense and convolutional.

Each maps (batch, steps, features) to a summary (batch, hidden_size); everything around them is shared, so that a
comparison between them is one of the bodies alone.
"""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from recurra.cells import Cell, get_cell
from recurra.layers import Recurrent
from recurra.layers.noise import Dropout

__all__ = ["Convolutional", "Dense", "RecurrentBody"]


class RecurrentBody(nn.Module):
    """A stack of recurrences read from the oldest step to the newest; its summary is the last output.

    Recurrent weights begin orthogonal, and a gate called f with bias 1: a memory keeps before it learns to forget.
    """

    def __init__(self, cell: str | Cell, input_size: int, hidden_size: int, *, num_layers: int, dropout: float) -> None:
        super().__init__()
        between = dropout if num_layers > 1 else 0.0
        self.layer = Recurrent(
            cell,
            input_size,
            hidden_size,
            num_layers,
            batch_first=True,
            dropout=between,
            initializer="orthogonal",
            forget_bias=1.0 if get_cell(cell).forget_gate == "f" else None,
        )
        self.drop = Dropout(dropout)

    def forward(self, steps: Tensor) -> Tensor:
        """(batch, steps, features) to (batch, hidden_size)."""
        y, _ = self.layer(steps)
        summary: Tensor = self.drop(y[:, -1])
        return summary


class Dense(nn.Module):
    """A dense net on all steps at once: z_l = relu(W_l z_(l-1) + b_l)."""

    def __init__(self, input_size: int, hidden_size: int, *, num_layers: int, dropout: float) -> None:
        super().__init__()
        widths = [input_size] + [hidden_size] * num_layers
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in itertools.pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU(), Dropout(dropout)]
        self.layers = nn.Sequential(*layers)

    def forward(self, steps: Tensor) -> Tensor:
        """(batch, steps, features) to (batch, hidden_size)."""
        summary: Tensor = self.layers(steps)
        return summary


class Convolutional(nn.Module):
    """A causal 1-D CNN: kernels of 2, dilations 1, 2, 4, ... until every step is seen; the last one is the summary."""

    def __init__(self, input_size: int, hidden_size: int, *, steps: int, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width, seen = input_size, 1
        while seen < steps or not layers:
            dilation = seen
            layers += [
                nn.ConstantPad1d((dilation, 0), 0.0),
                nn.Conv1d(width, hidden_size, 2, dilation=dilation),
                nn.ReLU(),
                Dropout(dropout),
            ]
            width, seen = hidden_size, seen + dilation
        self.layers = nn.Sequential(*layers)

    def forward(self, steps: Tensor) -> Tensor:
        """(batch, steps, features) to (batch, hidden_size)."""
        summary: Tensor = self.layers(steps.transpose(1, 2))[:, :, -1]
        return summary
