"""What all heads share: a product with the features, a mean of errors, and checks of what is passed to them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count, check_dtype, check_seed
from recurra.layers.linear import check_factor, draw_linear

__all__ = ["Head", "check_mask", "check_numbers", "check_raw", "check_shape", "check_shares"]


class Head(nn.Module):
    """What all heads share: raw = V h + c, and a mean over what the mask keeps.

    input_size: features of h.
    raw_size: numbers that the head reads its answer from.
    seed: initial values, torch.nn.Linear's, come from this seed alone; None: from torch's global generator.

    A head of your own gives `_check_target`, `_errors`, `predict` and `sample`, and `target_size` where it is of
    numbers. One that answers whole sequences says so by `stepwise`; its `predict` and `sample` take the `lengths` of
    rows too, and its `batch_first` says how it reads them.
    """

    target_size: int | None = None
    """Numbers in the target of a step; None: it is a code."""
    stepwise = True
    """Whether each step is answered by itself, so that an answer may be read as the next step."""

    def __init__(
        self,
        input_size: int,
        raw_size: int,
        *,
        bias: bool = True,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.input_size, self.raw_size = check_count("input_size", input_size), raw_size
        check_seed(seed)
        check_dtype(dtype)
        self.seed = seed
        self.projection: nn.Linear | None = nn.Linear(input_size, raw_size, bias, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew, as when the layer was built."""
        if self.projection is not None:
            draw_linear([self.projection], self.seed)

    def forward(self, features: Tensor) -> Tensor:
        """Raw outputs (..., raw_size) of features (..., input_size).

        Raises ArgumentError if the last axis is another, or dtype or device are not the head's.
        """
        if not isinstance(features, Tensor) or not features.dim() or features.shape[-1] != self.input_size:
            came = (
                f"has shape {tuple(features.shape)}"
                if isinstance(features, Tensor)
                else f"is {type(features).__name__}"
            )
            raise ArgumentError(f"features {came}; the last axis must have the head's input_size, {self.input_size}")
        weight = next(self.parameters(), None) if self.projection is None else self.projection.weight
        if isinstance(weight, Tensor):  # of a quantised product it is a function
            check_factor("features", features, weight)
        return self._project(features)

    def loss(self, raw: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """The mean error of raw outputs (..., raw_size) over all steps that the mask keeps; 0 if it keeps none.

        target: the truth of each step.
        mask: True where a step counts, in the shape of the steps (...); None: everywhere. What stands elsewhere does
            not matter.
        Raises ArgumentError if shape, type or a code does not fit.
        """
        check_raw(raw, self.raw_size)
        if mask is not None:
            check_mask(mask, raw.shape[:-1])
        target = self._check_target(raw, target, mask)
        if mask is not None:
            raw, target = raw[mask], target[mask]
        each = self._errors(raw, target)
        return each.mean() if each.numel() else raw.sum()

    def predict(self, raw: Tensor) -> Tensor:
        """The best guess."""
        raise NotImplementedError

    def sample(self, raw: Tensor, *, temperature: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
        """One answer at random. temperature: how far from the best guess; 1: as learned, 0: the best guess itself."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """What the head reads and gives."""
        return f"{self.input_size}, raw_size={self.raw_size}"

    def _project(self, features: Tensor) -> Tensor:
        assert self.projection is not None
        raw: Tensor = self.projection(features)
        return raw

    def _check_target(self, raw: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        """The target of raw outputs; raise ArgumentError if it does not fit."""
        raise NotImplementedError

    def _errors(self, raw: Tensor, target: Tensor) -> Tensor:
        """The error of each step, or of each of its numbers."""
        raise NotImplementedError


def check_raw(raw: object, raw_size: int) -> None:
    """Raise ArgumentError unless raw is a tensor (..., raw_size)."""
    if not isinstance(raw, Tensor) or not raw.dim() or raw.shape[-1] != raw_size:
        came = f"has shape {tuple(raw.shape)}" if isinstance(raw, Tensor) else f"is {type(raw).__name__}"
        raise ArgumentError(f"raw {came}; expected (..., {raw_size}), what the head returned for features")


def check_mask(mask: object, shape: Sequence[int]) -> None:
    """Raise ArgumentError unless the mask is boolean, of that shape."""
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != tuple(shape):
        came = f"{tuple(mask.shape)} of {mask.dtype}" if isinstance(mask, Tensor) else type(mask).__name__
        raise ArgumentError(f"mask is {came}; expected a boolean tensor {tuple(shape)}, True where a step counts")


def check_shape(target: object, shape: Sequence[int], what: str) -> None:
    """Raise ArgumentError unless the target has that shape. what: what stands in it."""
    if isinstance(target, Tensor) and target.shape == tuple(shape):
        return
    came = f"has shape {tuple(target.shape)}" if isinstance(target, Tensor) else f"is {type(target).__name__}"
    column = isinstance(target, Tensor) and (*target.shape, 1) == tuple(shape)
    advice = "; give it a last axis: target.unsqueeze(-1)" if column else ""
    raise ArgumentError(f"target {came}; expected {tuple(shape)}, {what}{advice}")


def check_shares(name: str, values: Tensor, mask: Tensor | None = None, *, whole: bool = False) -> Tensor:
    """The values; raise ArgumentError, which names the first offender's place, unless all are from 0 to 1.

    mask: where to look, of a shape that expands to theirs; None: everywhere.
    whole: whether nothing between 0 and 1 is accepted either.
    """
    if torch.compiler.is_compiling():  # which cannot look at values
        return values
    right = (values == 0) | (values == 1) if whole else (values >= 0) & (values <= 1)
    wrong = ~right if mask is None else ~right & mask
    if bool(wrong.any()):
        place = tuple(wrong.nonzero()[0].tolist())
        among = f", one of {int(wrong.sum())} such values" if int(wrong.sum()) > 1 else ""
        expected = "0 or 1" if whole else "0 or 1, or a share between"
        raise ArgumentError(
            f"{name}[{', '.join(map(str, place))}] is {values[place].item():.4g}{among}; expected {expected}"
        )
    return values


def check_numbers(target: Tensor, raw: Tensor, size: int) -> Tensor:
    """The target; raise ArgumentError unless it has so many numbers for each step of raw."""
    check_shape(target, (*raw.shape[:-1], size), "the numbers of each step")
    if not target.is_floating_point():
        raise ArgumentError(f"target has dtype {target.dtype}; expected numbers as raw, {raw.dtype}: target.to(raw)")
    return target
