"""The state of a recurrence: a named tuple with the fields that its cell declares."""

from __future__ import annotations

import copyreg
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

__all__ = ["State", "named"]

# Named-tuple types by label and fields: the same type every time, so that trees of states compare equal. A plain
# dictionary, for torch.compile traces a look-up and not the making of a class.
_KINDS: dict[tuple[str, tuple[str, ...]], Any] = {}


class _Family(type):
    def __instancecheck__(cls, value: object) -> bool:
        return getattr(type(value), "is_recurra_state", False)


class State(metaclass=_Family):
    """What a recurrence remembers from one time step to the next, by name.

    `State(h=..., c=...)` is a plain named tuple: read it by name, unpack it, index it, `_replace` a field. It can be
    pickled and deep-copied, and torch's tree functions walk into it. `isinstance(state, State)` holds.
    `detach()` gives the same state cut off from the graph that computed it, `map(function)` a function of each field.

    >>> state = State(h=1, c=2)
    >>> state.c
    2
    >>> h, c = state
    >>> state._replace(h=5)
    State(h=5, c=2)
    >>> state.map(lambda part: part + 1)
    State(h=2, c=3)
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
        def map(self, function: Callable[[Any], Any]) -> State: ...
        def detach(self) -> State: ...


def named(label: str, fields: tuple[str, ...]) -> Any:
    """The named-tuple type with these fields."""
    kind = _KINDS.get((label, fields))
    return _make_kind(label, fields) if kind is None else kind


def _make_kind(label: str, fields: tuple[str, ...]) -> Any:
    kind = namedtuple(label, fields)  # type: ignore[misc]  # its fields are known only now
    # Such a type is no module's attribute, which is where pickle looks: rebuild it from its fields instead.
    copyreg.pickle(kind, _take_apart)
    if label == "State":
        kind.is_recurra_state = True  # type: ignore[attr-defined]
        kind.map, kind.detach = _map, _detach  # type: ignore[attr-defined]
    _KINDS[label, fields] = kind
    return kind


def _map(state: State, function: Callable[[Any], Any]) -> State:
    """A state of function(part) for each tensor, also where a field is a tuple with one a layer."""
    return state._make(
        [tuple([function(layer) for layer in part]) if isinstance(part, tuple) else function(part) for part in state]
    )


def _detach(state: State) -> State:
    """The same values without their history: what truncated backpropagation carries from chunk to chunk."""
    return _map(state, lambda part: part.detach())


def _take_apart(value: Any) -> tuple[Any, tuple[str, tuple[str, ...], tuple[Any, ...]]]:
    return _put_together, (type(value).__name__, value._fields, tuple(value))


def _put_together(label: str, fields: tuple[str, ...], values: tuple[Any, ...]) -> Any:
    return named(label, fields)(*values)
