"""Causal convolution: over the present and the past of a sequence; its state are the inputs it still needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count, check_dtype, check_flag, check_seed
from recurra.layers.forms import Sequences, read_sequences
from recurra.layers.pasts import Past, last_inputs, read_past
from recurra.layers.shapes import check_sequence, check_step

__all__ = ["CausalConvolution", "convolve", "draw_uniform", "padding_of"]


class CausalConvolution(nn.Module):
    """A convolution over time that reads no future: torch.nn.Conv1d's numbers behind zeros on the left.

        y_t = b + sum_k W_k x_(t - k * dilation)        k from 0 to kernel_size - 1

    What was before the first step is 0, or what the state holds. Dilated, a few of them on top of each other see far
    (van den Oord et al. 2016, WaveNet).

    input_size, output_size: features of x and of y.
    kernel_size: steps that are read for one of y.
    dilation: steps from one that is read to the next.
    bias: whether b is there.
    weight_norm: learn length and direction of each output's weights apart (Salimans & Kingma 2016); the lengths are
        the parameter `magnitude`.
    batch_first: x and y are (batch, time, feature) and not (time, batch, feature); states are the same either way.
    seed: initial weights come from this seed alone; None: from torch's global generator.

    Parameters are named, shaped and drawn as torch.nn.Conv1d's: weight (output, input, kernel), the oldest step first,
    and bias (output).

    Raises ArgumentError for any invalid argument.

    >>> layer = CausalConvolution(3, 8, kernel_size=2, dilation=4, seed=0)
    >>> y, past = layer(torch.zeros(5, 2, 3))  # time batch feature
    >>> y.shape, past.block.shape
    (torch.Size([5, 2, 8]), torch.Size([4, 2, 3]))
    >>> y_t, past = layer.step(torch.zeros(2, 3), past)
    >>> y_t.shape
    torch.Size([2, 8])
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        kernel_size: int = 2,
        dilation: int = 1,
        bias: bool = True,
        weight_norm: bool = False,
        batch_first: bool = False,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, count in (("input_size", input_size), ("output_size", output_size), ("dilation", dilation)):
            check_count(name, count)
        check_count("kernel_size", kernel_size)
        for name, flag in (("bias", bias), ("weight_norm", weight_norm), ("batch_first", batch_first)):
            check_flag(name, flag)
        check_seed(seed)
        check_dtype(dtype)
        self.input_size, self.output_size = input_size, output_size
        self.kernel_size, self.dilation, self.weight_norm = kernel_size, dilation, weight_norm
        self.batch_first, self.seed = batch_first, seed
        self.bias: nn.Parameter | None
        self.weight = nn.Parameter(torch.empty(output_size, input_size, kernel_size, device=device, dtype=dtype))
        self.register_parameter("bias", nn.Parameter(self.weight.new_empty(output_size)) if bias else None)
        if weight_norm:
            self.magnitude = nn.Parameter(self.weight.new_empty(output_size))
        self.reset_parameters()

    @property
    def receptive_field(self) -> int:
        """Steps from the first that an output depends on to its own, both counted."""
        return 1 + self.remembered

    @property
    def remembered(self) -> int:
        """Inputs that the state holds: (kernel_size - 1) * dilation."""
        return (self.kernel_size - 1) * self.dilation

    def reset_parameters(self) -> None:
        """Draw all parameters anew, as when the layer was built."""
        self._draw(None if self.seed is None else torch.Generator().manual_seed(self.seed))

    def forward(
        self, x: Any, state: Past | None = None, *, lengths: Tensor | Sequence[int] | None = None
    ) -> tuple[Any, Past]:
        """Outputs of every time step, and the past of the step after the last.

        x: (time, batch, feature), or (batch, time, feature) if batch_first; or unbatched, (time, feature); or packed,
            or nested.
        state: what the call before returned; None: zeros.
        lengths: steps of each row, 0 to time; None: all. Outputs past a row's end are 0, its state is the one at its
            end. What x holds past the end does not matter.
        Returns (y, state): y in the form of x with the features of the output.
        Raises ArgumentError if a shape, dtype, device or length does not fit.
        """
        check_sequence(x, input_size=self.input_size, batch_first=self.batch_first, weight=self.weight)
        sequences = read_sequences(x, rank=3, batch_first=self.batch_first, lengths=lengths, mask=None)
        past = read_past("state", state, self.remembered, self.input_size, sequences.x, sequences.batch)
        padding = padding_of(sequences)
        rows = sequences.x if padding is None else sequences.x.masked_fill(padding, 0)
        y, last = self._run(rows, past if sequences.batch else past.map(_with_batch), sequences.lengths)
        y = y if padding is None else y.masked_fill(padding, 0)
        return sequences.restore(y), last if sequences.batch else last.map(_without_batch)

    def step(self, x_t: Tensor, state: Past | None = None) -> tuple[Tensor, Past]:
        """One time step, for streams; step by step equals the whole sequence, at the cost of kernel_size inputs.

        x_t: (batch, feature) or (feature,).
        state: what the last step returned; None at the beginning.
        Returns (y_t, state): (batch, output) or (output,), and the state to pass to the next step.
        Raises ArgumentError if a shape does not fit.
        """
        check_step(x_t, input_size=self.input_size, weight=self.weight)
        past = read_past("state", state, self.remembered, self.input_size, x_t, tuple(x_t.shape[:-1]))
        return self._advance(x_t, past)

    def extra_repr(self) -> str:
        """The constructor's arguments, those that differ from the defaults, and what an output depends on."""
        said = [str(self.input_size), str(self.output_size), f"kernel_size={self.kernel_size}"]
        said += [f"dilation={self.dilation}"] if self.dilation > 1 else []
        said += ["bias=False"] if self.bias is None else []
        said += [f"{name}=True" for name in ("weight_norm", "batch_first") if getattr(self, name)]
        return ", ".join([*said, f"receptive_field={self.receptive_field}"])

    def _run(self, x: Tensor, past: Past, lengths: Tensor | None) -> tuple[Tensor, Past]:
        """(time, batch, feature) to (time, batch, output); what lies behind the lengths is never NaN."""
        time, batch = x.shape[:2]
        full = torch.cat([past.joined(), x]) if self.remembered else x  # steps+time batch feature
        taps = self._effective_weight().permute(2, 1, 0).unbind()  # input output, for each step that is read
        y = convolve(full.flatten(0, 1), taps, self.bias, apart=self.dilation * batch)
        return y.unflatten(0, (time, batch)), last_inputs(full, self.remembered, lengths)

    def _advance(self, x_t: Tensor, past: Past) -> tuple[Tensor, Past]:
        taps = [past.ago(k * self.dilation) for k in range(self.kernel_size - 1, 0, -1)]
        read = torch.stack([*taps, x_t], -1).flatten(-2)  # batch input*kernel
        return F.linear(read, self._effective_weight().flatten(1), self.bias), past.after(x_t)

    def _effective_weight(self) -> Tensor:
        if not self.weight_norm:
            return self.weight
        norms = self.weight.flatten(1).norm(dim=1).clamp(min=torch.finfo(self.weight.dtype).tiny)  # a row of 0 stays so
        weight: Tensor = self.weight * (self.magnitude / norms)[:, None, None]
        return weight

    def _draw(self, generator: torch.Generator | None) -> None:
        """All parameters, in their order."""
        bound = 1 / math.sqrt(self.input_size * self.kernel_size)
        draw_uniform(self.weight, bound, generator)
        if self.bias is not None:
            draw_uniform(self.bias, bound, generator)
        if self.weight_norm:
            with torch.no_grad():
                self.magnitude.copy_(self.weight.flatten(1).norm(dim=1))


def convolve(rows: Tensor, taps: Sequence[Tensor], bias: Tensor | None, *, apart: int) -> Tensor:
    """Outputs (n, output) of rows (n + past, input), where one step that is read lies `apart` rows behind the next.

    taps: (input, output) for each step that is read, the oldest first. Each reads the rows where they lie, shifted:
    no window is copied.
    """
    count = len(rows) - apart * (len(taps) - 1)
    y = bias
    for place, tap in enumerate(taps):
        part = rows[place * apart : place * apart + count]
        y = torch.mm(part, tap) if y is None else torch.addmm(y, part, tap)
    if y is None:
        raise ArgumentError("taps is empty; pass one weight at least")
    return y


def padding_of(sequences: Sequences) -> Tensor | None:
    """(time, batch, 1), True where a row has no step; None if all rows are whole."""
    if sequences.lengths is None:
        return None
    x = sequences.x
    steps = torch.arange(len(x), device=x.device)[:, None] >= sequences.lengths.to(x.device)
    return steps.unsqueeze(2)


@torch.no_grad()
def draw_uniform(parameter: Tensor, bound: float, generator: torch.Generator | None) -> None:
    """Uniform within the bound of 0; on the CPU, so that a seed means the same on any device."""
    if not parameter.is_meta:
        drawn = torch.empty(parameter.shape, dtype=parameter.dtype).uniform_(-bound, bound, generator=generator)
        parameter.copy_(drawn)


def _with_batch(part: Tensor) -> Tensor:
    return part.unsqueeze(-2)


def _without_batch(part: Tensor) -> Tensor:
    return part.squeeze(-2)
