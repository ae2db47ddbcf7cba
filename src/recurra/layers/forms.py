"""The forms in which sequences come, all to one: (time, batch, feature, ...) with lengths; and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence, pad_sequence

from recurra.errors import ArgumentError
from recurra.layers.lengths import lengths_of_mask, read_lengths

__all__ = ["Sequences", "read_per_step", "read_sequences"]


class Sequences(NamedTuple):
    """Sequences in the one form."""

    x: Tensor
    """(time, batch, feature, ...)"""
    lengths: Tensor | None
    """Steps of each row, int64 on the CPU; None if all rows are whole."""
    batch: tuple[int, ...]
    """(rows,), or () for a sequence that came without a batch."""
    batch_first: bool
    """Whether what goes with x, step by step, has the batch first too."""
    restore: Callable[[Tensor], Any]
    """Outputs in the form in which x came."""


def read_sequences(x: Any, *, rank: int, batch_first: bool, lengths: Any, mask: Any) -> Sequences:
    """x in the one form.

    x: a padded tensor; a PackedSequence; a nested tensor; or one sequence without a batch.
    rank: axes of a batch of sequences, 3 where a step is a vector.
    lengths, mask: of a padded tensor, at most one of them; a mask is True where a row has a step.
    Raises ArgumentError if they do not fit x.
    """
    if lengths is not None and mask is not None:
        raise ArgumentError("lengths and mask were both passed; they say the same, pass one of them")
    for form, kind in (("packed", isinstance(x, PackedSequence)), ("nested", isinstance(x, Tensor) and x.is_nested)):
        if kind and (lengths is not None or mask is not None):
            name = "mask" if lengths is None else "lengths"
            raise ArgumentError(f"{name} was passed with a {form} x, which holds its own lengths; pass one of them")
    if isinstance(x, PackedSequence):
        return _read_packed(x)
    if x.is_nested:
        return _read_nested(x)
    if x.dim() == rank - 1:
        steps = lengths_of_mask(mask, shape=(len(x),), batch_first=False) if mask is not None else lengths
        read = read_lengths(steps, batch=1, time=len(x))
        return Sequences(x.unsqueeze(1), read, (), False, lambda y: y.squeeze(1))
    if batch_first:
        x = x.transpose(0, 1)
    time, batch = x.shape[:2]
    if mask is not None:
        lengths = lengths_of_mask(mask, shape=(time, batch), batch_first=batch_first)
    read = read_lengths(lengths, batch=batch, time=time)
    return Sequences(x, read, (batch,), batch_first, (lambda y: y.transpose(0, 1)) if batch_first else (lambda y: y))


def read_per_step(name: str, value: Any, sequences: Sequences) -> Tensor | None:
    """One value per row and step, in any form that x may have, as (time, batch).

    Raises ArgumentError if it does not fit x.
    """
    if value is None:
        return None
    if isinstance(value, PackedSequence):
        value, steps = pad_packed_sequence(value)
        if sequences.lengths is not None and not torch.equal(steps, sequences.lengths):
            raise ArgumentError(f"{name} is packed with other lengths than x; pack both with the same")
    elif isinstance(value, Tensor) and value.is_nested:
        value = pad_sequence(list(value.unbind()))
    elif not isinstance(value, Tensor):
        raise ArgumentError(f"{name} is {type(value).__name__}; expected a tensor with one value per row and step of x")
    elif sequences.batch_first and value.dim() > 1:
        value = value.transpose(0, 1)
    elif not sequences.batch and value.dim() == 1:
        value = value.unsqueeze(1)
    time, batch = sequences.x.shape[:2]
    if tuple(value.shape) != (time, batch):
        expected = (batch, time) if sequences.batch_first else (time, batch) if sequences.batch else (time,)
        came = tuple(value.shape[::-1]) if sequences.batch_first else tuple(value.shape)
        raise ArgumentError(f"{name} has shape {came}; expected one value per row and step of x, {expected}")
    moved: Tensor = value.to(sequences.x.device)
    return moved


def _read_packed(packed: PackedSequence) -> Sequences:
    """Rows in the order in which they were packed."""
    x, steps = pad_packed_sequence(packed)
    lengths = read_lengths(steps, batch=x.shape[1], time=len(x))

    def restore(y: Tensor) -> PackedSequence:
        # Packing anew with enforce_sorted=False could order rows of equal length otherwise, and the two packed
        # sequences would no longer match element by element.
        counts = steps
        if packed.sorted_indices is not None:
            y = y.index_select(1, packed.sorted_indices)
            counts = steps[packed.sorted_indices.cpu()]
        data = pack_padded_sequence(y, counts).data
        return PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)

    return Sequences(x, lengths, (x.shape[1],), False, restore)


def _read_nested(nested: Tensor) -> Sequences:
    """Rows of a nested tensor are (steps, feature, ...), whatever batch_first says."""
    rows = list(nested.unbind())
    if not rows:
        raise ArgumentError("x is a nested tensor without rows; pass one at least")
    steps = [len(row) for row in rows]
    x = pad_sequence(rows)
    if not len(x):  # a step of padding, for a batch has one at least
        x = torch.cat([x, x.new_zeros(1, *x.shape[1:])])
    lengths = read_lengths(steps, batch=len(rows), time=len(x))

    def restore(y: Tensor) -> Tensor:
        shown = [y[:count, row] for row, count in enumerate(steps)]
        if nested.layout == torch.jagged and nested.lengths() is None:  # type: ignore[attr-defined]
            # With the offsets of x, for torch lets only such be added to x; not where those leave holes.
            return torch.nested.nested_tensor_from_jagged(torch.cat(shown), nested.offsets())  # type: ignore[attr-defined]
        return torch.nested.as_nested_tensor(shown, layout=nested.layout)

    return Sequences(x, lengths, (len(rows),), True, restore)
