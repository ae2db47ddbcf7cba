"""Packed sequences, to padded batches and back in the same order."""

from __future__ import annotations

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

__all__ = ["pack_like", "unpack"]


def unpack(packed: PackedSequence) -> tuple[Tensor, Tensor]:
    """(x, lengths): (time, batch, feature) and (batch,), rows in the order in which they were packed."""
    return pad_packed_sequence(packed)


def pack_like(y: Tensor, lengths: Tensor, packed: PackedSequence) -> PackedSequence:
    """y packed with the rows in packed's own order.

    Packing anew with enforce_sorted=False could order rows of equal length otherwise, and the two packed sequences
    would no longer match element by element.
    """
    if packed.sorted_indices is not None:
        y = y.index_select(1, packed.sorted_indices)
        lengths = lengths[packed.sorted_indices.cpu()]
    data = pack_padded_sequence(y, lengths).data
    return PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
