"""The decoder of an encoder-decoder: a recurrence that looks at a memory, over a whole target or step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from recurra.cells import State
from recurra.errors import ArgumentError
from recurra.layers import Noise, Recurrent
from recurra.layers.arguments import check_flag, check_probability
from recurra.layers.attention import Attention
from recurra.layers.heads import Softmax
from recurra.layers.inputs import check_codes
from recurra.layers.linear import draw_linear, empty_linear
from recurra.layers.noise import drop
from recurra.layers.sampling import draw_classes
from recurra.models.memory import Decoded, DecoderState, Memory
from recurra.models.parts import Form, answers_with_classes, read_features, read_raw_steps

__all__ = ["AttentionDecoder"]


class AttentionDecoder(nn.Module):
    """A recurrence over a target that attends to a memory (Luong et al. 2015).

        h_t = recurrence(E y_(t-1), h_(t-1))              or of [E y_(t-1); h~_(t-1)] with input feeding
        c_t = attention(h_t, memory)
        h~_t = tanh(W_c [c_t; h_t] + b_c)                 h~_t = h_t without attention
        raw_t = head(h~_t)

    Without input feeding and scheduled sampling nothing of a step's attention reaches the next step: the recurrence
    runs over the whole target in one call, and attention and head on all steps at once.

    target: maps tokens y, (time, batch) integers or (time, batch, size) numbers, to features, `output_size` many.
    recurrent: reads them, and h~ of hidden_size if input_feeding; with the time first, whatever batch_first.
    attention: None: the decoder sees the memory by its first state alone.
    head: maps h~, (..., hidden_size), to raw outputs, `raw_size` many.
    dropout: probability with which elements of E y and of h~ are zeroed in training.
    scheduled_sampling: probability with which a row's step reads a token drawn from the output of the step before
        instead of the target's, in training (Bengio et al. 2015). No gradient passes through the draw.
    batch_first: whether targets, raw outputs and alignments have the batch before time.
    seed: initial values of W_c and b_c come from this seed alone; None: from torch's global generator.
    device, dtype: of W_c and b_c.
    """

    head: Any

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
        batch_first: bool = False,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_probability("dropout", dropout)
        check_flag("batch_first", batch_first)
        if recurrent.batch_first:
            raise ArgumentError(
                "recurrent has batch_first=True; build it without, and the decoder with batch_first=True"
            )
        self.target, self.recurrent, self.attention, self.head = target, recurrent, attention, head
        self.input_feeding, self.dropout, self.scheduled_sampling = input_feeding, dropout, scheduled_sampling
        self.batch_first, self.seed = batch_first, seed
        if attention is not None:
            joined, units = attention.memory_size + recurrent.output_size, recurrent.output_size
            self.combine = empty_linear(joined, units, bias=True, device=device, dtype=dtype)
            draw_linear([self.combine], seed)

    @property
    def scheduled_sampling(self) -> float:
        """May be set at any time, as to raise it while training goes on."""
        return self._scheduled_sampling

    @scheduled_sampling.setter
    def scheduled_sampling(self, value: float) -> None:
        check_probability("scheduled_sampling", value)
        if value and not answers_with_classes(self.head):
            raise ArgumentError(
                f"scheduled_sampling is {value}, the head is {type(self.head).__name__}; it draws tokens from logits, "
                f"as those of Softmax: set it to 0"
            )
        self._scheduled_sampling = value

    def forward(
        self,
        inputs: Tensor,
        memory: Memory,
        state: DecoderState | None = None,
        *,
        target_lengths: Tensor | Sequence[int] | None = None,
        need_alignment: bool = True,
    ) -> Decoded:
        """The outputs of a whole target, or of a chunk of it.

        inputs: what each step reads: tokens (time, batch), or numbers (time, batch, size), batch first if it is; or
            without a batch, (time,) or (time, size), on a memory of one row.
        memory: of the same rows.
        state: what the chunk before returned; None: the memory's start.
        target_lengths: steps of each row, 0 to time; None: all. What inputs hold past them does not matter.
        need_alignment: whether the alignment is returned.
        Raises ArgumentError if a shape or length does not fit.
        """
        inputs, form, steps = read_raw_steps("target_inputs", inputs, target_lengths, batch_first=self.batch_first)
        attended, alignment, state = self._read(
            "target_inputs", inputs, form, memory, state, steps, need_alignment=need_alignment
        )
        raw = self.head(attended)
        if steps is not None:
            past = torch.arange(len(raw), device=raw.device)[:, None, None] >= steps.to(raw.device)[:, None]
            raw = raw.masked_fill(past, 0.0)
            alignment = alignment if alignment is None else alignment.masked_fill(past, 0.0)
        return Decoded(form.restore(raw), None if alignment is None else form.restore(alignment), state)

    def loss(self, target: Tensor, memory: Memory, *, target_lengths: Tensor | Sequence[int] | None = None) -> Tensor:
        """The head's mean loss over all steps that there are, each foretold from those before it.

        Nothing is computed of the head in padding.

        target: what is to be written, behind the begin token; in a form that `inputs` may have.
        target_lengths: steps of each row, with the begin token.
        Raises ArgumentError if a shape, a length or a token does not fit.
        """
        if not hasattr(self.head, "loss"):
            raise ArgumentError(
                f"head {type(self.head).__name__} has no loss; use recurra.nn.Softmax, or compute it from what a call "
                f"on target[:-1] returns"
            )
        target, form, steps = read_raw_steps("target", target, target_lengths, batch_first=self.batch_first, least=2)
        time = target.shape[form.time_axis]
        last = torch.full((target.shape[1 - form.time_axis] if form.batched else 1,), time) if steps is None else steps
        last = (last - 1).clamp(min=0).to(target.device)
        there = torch.arange(time - 1, device=target.device)[:, None] < last  # time batch
        truth = target.narrow(form.time_axis, 1, time - 1)
        if isinstance(self.head, Softmax):  # which would tell of another place, padding left out
            mask = form.restore(torch.cat([torch.zeros_like(there[:1]), there]))
            check_codes("target", target, self.head.num_classes, mask=mask)
        inputs = target.narrow(form.time_axis, 0, time - 1)
        counts = None if steps is None else last.cpu()
        attended, _, _ = self._read("target", inputs, form, memory, None, counts, need_alignment=False)
        truth = form.time_first(truth)
        if steps is not None:
            attended, truth = attended[there], truth[there]
        loss: Tensor = self.head.loss(self.head(attended), truth)
        return loss

    def step(
        self, token: Tensor, state: DecoderState | None, memory: Memory
    ) -> tuple[Tensor, DecoderState, Tensor | None]:
        """One step: raw (batch, raw_size), the state after it, the alignment (batch, source_time).

        token: (batch,) integers or (batch, size) numbers; or without a batch, and then results are, but for the state.
        state: what the last step returned; None at the beginning.
        In training, dropouts are drawn anew at each step.
        """
        self._check_memory(memory)
        state = memory.start if state is None else state
        if not isinstance(token, Tensor) or token.dim() > 2 or token.dim() < token.is_floating_point():
            came = f"shape {tuple(token.shape)}" if isinstance(token, Tensor) else f"type {type(token).__name__}"
            raise ArgumentError(f"token has {came}; expected a tensor with one token a row, (batch,), or (batch, size)")
        form = Form(token.dim() > token.is_floating_point(), False)
        features = read_features("token", self.target, token)
        self._check_batch("token", len(token) if form.batched else 1, state, memory)
        features = drop(features if form.batched else features.unsqueeze(0), self.dropout, self.training)
        attended, alignment, recurrent = self._advance(features, state, memory, None, True)
        after = DecoderState(recurrent, attended if self.input_feeding else None, state.position + 1)
        raw = form.restore_row(self.head(attended))
        return raw, after, None if alignment is None else form.restore_row(alignment)

    @property
    def why_stepwise(self) -> str | None:
        """Why a target is read step by step, here and now; None where it is read at once."""
        if self.input_feeding:
            return "input feeding: a step reads what the step before attended to"
        if self.training and self.scheduled_sampling:
            return "scheduled sampling: a step may read what the step before put out"
        return None

    def _read(
        self,
        name: str,
        inputs: Tensor,
        form: Form,
        memory: Memory,
        state: DecoderState | None,
        lengths: Tensor | None,
        *,
        need_alignment: bool,
    ) -> tuple[Tensor, Tensor | None, DecoderState]:
        """h~ and alignment of all steps, time first, and the state after each row's last. name: of inputs."""
        self._check_memory(memory)
        begun = memory.start if state is None else state
        if self.training and self.scheduled_sampling:
            self._check_tokens(name, inputs, form)
        features = form.time_first(read_features(name, self.target, inputs))
        self._check_batch(name, features.shape[1], begun, memory)
        features = drop(features, self.dropout, self.training)
        if self.why_stepwise is None:
            y, last = self.recurrent(features, begun.recurrent, lengths=lengths)
            attended, alignment = self._attend(y, memory, begun.position, need_alignment)
            fed = None
        else:
            attended, alignment, last, fed = self._run_stepwise(features, memory, begun, lengths, need_alignment)
        taken = len(features) if lengths is None else lengths.to(begun.position.device)
        return attended, alignment, DecoderState(last, fed, begun.position + taken)

    def _run_stepwise(
        self,
        features: Tensor,
        memory: Memory,
        state: DecoderState,
        lengths: Tensor | None,
        need_alignment: bool,
    ) -> tuple[Tensor, Tensor | None, State, Tensor | None]:
        """h~ and alignment of all steps, the recurrence's last state and what is fed to the next step."""
        noise = self.recurrent.draw_noise(features.shape[1]) if self.recurrent.draws_once else None
        alive = None
        if lengths is not None:
            alive = torch.arange(len(features))[:, None, None] < lengths[:, None]  # time batch 1
            alive = alive.to(features.device)
        outputs: list[Tensor] = []
        weights: list[Tensor] = []
        for t, x_t in enumerate(features.unbind(0)):
            if t and self.training and self.scheduled_sampling:
                x_t = self._sometimes_sampled(x_t, outputs[-1])
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
        return drop(y, self.dropout, self.training), alignment

    def _sometimes_sampled(self, x_t: Tensor, attended: Tensor) -> Tensor:
        """Features of the next step, in some rows those of a token drawn from the step before."""
        drawn = torch.rand(len(x_t), device=x_t.device) < self.scheduled_sampling
        with torch.no_grad():
            tokens = draw_classes(self.head(attended))
        sampled = drop(self.target(tokens), self.dropout, self.training)
        return torch.where(drawn.unsqueeze(1), sampled, x_t)

    def _check_tokens(self, name: str, inputs: Tensor, form: Form) -> None:
        """Raise ArgumentError unless tokens can be drawn in place of inputs."""
        if inputs.is_floating_point() or inputs.dim() != 1 + form.batched:
            raise ArgumentError(
                f"scheduled_sampling is {self.scheduled_sampling} and {name} has shape {tuple(inputs.shape)} of "
                f"{inputs.dtype}; it draws tokens, (time, batch) integers: set it to 0 for anything else"
            )

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
        if (state.fed is None) == self.input_feeding:
            was, reads = ("without", "with") if state.fed is None else ("with", "without")
            raise ArgumentError(
                f"state is of a model {was} input feeding, this one is {reads}; pass what its own encode, calls or "
                f"steps returned"
            )


def _where(alive: Tensor, new: State, old: State) -> State:
    return new._make(torch.where(alive, after, before) for after, before in zip(new, old, strict=True))
