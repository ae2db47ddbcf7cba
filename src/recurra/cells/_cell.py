"""The contract of a recurrence: its gates, its states and its equations."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from recurra.cells._state import State, named
from recurra.errors import ArgumentError

__all__ = ["Cell"]


class Cell:
    """One recurrence, stated once: what it is made of and the equations of one time step.

    A subclass declares

        gates    names of its pre-activations, in memory order: the rows of weight_ih and weight_hh, gate by gate
        states   names of what it carries from step to step; the first is "h", which is also its output
        step     the equations

    Parameters, loops over time, masks, directions and layers are the layer's business. A cell holds no tensors. Its
    constructor arguments, if any, are words; it stores each under the argument's own name, and they join its `name`.

    `exempt` names checks of `recurra.testing` that cannot hold for this cell, each with the reason.

    Raises ArgumentError when a subclass is defined without valid gates, states or step.

    >>> from recurra.cells import State, tanh
    >>> class Leaky(Cell):
    ...     gates = ("n",)
    ...     states = ("h",)
    ...
    ...     def step(self, x, u, s):
    ...         return State(h=0.9 * s.h + 0.1 * tanh(x.n + u.n))
    >>> Leaky().name
    'leaky'
    """

    gates: ClassVar[tuple[str, ...]]
    states: ClassVar[tuple[str, ...]]
    exempt: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for declared in ("gates", "states"):
            _check_names(cls, declared)
        if cls.states[0] != "h":
            raise ArgumentError(
                f"{cls.__name__}.states begins with {cls.states[0]!r}; its first state must be 'h', the cell's output"
            )
        if cls.step is Cell.step:
            raise ArgumentError(f"{cls.__name__} has no step; define step(self, x, u, s) returning State(h=...)")

    def step(self, x: Any, u: Any, s: Any) -> State:
        """The equations of one time step.

        They are pure, row by row of the batch, and use operators and the functions of `recurra.cells` only.

        x: input projections W x_t + b_ih, one attribute per gate: (batch, hidden) each.
        u: recurrent projections U h_(t-1) + b_hh, likewise.
        s: the state before this step, one attribute per state.
        Returns the state after it, State(h=..., ...), with exactly the fields of `states`.
        """
        raise NotImplementedError

    def by_gate(self, values: Iterable[Any]) -> Any:
        """One value per gate, in memory order, as the x or u of `step`."""
        return named("Gates", self.gates)(*values)

    def by_state(self, values: Iterable[Any]) -> State:
        """One value per state, in order, as the s of `step`."""
        return State(**dict(zip(self.states, values, strict=True)))

    @property
    def name(self) -> str:
        """The word that `get_cell` takes: the class's name in lower case, and its options where they are not the
        defaults, each after a dash: "lstm", "elman-relu"."""
        options = self._options()
        while options and options[-1][1] == options[-1][2]:
            options.pop()
        return "-".join([type(self).__name__.lower(), *(str(value) for _, value, _ in options)])

    @classmethod
    def option_names(cls) -> tuple[str, ...]:
        """The names of the constructor's arguments."""
        return tuple(_constructor(cls))

    def _options(self) -> list[tuple[str, Any, Any]]:
        """(name, value, default) of each constructor argument, in order."""
        parameters = _constructor(type(self)).items()
        return [(name, getattr(self, name), parameter.default) for name, parameter in parameters]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Cell) and self._options() == other._options()

    def __hash__(self) -> int:
        return hash((type(self), *(value for _, value, _ in self._options())))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value, _ in self._options())})"


def _constructor(cls: type[Cell]) -> dict[str, inspect.Parameter]:
    if cls.__init__ is object.__init__:
        return {}
    parameters = dict(inspect.signature(cls.__init__).parameters)
    parameters.pop("self", None)
    return parameters


def _check_names(cls: type[Cell], declared: str) -> None:
    names = getattr(cls, declared, None)
    where = f"{cls.__name__}.{declared}"
    if names is None:
        raise ArgumentError(f"{where} is missing; declare it, as in {declared} = {_EXAMPLES[declared]}")
    if not isinstance(names, tuple) or not names or not all(isinstance(name, str) for name in names):
        raise ArgumentError(f"{where} is {names!r}; expected a tuple of names, as in {_EXAMPLES[declared]}")
    for name in names:
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
            raise ArgumentError(
                f"{where} has the name {name!r}; the equations read it as an attribute: "
                f"use a Python identifier without a leading underscore"
            )
    if len(set(names)) != len(names):
        raise ArgumentError(f"{where} is {names!r}; a name stands there twice, name each once")


_EXAMPLES = {"gates": '("r", "z", "n")', "states": '("h",)'}
