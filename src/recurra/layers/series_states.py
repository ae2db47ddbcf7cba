"""States of many named series, from which batches are put together and to which they go back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from recurra.cells import State
from recurra.errors import ArgumentError, nearest
from recurra.layers.recurrent import Recurrent

__all__ = ["SeriesStates"]


class SeriesStates:
    """What a layer remembers of each of many series, by name: streams that come in any order, in any batches.

    layer: whose states they are; a series that is not known yet begins as a sequence does.

    A state is detached when it is kept. `state_dict()` and `load_state_dict()` carry all of them to a file and back.

    >>> layer = Recurrent("gru", 2, 4, seed=0)
    >>> states = SeriesStates(layer)
    >>> for names in (["a", "b"], ["b"], ["c", "a"]):
    ...     x_t = torch.ones(len(names), 2)
    ...     y_t, state = layer.step(x_t, states.gather(names))
    ...     states.update(names, state)
    >>> sorted(states)
    ['a', 'b', 'c']
    """

    def __init__(self, layer: Recurrent) -> None:
        if not isinstance(layer, Recurrent):
            raise ArgumentError(f"layer is {type(layer).__name__}; expected a Recurrent or one of the drop-ins")
        self.layer = layer
        self._rows: dict[str, State] = {}

    def gather(self, names: Sequence[str], *, space: tuple[int, ...] = ()) -> State:
        """The state of a batch whose rows are these series, in the form that the layer takes.

        space: sizes of the axes behind the features, for a convolutional layer.
        Raises ArgumentError if a name stands there twice, or space is not that of the states that are kept.
        """
        _check_names(names)
        known = [self._rows.get(name) for name in names]
        if not known:
            return self.layer.initial_state(0, space=space)
        fresh = self.layer.initial_state(1, space=space) if None in known else None
        rows = [row if row is not None else fresh for row in known]
        first = next(row for row in rows if row is not None)
        if fresh is not None and _shapes(fresh) != _shapes(first):
            raise ArgumentError(
                f"space is {space}, that of the states kept {tuple(_shapes(first)[0][3:])}; pass the sizes of x behind "
                f"its features"
            )
        return first._make(_joined([row[field] for row in rows if row is not None]) for field in range(len(first)))

    def update(self, names: Sequence[str], state: State | tuple[Tensor, ...] | Tensor) -> None:
        """Keep the state of a batch, row by row. A named series' earlier state is forgotten.

        Raises ArgumentError if a name stands there twice or the state is not one of the layer with a row per name.
        """
        _check_names(names)
        state = self.layer.read_state(state, len(names))
        for row, name in enumerate(names):
            self._rows[name] = state.map(lambda part, row=row: part.detach()[:, row : row + 1].clone())  # type: ignore[misc]

    def forget(self, names: Iterable[str]) -> None:
        """Let these series begin anew.

        Raises ArgumentError for a series that is not known.
        """
        for name in list(names):
            if name not in self._rows:
                raise ArgumentError(f"series {name!r} is not known; {nearest(name, self._rows)}")
            del self._rows[name]

    def state_dict(self) -> dict[str, Tensor]:
        """All states, as copies: a tensor a field (and layer, where layers differ in width) of each series."""
        return {
            f"{name}/{key}": tensor.clone() for name, row in self._rows.items() for key, tensor in _flat(row).items()
        }

    def load_state_dict(self, tensors: dict[str, Tensor]) -> None:
        """Take over what `state_dict` gave, in place of what is known.

        Raises ArgumentError if a tensor is missing, too many, or does not fit the layer; nothing is taken over then.
        """
        by_name: dict[str, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            name, _, field = key.rpartition("/")
            by_name.setdefault(name, {})[field] = tensor
        expected = _flat(self.layer.initial_state(1))
        rows: dict[str, State] = {}
        for name, found in by_name.items():
            if set(found) != set(expected):
                raise ArgumentError(
                    f"series {name!r} has {', '.join(sorted(found))}; the layer's state has {', '.join(expected)}"
                )
            for field, like in expected.items():
                shape = found[field].shape
                if shape[:3] != like.shape or len(shape) != like.dim() + len(self.layer.space_axes):
                    raise ArgumentError(
                        f"series {name!r} has {field} of shape {tuple(found[field].shape)}; expected "
                        f"{tuple(like.shape)}: these are states of another layer"
                    )
            rows[name] = _unflat(self.layer.initial_state(1), {key: tensor.to(like) for key, tensor in found.items()})
        self._rows = rows

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def _check_names(names: Sequence[str]) -> None:
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ArgumentError(f"names is {names!r}; expected a sequence of strings, one per row, as ['a', 'b']")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ArgumentError(f"names has {twice[0]!r} twice; a batch holds one row of a series")


def _shapes(state: State) -> list[torch.Size]:
    return [tensor.shape for tensor in _flat(state).values()]


def _joined(parts: Sequence[Tensor | tuple[Tensor, ...]]) -> Tensor | tuple[Tensor, ...]:
    """One field of several rows, side by side in the batch."""
    if isinstance(parts[0], tuple):
        return tuple(torch.cat(layer, 1) for layer in zip(*parts, strict=True))
    return torch.cat([part for part in parts if isinstance(part, Tensor)], 1)


def _flat(state: State) -> dict[str, Tensor]:
    flat: dict[str, Tensor] = {}
    for field, part in state._asdict().items():
        flat |= {f"{field}.{i}": layer for i, layer in enumerate(part)} if isinstance(part, tuple) else {field: part}
    return flat


def _unflat(like: State, flat: dict[str, Tensor]) -> State:
    return like._make(
        tuple(flat[f"{field}.{i}"] for i in range(len(part))) if isinstance(part, tuple) else flat[field]
        for field, part in like._asdict().items()
    )
