"""Pooling: one vector for a sequence of any length, whole, in chunks or step by step.

Each pooling is a fold over time: `state` is what it must remember of the steps so far, of a size that does not grow
with them, and the pooled vector is read from it. A row without steps gives zeros.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from recurra.cells import State
from recurra.errors import ArgumentError, nearest
from recurra.layers.arguments import check_count, check_dtype, check_flag, check_seed
from recurra.layers.lengths import mask_of_lengths
from recurra.layers.linear import check_factor

__all__ = ["AttentionPooling", "LastPooling", "MaxPooling", "MeanPooling", "Pooling", "make_pooling"]


class Pooling(nn.Module):
    """What all poolings share: y_1 .. y_T to one vector, over the steps that each row has."""

    _fields: tuple[str, ...]

    def forward(self, y: Tensor, state: Any = None, *, lengths: Any = None) -> tuple[Tensor, State]:
        """The vector of each row, over the steps of y and those that state has seen.

        y: (time, batch, feature).
        state: what the call on the chunk before returned; None at the beginning.
        lengths: steps of each row, 0 to time; None: all. What y holds past the end does not matter.
        Returns (pooled, state): (batch, feature), and the state to pass with the next chunk.
        Raises ArgumentError if a shape or length does not fit.
        """
        mask = self._mask(y, lengths)
        before = self._begin(y) if state is None else self._check(state, y)
        after = self._absorb(y, mask, before)
        return self._answer(after), after

    def step(self, y_t: Tensor, state: Any = None) -> tuple[Tensor, State]:
        """The vector (batch, feature) after one step more, (batch, feature), and the state to pass to the next step.

        Raises ArgumentError if a shape does not fit.
        """
        if not isinstance(y_t, Tensor) or y_t.dim() != 2:
            came = f"has shape {tuple(y_t.shape)}" if isinstance(y_t, Tensor) else f"is {type(y_t).__name__}"
            raise ArgumentError(f"y_t {came}; expected one time step, (batch, feature)")
        pooled, after = self(y_t.unsqueeze(0), state)
        return pooled, after

    def _mask(self, y: Tensor, lengths: Any) -> Tensor:
        """(time, batch): True where a row has a step."""
        if not isinstance(y, Tensor) or y.dim() != 3 or not len(y):
            came = f"has shape {tuple(y.shape)}" if isinstance(y, Tensor) else f"is {type(y).__name__}"
            raise ArgumentError(f"y {came}; expected a tensor (time, batch, feature) with one step at least")
        mask = mask_of_lengths(lengths, shape=y.shape[:2], batch_first=False, device=y.device)
        return y.new_ones(y.shape[:2], dtype=torch.bool) if mask is None else mask

    def _begin(self, y: Tensor) -> State:
        """What is remembered before the first step."""
        raise NotImplementedError

    def _absorb(self, y: Tensor, mask: Tensor, state: State) -> State:
        """What is remembered after these steps too. mask: (time, batch), True where a row has a step."""
        raise NotImplementedError

    def _answer(self, state: State) -> Tensor:
        """The vector (batch, feature) of the steps so far."""
        raise NotImplementedError

    def _check(self, state: Any, y: Tensor) -> State:
        if getattr(state, "_fields", None) != self._fields or len(state[0]) != y.shape[1]:
            rows = f" of {len(state[0])} rows" if getattr(state, "_fields", None) == self._fields else ""
            raise ArgumentError(
                f"state is a {type(state).__name__}{rows}; pass what this pooling returned for the chunk before, of "
                f"{y.shape[1]} rows as y, or omit it"
            )
        checked: State = state
        return checked


class LastPooling(Pooling):
    """The output of each row's last step.

    bidirectional: the second half of the features reads from the end, so that its last output is that of step 1.

    >>> y = torch.arange(6.0).view(3, 2, 1)  # time batch feature
    >>> LastPooling()(y, lengths=[3, 2])[0].flatten()
    tensor([4., 3.])
    """

    _fields = ("last",)

    def __init__(self, *, bidirectional: bool = False) -> None:
        super().__init__()
        check_flag("bidirectional", bidirectional)
        self.bidirectional = bidirectional

    def _begin(self, y: Tensor) -> State:
        return State(last=y.new_zeros(y.shape[1:]))

    def _absorb(self, y: Tensor, mask: Tensor, state: State) -> State:
        steps = mask.sum(0)
        last = y[steps - 1, torch.arange(y.shape[1], device=y.device)]  # batch feature
        if self.bidirectional:
            ahead = y.shape[2] // 2
            last = torch.cat([last[:, :ahead], y[0, :, ahead:]], 1)
        return State(last=torch.where(steps.unsqueeze(1) > 0, last, state.last))

    def _answer(self, state: State) -> Tensor:
        last: Tensor = state.last
        return last


class MeanPooling(Pooling):
    """The mean of each row's outputs.

    >>> y = torch.arange(6.0).view(3, 2, 1)  # time batch feature
    >>> MeanPooling()(y, lengths=[3, 2])[0].flatten()
    tensor([2., 2.])
    """

    _fields = ("total", "steps")

    def _begin(self, y: Tensor) -> State:
        return State(total=y.new_zeros(y.shape[1:]), steps=torch.zeros(y.shape[1], dtype=torch.int64, device=y.device))

    def _absorb(self, y: Tensor, mask: Tensor, state: State) -> State:
        total = y.masked_fill(~mask.unsqueeze(-1), 0.0).sum(0)
        return State(total=state.total + total, steps=state.steps + mask.sum(0))

    def _answer(self, state: State) -> Tensor:
        mean: Tensor = state.total / state.steps.clamp(min=1).unsqueeze(1)
        return mean


class MaxPooling(Pooling):
    """The largest output of each feature over each row's steps.

    >>> y = torch.tensor([1.0, 5.0, 4.0, 2.0, 3.0, 9.0]).view(3, 2, 1)  # time batch feature
    >>> MaxPooling()(y, lengths=[3, 2])[0].flatten()
    tensor([4., 5.])
    """

    _fields = ("largest",)

    def _begin(self, y: Tensor) -> State:
        return State(largest=torch.full_like(y[0], -math.inf))

    def _absorb(self, y: Tensor, mask: Tensor, state: State) -> State:
        largest = y.masked_fill(~mask.unsqueeze(-1), -math.inf).amax(0)
        return State(largest=torch.maximum(state.largest, largest))

    def _answer(self, state: State) -> Tensor:
        return torch.where(state.largest == -math.inf, 0.0, state.largest)


class AttentionPooling(Pooling):
    """The outputs' mean, weighted by what a learned query finds in them (Yang et al. 2016; one hop of Lin et al. 2017).

        u_t = tanh(W y_t + b)
        a_t = exp(q . u_t) / sum_s exp(q . u_s)            the share of step t, over the row's steps
        pooled = sum_t a_t y_t

    feature_size: features of y.
    attention_size: units of u; None: as many as features.
    seed: initial values come from this seed alone; None: from torch's global generator.

    A stream keeps the sums over exp(q . u - m), m the largest exponent so far: steps need not be seen again.

    Raises ArgumentError for any invalid argument.

    >>> pooling = AttentionPooling(4, seed=0)
    >>> y = torch.ones(5, 2, 4)  # time batch feature
    >>> pooling.weights(y, lengths=[5, 2])[:, 1].tolist()
    [0.5, 0.5, 0.0, 0.0, 0.0]
    """

    _fields = ("largest", "total", "weighted")

    def __init__(
        self,
        feature_size: int,
        attention_size: int | None = None,
        *,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.feature_size = check_count("feature_size", feature_size)
        self.attention_size = attention_size
        units = feature_size if attention_size is None else check_count("attention_size", attention_size)
        check_seed(seed)
        check_dtype(dtype)
        self.seed = seed
        self.weight = nn.Parameter(torch.empty(units, feature_size, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(units, device=device, dtype=dtype))
        self.query = nn.Parameter(torch.empty(units, device=device, dtype=dtype))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all parameters anew, uniform within 1/sqrt of what each sums over, as when the layer was built."""
        generator = None if self.seed is None else torch.Generator().manual_seed(self.seed)
        for parameter, sums in ((self.weight, self.feature_size), (self.bias, self.feature_size), (self.query, 0)):
            if not parameter.is_meta:
                bound = 1 / math.sqrt(sums or len(self.query))
                drawn = torch.empty(parameter.shape, dtype=parameter.dtype, device="cpu")
                parameter.copy_(drawn.uniform_(-bound, bound, generator=generator))

    def weights(self, y: Tensor, *, lengths: Any = None) -> Tensor:
        """Each step's share (time, batch), to be plotted; 0 past a row's end. y: (time, batch, feature).

        Raises ArgumentError if a shape or length does not fit.
        """
        mask = self._mask(y, lengths)
        scores = self._scores(y, mask)
        return scores.softmax(0).masked_fill(~mask, 0.0)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"{self.feature_size}, {self.attention_size}"

    def _scores(self, y: Tensor, mask: Tensor) -> Tensor:
        """q . u_t of each step: (time, batch), the lowest number where a row has none."""
        if y.shape[-1] != self.feature_size:
            raise ArgumentError(
                f"y has shape {tuple(y.shape)} with {y.shape[-1]} features, the pooling's feature_size is "
                f"{self.feature_size}"
            )
        check_factor("y", y, self.weight)
        y = y.masked_fill(~mask.unsqueeze(-1), 0.0)
        scores: Tensor = torch.tanh(nn.functional.linear(y, self.weight, self.bias)) @ self.query
        return scores.masked_fill(~mask, torch.finfo(y.dtype).min)

    def _begin(self, y: Tensor) -> State:
        lowest = torch.finfo(y.dtype).min  # and not -inf, whose difference to itself is no number
        return State(
            largest=y.new_full(y.shape[1:2], lowest),
            total=y.new_zeros(y.shape[1]),
            weighted=y.new_zeros(y.shape[1:]),
        )

    def _absorb(self, y: Tensor, mask: Tensor, state: State) -> State:
        y, scores = y.masked_fill(~mask.unsqueeze(-1), 0.0), self._scores(y, mask)
        # Shares do not depend on what is taken off all exponents, and so no gradient passes there.
        largest = torch.maximum(state.largest, scores.detach().amax(0))  # batch
        faded = torch.exp(state.largest - largest)
        fresh = torch.exp(scores - largest).masked_fill(~mask, 0.0)  # time batch
        return State(
            largest=largest,
            total=state.total * faded + fresh.sum(0),
            weighted=state.weighted * faded.unsqueeze(1) + (fresh.unsqueeze(-1) * y).sum(0),
        )

    def _answer(self, state: State) -> Tensor:
        # The step with the largest exponent adds exp(0) to the total: it is 1 at least, or 0 where there are no steps.
        pooled: Tensor = state.weighted / state.total.clamp(min=1.0).unsqueeze(1)
        return pooled


_NAMES = ("last", "mean", "max", "attention")


def make_pooling(name: str | Pooling, feature_size: int, *, bidirectional: bool = False) -> Pooling:
    """The pooling called "last", "mean", "max" or "attention"; one that is built already is returned as it is.

    feature_size: features of what it pools.
    bidirectional: whether the second half of them reads from the end.
    Raises ArgumentError for another name.
    """
    if isinstance(name, Pooling):
        return name
    if name not in _NAMES:
        raise ArgumentError(f"pooling is {name!r}; {nearest(str(name), _NAMES)}")
    if name == "attention":
        return AttentionPooling(feature_size)
    if name == "last":
        return LastPooling(bidirectional=bidirectional)
    return MeanPooling() if name == "mean" else MaxPooling()
