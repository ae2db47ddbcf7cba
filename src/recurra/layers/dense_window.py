"""A window of steps read at once by a dense net: what a recurrence has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.layers.arguments import check_count, check_flag, check_probability, check_seed
from recurra.layers.causal import CausalConvolution, padding_of
from recurra.layers.forms import Sequences, read_sequences
from recurra.layers.linear import draw_linear, empty_linear
from recurra.layers.noise import drop
from recurra.layers.pasts import Past, last_inputs, read_past
from recurra.layers.shapes import check_sequence, check_step

__all__ = ["DenseWindow"]


class DenseWindow(nn.Module):
    """A dense net on the last steps, all at once: no memory, and no more of the past than the window.

        z_(1,t) = relu(W_1 [x_(t-window+1); ...; x_t] + b_1)
        z_(l,t) = relu(W_l z_(l-1,t) + b_l),  y = z_num_layers

    A body as a recurrence is one, for any model: `Seq2Vec` with pooling "last" answers from relu(W vec(x) + b) of the
    last window. What was before the first step is 0, or what the state holds: the last window - 1 inputs.

    input_size: features of x.
    hidden_size: units of every layer, features of y.
    window: steps that are read for one of y, its own among them.
    num_layers: dense layers.
    dropout: probability with which each unit is zeroed in training, behind every layer.
    batch_first: x and y are (batch, time, feature) and not (time, batch, feature); states are the same either way.
    seed: initial weights, torch.nn.Linear's, come from this seed alone; None: from torch's global generator.

    Raises ArgumentError for any invalid argument.

    >>> net = DenseWindow(3, 16, window=10, num_layers=2, seed=0)
    >>> y, state = net(torch.zeros(20, 2, 3))  # time batch feature
    >>> y.shape, state.block.shape
    (torch.Size([20, 2, 16]), torch.Size([9, 2, 3]))
    >>> y_t, state = net.step(torch.zeros(2, 3), state)
    >>> y_t.shape
    torch.Size([2, 16])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        window: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        batch_first: bool = False,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, count in (("input_size", input_size), ("hidden_size", hidden_size), ("window", window)):
            check_count(name, count)
        check_count("num_layers", num_layers)
        check_probability("dropout", dropout)
        check_flag("batch_first", batch_first)
        check_seed(seed)
        self.input_size, self.hidden_size, self.window, self.num_layers = input_size, hidden_size, window, num_layers
        self.dropout, self.batch_first, self.seed = dropout, batch_first, seed
        # Reading a window at every step is a convolution over time; W_1 (hidden, feature, window) is its kernel.
        self.first = CausalConvolution(input_size, hidden_size, kernel_size=window, seed=0, device=device, dtype=dtype)
        self.others = nn.ModuleList(
            empty_linear(hidden_size, hidden_size, bias=True, device=device, dtype=dtype) for _ in range(num_layers - 1)
        )
        self.reset_parameters()

    @property
    def output_size(self) -> int:
        """Features of y."""
        return self.hidden_size

    @property
    def receptive_field(self) -> int:
        """Steps from the first that an output depends on to its own, both counted: the window."""
        return self.window

    def reset_parameters(self) -> None:
        """Draw all parameters anew, as when the net was built."""
        generator = torch.default_generator if self.seed is None else torch.Generator().manual_seed(self.seed)
        self.first._draw(generator)
        if self.others:
            draw_linear(self._others(), int(torch.randint(2**62, (), generator=generator)))

    def forward(
        self, x: Any, state: Past | None = None, *, lengths: Tensor | Sequence[int] | None = None
    ) -> tuple[Any, Past]:
        """Outputs of every time step, and the state after the last.

        x: (time, batch, feature), or (batch, time, feature) if batch_first; or unbatched, (time, feature); or packed,
            or nested.
        state: what the call before returned; None: zeros.
        lengths: steps of each row, 0 to time; None: all. Outputs past a row's end are 0, its state is the one at its
            end. What x holds past the end does not matter.
        Returns (y, state): y in the form of x with the features of the output.
        Raises ArgumentError if a shape, dtype, device or length does not fit.
        """
        sequences, full, after = self._read(x, state, lengths)
        y = self._answer(full.unfold(0, self.window, 1))
        padding = padding_of(sequences)
        return sequences.restore(y if padding is None else y.masked_fill(padding, 0)), after

    def last(
        self, x: Any, state: Past | None = None, *, lengths: Tensor | Sequence[int] | None = None
    ) -> tuple[Tensor, Past]:
        """The output of each row's last step alone, at the cost of one window; enough for a `Seq2Vec` that pools
        by "last".

        Arguments and errors are those of a call. Returns (y, state): (batch, hidden), 0 for a row without steps, or
        (hidden,) without a batch; and the state.
        """
        sequences, full, after = self._read(x, state, lengths)
        steps = sequences.lengths
        if steps is None:
            y = self._answer(full[-self.window :].permute(1, 2, 0))
        else:
            steps = steps.to(full.device)
            places = torch.arange(self.window, device=full.device)[:, None] + (steps - 1).clamp(min=0)  # window batch
            read = full.gather(0, places.unsqueeze(2).expand(-1, -1, self.input_size))
            y = self._answer(read.permute(1, 2, 0)).masked_fill((steps == 0).unsqueeze(1), 0)
        return y if sequences.batch else y[0], after

    def step(self, x_t: Tensor, state: Past | None = None) -> tuple[Tensor, Past]:
        """One time step, for streams; step by step equals the whole sequence. It reads the whole window again.

        x_t: (batch, feature) or (feature,).
        state: what the last step returned; None at the beginning.
        Returns (y_t, state): (batch, hidden) or (hidden,), and the state to pass to the next step.
        Raises ArgumentError if a shape does not fit.
        """
        check_step(x_t, input_size=self.input_size, weight=self.first.weight)
        past = read_past("state", state, self.window - 1, self.input_size, x_t, tuple(x_t.shape[:-1]))
        y_t, after = self.first._advance(x_t, past)
        return self._finish(y_t), after

    def extra_repr(self) -> str:
        """The constructor's arguments, those that differ from the defaults."""
        said = [str(self.input_size), str(self.hidden_size), f"window={self.window}"]
        said += [f"num_layers={self.num_layers}"] if self.num_layers > 1 else []
        said += [f"{name}={value}" for name in ("dropout", "batch_first") if (value := getattr(self, name))]
        return ", ".join(said)

    def _read(self, x: Any, state: Past | None, lengths: Any) -> tuple[Sequences, Tensor, Past]:
        """The sequences, their inputs behind the window - 1 before them, (window-1+time, batch, feature), and the state
        at their ends."""
        check_sequence(x, input_size=self.input_size, batch_first=self.batch_first, weight=self.first.weight)
        sequences = read_sequences(x, rank=3, batch_first=self.batch_first, lengths=lengths, mask=None)
        past = read_past("state", state, self.window - 1, self.input_size, sequences.x, sequences.batch)
        past = past if sequences.batch else past.map(lambda part: part.unsqueeze(-2))
        padding = padding_of(sequences)
        full = torch.cat([past.joined(), sequences.x if padding is None else sequences.x.masked_fill(padding, 0)])
        after = last_inputs(full, self.window - 1, sequences.lengths)
        return sequences, full, after if sequences.batch else after.map(lambda part: part.squeeze(-2))

    def _answer(self, windows: Tensor) -> Tensor:
        """y (..., hidden) of windows (..., feature, window): copied, for one product with all of them is much faster
        than one for each step of the window."""
        return self._finish(F.linear(windows.flatten(-2), self.first.weight.flatten(1), self.first.bias))

    def _finish(self, z: Tensor) -> Tensor:
        """From the first layer's product to y."""
        y = self._drop(z.relu())
        for layer in self._others():
            y = self._drop(layer(y).relu())
        return y

    def _drop(self, z: Tensor) -> Tensor:
        return drop(z, self.dropout, self.training)

    def _others(self) -> list[nn.Linear]:
        return [layer for layer in self.others if isinstance(layer, nn.Linear)]
