"""The functions that equations are written with.

They ask the value itself, so that torch tensors and any other values with these methods (the symbols of a tracing
compiler) are accepted alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from recurra.errors import ArgumentError, nearest

__all__ = [
    "ACTIVATIONS",
    "activation_named",
    "cos",
    "exp",
    "expm1",
    "is_zero",
    "log",
    "log_sigmoid",
    "maximum",
    "relu",
    "sigmoid",
    "sin",
    "sqrt",
    "tanh",
    "where",
]


def sigmoid(value: Any) -> Any:
    """1 / (1 + exp(-value)), between 0 and 1: a gate."""
    return value.sigmoid()


def tanh(value: Any) -> Any:
    """The hyperbolic tangent of value, between -1 and 1: a candidate."""
    return value.tanh()


def relu(value: Any) -> Any:
    """max(0, value)."""
    return value.relu()


def exp(value: Any) -> Any:
    """e to the power of value."""
    return value.exp()


def expm1(value: Any) -> Any:
    """exp(value) - 1, also where value is next to nothing."""
    return value.expm1()


def is_zero(value: Any) -> Any:
    """Whether value is 0: a condition for `where`."""
    return value.eq(0)


def log(value: Any) -> Any:
    """The natural logarithm of value."""
    return value.log()


def log_sigmoid(value: Any) -> Any:
    """log(sigmoid(value)) = -log(1 + exp(-value)), without overflow at either end."""
    return -(-value).logaddexp(0 * value)


def maximum(one: Any, other: Any) -> Any:
    """The larger of two values; where they are equal, each has half of the derivative."""
    return one.maximum(other)


def where(condition: Any, one: Any, other: Any) -> Any:
    """one where the condition holds, else other."""
    return one.where(condition, other)


def sqrt(value: Any) -> Any:
    """The square root of value."""
    return value.sqrt()


def cos(value: Any) -> Any:
    """The cosine of value."""
    return value.cos()


def sin(value: Any) -> Any:
    """The sine of value."""
    return value.sin()


def _linear(value: Any) -> Any:
    return value


ACTIVATIONS: Mapping[str, Callable[[Any], Any]] = {"tanh": tanh, "relu": relu, "sigmoid": sigmoid, "linear": _linear}


def activation_named(name: str) -> Callable[[Any], Any]:
    """The function that an option's word means.

    Raises ArgumentError for another word.
    """
    if name not in ACTIVATIONS:
        raise ArgumentError(f"activation {name!r} is unknown; {nearest(str(name), ACTIVATIONS)}")
    return ACTIVATIONS[name]
