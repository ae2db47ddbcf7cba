"""Checks of constructor arguments: wrong ones raise, none is bent into shape."""

from __future__ import annotations

from recurra.errors import ArgumentError

__all__ = ["check_count", "check_flag", "check_probability", "check_seed"]


def check_count(name: str, value: object) -> None:
    """Raise ArgumentError unless value is an int of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ArgumentError(f"{name} is {value!r}; expected an int of at least 1")


def check_flag(name: str, value: object) -> None:
    """Raise ArgumentError unless value is True or False."""
    if not isinstance(value, bool):
        raise ArgumentError(f"{name} is {value!r}; expected True or False")


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
