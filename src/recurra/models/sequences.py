"""What the models of sequences ask of their parts, and say of them: order of axes, direction, what runs them."""

from __future__ import annotations

from typing import Any

from torch import nn

from recurra.errors import ArgumentError
from recurra.layers.heads import Softmax
from recurra.layers.inputs import Embedding, OneHot, Real

__all__ = ["check_answer_by_answer", "check_answers", "check_order", "check_state", "explain_parts"]


def check_state(body: Any, state: object) -> None:
    """Raise ArgumentError if a state is passed to a body that reads from both ends: its other direction cannot go on
    before it has begun."""
    if state is not None and getattr(body, "bidirectional", False):
        raise ArgumentError(
            "state was passed to a model whose body is bidirectional, so that chunks do not add up to the whole; call "
            "it on whole sequences, or build the body with bidirectional=False"
        )


def check_order(body: Any, head: Any) -> None:
    """Raise ArgumentError if the head decides whole sequences and does not have their axes as the body has them."""
    if getattr(head, "stepwise", True):
        return
    orders = [bool(getattr(part, "batch_first", False)) for part in (body, head)]
    if orders[0] != orders[1]:
        raise ArgumentError(
            f"head {type(head).__name__} has batch_first={orders[1]}, the body {orders[0]}; build the head with "
            f"batch_first={orders[0]}"
        )


def check_answer_by_answer(model: Any, head: Any) -> None:
    """Raise ArgumentError if the head decides whole sequences, and the model has none, or makes them step by step."""
    if not getattr(head, "stepwise", True):
        raise ArgumentError(
            f"head {type(head).__name__} answers whole sequences, {type(model).__name__} asks for one answer at a "
            f"time; use another head, or Seq2Seq"
        )


def check_answers(role: str, part: Any, head: Any) -> None:
    """Raise ArgumentError unless a part reads what the head answers, as far as both say what that is.

    role: what the part is to the model, as input or target.
    """
    answers, reads = f"head {type(head).__name__} answers with ", f"the {role} {type(part).__name__} reads "
    size = getattr(head, "target_size", None)
    if not getattr(head, "stepwise", True):
        raise ArgumentError(f"{answers}whole sequences, which are no next step; call predict")
    if isinstance(part, Embedding | OneHot | nn.Embedding):
        known = part.num_classes if isinstance(part, OneHot) else part.num_embeddings
        if isinstance(head, Softmax) and head.num_classes > known:
            raise ArgumentError(f"{answers}{head.num_classes} classes, {reads}codes 0 to {known - 1}; give it as many")
        if size is not None:
            raise ArgumentError(f"{answers}numbers, {reads}codes; use a Softmax head, or Real({size})")
    if isinstance(part, Real):
        if isinstance(head, Softmax) or (role == "target" and size is None):
            raise ArgumentError(f"{answers}codes, {reads}numbers; use Embedding or OneHot, or a Linear head")
        if size is not None and size != part.input_size:
            raise ArgumentError(
                f"{answers}{size} number{'s' * (size != 1)} a step, {reads}{part.input_size}; give both as many, or "
                f"call step with what is known besides"
            )


def explain_parts(input: Any, body: Any, head: Any) -> list[str]:
    """Lines on a model's parts in their order, with what runs the body here and now, and why."""
    said = body.explain().splitlines() if hasattr(body, "explain") else [f"{type(body).__name__} by torch"]
    lines = [] if input is None else [f"input: {type(input).__name__}"]
    lines += [f"body {line}" if ": " in line else f"body: {line}" for line in said]
    return [*lines, f"head: {type(head).__name__}"]
