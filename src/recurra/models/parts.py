"""The parts that models are built of, read and checked."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra.errors import ArgumentError, nearest
from recurra.layers.attention import AdditiveAttention, Attention, DotAttention, GeneralAttention
from recurra.layers.heads import Softmax
from recurra.layers.inputs import Embedding
from recurra.layers.lengths import read_lengths
from recurra.layers.local_attention import LocalAttention
from recurra.layers.multihead import MultiHeadAttention

__all__ = [
    "Form",
    "answers_with_classes",
    "check_head",
    "check_parts",
    "check_types",
    "codes_of",
    "read_attention",
    "read_features",
    "read_raw_steps",
    "size_of",
    "tie",
]

_ATTENTIONS: dict[str, Callable[..., Attention]] = {
    "additive": AdditiveAttention,
    "dot": DotAttention,
    "general": GeneralAttention,
    "local": partial(LocalAttention, window=10),  # as the authors have it
    "multihead": MultiHeadAttention,
}
_OTHER_NAMES = {
    "bahdanau": "'additive'",
    "bilinear": "'general'",
    "concat": "'additive'",
    "luong": "'general', or 'dot' without weights",
    "vaswani": "'multihead'",
}


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


def read_attention(
    attention: object,
    query_size: int,
    memory_size: int,
    *,
    seed: int | None,
    device: torch.device | str | None,
    dtype: torch.dtype | None,
) -> Attention | None:
    """The attention of that name, or the one given if it has these sizes."""
    if attention is None:
        return None
    if isinstance(attention, Attention):
        if (attention.query_size, attention.memory_size) != (query_size, memory_size):
            raise ArgumentError(
                f"attention has query_size {attention.query_size} and memory_size {attention.memory_size}; the "
                f"decoder's hidden_size is {query_size}, the encoder has {memory_size} outputs: build it with these"
            )
        return attention
    if not isinstance(attention, str) or attention not in _ATTENTIONS:
        came = f"a {type(attention).__name__}" if isinstance(attention, nn.Module) else repr(attention)
        meant = _OTHER_NAMES.get(str(attention).lower())
        hint = nearest(str(attention), _ATTENTIONS) if meant is None else f"here it is called {meant}"
        raise ArgumentError(f"attention is {came}; {hint}; or pass an Attention, or None")
    return _ATTENTIONS[attention](query_size, memory_size, seed=seed, device=device, dtype=dtype)


def size_of(name: str, module: object, attribute: str) -> int:
    """What the module says of its results; raise ArgumentError unless it is one that says so."""
    size = getattr(module, attribute, None)
    if isinstance(module, nn.Module) and isinstance(size, int):
        return size
    came = f"{type(module).__name__} with {attribute} {size!r}"
    if isinstance(module, nn.Embedding):
        raise ArgumentError(
            f"{name} is torch's {came}; use recurra.nn.Embedding({module.num_embeddings}, {module.embedding_dim}), or "
            f"set {name}.{attribute} = {module.embedding_dim}"
        )
    such = "Embedding, OneHot or Real" if attribute == "output_size" else "Softmax or Linear"
    raise ArgumentError(
        f"{name} is {came}; expected an nn.Module that says how many features it returns, as {such} of recurra.nn; "
        f"one of your own needs {name}.{attribute}, an int"
    )


def answers_with_classes(head: nn.Module) -> bool:
    """Whether raw outputs are logits of tokens; a head of one's own says otherwise by `target_size`."""
    return getattr(head, "target_size", None) is None


def codes_of(target: nn.Module) -> int | None:
    """Codes that the target reads; None where it does not say."""
    codes = getattr(target, "num_embeddings", getattr(target, "num_classes", None))
    return codes if isinstance(codes, int) else None


@torch.no_grad()
def check_head(head: nn.Module, hidden_size: int, target: nn.Module) -> None:
    """Raise ArgumentError unless the head reads the decoder's outputs, and the target what the head answers."""
    name = type(head).__name__
    if not getattr(head, "stepwise", True):
        raise ArgumentError(f"head {name} answers whole sequences, a decoder step by step; use Softmax, or Seq2Seq")
    reads = getattr(head, "input_size", hidden_size)
    if reads != hidden_size:
        raise ArgumentError(
            f"head reads {reads} features, hidden_size is {hidden_size}; build the head with input_size={hidden_size}"
        )
    like = next(head.parameters(), torch.empty(0))
    try:
        head(like.new_zeros(1, hidden_size))
    except RuntimeError as error:
        raise ArgumentError(
            f"head does not read hidden_size {hidden_size} features: {error}; build it with that size"
        ) from error
    known = codes_of(target)
    if known is not None and answers_with_classes(head) and head.raw_size > known:  # type: ignore[operator]
        raise ArgumentError(
            f"head {name} has {head.raw_size} classes, the target {type(target).__name__} reads codes 0 to "
            f"{known - 1}, too few for what the head answers; give both as many"
        )


def check_types(parts: Mapping[str, nn.Module], dtype: torch.dtype | None) -> tuple[torch.device, torch.dtype]:
    """Device and type of the parts' numbers, or torch's defaults where they have none.

    dtype: what they are to be; None: whatever they are.
    Raises ArgumentError if one has another.
    """
    found: dict[str, Tensor] = {}
    for name, part in parts.items():
        for value in (*part.parameters(), *part.buffers()):
            if value.is_floating_point():
                found.setdefault(name, value)
    said = next(iter(found.values()), torch.empty(0, dtype=dtype))
    wanted = said.dtype if dtype is None else dtype
    for name, value in found.items():
        if value.dtype != wanted:
            of = f"the {next(iter(found))}'s" if dtype is None else "dtype"
            raise ArgumentError(
                f"{name} has numbers of {value.dtype}, {of} is {wanted}; convert one, as {name}.to({wanted})"
            )
    return said.device, wanted


def tie(target: nn.Module, head: nn.Module, hidden_size: int) -> None:
    """Let the head's only product have the weight of the target's only embedding, and scale it as `Softmax` does."""
    embeddings = [module for module in target.modules() if isinstance(module, nn.Embedding | Embedding)]
    if isinstance(head, Softmax) and head.tied is not None:
        if head.tied in embeddings:
            return
        raise ArgumentError("tied is True; the head is tied to another Embedding than the target's: leave tied out")
    products = [module for module in head.modules() if isinstance(module, nn.Linear)]
    if len(embeddings) != 1 or len(products) != 1:
        raise ArgumentError(
            f"tied is True; target has {len(embeddings)} Embedding and head {len(products)} nn.Linear: one of each "
            f"can share a weight"
        )
    shapes = [tuple(part.weight.shape) for part in (embeddings[0], products[0])]
    if shapes[0] != shapes[1]:
        raise ArgumentError(
            f"tied is True; the target's embedding has a weight of shape {shapes[0]}, the head's product {shapes[1]}: "
            f"give both (classes, {hidden_size}), with an embedding as wide as hidden_size"
        )
    products[0].weight = embeddings[0].weight
    if not isinstance(head, Softmax):
        products[0].register_forward_pre_hook(_narrow)
    elif head.scale is None:
        head.scale = 1 / math.sqrt(hidden_size)


def _narrow(product: nn.Linear, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (inputs[0] / math.sqrt(product.in_features),)


class Form(NamedTuple):
    """How a user's sequence lies in memory."""

    batched: bool
    """Whether it has a batch."""
    batch_first: bool
    """Whether that comes before time."""

    @property
    def time_axis(self) -> int:
        """The axis of time."""
        return int(self.batched and self.batch_first)

    def time_first(self, x: Tensor) -> Tensor:
        """(time, batch, ...) of a sequence in this form."""
        if not self.batched:
            return x.unsqueeze(1)
        return x.transpose(0, 1) if self.batch_first else x

    def restore(self, x: Tensor) -> Tensor:
        """A sequence in this form of (time, batch, ...)."""
        if not self.batched:
            return x.squeeze(1)
        return x.transpose(0, 1) if self.batch_first else x

    def restore_row(self, x: Tensor) -> Tensor:
        """(batch, ...) with the batch, if this form has one."""
        return x if self.batched else x.squeeze(0)


def read_raw_steps(
    name: str, steps: object, lengths: Any, *, batch_first: bool, least: int = 1
) -> tuple[Tensor, Form, Tensor | None]:
    """Raw steps with 0 in padding, which may hold anything; their form; and the lengths, None where all are whole.

    name: of the steps, "source", "target" or "target_inputs", for errors.
    least: steps that there must be.
    Raises ArgumentError unless steps are integers (time, batch) or numbers (time, batch, size), batch first if so, or
    without a batch, and lengths fit them.
    """
    axes = "batch, time" if batch_first else "time, batch"
    expected = f"({axes}) integers or ({axes}, size) numbers, or without a batch (time,) or (time, size)"
    if not isinstance(steps, Tensor):
        raise ArgumentError(f"{name} is {type(steps).__name__}; expected a tensor, {expected}")
    numbers = steps.is_floating_point()
    form = Form(steps.dim() > 1 + numbers, batch_first)
    if not 1 + numbers <= steps.dim() <= 3 or steps.shape[form.time_axis] < least:
        counted = "one step at least" if least == 1 else "the begin token and one step behind it at least"
        raise ArgumentError(f"{name} has shape {tuple(steps.shape)} of {steps.dtype}; expected {counted}, {expected}")
    time, batch = steps.shape[form.time_axis], steps.shape[1 - form.time_axis] if form.batched else 1
    read = read_lengths(lengths, batch=batch, time=time, name=f"{name.partition('_')[0]}_lengths", of=name)
    if read is None:
        return steps, form, None
    past = form.restore(torch.arange(time, device=steps.device)[:, None] >= read.to(steps.device))
    return steps.masked_fill(past.reshape(*past.shape, *[1] * (steps.dim() - past.dim())), 0), form, read


def read_features(name: str, module: nn.Module, steps: Tensor) -> Tensor:
    """What the module makes of the steps; its errors speak of x, these of the name."""
    try:
        features: Tensor = module(steps)
    except ArgumentError as error:
        raise ArgumentError(re.sub(r"\bx\b", name, str(error))) from error
    return features
