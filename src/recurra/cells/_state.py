"""The state of a recurrence: a named tuple with the fields that its cell declares."""

from __future__ import annotations

import copyreg
from abc import ABC
from collections import namedtuple
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, cast

__all__ = ["State", "named"]


class State(ABC):  # noqa: B024 - it is the family of all state tuples, nothing is abstract in it
    """What a recurrence remembers from one time step to the next, by name.

    `State(h=..., c=...)` is a plain named tuple: read it by name, unpack it, index it, `_replace` a field. It can be
    pickled and deep-copied, and torch's tree functions walk into it. `isinstance(state, State)` holds.

    >>> state = State(h=1, c=2)
    >>> state.c
    2
    >>> h, c = state
    >>> state._replace(h=5)
    State(h=5, c=2)
    """

    def __new__(cls, **values: Any) -> State:
        return cast(State, named("State", tuple(values))(*values.values()))

    if TYPE_CHECKING:
        _fields: tuple[str, ...]

        def __getattr__(self, name: str) -> Any: ...
        def __iter__(self) -> Iterator[Any]: ...
        def __len__(self) -> int: ...
        def __getitem__(self, index: int) -> Any: ...
        def _make(self, values: Iterable[Any]) -> State: ...
        def _replace(self, **values: Any) -> State: ...
        def _asdict(self) -> dict[str, Any]: ...


@cache
def named(label: str, fields: tuple[str, ...]) -> Any:
    """The named-tuple type with these fields; the same type every time, so that trees of states compare equal."""
    kind = namedtuple(label, fields)  # type: ignore[misc]  # its fields are known only now
    # Such a type is no module's attribute, which is where pickle looks: rebuild it from its fields instead.
    copyreg.pickle(kind, _take_apart)
    if label == "State":
        State.register(kind)
    return kind


def _take_apart(value: Any) -> tuple[Any, tuple[str, tuple[str, ...], tuple[Any, ...]]]:
    return _put_together, (type(value).__name__, value._fields, tuple(value))


def _put_together(label: str, fields: tuple[str, ...], values: tuple[Any, ...]) -> Any:
    return named(label, fields)(*values)
