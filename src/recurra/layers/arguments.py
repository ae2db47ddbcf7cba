"""Checks of constructor arguments: wrong ones raise, none is bent into shape."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from recurra.errors import ArgumentError, nearest

__all__ = [
    "check_connectivity",
    "check_count",
    "check_dtype",
    "check_flag",
    "check_not_negative",
    "check_probability",
    "check_seed",
    "one_per_layer",
    "one_per_state",
]


def check_connectivity(value: object) -> float:
    """The value; raise ArgumentError unless it is a share above 0, up to 1."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 1:
        raise ArgumentError(f"connectivity is {value!r}; expected a share of the weights above 0, up to 1, as 0.1")
    return value


def check_count(name: str, value: object) -> int:
    """The value; raise ArgumentError unless it is an int of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ArgumentError(f"{name} is {value!r}; expected an int of at least 1")
    return value


def check_dtype(value: torch.dtype | None) -> None:
    """Raise ArgumentError unless value is None or a floating-point type."""
    if value is not None and not value.is_floating_point:
        raise ArgumentError(f"dtype is {value}; expected a floating-point type, as torch.float32")


def check_flag(name: str, value: object) -> None:
    """Raise ArgumentError unless value is True or False."""
    if not isinstance(value, bool):
        raise ArgumentError(f"{name} is {value!r}; expected True or False")


def check_not_negative(name: str, value: object, *, at_zero: str = "for none") -> float:
    """The value; raise ArgumentError unless it is a number of at least 0, and finite.

    at_zero: what 0 is for.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise ArgumentError(f"{name} is {value!r}; expected a number of at least 0, 0 {at_zero}")
    return value


def check_probability(name: str, value: object) -> None:
    """Raise ArgumentError unless value is a number from 0 to 1."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ArgumentError(f"{name} is {value!r}; expected a probability from 0 to 1, as in {name}=0.2")


def check_seed(value: object) -> None:
    """Raise ArgumentError unless value is None or an int that a generator takes."""
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise ArgumentError(f"seed is {value!r}; expected an int of at least 0, or None for torch's global generator")


def one_per_layer(name: str, value: int | Sequence[int], num_layers: int) -> tuple[int, ...]:
    """A count for each layer: of one int for all, or of a sequence with one each.

    Raises ArgumentError for anything else.
    """
    if isinstance(value, list | tuple):
        if len(value) != num_layers:
            raise ArgumentError(
                f"{name} is {list(value)!r}, num_layers is {num_layers}; pass one int, or one for each layer"
            )
        return tuple(check_count(f"{name}[{layer}]", count) for layer, count in enumerate(value))
    return (check_count(name, value),) * num_layers


def one_per_state(name: str, value: float | Mapping[str, float], states: Sequence[str]) -> tuple[float, ...]:
    """A probability for each state: of one number for all, or of a mapping with those that are not 0.

    Raises ArgumentError for anything else.
    """
    if isinstance(value, Mapping):
        for state, probability in value.items():
            if state not in states:
                raise ArgumentError(f"{name} names the state {state!r}; {nearest(str(state), states)}")
            check_probability(f"{name}[{state!r}]", probability)
        return tuple(float(value.get(state, 0.0)) for state in states)
    check_probability(name, value)
    return (float(value),) * len(states)
