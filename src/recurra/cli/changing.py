"""Options of `predict` and `evaluate` that change parameters of a fitted task: its columns, how it searches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recurra.errors import ArgumentError

__all__ = ["change_parameters", "column_of", "option_name"]


def change_parameters(task: Any, given: Mapping[str, Any]) -> None:
    """Set the parameters that were given; those that were not are None.

    Raises ArgumentError for one that the task has not, and names those that it has.
    """
    there = [name for name in given if name in task.parameter_names()]
    for name, value in given.items():
        if value is None:
            continue
        if name not in there:
            others = f"; there are {', '.join(map(option_name, there))}" if there else ""
            raise ArgumentError(f"{option_name(name)} is not there for {type(task).__name__}{others}")
        task.set_params(**{name: value})


def option_name(parameter: str) -> str:
    """The option of a parameter.

    >>> option_name("beam_size")
    '--beam-size'
    """
    return f"--{parameter.replace('_', '-')}"


def column_of(name: str | None) -> str | int | None:
    """A column's number where it is one, else its name.

    >>> column_of("3"), column_of("form")
    (3, 'form')
    """
    return int(name) if name is not None and name.isascii() and name.isdecimal() else name
