"""Sequences turned round in time."""

import torch

from recurra.engines import turned


def test_rows_are_reversed_within_their_own_lengths():
    x = torch.arange(8.0).view(4, 2, 1)
    backwards = turned(x, torch.tensor([3, 1]))
    assert backwards[:, 0, 0].tolist() == [4, 2, 0, 6]
    assert backwards[:, 1, 0].tolist() == [1, 3, 5, 7]
    assert torch.equal(turned(backwards, torch.tensor([3, 1])), x)


def test_any_axes_behind_the_batch():
    x = torch.arange(24.0).view(3, 2, 2, 2)
    assert torch.equal(turned(x, None), x.flip(0))
    assert torch.equal(turned(x, torch.tensor([3, 3])), x.flip(0))
    assert torch.equal(turned(x[..., 0, 0], torch.tensor([2, 0]))[:, 0], x[[1, 0, 2], 0, 0, 0])
