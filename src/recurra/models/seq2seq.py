"""A sequence to a sequence of the same length: an answer at every step, which may be read again as the next input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count, check_probability
from recurra.layers.inputs import blank_padding
from recurra.layers.lengths import mask_of_lengths
from recurra.layers.noise import Dropout
from recurra.models.decoding import Generated
from recurra.models.generation import Answers, Choice
from recurra.models.parts import check_parts
from recurra.models.sequences import check_order, check_state, explain_parts

__all__ = ["Seq2Seq", "shift"]


class Seq2Seq(nn.Module):
    """An answer at every step: a tag for each word, the next character, the next value of a wave.

        v_t = input(x_t),  h_t = body(v_1 .. v_t),  raw_t = head(h_t)

    input: from raw steps to features, as `Embedding`, `OneHot` or `Real`.
    body: a `Recurrent`, or any module with `forward(x, state, lengths=)`, `step(x_t, state)`, `input_size` and
        `output_size`. Sequences are (time, batch), or (batch, time) where the body has batch_first.
    head: from features to answers, as `Softmax`, `Linear` or `MixtureDensity`; or one that decides whole sequences, as
        `CTC`, which then has batch_first as the body has.
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
    >>> model.generate(text, 3, seed=0).answers.shape
    torch.Size([3, 1])
    """

    input: Any
    body: Any
    head: Any

    def __init__(self, input: nn.Module, body: nn.Module, head: nn.Module, *, dropout: float = 0.0) -> None:
        super().__init__()
        check_parts(input, body, head)
        check_order(body, head)
        check_probability("dropout", dropout)
        self.input, self.body, self.head = input, body, head
        self.dropout = dropout
        self.drop = Dropout(dropout)

    @property
    def batch_first(self) -> bool:
        """Whether the batch comes before time, as the body has it."""
        return bool(getattr(self.body, "batch_first", False))

    def forward(self, x: Tensor, state: Any = None, *, lengths: Any = None) -> tuple[Tensor, Any]:
        """Raw outputs of every step, and the body's state after the last.

        x: codes (time, batch) or numbers (time, batch, size), batch first if the body is, or without a batch.
        state: where to begin; what the call on the chunk before returned. Not for a body that reads from both ends.
        lengths: steps of each row, 0 to time; None: all. What x holds past the end does not matter; what the head
            says there means nothing.
        Returns (raw, state): (time, batch, raw_size), or batch first, or without a batch, as x; and the body's state.
        Raises ArgumentError if a shape, code or length does not fit.
        """
        check_state(self.body, state)
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
        """The head's best guess at each step; past a row's end it means nothing. Of a head that decides whole
        sequences, what it says of each row, as the labels of a `CTC`, over the steps that the row has.

        Raises ArgumentError if a shape, code or length does not fit.
        """
        raw, _ = self(x, lengths=lengths)
        if getattr(self.head, "stepwise", True):
            return self.head.predict(raw)
        return self.head.predict(raw, lengths=lengths)

    def generate(
        self,
        prompt: Tensor,
        steps: int,
        state: Any = None,
        *,
        lengths: Any = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        bias: float | None = None,
        end: int | None = None,
        seed: int | None = None,
    ) -> Generated:
        """Go on after a prompt, in evaluation mode: each answer is read as the next step, so the head must answer in
        what the input reads: codes of a `Softmax` for `Embedding` or `OneHot`, as many numbers for `Real`.

        prompt: as x of a call, with one step at least.
        steps: answers wanted; fewer are given where every row has ended before.
        state: where the prompt begins.
        lengths: steps of each row of the prompt, 1 at least; rows go on where they end.
        temperature: how far from the best guess; 1: as learned, 0: the best guess itself, nothing is drawn. What it
            does in between is said at the head's `sample`.
        top_k: draw from so many of the likeliest classes only; for a `Softmax` head.
        top_p: of these from the fewest, likeliest first, that together have this probability; for a `Softmax` head.
        bias: how much neater than learned the strokes of a `MixtureDensity` head are, from 0 (Graves 2013).
        end: the class of a `Softmax` head that ends a row, which holds it from there on; None: there is none.
        seed: draws come from this seed alone; None: from torch's global generator.
        Returns (answers, state, lengths, scores, alignment): (steps, batch, ...), or batch first, or without a batch;
            the state has read all but the last answer, so that `generate(answers[-1:], ..., state)` goes on; answers
            of each row before its end; log-probabilities of classes, or None; and None.
        Raises ArgumentError if an argument does not fit, or the head does not answer in what the input reads;
        DivergedError if the raw outputs are NaN.
        """
        check_count("steps", steps)
        choice = Choice(temperature, top_k, top_p, bias, end, seed)
        return self._go_on(prompt, steps, state, lengths, choice).collect(batch_first=self.batch_first)

    def stream(
        self,
        prompt: Tensor,
        steps: int | None = None,
        state: Any = None,
        *,
        lengths: Any = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        bias: float | None = None,
        end: int | None = None,
        seed: int | None = None,
    ) -> Answers:
        """`generate` answer by answer, each as soon as it is there: its arguments, and the very same answers.

        steps: answers wanted; None: as many as are asked for, or until every row has ended.
        Returns an iterator of answers (batch, ...), or without a batch. Its `state` has read all that it gave but the
        last, its `lengths` are those of the rows so far. The prompt is read at once, and errors are raised here.

        >>> from recurra.layers import Embedding, Recurrent, Softmax
        >>> model = Seq2Seq(Embedding(5, 4, seed=0), Recurrent("gru", 4, 8, seed=0), Softmax(8, 5, seed=0))
        >>> prompt = torch.tensor([1, 2])
        >>> whole = model.generate(prompt, 6, seed=0).answers
        >>> torch.equal(torch.stack(list(model.stream(prompt, 6, seed=0))), whole)
        True
        """
        return self._go_on(prompt, steps, state, lengths, Choice(temperature, top_k, top_p, bias, end, seed))

    def explain(self) -> str:
        """The parts, and which engine runs the body here and now, and why."""
        return "\n".join(explain_parts(self.input, self.body, self.head))

    def _go_on(self, prompt: Tensor, steps: int | None, state: Any, lengths: Any, choice: Choice) -> Answers:
        if getattr(self.body, "bidirectional", False):
            raise ArgumentError("body is bidirectional, and cannot read its own answers; build it in one direction")
        return Answers(self, lambda: self._read_prompt(prompt, state, lengths), self.step, steps, choice)

    def _read_prompt(self, prompt: Tensor, state: Any, lengths: Any) -> tuple[Tensor, Any]:
        """Raw outputs of each row's last step, and the state after it."""
        raw, state = self(prompt, state, lengths=lengths)
        return self._last(raw, lengths), state

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
