"""A sequence to one answer: its kind, its sum, what comes after it."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra.cells import State
from recurra.errors import ArgumentError
from recurra.layers.arguments import check_probability
from recurra.layers.inputs import blank_padding
from recurra.layers.noise import Dropout
from recurra.layers.pooling import LastPooling, Pooling, make_pooling
from recurra.models.parts import check_parts
from recurra.models.sequences import check_answer_by_answer, check_state, explain_parts

__all__ = ["ReadState", "Seq2Vec"]


class ReadState(NamedTuple):
    """What a `Seq2Vec` remembers of the steps that it has read."""

    body: Any
    pooling: State


class Seq2Vec(nn.Module):
    """One answer for a whole sequence: the kind of a text, the state of a machine, the value after a window.

        v_t = input(x_t),  h_t = body(v_1 .. v_t),  raw = head(pool(h_1 .. h_T))

    input: from raw steps to features, as `Embedding`, `OneHot` or `Real`.
    body: a `Recurrent`, or any module with `forward(x, state, lengths=)`, `step(x_t, state)`, `input_size` and
        `output_size`. Sequences are (time, batch), or (batch, time) where the body has batch_first. One that has
        `last(x, state, lengths=)` too, each row's last output alone, is asked for no more where pooling is "last".
    head: from features to answers, as `Softmax`, `Linear` or `Quantiles`.
    pooling: "last", the output after a row's last step (in both directions, each one's last); "mean", "max" or
        "attention", learned shares; or a `Pooling`.
    dropout: probability with which pooled features are zeroed before the head, in training.

    Raises ArgumentError for any invalid argument, or parts that do not fit together.

    >>> import torch
    >>> from recurra.layers import Recurrent
    >>> from recurra.layers.heads import Linear
    >>> from recurra.layers.inputs import Real
    >>> model = Seq2Vec(Real(1), Recurrent("lstm", 1, 8, seed=0), Linear(8, 1, seed=0))
    >>> windows = torch.zeros(50, 4, 1)  # time batch feature
    >>> model(windows).shape
    torch.Size([4, 1])
    >>> raw, state = model.step(windows[0])  # the answer if the sequence were to end here
    """

    input: Any
    body: Any
    head: Any
    pooling: Pooling

    def __init__(
        self,
        input: nn.Module,
        body: nn.Module,
        head: nn.Module,
        *,
        pooling: str | Pooling = "last",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_parts(input, body, head)
        check_answer_by_answer(self, head)
        check_probability("dropout", dropout)
        self.input, self.body, self.head = input, body, head
        self.dropout = dropout
        self.drop = Dropout(dropout)
        both = bool(getattr(body, "bidirectional", False))
        self.pooling = make_pooling(pooling, self.body.output_size, bidirectional=both)
        like = next(body.parameters(), None)
        if like is not None and not isinstance(pooling, Pooling):
            self.pooling.to(device=like.device, dtype=like.dtype)

    @property
    def batch_first(self) -> bool:
        """Whether the batch comes before time, as the body has it."""
        return bool(getattr(self.body, "batch_first", False))

    def forward(self, x: Tensor, *, lengths: Any = None) -> Tensor:
        """Raw outputs (batch, raw_size), or (raw_size,) without a batch.

        x: codes (time, batch) or numbers (time, batch, size), batch first if the body is, or without a batch.
        lengths: steps of each row, 0 to time; None: all. What x holds past the end does not matter. A row without
            steps is answered by the head from zeros.
        Raises ArgumentError if a shape, code or length does not fit.
        """
        return self.read(x, lengths=lengths)[0]

    def read(self, x: Tensor, state: ReadState | None = None, *, lengths: Any = None) -> tuple[Tensor, ReadState]:
        """Raw outputs after one chunk of a sequence and those before it; chunk by chunk equals the whole.

        state: what the call on the chunk before returned; None at the beginning. A row that has ended has length 0 in
            later chunks. Not for a body that reads from both ends.
        Returns (raw, state). Raises ArgumentError as a call does.
        """
        body, pooling = _split(state)
        check_state(self.body, state)
        features = self.input(blank_padding(x, lengths, batch_first=self.batch_first))
        if type(self.pooling) is LastPooling and hasattr(self.body, "last"):
            y, body = self.body.last(features, body, lengths=lengths)
            steps, batched = y.reshape(1, -1, y.shape[-1]), y.dim() == 2
            lengths = None if lengths is None else torch.as_tensor(lengths).clamp(max=1)
        else:
            y, body = self.body(features, body, lengths=lengths)
            steps, batched = self._time_first(y), y.dim() == 3
        pooled, pooling = self.pooling(steps, pooling, lengths=lengths)
        return self._answer(pooled if batched else pooled[0]), ReadState(body, pooling)

    def step(self, x_t: Tensor, state: ReadState | None = None) -> tuple[Tensor, ReadState]:
        """The answer if the sequence ended with this step; what is remembered does not grow with the steps.

        x_t: codes (batch,) or numbers (batch, size), or without a batch.
        Returns (raw, state): (batch, raw_size) or (raw_size,), and the state to pass to the next step.
        Raises ArgumentError if a shape or code does not fit, or the body reads from both ends.
        """
        body, pooling = _split(state)
        y_t, body = self.body.step(self.input(x_t), body)
        batched = y_t.dim() == 2
        pooled, pooling = self.pooling.step(y_t if batched else y_t.unsqueeze(0), pooling)
        return self._answer(pooled if batched else pooled[0]), ReadState(body, pooling)

    def loss(self, x: Tensor, target: Tensor, *, lengths: Any = None) -> Tensor:
        """The head's mean loss over the rows. target: the truth of each row.

        Raises ArgumentError if a shape, code or length does not fit.
        """
        loss: Tensor = self.head.loss(self(x, lengths=lengths), target)
        return loss

    def predict(self, x: Tensor, *, lengths: Any = None) -> Tensor:
        """The head's best guess for each row.

        Raises ArgumentError if a shape, code or length does not fit.
        """
        best: Tensor = self.head.predict(self(x, lengths=lengths))
        return best

    def explain(self) -> str:
        """The parts, and which engine runs the body here and now, and why."""
        *lines, head = explain_parts(self.input, self.body, self.head)
        return "\n".join([*lines, f"pooling: {type(self.pooling).__name__}", head])

    def _answer(self, pooled: Tensor) -> Tensor:
        raw: Tensor = self.head(self.drop(pooled))
        return raw

    def _time_first(self, y: Tensor) -> Tensor:
        """(time, batch, feature)"""
        if y.dim() == 2:
            return y.unsqueeze(1)
        return y.transpose(0, 1) if self.batch_first else y


def _split(state: object) -> tuple[Any, State | None]:
    """The body's state and the pooling's."""
    if state is None:
        return None, None
    if not isinstance(state, ReadState):
        raise ArgumentError(f"state is {type(state).__name__}; pass what the call before returned, or omit it")
    return state
