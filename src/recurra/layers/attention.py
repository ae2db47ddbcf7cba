"""Attention: what a query finds in a memory of steps, by three scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count, check_dtype, check_flag, check_seed
from recurra.layers.lengths import read_lengths
from recurra.layers.linear import draw_linear, empty_linear

__all__ = [
    "AdditiveAttention",
    "Attention",
    "DotAttention",
    "GeneralAttention",
    "Prepared",
    "scaled_product",
    "softmax_where",
]


class Prepared(NamedTuple):
    """What attention computes of a memory once, for any number of queries. Batch first, unlike sequences."""

    values: Tensor
    """What is averaged, 0 in padding: (batch, time, memory_size), or (batch, head, time, size)."""
    keys: Tensor
    """What queries are compared with, in the form that the score takes."""
    lengths: Tensor | None
    """Steps of each row, (batch,) where the memory is; None: all are whole."""

    @property
    def time(self) -> int:
        """Steps of the longest row."""
        return self.values.shape[-2]

    @property
    def present(self) -> Tensor | None:
        """True where a row has a step, (batch, time); None: everywhere."""
        if self.lengths is None:
            return None
        return torch.arange(self.time, device=self.lengths.device) < self.lengths[:, None]

    def select(self, rows: Tensor) -> Prepared:
        """Of these rows of the batch, in their order: (new_batch,) integers."""
        lengths = self.lengths if self.lengths is None else self.lengths[rows]
        return Prepared(self.values[rows], self.keys[rows], lengths)


class Attention(nn.Module):
    """What all kinds of attention share: a call, and the weighted mean of the memory.

        e_ts = score(q_t, m_s)
        a_t = softmax over the row's steps s of e_ts          exactly 0 in padding
        c_t = sum_s a_ts m_s

    A row without steps has weights and context 0. A subclass has `make_keys` and `score`.

    query_size: features of a query.
    memory_size: features of a step of the memory, and of a context.
    seed: initial weights come from this seed alone; None: from torch's global generator.

    Raises ArgumentError for any invalid argument.
    """

    def __init__(self, query_size: int, memory_size: int, *, seed: int | None = None) -> None:
        super().__init__()
        check_count("query_size", query_size)
        check_count("memory_size", memory_size)
        check_seed(seed)
        self.query_size, self.memory_size, self.seed = query_size, memory_size, seed

    def forward(
        self,
        query: Tensor,
        memory: Tensor,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        position: int | Tensor = 0,
        need_weights: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        """The context of each query, and its weights.

        query: (query_time, batch, query_size); or one step, (batch, query_size).
        memory: (time, batch, memory_size).
        lengths: steps of each row of the memory, 0 to time; None: all. What it holds past them does not matter.
        position: queries before the first of these, an int or integers (batch,); only LocalAttention reads it.
        need_weights: whether weights are returned; without them None is, and MultiHeadAttention is faster.
        Returns (context, weights): (query_time, batch, memory_size) and (query_time, batch, time), or one step of each.
        Raises ArgumentError if a shape, dtype or length does not fit.
        """
        return self.attend(query, self.prepare(memory, lengths), position=position, need_weights=need_weights)

    def prepare(self, memory: Tensor, lengths: Tensor | Sequence[int] | None = None) -> Prepared:
        """What depends on the memory alone, to be passed to `attend`. The arguments are those of a call."""
        _check_features("memory", memory, self.memory_size, "memory_size", ("time", "batch"))
        weight = next(self.parameters(), memory)
        if memory.device != weight.device:
            raise ArgumentError(f"memory is on {memory.device}, the weights on {weight.device}; move one with .to(...)")
        if memory.dtype != weight.dtype and not torch.is_autocast_enabled(memory.device.type):
            raise ArgumentError(
                f"memory has dtype {memory.dtype}, the weights {weight.dtype}; convert one: memory.to({weight.dtype})"
            )
        steps = read_lengths(lengths, batch=memory.shape[1], time=memory.shape[0], of="memory")
        values = memory.transpose(0, 1).contiguous()  # batch time memory
        if steps is not None:
            steps = steps.to(memory.device)
            absent = torch.arange(len(memory), device=memory.device) >= steps[:, None]
            values = values.masked_fill(absent.unsqueeze(-1), 0.0)
        return self.make_prepared(values, steps)

    def attend(
        self, query: Tensor, prepared: Prepared, *, position: int | Tensor = 0, need_weights: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        """A call on a memory that `prepare` has read: a step with one query costs no product over the memory's size.

        Arguments and results are those of a call.
        """
        queries = self.read_query(query, prepared)
        weights = self.weigh(queries, prepared, position)  # batch query_time time
        context = torch.bmm(weights, prepared.values)  # batch query_time memory
        return _like(query, context), _like(query, weights) if need_weights else None

    def make_prepared(self, values: Tensor, lengths: Tensor | None) -> Prepared:
        """Of values (batch, time, memory_size), 0 in padding."""
        return Prepared(values, self.make_keys(values), lengths)

    def make_keys(self, values: Tensor) -> Tensor:
        """What `score` compares queries with, of the memory (batch, time, memory_size)."""
        raise NotImplementedError

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        """(batch, query_time, time) of queries (batch, query_time, query_size) and what `make_keys` made."""
        raise NotImplementedError

    def weigh(self, query: Tensor, prepared: Prepared, position: int | Tensor) -> Tensor:
        """The weights (batch, query_time, time) of queries (batch, query_time, query_size)."""
        present = prepared.present
        return softmax_where(self.score(query, prepared.keys), None if present is None else present.unsqueeze(1))

    def read_query(self, query: Tensor, prepared: Prepared) -> Tensor:
        """Queries as (batch, query_time, query_size). Raises ArgumentError if they do not fit."""
        if isinstance(query, Tensor) and query.dim() == 2:
            query = query.unsqueeze(0)
        _check_features("query", query, self.query_size, "query_size", ("query_time", "batch"))
        if query.shape[1] != len(prepared.values):
            raise ArgumentError(
                f"query has batch {query.shape[1]}, the memory {len(prepared.values)}; "
                f"both are (time, batch, feature) with the same rows"
            )
        if query.dtype != prepared.values.dtype and not torch.is_autocast_enabled(query.device.type):
            raise ArgumentError(
                f"query has dtype {query.dtype}, the memory {prepared.values.dtype}; convert one, as "
                f"query.to({prepared.values.dtype})"
            )
        return query.transpose(0, 1)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.query_size}, {self.memory_size}"


class DotAttention(Attention):
    """Attention by dot products (Luong et al. 2015): score(q, m) = q . m, for memories as wide as queries.

    scale: divide scores by sqrt(query_size), so that wide ones do not saturate (Vaswani et al. 2017).
    device, dtype: taken as by the other kinds; there are no weights to have them.
    The other arguments, calls and what they raise: `Attention`.

    >>> attention = DotAttention(3, 3)
    >>> context, weights = attention(torch.zeros(4, 2, 3), torch.ones(5, 2, 3), lengths=[5, 2])
    >>> context.shape, weights[0, 1].tolist()
    (torch.Size([4, 2, 3]), [0.5, 0.5, 0.0, 0.0, 0.0])
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        *,
        scale: bool = False,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(query_size, memory_size, seed=seed)
        check_flag("scale", scale)
        check_dtype(dtype)
        if query_size != memory_size:
            raise ArgumentError(
                f"query_size is {query_size}, memory_size {memory_size}; a dot product needs two vectors of one size: "
                f"use GeneralAttention, or make the sizes equal (an encoder in one direction, for one in both)"
            )
        self.scale = scale

    def make_keys(self, values: Tensor) -> Tensor:
        return values

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        return scaled_product(query, keys, self.scale)


class GeneralAttention(Attention):
    """Attention by a bilinear form (Luong et al. 2015, general): score(q, m) = q . W m.

    scale: divide scores by sqrt(query_size).
    The other arguments, calls and what they raise: `Attention`.

    >>> attention = GeneralAttention(3, 6, seed=0)
    >>> context, weights = attention(torch.randn(4, 2, 3), torch.randn(5, 2, 6))
    >>> context.shape, weights.shape
    (torch.Size([4, 2, 6]), torch.Size([4, 2, 5]))
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        *,
        scale: bool = False,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(query_size, memory_size, seed=seed)
        check_flag("scale", scale)
        self.scale = scale
        self.key = empty_linear(memory_size, query_size, bias=False, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew, as when the layer was built."""
        draw_linear([self.key], self.seed)

    def make_keys(self, values: Tensor) -> Tensor:
        keys: Tensor = self.key(values)  # batch time query
        return keys

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        return scaled_product(query, keys, self.scale)


class AdditiveAttention(Attention):
    """Attention by a small network (Bahdanau et al. 2015): score(q, m) = v . tanh(W q + U m).

    Scores of all queries at once take memory for query_time * time * attention_size numbers a row.

    attention_size: units of the network, the size of v; None: query_size.
    The other arguments, calls and what they raise: `Attention`.

    >>> attention = AdditiveAttention(3, 6, attention_size=5, seed=0)
    >>> prepared = attention.prepare(torch.randn(7, 2, 6))
    >>> context, weights = attention.attend(torch.randn(2, 3), prepared)
    >>> context.shape, weights.shape
    (torch.Size([2, 6]), torch.Size([2, 7]))
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        *,
        attention_size: int | None = None,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(query_size, memory_size, seed=seed)
        self.attention_size = attention_size
        units = query_size if attention_size is None else check_count("attention_size", attention_size)
        self.query = empty_linear(query_size, units, bias=False, device=device, dtype=dtype)
        self.key = empty_linear(memory_size, units, bias=False, device=device, dtype=dtype)
        self.energy = empty_linear(units, 1, bias=False, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew, as when the layer was built."""
        draw_linear([self.query, self.key, self.energy], self.seed)

    def make_keys(self, values: Tensor) -> Tensor:
        keys: Tensor = self.key(values)  # batch time attention
        return keys

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        units = torch.tanh(self.query(query).unsqueeze(2) + keys.unsqueeze(1))  # batch query_time time attention
        scores: Tensor = self.energy(units)
        return scores.squeeze(-1)


def softmax_where(scores: Tensor, where: Tensor | None) -> Tensor:
    """The softmax over the last axis of what is True in `where`, exactly 0 elsewhere, and 0 where nothing is True."""
    if where is None:
        return scores.softmax(-1)
    lowest = torch.finfo(scores.dtype).min  # and not -inf, of which a row without steps would make NaN
    return scores.masked_fill(~where, lowest).softmax(-1).masked_fill(~where, 0.0)


def scaled_product(query: Tensor, keys: Tensor, scale: bool) -> Tensor:
    """Dot products (batch, query_time, time), divided by the root of their size if asked for."""
    if scale:
        query = query / math.sqrt(query.shape[-1])
    return torch.bmm(query, keys.transpose(1, 2))


def _like(query: Tensor, found: Tensor) -> Tensor:
    """(batch, query_time, feature) in the form of the queries."""
    return found.squeeze(1) if query.dim() == 2 else found.transpose(0, 1)


def _check_features(name: str, value: object, size: int, size_name: str, axes: tuple[str, ...]) -> None:
    shape = f"({', '.join(axes)}, {size_name})"
    if not isinstance(value, Tensor):
        raise ArgumentError(f"{name} is {type(value).__name__}; expected a tensor {shape}")
    if value.dim() != len(axes) + 1:
        raise ArgumentError(f"{name} has shape {tuple(value.shape)}; expected {shape}")
    if value.shape[-1] != size:
        raise ArgumentError(
            f"{name} has shape {tuple(value.shape)} with {value.shape[-1]} features, {size_name} is {size}; "
            f"expected {shape}"
        )
