"""When two results count as equal.

Failures are raised, not asserted: they must fail under `python -O` too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from recurra.errors import ArgumentError

__all__ = [
    "Error",
    "assert_lawful",
    "assert_raises_argument_error",
    "assert_that",
    "assert_within_rounding",
    "measure_error",
]

# Units in the last place of the largest value: what reordered sums over some dozens of terms may differ by.
_ROUNDING = 256
_FLOOR = 16


class Error(NamedTuple):
    """The largest absolute difference of a kernel from the exact result, that of plain arithmetic, and a floor."""

    kernel: float
    plain: float
    floor: float

    @property
    def share(self) -> float:
        """The kernel's, of twice that of plain arithmetic and the floor: up to 1 is lawful."""
        allowed = 2 * self.plain + self.floor
        return self.kernel / allowed if allowed else float(self.kernel > 0)

    @property
    def lawful(self) -> bool:
        """Whether the kernel is as accurate as the law has it."""
        return self.share <= 1

    def __str__(self) -> str:
        return f"error {self.kernel:.3g}; twice plain arithmetic's is {2 * self.plain:.3g}, the floor {self.floor:.3g}"


def assert_that(holds: bool, message: str) -> None:
    """Raise AssertionError(message) unless it holds."""
    if not holds:
        raise AssertionError(message)


def assert_within_rounding(found: Tensor, expected: Tensor, what: str = "result") -> None:
    """Raise AssertionError unless two results of the same dtype differ by rounding only.

    >>> assert_within_rounding(torch.ones(2) / 3, torch.ones(2) * (1 / 3))
    """
    found, expected = found.detach(), expected.detach()
    _assert_comparable(found, expected, what)
    if found.numel() == 0:
        return
    bound = _ROUNDING * torch.finfo(expected.dtype).eps * _scale(expected)
    difference = float((found - expected).abs().max())
    assert_that(difference <= bound, f"{what} differs by {difference:.3g}, rounding explains {bound:.3g}")


def assert_lawful(kernel: Tensor, plain: Tensor, exact: Tensor, what: str = "result") -> None:
    """Raise AssertionError unless a kernel is as accurate as plain arithmetic of its own precision:

        err(kernel, exact) <= 2 * err(plain, exact) + floor

    kernel, plain: in one dtype; exact: in float64. err is the largest absolute difference; the floor is 16 units in
    the last place of the largest exact value.

    >>> exact = torch.tensor([1 / 3], dtype=torch.float64)
    >>> assert_lawful(exact.float(), exact.float(), exact)
    """
    error = measure_error(kernel, plain, exact, what)
    assert_that(error.lawful, f"{what} has {error}")


def measure_error(kernel: Tensor, plain: Tensor, exact: Tensor, what: str = "result") -> Error:
    """The errors that `assert_lawful` compares. Raises AssertionError where the results cannot be compared."""
    kernel, plain, exact = kernel.detach(), plain.detach(), exact.detach()
    _assert_comparable(kernel, plain, what)
    _assert_comparable(plain.double(), exact, what)
    if exact.numel() == 0:
        return Error(0.0, 0.0, 0.0)
    floor = _FLOOR * torch.finfo(plain.dtype).eps * _scale(exact)
    return Error(float((kernel - exact).abs().max()), float((plain - exact).abs().max()), floor)


def assert_raises_argument_error(words: Sequence[str], call: object, *arguments: object, **named: object) -> None:
    """Raise AssertionError unless the call raises an ArgumentError in which each of the words occurs."""
    if not callable(call):
        raise ArgumentError(f"call is {call!r}; pass something to call")
    try:
        call(*arguments, **named)
    except ArgumentError as error:
        missing = [word for word in words if word not in str(error)]
        assert_that(not missing, f"the message {str(error)!r} lacks {missing}")
    else:
        raise AssertionError(f"{arguments or named} was accepted; expected an ArgumentError naming {list(words)}")


def _assert_comparable(found: Tensor, expected: Tensor, what: str) -> None:
    assert_that(found.shape == expected.shape, f"{what} has shape {tuple(found.shape)}, not {tuple(expected.shape)}")
    assert_that(found.dtype == expected.dtype, f"{what} has dtype {found.dtype}, not {expected.dtype}")
    # NaN compares as neither larger nor smaller: it would pass every bound below.
    assert_that(bool(torch.isfinite(found).all()), f"{what} holds NaN or infinity")
    assert_that(bool(torch.isfinite(expected).all()), f"the expected {what} holds NaN or infinity")


def _scale(expected: Tensor) -> float:
    return max(1.0, float(expected.abs().max()))
