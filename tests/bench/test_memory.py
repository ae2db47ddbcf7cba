"""Peak memory, measured in processes of their own."""

import os

import pytest

from recurra.bench import memory
from recurra.bench.apart import apart
from recurra.bench.records import Record
from recurra.bench.rows import Settings
from recurra.bench.sizes import Size


def test_a_function_runs_in_a_process_of_its_own():
    assert apart(os.getpid) != os.getpid()


def test_an_error_over_there_is_raised_here():
    with pytest.raises(ValueError, match="invalid literal"):
        apart(int, "seven")


@pytest.mark.slow
def test_memory_grows_by_what_the_outputs_and_gates_need():
    size = Size(4000, 16, 8, 64)
    kept = 4000 * 16 * 64 * 4 / 2**20  # MiB of one value per unit and step
    theirs, explained = apart(memory.peak_of_training, "torch.nn.LSTM", size)
    ours, our_engine = apart(memory.peak_of_training, "checkpointed", size)
    assert 5 * kept < theirs < 25 * kept  # four gates and the memory at least
    assert kept < ours < theirs / 2
    assert explained == ""
    assert our_engine.startswith("layer 0: lstm by ")


def test_shares_of_torchs_memory_are_held_against_the_goals():
    size = Size(1000, 16, 128, 128)
    records = [Record(who, "torch.nn.LSTM", size, 1, ours, 100.0, None, "", "MiB") for who, ours in USED.items()]
    plain, checkpointed = memory.MEMORY.judge(records, Settings(long=1000))
    assert (plain.measured, plain.verdict, plain.written(plain.goal)) == (0.5, "met", "50 %")
    assert (checkpointed.measured, checkpointed.verdict) == (0.21, "missed")
    assert checkpointed.note == "21 of 100 MiB"


USED = {"plain": 50.0, "checkpointed": 21.0}
