"""Batches are a function of seed and step, hold every row once an epoch, and pad little."""

import time

import numpy as np
import pytest
import torch

from recurra.data.batching import LengthBatches, padded
from recurra.errors import ArgumentError


def message(function, *arguments, **options):
    with pytest.raises(ArgumentError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def ragged(rows=1001, seed=0, longest=200):
    return np.random.default_rng(seed).integers(0, longest, rows)


@pytest.mark.parametrize("size", [{"batch_size": 7}, {"tokens": 900}, {"batch_size": 5000}, {"tokens": 1}])
def test_each_row_comes_once_an_epoch(size):
    lengths = ragged()
    batches = LengthBatches(lengths, seed=3, **size)
    for epoch in range(3):
        steps = range(epoch * batches.per_epoch, (epoch + 1) * batches.per_epoch)
        drawn = [batches.at(step) for step in steps]
        assert min(map(len, drawn)) >= 1
        assert sorted(np.concatenate(drawn).tolist()) == list(range(1001))


@pytest.mark.parametrize("size", [{"batch_size": 7}, {"tokens": 900}])
def test_a_batch_is_a_function_of_seed_and_step_alone(size):
    lengths = ragged()
    forwards = LengthBatches(lengths, seed=1, **size)
    drawn = {step: forwards.at(step).tolist() for step in range(3 * forwards.per_epoch)}
    backwards = LengthBatches(lengths, seed=1, **size)
    assert all(backwards.at(step).tolist() == drawn[step] for step in reversed(drawn))
    assert LengthBatches(lengths, seed=2, **size).at(0).tolist() != drawn[0]
    first, second = (sorted(map(sorted, list(drawn.values())[e * forwards.per_epoch :][:9])) for e in (0, 1))
    assert first != second  # other batches, not only in another order


def test_rows_of_like_length_stand_together():
    lengths = ragged(20_000, longest=1000)
    batches = LengthBatches(lengths, 32)
    spread = [np.ptp(lengths[batches.at(step)]) for step in range(batches.per_epoch)]
    assert np.median(spread) < 40
    assert batches.padding_share() < 0.025
    assert batches.padding_share(plain=True) == pytest.approx(1 - (1 / 2) / (32 / 33), abs=0.01)


def test_the_share_of_padding_is_what_is_padded():
    lengths = ragged(100)
    batches = LengthBatches(lengths, 8, seed=5)
    for epoch in (0, 2):
        drawn = [lengths[batches.at(epoch * batches.per_epoch + step)] for step in range(batches.per_epoch)]
        steps = sum(len(rows) * rows.max() for rows in drawn)
        assert batches.padding_share(epoch) == pytest.approx(1 - lengths.sum() / steps)
    assert LengthBatches([0, 0], 2).padding_share() == 0


def test_batches_of_tokens_hold_about_so_many_steps():
    lengths = ragged(20_000, longest=300)
    batches = LengthBatches(lengths, tokens=4000)
    steps = np.array([lengths[batches.at(step)].sum() for step in range(batches.per_epoch)])
    assert batches.per_epoch == round(np.maximum(lengths, 1).sum() / 4000)
    assert steps.min() > 4000 - 300
    assert steps.max() < 4000 + 300
    assert batches.padding_share() < 0.05


def test_a_row_longer_than_a_batch_of_tokens_has_one_of_its_own():
    batches = LengthBatches([1000, 1, 1, 1, 1000, 1], tokens=100)
    drawn = [batches.at(step).tolist() for step in range(batches.per_epoch)]
    assert batches.per_epoch == 6
    assert sorted(map(len, drawn)) == [1] * 6


def test_batches_come_in_no_order_of_length():
    lengths = ragged(10_000)
    batches = LengthBatches(lengths, 10)
    mean = [lengths[batches.at(step)].mean() for step in range(1000)]
    assert abs(np.corrcoef(mean[:-1], mean[1:])[0, 1]) < 0.1


def test_a_million_rows_take_less_than_a_second_an_epoch():
    lengths = ragged(1_000_000)
    start = time.perf_counter()
    batches = LengthBatches(lengths, 64)
    batches.at(0)
    assert time.perf_counter() - start < 1


def test_batches_cannot_be_changed_by_who_reads_them():
    with pytest.raises(ValueError, match="read-only"):
        LengthBatches([1, 2, 3], 2).at(0)[0] = 7


def test_padded_rows_end_in_zeros():
    batch, lengths = padded([[4, 5], [], np.array([6, 7, 8], np.uint16)])
    assert batch.tolist() == [[4, 0, 6], [5, 0, 7], [0, 0, 8]]
    assert lengths.tolist() == [2, 0, 3]
    assert (batch.dtype, lengths.dtype, batch.is_contiguous()) == (torch.int64, torch.int64, True)
    assert padded([[], []])[0].tolist() == [[0, 0]]


def test_wrong_arguments_say_what_to_do():
    assert "pass one of them" in message(LengthBatches, [1])
    assert "pass one of them" in message(LengthBatches, [1], 2, tokens=3)
    assert "batch_size is 0" in message(LengthBatches, [1], 0)
    assert "tokens is 1.5" in message(LengthBatches, [1], tokens=1.5)
    assert "seed is -1" in message(LengthBatches, [1], 2, seed=-1)
    assert "seed is None" in message(LengthBatches, [1], 2, seed=None)
    assert "lengths has shape (0,)" in message(LengthBatches, [], 2)
    assert "of float64" in message(LengthBatches, [1.0], 2)
    assert "lengths[1] is -2" in message(LengthBatches, [1, -2], 2)
    assert "step is -1" in message(LengthBatches([1], 2).at, -1)
    assert "codes has no row" in message(padded, [])
    assert "codes[1] has shape (1,) of float64" in message(padded, [[1], [1.5]])
