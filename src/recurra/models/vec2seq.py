"""A vector to a sequence: a caption of a picture's features, a wave of its phases, a melody of a mood."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count, check_probability, check_seed
from recurra.layers.inputs import blank_padding
from recurra.layers.lengths import mask_of_lengths
from recurra.layers.linear import check_factor
from recurra.layers.noise import Dropout
from recurra.models.decoding import Generated
from recurra.models.generation import Answers, Choice
from recurra.models.initial_state import InitialState
from recurra.models.parts import check_parts
from recurra.models.sequences import check_answer_by_answer, explain_parts

__all__ = ["Vec2Seq", "VectorState"]


class VectorState(NamedTuple):
    """What a `Vec2Seq` remembers from one step to the next."""

    vector: Tensor
    """What is read at each step; the model's vector."""
    body: Any
    """The body's state; None: as the body begins."""


class Vec2Seq(nn.Module):
    """A sequence that begins with a vector (Karpathy & Fei-Fei 2015; Cho et al. 2014).

        s_0 = tanh(A z + a)                                        feed "initial" or "both"; else as the body begins
        v_t = [input(y_(t-1)), z]                                  z with feed "repeat" or "both", input if there is one
        h_t, s_t = body(v_t, s_(t-1)),  raw_t = head(h_t)

    In place of input(y_0) stands a learned vector. In training y_(t-1) is the truth (teacher forcing), later the
    model's own answer.

    input: from the answer before to features, as `Embedding` or `Real`; None: the body does not read its answers.
    body: a `Recurrent`, or any module with `forward(x, state, lengths=)`, `step(x_t, state)`, `input_size` and
        `output_size`. It reads input.output_size features, and vector_size more with feed "repeat" or "both".
    head: from features to answers, as `Softmax`, `Linear` or `MixtureDensity`.
    vector_size: features of z.
    feed: where z goes: "initial", into each field and layer of the state, for which the body must have
        `initial_state(batch)` as `Recurrent` does (into h alone for a cell whose other fields are no free numbers, one
        that refuses learn_initial_state); "repeat", into every step, for any body, as `WaveNet`, `TCN`, `Reservoir` or
        `DenseWindow`; or "both".
    dropout: probability with which features are zeroed before the head, in training.
    seed: A and a, torch.nn.Linear's, come from this seed alone; None: from torch's global generator.

    Raises ArgumentError for any invalid argument, or parts that do not fit together.

    >>> from recurra.layers import Recurrent
    >>> from recurra.layers.heads import Linear
    >>> from recurra.layers.inputs import Real
    >>> model = Vec2Seq(Real(1), Recurrent("gru", 1, 8, seed=0), Linear(8, 1, seed=0), vector_size=2)
    >>> vectors, waves = torch.zeros(4, 2), torch.zeros(30, 4, 1)  # time batch feature
    >>> model(vectors, waves).shape, model.generate(vectors, 30).answers.shape
    (torch.Size([30, 4, 1]), torch.Size([30, 4, 1]))
    """

    input: Any
    body: Any
    head: Any

    def __init__(
        self,
        input: nn.Module | None,
        body: nn.Module,
        head: nn.Module,
        *,
        vector_size: int,
        feed: str = "initial",
        dropout: float = 0.0,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        if feed not in ("initial", "repeat", "both"):
            raise ArgumentError(f"feed is {feed!r}; expected 'initial', 'repeat' or 'both'")
        if input is None and feed == "initial":
            raise ArgumentError(
                "feed is 'initial' and input None, which leaves the body nothing to read; pass an input, or "
                "feed='repeat' or 'both'"
            )
        check_count("vector_size", vector_size)
        check_parts(input, body, head, more=vector_size if feed != "initial" else 0)
        check_answer_by_answer(self, head)
        check_probability("dropout", dropout)
        check_seed(seed)
        if getattr(body, "bidirectional", False) and input is not None:
            raise ArgumentError("body is bidirectional, and cannot read its own answers; pass input=None, or another")
        self.input, self.body, self.head = input, body, head
        self.vector_size, self.feed, self.dropout, self.seed = vector_size, feed, dropout, seed
        self.drop = Dropout(dropout)
        like = next(body.parameters(), torch.empty(0))
        if input is not None:
            self.start = nn.Parameter(like.new_zeros(self.input.output_size))
        if feed != "repeat":
            self._check_initial(body)
            self.initial = InitialState(body, vector_size, seed=seed, device=like.device, dtype=like.dtype)

    @property
    def batch_first(self) -> bool:
        """Whether the batch comes before time, as the body has it."""
        return bool(getattr(self.body, "batch_first", False))

    def forward(
        self, vector: Tensor, targets: Tensor | None = None, *, steps: int | None = None, lengths: Any = None
    ) -> Tensor:
        """Raw outputs of every step, each of which has read the truth before it.

        vector: (batch, vector_size), or (vector_size,) without a batch.
        targets: the truth: codes (time, batch) or numbers (time, batch, size), batch first if the body is; the last
            step is not read. For a model with an input.
        steps: how many, for a model without one.
        lengths: steps of each row, 0 to time; None: all. What stands past the end does not matter.
        Returns raw: (time, batch, raw_size), or batch first, or without a batch.
        Raises ArgumentError if a shape, code or length does not fit, or targets or steps are missing.
        """
        state = self.begin(vector)
        features = self._features(vector, targets, steps, lengths)
        y, _ = self.body(features, state.body, lengths=lengths)
        raw: Tensor = self.head(self.drop(y))
        return raw

    def begin(self, vector: Tensor) -> VectorState:
        """What the first step goes on from.

        Raises ArgumentError if the vector's shape, dtype or device does not fit.
        """
        self._check_vector(vector)
        if self.feed == "repeat":
            return VectorState(vector, None)
        return VectorState(vector, self.initial(vector, self.body))

    def step(self, previous: Tensor | None, state: VectorState) -> tuple[Tensor, VectorState]:
        """One step; step by step equals the whole sequence.

        previous: the answer before, codes (batch,) or numbers (batch, size); None at the first step, and always for a
            model without an input.
        state: of `begin`, or of the step before.
        Returns (raw_t, state). Raises ArgumentError if a shape or code does not fit.
        """
        _check_state(state)
        if previous is not None and self.input is None:
            raise ArgumentError("previous was passed; a model without an input does not read its answers: pass None")
        parts = []
        if self.input is not None:
            at_first = self.start.expand(*state.vector.shape[:-1], -1)
            parts.append(at_first if previous is None else self.input(previous))
        if self.feed != "initial":
            parts.append(state.vector)
        y_t, body = self.body.step(torch.cat(parts, -1), state.body)
        raw_t: Tensor = self.head(self.drop(y_t))
        return raw_t, VectorState(state.vector, body)

    def loss(self, vector: Tensor, targets: Tensor, *, lengths: Any = None) -> Tensor:
        """The head's mean loss over all steps that there are, by teacher forcing where the model has an input.

        Raises ArgumentError if a shape, code or length does not fit.
        """
        self._check_vector(vector)
        axis = int(self.batch_first and vector.dim() == 2)
        self._check_rows(vector, targets, axis)
        given, steps = (targets, None) if self.input is not None else (None, targets.shape[axis])
        raw = self(vector, given, steps=steps, lengths=lengths)
        mask = mask_of_lengths(lengths, shape=raw.shape[:-1], batch_first=self.batch_first, device=raw.device)
        loss: Tensor = self.head.loss(raw, targets, mask)
        return loss

    def generate(
        self,
        vector: Tensor,
        steps: int,
        state: VectorState | None = None,
        *,
        previous: Tensor | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        bias: float | None = None,
        end: int | None = None,
        seed: int | None = None,
    ) -> Generated:
        """A sequence of a vector, in evaluation mode, each answer read for the next where the model has an input.

        vector: (batch, vector_size), or (vector_size,) without a batch.
        state: where to go on, in place of where the vector begins; with feed "repeat" or "both" the vector, which may
            be another one by now, is read at each step all the same.
        previous: the last answer, which the state has not read; with a state, for a model with an input.
        steps, temperature, top_k, top_p, bias, end, seed: as in `Seq2Seq.generate`.
        Returns (answers, state, lengths, scores, alignment) as there; `generate(vector, ..., state,
            previous=answers[-1])` goes on.
        Raises ArgumentError if an argument does not fit, or the head does not answer in what the input reads;
        DivergedError if the raw outputs are NaN.
        """
        check_count("steps", steps)
        choice = Choice(temperature, top_k, top_p, bias, end, seed)
        return self._go_on(vector, steps, state, previous, choice).collect(batch_first=self.batch_first)

    def stream(
        self,
        vector: Tensor,
        steps: int | None = None,
        state: VectorState | None = None,
        *,
        previous: Tensor | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        bias: float | None = None,
        end: int | None = None,
        seed: int | None = None,
    ) -> Answers:
        """`generate` answer by answer, as `Seq2Seq.stream`.

        steps: answers wanted; None: as many as are asked for, or until every row has ended.
        """
        choice = Choice(temperature, top_k, top_p, bias, end, seed)
        return self._go_on(vector, steps, state, previous, choice)

    def explain(self) -> str:
        """The parts, where the vector goes, and which engine runs the body here and now, and why."""
        goes = {"initial": "the first state", "repeat": "every step", "both": "the first state and every step"}
        return "\n".join([f"vector: into {goes[self.feed]}", *explain_parts(self.input, self.body, self.head)])

    def _go_on(
        self, vector: Tensor, steps: int | None, state: VectorState | None, previous: Tensor | None, choice: Choice
    ) -> Answers:
        wanted = state is not None and self.input is not None
        if (previous is not None) != wanted:
            came = "previous was passed" if previous is not None else "previous is None"
            raise ArgumentError(
                f"{came}; expected the last answer where a model with an input goes on from a state, and else None"
            )
        return Answers(self, lambda: self._begin_at(vector, state, previous), self._read_answer, steps, choice)

    def _begin_at(
        self, vector: Tensor, state: VectorState | None, previous: Tensor | None
    ) -> tuple[Tensor, VectorState]:
        """The first raw outputs, and the state after them."""
        if state is None:
            return self.step(None, self.begin(vector))
        _check_state(state)
        self._check_vector(vector)
        if vector.shape != state.vector.shape:
            raise ArgumentError(
                f"vector has shape {tuple(vector.shape)}, that of the state {tuple(state.vector.shape)}; pass as many "
                f"rows as it has"
            )
        return self.step(previous, state._replace(vector=vector))

    def _read_answer(self, answer: Tensor, state: VectorState) -> tuple[Tensor, VectorState]:
        return self.step(None if self.input is None else answer, state)

    def _features(self, vector: Tensor, targets: Tensor | None, steps: int | None, lengths: Any) -> Tensor:
        """What the body reads: (time, batch, feature), or batch first, or without a batch."""
        axis = int(self.batch_first and vector.dim() == 2)
        if (targets is None) != (self.input is None) or (steps is None) != (self.input is not None):
            wanted = "steps, how many, and no targets" if self.input is None else "targets, and no steps"
            with_input = "without" if self.input is None else "with"
            raise ArgumentError(f"a model {with_input} an input takes {wanted}; or call generate")
        parts = []
        if targets is not None:
            self._check_rows(vector, targets, axis)
            blank = blank_padding(targets, lengths, batch_first=self.batch_first)
            first = self.start.expand(*vector.shape[:-1], -1).unsqueeze(axis)
            before = self.input(blank.narrow(axis, 0, blank.shape[axis] - 1))
            parts.append(torch.cat([first, before], axis))
            steps = blank.shape[axis]
        if self.feed != "initial":
            count = check_count("steps", steps)
            shape = [*vector.shape[:-1], -1]
            shape.insert(axis, count)
            parts.append(vector.unsqueeze(axis).expand(shape))
        return torch.cat(parts, -1)

    def _check_vector(self, vector: Tensor) -> None:
        """Raise ArgumentError unless it is a vector for each row, or one, of the model's dtype and on its device."""
        if not isinstance(vector, Tensor) or vector.dim() not in (1, 2) or vector.shape[-1] != self.vector_size:
            came = f"has shape {tuple(vector.shape)}" if isinstance(vector, Tensor) else f"is {type(vector).__name__}"
            raise ArgumentError(f"vector {came}; expected (batch, {self.vector_size}), or ({self.vector_size},)")
        like = next(self.body.parameters(), None) if self.feed == "repeat" else self.initial.weight
        if like is not None:
            check_factor("vector", vector, like)

    def _check_rows(self, vector: Tensor, targets: Tensor, axis: int) -> None:
        """Raise ArgumentError unless there is a sequence of targets, one step at least, for each vector."""
        if not isinstance(targets, Tensor) or targets.dim() < vector.dim() or not targets.shape[axis]:
            came = (
                f"has shape {tuple(targets.shape)}" if isinstance(targets, Tensor) else f"is {type(targets).__name__}"
            )
            order = "(time,)" if vector.dim() == 1 else "(batch, time)" if axis else "(time, batch)"
            raise ArgumentError(f"targets {came}; expected {order} codes or so many numbers, one step at least")
        if vector.dim() == 2 and targets.shape[1 - axis] != len(vector):
            raise ArgumentError(
                f"vector has {len(vector)} rows, targets {targets.shape[1 - axis]}; pass as many of both"
            )

    def _check_initial(self, body: Any) -> None:
        if not hasattr(body, "initial_state"):
            raise ArgumentError(
                f"feed is {self.feed!r}, the body {type(body).__name__} has no initial_state(batch) to fill; use "
                f"feed='repeat'"
            )


def _check_state(state: object) -> None:
    if not isinstance(state, VectorState):
        raise ArgumentError(f"state is {type(state).__name__}; pass what begin(vector) or the step before returned")
