"""The decoder of an encoder-decoder: a recurrence that looks at a memory, over a whole target or step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.cells import State
from recurra.errors import ArgumentError
from recurra.layers import Noise, Recurrent
from recurra.layers.arguments import check_probability
from recurra.layers.attention import Attention, Prepared
from recurra.layers.lengths import read_lengths
from recurra.layers.linear import draw_linear, empty_linear

__all__ = ["AttentionDecoder", "Decoded", "DecoderState", "Memory", "read_raw_steps"]


class DecoderState(NamedTuple):
    """What a decoder remembers from one step to the next."""

    recurrent: State
    """Of the recurrence, (layers, batch, hidden) per field."""
    fed: Tensor | None
    """What input feeding gives to the next step, (batch, hidden_size)."""
    position: Tensor
    """Steps taken so far, (batch,) integers."""

    def select(self, rows: Tensor) -> DecoderState:
        """Of these rows of the batch, in their order: (new_batch,) integers."""
        fed = None if self.fed is None else self.fed[rows]
        return DecoderState(self.recurrent.map(lambda part: part[:, rows]), fed, self.position[rows])


class Memory(NamedTuple):
    """What an encoder has made of a batch of sources."""

    prepared: Prepared | None
    """What attention looks at; None without attention."""
    start: DecoderState
    """What the decoder begins with."""

    def select(self, rows: Tensor) -> Memory:
        """Of these rows of the batch, in their order: (new_batch,) integers."""
        return Memory(None if self.prepared is None else self.prepared.select(rows), self.start.select(rows))


class Decoded(NamedTuple):
    """What a decoder makes of a target."""

    raw: Tensor
    """What the head returns, (time, batch, raw_size), 0 past a row's end."""
    alignment: Tensor | None
    """Weights of the source's steps, (time, batch, source_time), 0 past a row's end; None without attention."""
    state: DecoderState
    """After each row's last step."""


class AttentionDecoder(nn.Module):
    """A recurrence over a target that attends to a memory (Luong et al. 2015).

        h_t = recurrence(E y_(t-1), h_(t-1))              or of [E y_(t-1); h~_(t-1)] with input feeding
        c_t = attention(h_t, memory)
        h~_t = tanh(W_c [c_t; h_t] + b_c)                 h~_t = h_t without attention
        raw_t = head(h~_t)

    Without input feeding and scheduled sampling nothing of a step's attention reaches the next step: the recurrence
    runs over the whole target in one call, and attention and head on all steps at once.

    target: maps tokens y, (time, batch) integers or (time, batch, size) numbers, to features, `output_size` many.
    recurrent: reads them, and h~ of hidden_size if input_feeding.
    attention: None: the decoder sees the memory by its first state alone.
    head: maps h~, (..., hidden_size), to raw outputs, `raw_size` many.
    dropout: probability with which elements of E y and of h~ are zeroed in training.
    scheduled_sampling: probability with which a row's step reads a token drawn from the output of the step before
        instead of the target's, in training (Bengio et al. 2015). No gradient passes through the draw.
    seed: initial values of W_c and b_c come from this seed alone; None: from torch's global generator.
    """

    def __init__(
        self,
        target: nn.Module,
        recurrent: Recurrent,
        attention: Attention | None,
        head: nn.Module,
        *,
        input_feeding: bool = False,
        dropout: float = 0.0,
        scheduled_sampling: float = 0.0,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        check_probability("dropout", dropout)
        self.target, self.recurrent, self.attention, self.head = target, recurrent, attention, head
        self.input_feeding, self.dropout, self.scheduled_sampling = input_feeding, dropout, scheduled_sampling
        self.seed = seed
        if attention is not None:
            joined, units = attention.memory_size + recurrent.output_size, recurrent.output_size
            self.combine = empty_linear(joined, units, bias=True)
            draw_linear([self.combine], seed)

    @property
    def scheduled_sampling(self) -> float:
        """May be set at any time, as to raise it while training goes on."""
        return self._scheduled_sampling

    @scheduled_sampling.setter
    def scheduled_sampling(self, value: float) -> None:
        check_probability("scheduled_sampling", value)
        self._scheduled_sampling = value

    def forward(
        self,
        inputs: Tensor,
        memory: Memory,
        state: DecoderState | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        need_alignment: bool = True,
    ) -> Decoded:
        """The outputs of a whole target, or of a chunk of it.

        inputs: what each step reads: tokens (time, batch), or numbers (time, batch, size).
        memory: of the same rows.
        state: what the chunk before returned; None: the memory's start.
        lengths: steps of each row, 0 to time; None: all. What inputs hold past them does not matter.
        need_alignment: whether the alignment is returned.
        Raises ArgumentError if a shape or length does not fit.
        """
        self._check_memory(memory)
        begun = memory.start if state is None else state
        inputs, steps = read_raw_steps("target", inputs, lengths)
        batch = inputs.shape[1]
        self._check_batch("target_inputs", batch, begun, memory)
        features = F.dropout(self.target(inputs), self.dropout, self.training)
        if self.why_stepwise is None:
            y, last = self.recurrent(features, begun.recurrent, lengths=steps)
            attended, alignment = self._attend(y, memory, begun.position, need_alignment)
            fed = None
        else:
            attended, alignment, last, fed = self._run_stepwise(inputs, features, memory, begun, steps, need_alignment)
        raw = self.head(attended)
        taken = torch.full((batch,), len(inputs)) if steps is None else steps
        if steps is not None:
            past = torch.arange(len(inputs), device=raw.device)[:, None, None] >= taken.to(raw.device)[:, None]
            raw = raw.masked_fill(past, 0.0)
            alignment = alignment if alignment is None else alignment.masked_fill(past, 0.0)
        return Decoded(raw, alignment, DecoderState(last, fed, begun.position + taken.to(begun.position.device)))

    def step(
        self, token: Tensor, state: DecoderState | None, memory: Memory
    ) -> tuple[Tensor, DecoderState, Tensor | None]:
        """One step: raw (batch, raw_size), the state after it, the alignment (batch, source_time).

        token: (batch,) integers or (batch, size) numbers.
        state: what the last step returned; None at the beginning.
        In training, dropouts are drawn anew at each step.
        """
        self._check_memory(memory)
        state = memory.start if state is None else state
        if not isinstance(token, Tensor) or not token.dim():
            came = f"shape {tuple(token.shape)}" if isinstance(token, Tensor) else f"type {type(token).__name__}"
            raise ArgumentError(f"token has {came}; expected a tensor with one token a row, (batch,), or (batch, size)")
        self._check_batch("token", len(token), state, memory)
        features = F.dropout(self.target(token), self.dropout, self.training)
        attended, alignment, recurrent = self._advance(features, state, memory, None, True)
        fed = attended if self.input_feeding else None
        return self.head(attended), DecoderState(recurrent, fed, state.position + 1), alignment

    @property
    def why_stepwise(self) -> str | None:
        """Why a target is read step by step, here and now; None where it is read at once."""
        if self.input_feeding:
            return "input feeding: a step reads what the step before attended to"
        if self.training and self.scheduled_sampling:
            return "scheduled sampling: a step may read what the step before put out"
        return None

    def _run_stepwise(
        self,
        inputs: Tensor,
        features: Tensor,
        memory: Memory,
        state: DecoderState,
        lengths: Tensor | None,
        need_alignment: bool,
    ) -> tuple[Tensor, Tensor | None, State, Tensor | None]:
        """h~ and alignment of all steps, the recurrence's last state and what is fed to the next step."""
        thinned = self.training and self.recurrent.recurrent_dropout
        noise = self.recurrent.draw_noise(inputs.shape[1]) if thinned else None
        alive = None
        if lengths is not None:
            alive = torch.arange(len(inputs))[:, None, None] < lengths[:, None]  # time batch 1
            alive = alive.to(features.device)
        outputs: list[Tensor] = []
        weights: list[Tensor] = []
        for t, x_t in enumerate(features.unbind(0)):
            if t and self.training and self.scheduled_sampling:
                x_t = self._sometimes_sampled(x_t, inputs, outputs[-1])
            attended, alignment, recurrent = self._advance(x_t, state, memory, noise, need_alignment)
            fed = attended if self.input_feeding else None
            if alive is not None:
                recurrent = _where(alive[t], recurrent, state.recurrent)
                fed = fed if fed is None or state.fed is None else torch.where(alive[t], fed, state.fed)
            state = DecoderState(recurrent, fed, state.position + 1)
            outputs.append(attended)
            weights += [] if alignment is None else [alignment]
        return torch.stack(outputs), torch.stack(weights) if weights else None, state.recurrent, state.fed

    def _advance(
        self, x_t: Tensor, state: DecoderState, memory: Memory, noise: Noise | None, need_alignment: bool
    ) -> tuple[Tensor, Tensor | None, State]:
        """h~, the alignment and the recurrence's state after one step on features (batch, size)."""
        if state.fed is not None:
            x_t = torch.cat([x_t, state.fed], -1)
        y_t, recurrent = self.recurrent.step(x_t, state.recurrent, noise=noise)
        attended, alignment = self._attend(y_t, memory, state.position, need_alignment)
        return attended, alignment, recurrent

    def _attend(
        self, y: Tensor, memory: Memory, position: Tensor, need_alignment: bool
    ) -> tuple[Tensor, Tensor | None]:
        """h~ and alignment of outputs of the recurrence, of all steps or of one."""
        alignment = None
        if self.attention is not None:
            assert memory.prepared is not None  # as _check_memory has seen
            context, alignment = self.attention.attend(
                y, memory.prepared, position=position, need_weights=need_alignment
            )
            y = torch.tanh(self.combine(torch.cat([context, y], -1)))
        return F.dropout(y, self.dropout, self.training), alignment

    def _sometimes_sampled(self, x_t: Tensor, inputs: Tensor, attended: Tensor) -> Tensor:
        """Features of the next step, in some rows those of a token drawn from the step before."""
        if inputs.is_floating_point() or inputs.dim() != 2:
            raise ArgumentError(
                f"scheduled_sampling is {self.scheduled_sampling} and target_inputs are {inputs.dtype} of shape "
                f"{tuple(inputs.shape)}; it draws tokens, (time, batch) integers: set it to 0 for anything else"
            )
        drawn = torch.rand(len(x_t), device=x_t.device) < self.scheduled_sampling
        with torch.no_grad():
            tokens = torch.multinomial(self.head(attended).softmax(-1), 1).squeeze(1)
        sampled = F.dropout(self.target(tokens), self.dropout, self.training)
        return torch.where(drawn.unsqueeze(1), sampled, x_t)

    def _check_memory(self, memory: object) -> None:
        if not isinstance(memory, Memory):
            raise ArgumentError(f"memory is a {type(memory).__name__}; expected the Memory that encode returned")
        if (memory.prepared is None) != (self.attention is None):
            kept, looks = ("no" if part is None else "an" for part in (memory.prepared, self.attention))
            raise ArgumentError(
                f"memory is of a model with {kept} attention, this one has {looks} attention; encode the source again"
            )

    def _check_batch(self, name: str, batch: int, state: object, memory: Memory) -> None:
        rows = len(memory.start.position)
        if batch != rows:
            raise ArgumentError(f"{name} has batch {batch}, the source {rows}; pass a target row for each source row")
        if not isinstance(state, DecoderState) or len(state.position) != rows:
            came = type(state).__name__
            came = f"of batch {len(state.position)}" if isinstance(state, DecoderState) else f"a {came}"
            raise ArgumentError(
                f"state is {came}; expected the DecoderState of {rows} rows that the last call returned"
            )


def read_raw_steps(side: str, steps: object, lengths: Tensor | Sequence[int] | None) -> tuple[Tensor, Tensor | None]:
    """The steps of one side, 0 in padding, which may hold anything; and the lengths, None where all rows are whole.

    side: "source" or "target".
    Raises ArgumentError unless steps are (time, batch) or (time, batch, size), and lengths fit them.
    """
    name = "source" if side == "source" else "target_inputs"
    if not isinstance(steps, Tensor):
        raise ArgumentError(f"{name} is {type(steps).__name__}; expected a tensor (time, batch) or (time, batch, size)")
    if steps.dim() not in (2, 3) or not len(steps):
        raise ArgumentError(
            f"{name} has shape {tuple(steps.shape)}; expected one step at least, (time, batch) integers or "
            f"(time, batch, size) numbers"
        )
    try:
        read = read_lengths(lengths, batch=steps.shape[1], time=len(steps))
    except ArgumentError as error:
        raise ArgumentError(
            f"{side}_{str(error).replace('of x', f'of {name}').replace('x has', f'{name} has')}"
        ) from None
    if read is None:
        return steps, None
    past = torch.arange(len(steps), device=steps.device)[:, None] >= read.to(steps.device)
    return steps.masked_fill(past if steps.dim() == 2 else past.unsqueeze(-1), 0), read


def _where(alive: Tensor, new: State, old: State) -> State:
    return new._make(torch.where(alive, after, before) for after, before in zip(new, old, strict=True))
