"""The contract of a recurrence: its gates, its states and its equations."""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, ClassVar

from recurra.cells._state import State, named
from recurra.errors import ArgumentError

__all__ = ["Cell"]


class Cell:
    """One recurrence, stated once: what it is made of and the equations of one time step.

    A subclass declares

        gates    names of its input projections, in memory order: the rows of weight_ih, gate by gate
        states   names of what it carries from step to step; the first is its output and what recurrent projections read
        step     the equations

    and, where they differ from the usual,

        recurrent    names of its recurrent projections, the rows of weight_hh; None: those of gates; (): none at all
        second       the last of them, if they are of something that the step itself computes: u.n is then a function,
                     and `u.n(r * s.h)` is U_n (r * h_(t-1)) + b_n
        vectors      parameters of one number per unit, by name, which the step gets as its fourth argument; each with
                     the function that makes its initial values of uniform numbers in [0, 1), or None for the usual
        reads_gaps   whether x.gap is the time that passed since the step before
        forget_gate  the gate whose large bias means that memory is kept
        refuses      options of the layer that mean nothing for it, each with the reason

    Parameters, loops over time, masks, directions and layers are the layer's business. A cell holds no tensors. Its
    constructor arguments, if any, are words or numbers; it stores each under the argument's own name, and they join
    its `name`.

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
    recurrent: ClassVar[tuple[str, ...] | None] = None
    second: ClassVar[tuple[str, ...]] = ()
    vectors: ClassVar[Mapping[str, Callable[[Any], Any] | None]] = {}
    reads_gaps: ClassVar[bool] = False
    forget_gate: ClassVar[str | None] = None
    refuses: ClassVar[Mapping[str, str]] = {}
    exempt: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for declared in ("gates", "states"):
            _check_names(cls, declared)
        if cls.recurrent is not None:
            _check_names(cls, "recurrent", may_be_empty=True)
        _check_second(cls)
        _check_vectors(cls)
        if cls.forget_gate is not None and cls.forget_gate not in cls.gates:
            raise ArgumentError(f"{cls.__name__}.forget_gate is {cls.forget_gate!r}; expected one of {cls.gates!r}")
        _check_step(cls)
        # torch.compile traces the use of these types and not their making.
        for label, fields in (("State", cls.states), ("x", _input_fields(cls))):
            named(label, fields)
        named("u", cls.gates if cls.recurrent is None else cls.recurrent)
        named("p", tuple(cls.vectors))

    def step(self, *terms: Any, **named_terms: Any) -> State:
        """The equations of one time step: `def step(self, x, u, s)`, or `(self, x, u, s, p)` with vectors.

        They are pure, row by row of the batch, and use operators and the functions of `recurra.cells` only.

        x: input projections W x_t + b_ih, one attribute per gate: (batch, hidden) each; and x.gap, (batch, 1).
        u: recurrent projections U h_(t-1) + b_hh, likewise; those named in `second` are functions.
        s: the state before this step, one attribute per state.
        p: the vectors, one attribute each: (hidden,).
        Returns the state after it, State(h=..., ...), with exactly the fields of `states`.
        """
        raise NotImplementedError

    @property
    def recurrent_gates(self) -> tuple[str, ...]:
        """Names of the recurrent projections, in memory order: the rows of weight_hh."""
        return self.gates if self.recurrent is None else self.recurrent

    @property
    def feeds_back(self) -> bool:
        """Whether a recurrent projection reads the output of the step before: U h_(t-1) in any gate."""
        return len(self.recurrent_gates) > len(self.second)

    @property
    def paper(self) -> str:
        """Who proposed it and when, as the first parenthesis with a year in the docstring says."""
        found = re.search(r"\(([^()]*\b(?:19|20)\d\d\b[^()]*)\)", type(self).__doc__ or "")
        return " ".join(found[1].split()) if found else ""

    def by_gate(self, values: Iterable[Any]) -> Any:
        """One value per gate, in memory order (then the time gap, if the cell reads it), as the x of `step`."""
        return named("x", _input_fields(type(self)))(*values)

    def by_recurrent_gate(self, values: Iterable[Any]) -> Any:
        """One value per recurrent projection, in memory order, as the u of `step`."""
        return named("u", self.recurrent_gates)(*values)

    def by_vector(self, values: Iterable[Any]) -> Any:
        """One value per vector, in order, as the p of `step`."""
        return named("p", tuple(self.vectors))(*values)

    def by_state(self, values: Iterable[Any]) -> State:
        """One value per state, in order, as the s of `step`."""
        return named("State", self.states)(*values)  # type: ignore[no-any-return]

    @property
    def name(self) -> str:
        """The word that `get_cell` takes: the class's name in lower case, and its options where they are not the
        defaults, each after a dash: "lstm", "elman-relu"."""
        options = self._options()
        while options and options[-1][1] == options[-1][2]:
            options.pop()
        return "-".join([type(self).__name__.lower(), *(_spell(value) for _, value, _ in options)])

    @classmethod
    def option_names(cls) -> tuple[str, ...]:
        """The names of the constructor's arguments."""
        return tuple(_constructor(cls))

    def _options(self) -> list[tuple[str, Any, Any]]:
        """(name, value, default) of each constructor argument, in order."""
        parameters = _constructor(type(self)).items()
        missing = [name for name, _ in parameters if not hasattr(self, name)]
        if missing:
            raise ArgumentError(
                f"{type(self).__name__}.__init__ takes {missing[0]!r} and does not store it; "
                f"write self.{missing[0]} = {missing[0]}, by which cells are named and compared"
            )
        return [(name, getattr(self, name), parameter.default) for name, parameter in parameters]

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return type(self) is type(other) and isinstance(other, Cell) and self._options() == other._options()

    def __hash__(self) -> int:
        known: int | None = self.__dict__.get("_hash")
        if known is None:
            known = self.__dict__["_hash"] = hash((type(self), *(value for _, value, _ in self._options())))
        return known

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_hash"}  # it differs between processes

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        hash(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value, _ in self._options())})"


def _constructor(cls: type[Cell]) -> dict[str, inspect.Parameter]:
    known = _CONSTRUCTORS.get(cls)
    if known is None:
        known = {} if cls.__init__ is object.__init__ else dict(inspect.signature(cls.__init__).parameters)
        known.pop("self", None)
        _CONSTRUCTORS[cls] = known
    return known


# A plain dictionary, for torch.compile traces a look-up. Signatures take long to read, and cells are often compared.
_CONSTRUCTORS: dict[type, dict[str, inspect.Parameter]] = {}


def _input_fields(cls: type[Cell]) -> tuple[str, ...]:
    return (*cls.gates, "gap") if cls.reads_gaps else cls.gates


def _spell(value: object) -> str:
    """An option's value without a dash in it: 1e-05 is written out."""
    return format(Decimal(repr(float(value))), "f") if isinstance(value, float) else str(value)


def _check_names(cls: type[Cell], declared: str, *, may_be_empty: bool = False) -> None:
    names = getattr(cls, declared, None)
    where = f"{cls.__name__}.{declared}"
    if names is None:
        raise ArgumentError(f"{where} is missing; declare it, as in {declared} = {_EXAMPLES[declared]}")
    empty = not names and not may_be_empty
    if not isinstance(names, tuple) or empty or not all(isinstance(name, str) for name in names):
        raise ArgumentError(f"{where} is {names!r}; expected a tuple of names, as in {_EXAMPLES[declared]}")
    for name in names:
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
            raise ArgumentError(
                f"{where} has the name {name!r}; the equations read it as an attribute: "
                f"use a Python identifier without a leading underscore"
            )
        if declared == "states" and name in _METHODS:
            raise ArgumentError(f"{where} has the name {name!r}, which is a method of every state; use another")
        if declared == "gates" and name == "gap" and cls.reads_gaps:
            raise ArgumentError(f"{where} has the name 'gap', which is the time gap's; use another")
    if len(set(names)) != len(names):
        raise ArgumentError(f"{where} is {names!r}; a name stands there twice, name each once")


def _check_second(cls: type[Cell]) -> None:
    gates = cls.gates if cls.recurrent is None else cls.recurrent
    if cls.second and gates[-len(cls.second) :] != cls.second:
        raise ArgumentError(
            f"{cls.__name__}.second is {cls.second!r}; expected the last of the recurrent projections {gates!r}: "
            f"order them so that those of the output before come first"
        )


def _check_vectors(cls: type[Cell]) -> None:
    where = f"{cls.__name__}.vectors"
    if not isinstance(cls.vectors, Mapping):
        raise ArgumentError(f"{where} is {cls.vectors!r}; expected names with None or a function each, {{'v': None}}")
    for name, initial in cls.vectors.items():
        if not isinstance(name, str) or not name.isidentifier() or name.startswith(_TAKEN):
            raise ArgumentError(
                f"{where} has the name {name!r}; use a Python identifier that begins otherwise than the layer's own "
                f"parameters: {', '.join(_TAKEN)}"
            )
        if initial is not None and not callable(initial):
            raise ArgumentError(f"{where}[{name!r}] is {initial!r}; expected None or a function of uniform numbers")


def _check_step(cls: type[Cell]) -> None:
    if cls.step is Cell.step:
        raise ArgumentError(f"{cls.__name__} has no step; define step(self, x, u, s) returning State(h=...)")
    takes = list(inspect.signature(cls.step).parameters)
    if not isinstance(inspect.getattr_static(cls, "step"), staticmethod):
        takes = takes[1:]
    expected = 4 if cls.vectors else 3
    if len(takes) != expected:
        raise ArgumentError(
            f"{cls.__name__}.step takes {', '.join(takes) or 'nothing'}; expected "
            f"step(self, x, u, s{', p' if cls.vectors else ''}): p stands for the vectors that a cell declares"
        )


# Prefixes of the layer's own parameters, and the methods of a state.
_TAKEN = ("_", "weight", "bias", "gain", "magnitude", "initial", "connections")
_METHODS = ("map", "detach", "count", "index")
_EXAMPLES = {"gates": '("r", "z", "n")', "states": '("h",)', "recurrent": '("r", "z", "n")'}
