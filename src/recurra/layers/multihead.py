"""Attention by several heads, each with its own projections."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count, check_flag
from recurra.layers.attention import Attention, Prepared, softmax_where
from recurra.layers.linear import draw_linear, empty_linear

__all__ = ["MultiHeadAttention"]


class MultiHeadAttention(Attention):
    """Attention by several heads (Vaswani et al. 2017).

        head_i = softmax(Q_i K_i' / sqrt(d)) V_i,   Q_i = W_i^Q q,  K_i = W_i^K m,  V_i = W_i^V m
        c = W^O [head_1; ...; head_n]

    With weights, which are the mean over heads, it is written out; without, torch's scaled_dot_product_attention runs.
    A row without steps has context 0, and not the bias of W^O.

    num_heads: n; d is attention_size / n.
    attention_size: features of all heads together; None: query_size.
    bias: whether the projections have biases.
    The other arguments, calls and what they raise: `Attention`.

    >>> attention = MultiHeadAttention(8, 6, num_heads=2, seed=0)
    >>> context, weights = attention(torch.randn(4, 2, 8), torch.randn(5, 2, 6), need_weights=False)
    >>> context.shape, weights
    (torch.Size([4, 2, 6]), None)
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        *,
        num_heads: int = 4,
        attention_size: int | None = None,
        bias: bool = True,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(query_size, memory_size, seed=seed)
        self.num_heads, self.attention_size = check_count("num_heads", num_heads), attention_size
        check_flag("bias", bias)
        size = query_size if attention_size is None else check_count("attention_size", attention_size)
        if size % num_heads:
            name = "query_size" if attention_size is None else "attention_size"
            raise ArgumentError(
                f"num_heads is {num_heads}, {name} {size}; heads share it equally: pass an attention_size that is a "
                f"multiple, as {num_heads * -(-size // num_heads)}"
            )
        self.query = empty_linear(query_size, size, bias=bias, device=device, dtype=dtype)
        self.key = empty_linear(memory_size, size, bias=bias, device=device, dtype=dtype)
        self.value = empty_linear(memory_size, size, bias=bias, device=device, dtype=dtype)
        self.output = empty_linear(size, memory_size, bias=bias, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew, as when the layer was built."""
        draw_linear([self.query, self.key, self.value, self.output], self.seed)

    def make_prepared(self, values: Tensor, lengths: Tensor | None) -> Prepared:
        return Prepared(self._split(self.value(values)), self._split(self.key(values)), lengths)

    def attend(
        self, query: Tensor, prepared: Prepared, *, position: int | Tensor = 0, need_weights: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        """A call on a memory that `prepare` has read."""
        queries = self._split(self.query(self.read_query(query, prepared)))  # batch head query_time size
        present = prepared.present
        where = None if present is None else present[:, None, None]  # batch 1 1 time
        weights = None
        if need_weights:
            scores = queries @ prepared.keys.transpose(2, 3) / math.sqrt(queries.shape[-1])
            weights = softmax_where(scores, where)  # batch head query_time time
            heads = weights @ prepared.values
        else:
            seen = None if where is None else where | ~where.any(-1, keepdim=True)  # of nothing it would make NaN
            heads = F.scaled_dot_product_attention(queries, prepared.keys, prepared.values, attn_mask=seen)
        context: Tensor = self.output(heads.transpose(1, 2).flatten(2))  # batch query_time memory
        if prepared.lengths is not None:
            context = context.masked_fill((prepared.lengths == 0)[:, None, None], 0.0)
        mean = None if weights is None else weights.mean(1)
        if query.dim() == 2:
            return context.squeeze(1), None if mean is None else mean.squeeze(1)
        return context.transpose(0, 1), None if mean is None else mean.transpose(0, 1)

    def extra_repr(self) -> str:
        """The sizes and the number of heads."""
        return f"{super().extra_repr()}, num_heads={self.num_heads}"

    def _split(self, features: Tensor) -> Tensor:
        """(batch, time, attention_size) as (batch, head, time, size)."""
        batch, time, _ = features.shape
        return features.view(batch, time, self.num_heads, -1).transpose(1, 2)
