"""The parts that an encoder-decoder is built of, read and checked."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from recurra.errors import ArgumentError, nearest
from recurra.layers.attention import AdditiveAttention, Attention, DotAttention, GeneralAttention
from recurra.layers.inputs import Embedding
from recurra.layers.local_attention import LocalAttention
from recurra.layers.multihead import MultiHeadAttention

__all__ = ["check_head", "read_attention", "size_of", "tie"]

_ATTENTIONS: dict[str, Callable[..., Attention]] = {
    "additive": AdditiveAttention,
    "dot": DotAttention,
    "general": GeneralAttention,
    "local": partial(LocalAttention, window=10),  # as the authors have it
    "multihead": MultiHeadAttention,
}


def read_attention(attention: object, query_size: int, memory_size: int, seed: int | None) -> Attention | None:
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
    if attention not in _ATTENTIONS:
        came = f"a {type(attention).__name__}" if isinstance(attention, nn.Module) else repr(attention)
        raise ArgumentError(f"attention is {came}; {nearest(came, _ATTENTIONS)}; or pass an Attention, or None")
    return _ATTENTIONS[str(attention)](query_size, memory_size, seed=seed)


def size_of(name: str, module: object, attribute: str) -> int:
    """What the module says of its results; raise ArgumentError unless it is one that says so."""
    size = getattr(module, attribute, None)
    if not isinstance(module, nn.Module) or not isinstance(size, int):
        raise ArgumentError(
            f"{name} is {type(module).__name__} with {attribute} {size!r}; expected an nn.Module that says how many "
            f"features it returns: set {name}.{attribute} to an int"
        )
    return size


@torch.no_grad()
def check_head(head: nn.Module, hidden_size: int) -> None:
    """Raise ArgumentError unless the head reads the decoder's outputs."""
    like = next(head.parameters(), torch.empty(0))
    try:
        head(like.new_zeros(1, hidden_size))
    except RuntimeError as error:
        raise ArgumentError(
            f"head does not read hidden_size {hidden_size} features: {error}; build it with that size"
        ) from error


def tie(target: nn.Module, head: nn.Module, hidden_size: int) -> None:
    """Let the head's only product have the weight of the target's only embedding."""
    embeddings = [module for module in target.modules() if isinstance(module, nn.Embedding | Embedding)]
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
