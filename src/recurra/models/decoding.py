"""Writing a sequence answer by answer, each chosen from what the step before put out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra.errors import ArgumentError, DivergedError, nearest
from recurra.layers.arguments import check_count
from recurra.models.parts import Form

__all__ = [
    "METHODS",
    "Generated",
    "Step",
    "Writing",
    "check_diverged",
    "check_drawing",
    "check_method",
    "check_numbers",
    "evaluating",
]


METHODS = ("greedy", "sample", "beam")


class Generated(NamedTuple):
    """Sequences that a model wrote, one per row of the batch; of a source without a batch, without that axis."""

    answers: Tensor
    """Tokens (time, batch), or numbers (time, batch, size), batch first as the model, without what it began with; a row
    that ended holds the end token from there on."""
    state: Any
    """Has read all answers but the last: go on with that one, in a row that has not ended. It has a batch, be it of one
    row."""
    lengths: Tensor
    """Answers of each row before its end token, (batch,)."""
    scores: Tensor | None
    """Log-probability of each row under the model, its end token included, (batch,); of beam search, after penalties.
    None for numbers."""
    alignment: Tensor | None
    """Weights of the source's steps at each answer, (time, batch, source_time), or batch first as the model, 0 behind a
    row's end token; None without attention."""

    def restore(self, form: Form) -> Generated:
        """In the form of the source, from time first with a batch."""
        scores, alignment = self.scores, self.alignment
        return Generated(
            form.restore(self.answers),
            self.state,
            form.restore_row(self.lengths),
            None if scores is None else form.restore_row(scores),
            None if alignment is None else form.restore(alignment),
        )


Step = Callable[[Tensor, Any], tuple[Tensor, Any, Tensor | None]]
"""From answers (batch, ...) and a state to raw outputs (batch, raw_size), the next state and alignment
(batch, source_time)."""


class Writing(Iterator[Tensor]):
    """Answers of an encoder-decoder as they come, (batch,) tokens or (batch, size) numbers, or without a batch as the
    source; what `EncoderDecoder.stream` returns.

    step: one step of the model.
    state: what its first step takes.
    first: what it reads, (batch,) tokens or (batch, size) numbers.
    end: the token that ends a row, which stays ended; it is over when all rows have ended. None: there is none.
    max_length: answers at most, the end token included; None: without end.
    pick: answers of raw outputs (batch, raw_size): the likeliest, or some drawn.
    batched: whether answers come with the batch, and not those of its only row.

    >>> def count_up(token, state):  # the next number, until 3
    ...     return torch.nn.functional.one_hot((token + 1) % 4, 4).float(), state, None
    >>> list(Writing(count_up, None, first=torch.tensor([0]), end=3, max_length=9, pick=lambda raw: raw.argmax(-1)))
    [tensor([1]), tensor([2]), tensor([3])]
    """

    state: Any
    """Has read all answers so far but the last."""
    alignment: Tensor | None
    """Weights of the source's steps at the last answer, (batch, source_time), or without a batch; None without
    attention."""

    def __init__(
        self,
        step: Step,
        state: Any,
        *,
        first: Tensor,
        end: int | None,
        max_length: int | None,
        pick: Callable[[Tensor], Tensor],
        batched: bool = True,
    ) -> None:
        self.state, self.alignment = state, None
        self._step, self._pick, self._end, self._left, self._batched = step, pick, end, max_length, batched
        self._answer, self._rows = first, len(first)
        self._ended = torch.zeros(self._rows, dtype=torch.bool, device=first.device)
        self._lengths = torch.zeros(self._rows, dtype=torch.long, device=first.device)
        self._scores = None if first.is_floating_point() else torch.zeros((), device=first.device)

    def __next__(self) -> Tensor:
        """The next answer. Raises DivergedError if a raw output is NaN."""
        if self._left == 0:
            raise StopIteration
        answer, alignment = self._advance()
        if self._batched:
            self.alignment = alignment
            return answer
        self.alignment = None if alignment is None else alignment[0]
        return answer[0]

    def collect(self) -> Generated:
        """All that are left at once, with the batch and time first; not for one without end."""
        answers, alignments = [], []
        while self._left != 0:
            answer, alignment = self._advance()
            answers.append(answer)
            alignments += [] if alignment is None else [alignment]
        aligned = torch.stack(alignments) if alignments else None
        return Generated(torch.stack(answers), self.state, self._lengths, self._scores, aligned)

    @torch.no_grad()
    def _advance(self) -> tuple[Tensor, Tensor | None]:
        """The next answer, and the alignment, 0 where a row had ended."""
        raw, self.state, alignment = self._step(self._answer, self.state)
        if self._scores is None:
            check_diverged(raw)
            answer = self._pick(raw)
        else:
            log_p = raw.log_softmax(-1)
            check_diverged(log_p[:, :1])  # one NaN makes all of its row NaN
            answer = self._pick(raw)
            gained = log_p.gather(1, answer.unsqueeze(1)).squeeze(1)
            self._scores = self._scores + gained.masked_fill(self._ended, 0.0)
        if alignment is not None:
            alignment = alignment.masked_fill(self._ended.unsqueeze(1), 0.0)
        self._left = None if self._left is None else self._left - 1
        if self._end is not None:
            answer = answer.masked_fill(self._ended, self._end)
            self._ended = self._ended | (answer == self._end)
            self._left = 0 if bool(self._ended.all()) else self._left
        self._lengths = self._lengths + ~self._ended
        self._answer = answer
        return answer, alignment


def check_method(method: object, max_length: object, end: object, *, classes: int, methods: Sequence[str]) -> None:
    """Raise ArgumentError for an invalid argument of any way of writing.

    classes: tokens that the model puts out.
    methods: those that there are.
    """
    if end is not None and (not isinstance(end, int) or isinstance(end, bool) or not 0 <= end < classes):
        raise ArgumentError(
            f"end is {end!r}; expected the int of a token that the head puts out, 0 to {classes - 1}, or None"
        )
    if max_length is not None:
        check_count("max_length", max_length)
    if method not in methods:
        raise ArgumentError(f"method is {method!r}; {nearest(str(method), methods)}")


def check_drawing(method: object, temperature: object, top_k: object, top_p: object) -> None:
    """Raise ArgumentError for options of drawing that mean nothing for the method. Temperature 0 is greedy's."""
    idle = temperature == 1 or (method == "greedy" and temperature == 0)
    if method != "sample" and not (idle and top_k is None and top_p is None):
        raise ArgumentError(
            f"temperature is {temperature}, top_k {top_k}, top_p {top_p} and method {method!r}, which draws nothing; "
            f"leave them out, or use method='sample'"
        )


def check_numbers(end: object, method: object, top_k: object, top_p: object) -> None:
    """Raise ArgumentError for options that mean nothing where answers are numbers."""
    for name, value in (("end", end), ("top_k", top_k), ("top_p", top_p)):
        if value is not None:
            raise ArgumentError(f"{name} is {value!r}, the head answers with numbers; it is for tokens: pass None")
    if method == "beam":
        raise ArgumentError("method is 'beam', the head answers with numbers; it is for tokens: 'greedy' or 'sample'")


def check_diverged(raw: Tensor) -> None:
    """Raise DivergedError for outputs of which no answer can be chosen."""
    if bool(raw.isnan().any()):
        raise DivergedError(
            "the model's raw outputs hold NaN; look for NaN in what it read, or load weights from before its training "
            "diverged"
        )


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and afterwards each module's own again."""
    training = [module for module in model.modules() if module.training]
    if training:
        model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
