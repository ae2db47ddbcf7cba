"""Going on by oneself: a model's answers one after another, each read as its next input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count, check_not_negative, check_seed
from recurra.layers.heads import Softmax
from recurra.layers.mixture import MixtureDensity
from recurra.layers.sampling import check_sampling, check_temperature
from recurra.models.decoding import Generated, check_diverged, evaluating
from recurra.models.sequences import check_answers

__all__ = ["Answers", "Choice"]


class Choice(NamedTuple):
    """How an answer is chosen from raw outputs, as in `Seq2Seq.generate`."""

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    bias: float | None = None
    end: int | None = None
    seed: int | None = None


class Answers(Iterator[Tensor]):
    """Answers of a model as they come, (batch, ...), or without a batch; what a model's `stream` returns.

    The model is in evaluation mode while it makes one, and in its own in between.

    model: with an input, which may be None, and a head.
    begin: the raw outputs of the first answer, and the state with which it is read.
    step: from an answer and the state to the next raw outputs and state.
    steps: answers at most; None: without end. It is over earlier where every row has ended.
    choice: of an answer.

    Raises ArgumentError if an argument is invalid, or the input does not read what the head answers.

    >>> from recurra.layers.heads import Linear
    >>> from recurra.layers.inputs import Real
    >>> model = torch.nn.Module()
    >>> model.input, model.head = Real(1), Linear(1, 1)
    >>> count = Answers(model, lambda: (torch.ones(1), None), lambda y, _: (y + 1, None), 3, Choice())
    >>> [answer.item() for answer in count]
    [1.0, 2.0, 3.0]
    """

    state: Any
    """Has read all answers so far but the last: go on with that one as the prompt."""
    lengths: Tensor
    """Answers of each row so far, before its end class: (batch,), or a number's tensor without a batch."""

    def __init__(
        self,
        model: Any,
        begin: Callable[[], tuple[Tensor, Any]],
        step: Callable[[Tensor, Any], tuple[Tensor, Any]],
        steps: int | None,
        choice: Choice,
    ) -> None:
        if steps is not None:
            check_count("steps", steps)
        check_seed(choice.seed)
        options = _read_options(model.head, choice)
        check_answers("input", model.input, model.head)
        self._model, self._step, self._left = model, step, steps
        self._answer: Tensor | None = None
        with torch.no_grad(), evaluating(model):
            self._raw, self.state = begin()
        generator = None if choice.seed is None else torch.Generator(self._raw.device).manual_seed(choice.seed)
        self._draw = partial(model.head.sample, temperature=choice.temperature, generator=generator, **options)
        self._end = choice.end
        self.lengths = torch.zeros(self._raw.shape[:-1], dtype=torch.int64, device=self._raw.device)
        self._ended = torch.zeros_like(self.lengths, dtype=torch.bool)
        self._scores = self._raw.new_zeros(self.lengths.shape) if isinstance(model.head, Softmax) else None

    def __next__(self) -> Tensor:
        """The next answer. Raises DivergedError if the raw outputs are NaN."""
        if self._left == 0:
            raise StopIteration
        with torch.no_grad(), evaluating(self._model):
            return self._advance()

    def collect(self, *, batch_first: bool) -> Generated:
        """All answers that are left, at once; not for one without end."""
        axis, answers = int(batch_first and self._raw.dim() == 2), []
        with torch.no_grad(), evaluating(self._model):
            while self._left != 0:
                answers.append(self._advance())
        return Generated(torch.stack(answers, axis), self.state, self.lengths, self._scores, None)

    def _advance(self) -> Tensor:
        if self._answer is not None:
            self._raw, self.state = self._read(self._answer)
        check_diverged(self._raw)
        answer: Tensor = self._draw(self._raw)
        if self._scores is not None:
            gained = self._raw.log_softmax(-1).gather(-1, answer.unsqueeze(-1)).squeeze(-1)
            self._scores = self._scores + gained.masked_fill(self._ended, 0.0)
        self._left = None if self._left is None else self._left - 1
        if self._end is not None:
            answer = answer.masked_fill(self._ended, self._end)
            self._ended = self._ended | (answer == self._end)
            self._left = 0 if bool(self._ended.all()) else self._left
        self.lengths = self.lengths + ~self._ended
        self._answer = answer
        return answer

    def _read(self, answer: Tensor) -> tuple[Tensor, Any]:
        try:
            return self._step(answer, self.state)
        except ArgumentError as error:
            head = type(self._model.head).__name__
            raise ArgumentError(f"an answer of {head} could not be read as the next step: {error}") from error


def _read_options(head: Any, choice: Choice) -> dict[str, object]:
    """What the head's `sample` takes beside the temperature; raise ArgumentError for what does not fit the head."""
    if not hasattr(head, "sample"):
        raise ArgumentError(f"head {type(head).__name__} has no sample, and gives no answers to go on with; see Head")
    owners = {"top_k": Softmax, "top_p": Softmax, "end": Softmax, "bias": MixtureDensity}
    for name, owner in owners.items():
        if (value := getattr(choice, name)) is not None and not isinstance(head, owner):
            said = f"{name} is {value!r}, the head is {type(head).__name__}"
            raise ArgumentError(f"{said}; it is for a {owner.__name__} head")
    if isinstance(head, Softmax):
        check_sampling(choice.temperature, choice.top_k, choice.top_p, head.num_classes)
        _check_end(choice.end, head.num_classes)
        return {"top_k": choice.top_k, "top_p": choice.top_p}
    check_temperature(choice.temperature)
    return {} if choice.bias is None else {"bias": check_not_negative("bias", choice.bias)}


def _check_end(end: object, classes: int) -> None:
    """Raise ArgumentError unless it is a class that there is, or None."""
    if end is not None and (not isinstance(end, int) or isinstance(end, bool) or not 0 <= end < classes):
        raise ArgumentError(f"end is {end!r}; expected a class of the head, 0 to {classes - 1}, or None for no end")
