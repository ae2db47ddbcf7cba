"""Local attention: a window of the memory, moved step by step or to where the query predicts."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from recurra.errors import ArgumentError, nearest
from recurra.layers.arguments import check_count, check_flag
from recurra.layers.attention import (
    Attention,
    DotAttention,
    GeneralAttention,
    Prepared,
    softmax_where,
)
from recurra.layers.linear import draw_linear, empty_linear

__all__ = ["LocalAttention"]

_SCORES = ("dot", "general")


class LocalAttention(Attention):
    """Attention within a window around a position p_t of the memory (Luong et al. 2015, local-m and local-p).

        a_t = softmax over |s - p_t| <= D of score(q_t, m_s)                             monotonic
        p_t = min(t, S - 1)
        a_ts = softmax(...)_s * exp(-(s - p_t)^2 / (2 (D/2)^2))                          predictive
        p_t = (S - 1) * sigmoid(v . tanh(W_p q_t))

    S: steps of the row; s and t count from 0 (the authors do not say from where, and write S for S - 1). Predictive
    weights add up to less than 1, as theirs do, and are differentiable in p_t. A monotonic window stays at the end of a
    memory that is shorter than the queries. The window saves no time: scores are computed everywhere, and dropped.

    window: D, steps to each side.
    predictive: whether the query predicts the position; else t is the query's own number, `position` for the first.
    score: "dot" or "general", with `scale`, as DotAttention and GeneralAttention have them.
    The other arguments, calls and what they raise: `Attention`.

    >>> attention = LocalAttention(3, 3, window=1, predictive=False, score="dot")
    >>> context, weights = attention(torch.zeros(1, 1, 3), torch.ones(5, 1, 3), position=3)
    >>> [round(weight, 3) for weight in weights[0, 0].tolist()]
    [0.0, 0.0, 0.333, 0.333, 0.333]
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        *,
        window: int,
        predictive: bool = True,
        score: Literal["dot", "general"] = "general",
        scale: bool = False,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(query_size, memory_size, seed=seed)
        self.window = check_count("window", window)
        check_flag("predictive", predictive)
        self.predictive = predictive
        if score not in _SCORES:
            raise ArgumentError(f"score is {score!r}; {nearest(str(score), _SCORES)}")
        self.align: DotAttention | GeneralAttention
        kind = DotAttention if score == "dot" else GeneralAttention
        self.align = kind(query_size, memory_size, scale=scale, seed=seed, device=device, dtype=dtype)
        if predictive:
            self.place = empty_linear(query_size, query_size, bias=False, device=device, dtype=dtype)
            self.place_energy = empty_linear(query_size, 1, bias=False, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew, as when the layer was built."""
        drawn = [self.align.key] if isinstance(self.align, GeneralAttention) else []
        draw_linear([*drawn, self.place, self.place_energy] if self.predictive else drawn, self.seed)

    def make_keys(self, values: Tensor) -> Tensor:
        return self.align.make_keys(values)

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        return self.align.score(query, keys)

    def weigh(self, query: Tensor, prepared: Prepared, position: int | Tensor) -> Tensor:
        _check_position(position, len(query))
        last = self._last(prepared, query)  # batch 1
        center = self._predict(query, last) if self.predictive else _count(query, position).minimum(last)
        steps = torch.arange(prepared.time, device=query.device)
        away = steps.to(query.dtype) - center.unsqueeze(-1)  # batch query_time time
        within, present = away.abs() <= self.window, prepared.present
        if present is not None:
            within = within & present.unsqueeze(1)
        weights = softmax_where(self.score(query, prepared.keys), within)
        if not self.predictive:
            return weights
        return weights * torch.exp(-2 * (away / self.window).square())

    def extra_repr(self) -> str:
        """The sizes and the window."""
        return f"{super().extra_repr()}, window={self.window}, predictive={self.predictive}"

    def _last(self, prepared: Prepared, query: Tensor) -> Tensor:
        """The position of each row's last step, (batch, 1); 0 for a row without steps, whose weights are 0 anyway."""
        if prepared.lengths is None:
            return query.new_full((len(query), 1), max(prepared.time - 1, 0))
        return (prepared.lengths - 1).clamp(min=0).to(query.dtype).unsqueeze(1)

    def _predict(self, query: Tensor, last: Tensor) -> Tensor:
        """p_t of each query, (batch, query_time)."""
        share: Tensor = self.place_energy(torch.tanh(self.place(query)))
        return last * share.squeeze(-1).sigmoid()


def _check_position(position: object, batch: int) -> None:
    """Raise ArgumentError unless it is a number of queries, or one for each row."""
    if isinstance(position, Tensor):
        whole = not (position.is_floating_point() or position.is_complex() or position.dtype == torch.bool)
        if whole and position.shape in ((), (batch,)):
            return
        came = f"{tuple(position.shape)} of {position.dtype}"
    elif isinstance(position, int) and not isinstance(position, bool) and position >= 0:
        return
    else:
        came = repr(position)
    raise ArgumentError(
        f"position is {came}; expected the queries before the first of these, an int of at least 0 or a tensor "
        f"({batch},) of integers"
    )


def _count(query: Tensor, position: int | Tensor) -> Tensor:
    """The number of each query, (batch, query_time)."""
    first = torch.as_tensor(position, device=query.device, dtype=query.dtype)
    numbers = torch.arange(query.shape[1], device=query.device, dtype=query.dtype)
    return (first.reshape(-1, 1) + numbers).expand(len(query), -1)
