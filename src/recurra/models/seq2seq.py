"""A sequence to a sequence of the same length: an answer at every step, which may be read again as the next input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count, check_probability, check_seed
from recurra.layers.heads import Softmax
from recurra.layers.inputs import blank_padding
from recurra.layers.lengths import mask_of_lengths

__all__ = ["Seq2Seq", "check_parts", "generate_steps", "shift"]


class Seq2Seq(nn.Module):
    """An answer at every step: a tag for each word, the next character, the next value of a wave.

        v_t = input(x_t),  h_t = body(v_1 .. v_t),  raw_t = head(h_t)

    input: from raw steps to features, as `Embedding`, `OneHot` or `Real`.
    body: a `Recurrent`, or any module with `forward(x, state, lengths=)`, `step(x_t, state)`, `input_size` and
        `output_size`. Sequences are (time, batch), or (batch, time) where the body has batch_first.
    head: from features to answers, as `Softmax`, `Linear` or `MixtureDensity`.
    dropout: probability with which features are zeroed before the head, in training.

    Raises ArgumentError if a part is none, or reads another number of features than the one before it gives.

    >>> from recurra.layers import Recurrent
    >>> from recurra.layers.heads import Softmax
    >>> from recurra.layers.inputs import Embedding
    >>> model = Seq2Seq(Embedding(5, 4, seed=0), Recurrent("gru", 4, 8, seed=0), Softmax(8, 5, seed=0))
    >>> text = torch.tensor([[1], [2], [3], [4], [1]])  # time batch
    >>> x, target, _ = shift(text)
    >>> raw, state = model(x)
    >>> raw.shape, model.loss(x, target).shape
    (torch.Size([4, 1, 5]), torch.Size([]))
    >>> more, state = model.generate(text, 3, seed=0)
    >>> more.shape
    torch.Size([3, 1])
    """

    input: Any
    body: Any
    head: Any

    def __init__(self, input: nn.Module, body: nn.Module, head: nn.Module, *, dropout: float = 0.0) -> None:
        super().__init__()
        check_parts(input, body, head)
        check_probability("dropout", dropout)
        self.input, self.body, self.head = input, body, head
        self.dropout = dropout
        self.drop = nn.Dropout(dropout)

    @property
    def batch_first(self) -> bool:
        """Whether the batch comes before time, as the body has it."""
        return bool(getattr(self.body, "batch_first", False))

    def forward(self, x: Tensor, state: Any = None, *, lengths: Any = None) -> tuple[Tensor, Any]:
        """Raw outputs of every step, and the body's state after the last.

        x: codes (time, batch) or numbers (time, batch, size), batch first if the body is, or without a batch.
        state: where to begin; what the call on the chunk before returned.
        lengths: steps of each row, 0 to time; None: all. What x holds past the end does not matter; what the head
            says there means nothing.
        Returns (raw, state): (time, batch, raw_size), or batch first, or without a batch, as x; and the body's state.
        Raises ArgumentError if a shape, code or length does not fit.
        """
        features = self.input(blank_padding(x, lengths, batch_first=self.batch_first))
        y, state = self.body(features, state, lengths=lengths)
        raw: Tensor = self.head(self.drop(y))
        return raw, state

    def step(self, x_t: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """One step, for streams; step by step equals the whole sequence.

        x_t: codes (batch,) or numbers (batch, size), or without a batch.
        Returns (raw_t, state): (batch, raw_size) or (raw_size,), and the state to pass to the next step.
        Raises ArgumentError if a shape or code does not fit, or the body reads from both ends.
        """
        y_t, state = self.body.step(self.input(x_t), state)
        raw_t: Tensor = self.head(self.drop(y_t))
        return raw_t, state

    def loss(self, x: Tensor, target: Tensor, state: Any = None, *, lengths: Any = None) -> Tensor:
        """The head's mean loss over all steps that there are; for truncated sequences call the model and the head.

        target: the truth of each step, in the order of x; for a `CTC` head the labels of each row.
        Raises ArgumentError if a shape, code or length does not fit.
        """
        raw, _ = self(x, state, lengths=lengths)
        mask = mask_of_lengths(lengths, shape=raw.shape[:-1], batch_first=self.batch_first, device=raw.device)
        loss: Tensor = self.head.loss(raw, target, mask)
        return loss

    def predict(self, x: Tensor, *, lengths: Any = None) -> Any:
        """The head's best guess at each step; past a row's end it means nothing.

        Raises ArgumentError if a shape, code or length does not fit.
        """
        return self.head.predict(self(x, lengths=lengths)[0])

    @torch.no_grad()
    def generate(
        self,
        prompt: Tensor,
        steps: int,
        state: Any = None,
        *,
        lengths: Any = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int | None = None,
    ) -> tuple[Tensor, Any]:
        """Go on after a prompt: each answer is read as the next step, so the head must answer in what the input reads.

        prompt: as x of a call, with one step at least.
        steps: answers wanted.
        state: where the prompt begins.
        lengths: steps of each row of the prompt, 1 at least; rows go on where they end.
        temperature: how far from the best guess; 1: as learned, 0: the best guess itself, nothing is drawn.
        top_k: draw from so many of the likeliest classes only; for a `Softmax` head.
        seed: draws come from this seed alone; None: from torch's global generator.
        Dropouts act as the model stands: call `model.eval()` before.
        Returns (answers, state): (steps, batch, ...), or batch first, or without a batch; the state has read all but
        the last answer, so that `generate(answers[-1:], ..., state)` goes on.
        Raises ArgumentError if an argument does not fit.
        """
        check_count("steps", steps)
        raw, state = self(prompt, state, lengths=lengths)
        axis = int(self.batch_first and raw.dim() == 3)
        last = self._last(raw, lengths)
        answers, state = generate_steps(
            self.step, self.head, last, state, steps, temperature=temperature, top_k=top_k, seed=seed
        )
        return torch.stack(answers, axis), state

    def _last(self, raw: Tensor, lengths: Any) -> Tensor:
        """Raw outputs of each row's last step: (batch, raw_size) or (raw_size,)."""
        mask = mask_of_lengths(lengths, shape=raw.shape[:-1], batch_first=self.batch_first, device=raw.device)
        batched = raw.dim() == 3
        rows = raw if batched and self.batch_first else raw.transpose(0, 1) if batched else raw.unsqueeze(0)
        if mask is None:
            return rows[:, -1] if batched else rows[0, -1]
        counts = mask.view(1, -1).sum(1) if not batched else mask.sum(1 if self.batch_first else 0)
        if bool((counts == 0).any()):
            raise ArgumentError(f"lengths[{int(counts.argmin())}] is 0; a prompt needs one step at least to go on from")
        last = rows[torch.arange(len(rows), device=raw.device), counts - 1]
        return last if batched else last[0]


def generate_steps(
    step: Callable[[Tensor, Any], tuple[Tensor, Any]],
    head: Any,
    raw: Tensor,
    state: Any,
    steps: int,
    *,
    temperature: float,
    top_k: int | None,
    seed: int | None,
) -> tuple[list[Tensor], Any]:
    """Answers drawn from raw outputs, each read by `step` for the next; and the state before the last was read.

    raw: of the first answer. The other arguments are those of `Seq2Seq.generate`.
    Raises ArgumentError for top_k with a head that has no classes, or answers that the step does not read.
    """
    check_seed(seed)
    if top_k is not None and not isinstance(head, Softmax):
        raise ArgumentError(f"top_k is {top_k!r}, the head is {type(head).__name__}; it is for a Softmax head")
    generator = None if seed is None else torch.Generator(raw.device).manual_seed(seed)
    answers: list[Tensor] = []
    for _ in range(steps):
        if answers:
            try:
                raw, state = step(answers[-1], state)
            except ArgumentError as error:
                raise ArgumentError(
                    f"an answer of {type(head).__name__} could not be read as the next step: {error}"
                ) from error
        kept = raw if top_k is None else head.keep_likeliest(raw, top_k)
        answers.append(head.sample(kept, temperature=temperature, generator=generator))
    return answers, state


def shift(x: Tensor, lengths: Any = None, *, batch_first: bool = False) -> tuple[Tensor, Tensor, Tensor | None]:
    """Inputs and targets of a model that foretells its next input: (x_1 .. x_(T-1), x_2 .. x_T, lengths - 1).

    x: (time, batch, ...), batch first if so, or codes (time,) without a batch; two steps at least.
    lengths: steps of each row of x; None: all.
    Raises ArgumentError if there are fewer steps, or lengths do not fit.

    >>> shift(torch.tensor([4, 5, 6]))
    (tensor([4, 5]), tensor([5, 6]), None)
    """
    axis = int(batch_first)
    if not isinstance(x, Tensor) or x.dim() <= axis or x.shape[axis] < 2:
        came = f"has shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"is {type(x).__name__}"
        raise ArgumentError(f"x {came}; expected a tensor of two time steps at least on axis {axis}")
    time = x.shape[axis]
    before, after = x.narrow(axis, 0, time - 1), x.narrow(axis, 1, time - 1)
    if lengths is None:
        return before, after, None
    mask = mask_of_lengths(lengths, shape=x.shape[:2], batch_first=batch_first, device=torch.device("cpu"))
    counts = torch.full((x.shape[1 - axis],), time) if mask is None else mask.sum(axis)
    return before, after, (counts - 1).clamp(min=0)


def check_parts(input: object, body: object, head: object, *, more: int = 0) -> None:
    """Raise ArgumentError unless the parts of a model are modules that fit together.

    more: features that the model adds to each step; where there are some, input may be None.
    """
    parts = (
        ("input", input, "output_size", "Embedding, OneHot or Real"),
        ("body", body, "output_size", "Recurrent"),
        ("head", head, "raw_size", "Softmax or Linear"),
    )
    for name, part, attribute, such in parts:
        if part is input and part is None and more:
            continue
        if not isinstance(part, nn.Module) or not hasattr(part, attribute):
            came = f"a {type(part).__name__} of {type(part).__module__.partition('.')[0]}"
            came = (
                "None" if part is None else f"the class {part.__name__}, not built" if isinstance(part, type) else came
            )
            raise ArgumentError(f"{name} is {came}; expected a module with {attribute}, as {such} of recurra")
    size = 0 if input is None else int(input.output_size)  # type: ignore[attr-defined]
    reads = getattr(body, "input_size", size + more)
    if reads != size + more:
        parts_given = [f"input gives {size}"] * (input is not None) + [f"the vector {more}"] * (more > 0)
        raise ArgumentError(
            f"body reads {reads} features, {' and '.join(parts_given)}; build the body with input_size={size + more}"
        )
    gives, reads = body.output_size, getattr(head, "input_size", body.output_size)  # type: ignore[attr-defined]
    if reads != gives:
        raise ArgumentError(f"head reads {reads} features, body gives {gives}; build the head with input_size={gives}")
