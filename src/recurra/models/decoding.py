"""Writing a sequence token by token, each chosen from what the step before put out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from recurra.errors import ArgumentError, DivergedError, nearest
from recurra.layers.arguments import check_count

__all__ = ["METHODS", "Generated", "Selectable", "Step", "check_decoding", "check_raw", "decode", "evaluating"]


METHODS = ("greedy", "sample", "beam")


class Generated(NamedTuple):
    """Sequences that a model wrote, one per row of the batch."""

    tokens: Tensor
    """(time, batch) integers without the begin token; a row that ended holds the end token from there on."""
    lengths: Tensor
    """Tokens of each row before its end token, (batch,)."""
    scores: Tensor
    """Log-probability of each row under the model, its end token included; of beam search, after penalties."""
    alignment: Tensor | None
    """Weights of the source's steps at each token, (time, batch, source_time), 0 behind a row's end token."""


class Selectable(Protocol):
    """A state whose rows can be picked."""

    def select(self, rows: Tensor) -> Any:
        """Of these rows of the batch, in their order."""


Step = Callable[[Tensor, Any], tuple[Tensor, Any, Tensor | None]]
"""From tokens (batch,) and a state to logits (batch, classes), the next state and alignment (batch, source_time)."""


@torch.no_grad()
def decode(
    step: Step, state: Any, *, first: Tensor, end: int | None, max_length: int, pick: Callable[[Tensor], Tensor]
) -> Generated:
    """Write until every row has ended or has max_length tokens.

    step: one step of the model.
    state: what its first step takes.
    first: the begin tokens, (batch,).
    end: the token that ends a row, which stays ended; None: there is none.
    max_length: tokens at most, the end token included.
    pick: tokens (batch,) of logits (batch, classes): the likeliest, or some drawn.
    Raises DivergedError if a logit is NaN.

    >>> def count_up(token, state):  # the next number, until 3
    ...     return torch.nn.functional.one_hot((token + 1) % 4, 4).float(), state, None
    >>> decode(count_up, None, first=torch.tensor([0]), end=3, max_length=9, pick=lambda raw: raw.argmax(-1)).tokens
    tensor([[1],
            [2],
            [3]])
    """
    token, ended = first, torch.zeros_like(first, dtype=torch.bool)
    lengths = torch.zeros_like(first)
    tokens: list[Tensor] = []
    alignments: list[Tensor] = []
    score: Tensor | float = 0.0
    for _ in range(max_length):
        raw, state, alignment = step(token, state)
        check_raw(raw)
        token = pick(raw)
        gained = raw.log_softmax(-1).gather(1, token.unsqueeze(1)).squeeze(1)
        score = score + gained.masked_fill(ended, 0.0)
        alignments += [] if alignment is None else [alignment.masked_fill(ended.unsqueeze(1), 0.0)]
        if end is not None:
            token = token.masked_fill(ended, end)
            ended = ended | (token == end)
        lengths = lengths + ~ended
        tokens.append(token)
        if bool(ended.all()):
            break
    return Generated(
        torch.stack(tokens), lengths, torch.as_tensor(score), torch.stack(alignments) if alignments else None
    )


def check_decoding(begin: object, end: object, max_length: object, method: object, classes: int) -> None:
    """Raise ArgumentError for an invalid argument of any method of writing.

    classes: tokens that the model puts out.
    """
    if not isinstance(begin, int) or isinstance(begin, bool) or begin < 0:
        raise ArgumentError(f"begin is {begin!r}; expected the int of a token of the target")
    if end is not None and (not isinstance(end, int) or isinstance(end, bool) or not 0 <= end < classes):
        raise ArgumentError(
            f"end is {end!r}; expected the int of a token that the head puts out, 0 to {classes - 1}, or None"
        )
    check_count("max_length", max_length)
    if method not in METHODS:
        raise ArgumentError(f"method is {method!r}; {nearest(str(method), METHODS)}")


def check_raw(raw: Tensor) -> None:
    """Raise DivergedError for outputs of which no token can be chosen."""
    if bool(raw.isnan().any()):
        raise DivergedError("the model's raw outputs hold NaN; load weights from before its training diverged")


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and afterwards each module's own again."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
