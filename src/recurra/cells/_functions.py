"""The functions that equations are written with.

They ask the value itself, so that torch tensors and any other values with these methods (the symbols of a tracing
compiler) are accepted alike.
"""

from __future__ import annotations

from typing import Any

__all__ = ["relu", "sigmoid", "tanh"]


def sigmoid(value: Any) -> Any:
    """1 / (1 + exp(-value)), between 0 and 1: a gate."""
    return value.sigmoid()


def tanh(value: Any) -> Any:
    """The hyperbolic tangent of value, between -1 and 1: a candidate."""
    return value.tanh()


def relu(value: Any) -> Any:
    """max(0, value)."""
    return value.relu()
