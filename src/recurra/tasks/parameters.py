"""A task's parameters: the constructor's arguments, stored as given and read or changed by name."""

from __future__ import annotations

import inspect
from typing import Any, Self

from recurra.errors import ArgumentError, nearest
from recurra.training.settings import TrainingSettings

__all__ = ["Parameters", "training_settings"]


class Parameters:
    """What every task class is: an object whose constructor only stores its arguments, as scikit-learn has it.

    >>> class Task(Parameters):
    ...     def __init__(self, cell: str = "gru") -> None:
    ...         self.cell = cell
    >>> Task().set_params(cell="lstm").get_params()
    {'cell': 'lstm'}
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments by name."""
        return {name: getattr(self, name) for name in self.parameter_names()}

    def set_params(self, **params: Any) -> Self:
        """Change constructor arguments by name.

        Raises:
            ArgumentError: a name is unknown.
        """
        names = self.parameter_names()
        for name, value in params.items():
            if name not in names:
                raise ArgumentError(f"{name!r} is no parameter; {nearest(name, names)}")
            setattr(self, name, value)
        return self

    @classmethod
    def parameter_names(cls) -> tuple[str, ...]:
        """The names of the constructor's arguments, in their order."""
        return tuple(inspect.signature(cls).parameters)


def training_settings(given: TrainingSettings | dict[str, Any] | None, defaults: dict[str, Any]) -> TrainingSettings:
    """The settings given as they are, or a dict of some of them over the task's defaults.

    Raises:
        ArgumentError: a name is unknown or a value out of range.
    """
    if isinstance(given, TrainingSettings):
        return given
    return TrainingSettings(**{**defaults, **(given or {})})
