"""Training on rows of unequal length, and going through them afterwards."""

import numpy as np
import pytest
import torch
from torch import nn

from recurra.data.batching import LengthBatches
from recurra.training.recorder import Recorder
from recurra.training.rows import by_length, seeded, train_rows
from recurra.training.settings import TrainingSettings


def test_every_row_comes_once_the_longest_first():
    lengths = [3, 9, 1, 9, 0, 5]
    batches = list(by_length(lengths, steps=18))
    assert [list(rows) for rows in batches] == [[1, 3], [5, 0, 2], [4]]
    assert sorted(np.concatenate(batches)) == list(range(6))


@pytest.mark.parametrize(("steps", "rows"), [(16384, 512), (100, 7), (1, 1)])
def test_a_batch_has_no_more_padded_steps_and_rows_than_asked(steps, rows):
    lengths = np.random.default_rng(0).integers(0, 60, 300)
    for batch in by_length(lengths, steps=steps, rows=rows):
        assert len(batch) <= rows
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= steps


def test_a_row_longer_than_a_batch_comes_alone():
    assert [list(rows) for rows in by_length([2, 50, 3], steps=10)] == [[1], [2, 0]]
    assert list(by_length([])) == []


def test_what_is_built_depends_on_the_seed_and_leaves_the_generator_as_it_was():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, same, other = (seeded(seed, lambda: nn.Linear(3, 2)).weight for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_training_asks_for_the_batches_of_its_seed_and_is_watched():
    lengths, settings = list(range(1, 21)), TrainingSettings(steps=7, batch_size=4, seed=3)
    network, asked, seen = nn.Linear(1, 1), [], []

    def loss(rows):
        asked.append(list(rows))
        return network(torch.ones(1, 1)).square().sum()

    recorder = Recorder(on_step=lambda name, steps, record: seen.append((name, steps, record.step)))
    outcome = train_rows(network, loss, lengths, settings, validate=None, recorder=recorder, name="member-0")
    batches = LengthBatches(lengths, 4, seed=3)
    assert outcome.steps == 7
    assert asked == [list(batches.at(step)) for step in range(7)]
    assert seen == [("member-0", 7, step) for step in range(1, 8)]
