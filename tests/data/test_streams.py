"""Every step of every sequence stands once on the rows, is read where it is asked for, and nothing else is copied."""

import tracemalloc

import numpy as np
import pytest
import torch

from recurra.data import SequenceStream
from recurra.errors import ArgumentError


def numbered(*lengths):
    """Sequences whose steps are all different: sequence i counts from 100 i + 1."""
    return [np.arange(100 * index + 1, 100 * index + 1 + length) for index, length in enumerate(lengths)]


def rows_of(stream):
    chunk = stream.read(0, len(stream))
    return [chunk.x[chunk.present[:, row], row].tolist() for row in range(stream.batch_size)]


def test_whole_sequences_follow_one_another_on_rows_of_about_one_length():
    stream = SequenceStream(numbered(2, 9, 3, 4, 5), 3)
    assert rows_of(stream) == [
        [101, 102, 103, 104, 105, 106, 107, 108, 109],
        [1, 2, 401, 402, 403, 404, 405],
        [201, 202, 203, 301, 302, 303, 304],
    ]
    chunk = stream.read(0, 9)
    assert [chunk.resets[:, row].nonzero().flatten().tolist() for row in range(3)] == [[0], [0, 2], [0, 3]]
    assert chunk.x[7:, 1:].eq(0).all()
    assert stream.restarts


def test_fewer_sequences_than_rows_are_cut_into_pieces_of_about_one_length():
    stream = SequenceStream(numbered(11, 3), 4)
    assert rows_of(stream) == [[4, 5, 6, 7], [8, 9, 10, 11], [1, 2, 3], [101, 102, 103]]
    assert not stream.restarts
    assert stream.read(0, 1).resets.all()
    assert not stream.read(1, 4).resets.any()


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 20])
def test_every_step_stands_exactly_once(batch_size):
    sequences = numbered(7, 1, 12, 3)
    stream = SequenceStream(sequences, batch_size)
    rows = rows_of(stream)
    assert sorted(step for row in rows for step in row) == sorted(np.concatenate(sequences).tolist())
    assert all(rows)
    assert len(stream) == max(map(len, rows))


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_chunks_are_the_parts_of_the_whole(size):
    x = [np.random.default_rng(index).normal(size=(length, 2)) for index, length in enumerate((9, 4, 1, 6))]
    targets = [np.random.default_rng(9).normal(size=(len(sequence), 1, 3)).astype(np.float32) for sequence in x]
    stream = SequenceStream(x, 3, targets=targets)
    whole = stream.read(0, len(stream))
    assert whole.x.dtype == torch.float64
    assert whole.target.shape == (len(stream), 3, 1, 3)
    for start in range(0, len(stream), size):
        stop = min(start + size, len(stream))
        for part, expected in zip(stream.read(start, stop), whole.between(start, stop), strict=True):
            assert torch.equal(part, expected)


def test_targets_stand_where_their_steps_stand():
    sequences = numbered(5, 2, 8)
    stream = SequenceStream(sequences, 2, targets=[sequence + 0.5 for sequence in sequences])
    chunk = stream.read(1, 6)
    assert torch.equal(chunk.target[chunk.present], chunk.x[chunk.present] + 0.5)
    assert stream.has_targets


def test_tensors_are_read_like_arrays_and_integers_become_int64():
    tokens = torch.arange(10, dtype=torch.uint8)
    stream = SequenceStream([tokens[:-1]], 2, targets=[tokens[1:]])
    chunk = stream.read(0, 4)
    assert chunk.x.dtype == chunk.target.dtype == torch.int64
    assert torch.equal(chunk.target, chunk.x + 1)
    big = SequenceStream([np.arange(4, dtype=">f4")], 1).read(2, 4).x
    assert big.dtype == torch.float32
    assert big.tolist() == [[2.0], [3.0]]


def test_like_moves_floating_point_numbers_only_to_a_weights_type():
    stream = SequenceStream([np.zeros((3, 2))], 1, targets=[np.arange(3)])
    chunk = stream.read(0, 3).like(torch.zeros(1, dtype=torch.float16))
    assert chunk.x.dtype == torch.float16
    assert chunk.target.dtype == torch.int64
    assert chunk.present.dtype == torch.bool


def test_a_mapped_file_is_read_only_where_it_is_asked_for(tmp_path):
    steps, features = 500_000, 8
    file = np.memmap(tmp_path / "x", dtype=np.float32, mode="w+", shape=(steps, features))  # 16 MB
    file[:, 0] = np.arange(steps)
    tracemalloc.start()
    try:
        stream = SequenceStream([file, file[:1000]], 4)
        chunk = stream.read(100_000, 100_010)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000
    assert sorted(chunk.x[0, :, 0].tolist()) == [0.0, 100_000.0, 266_666.0, 433_333.0]


@pytest.mark.parametrize(
    ("sequences", "batch_size", "targets", "words"),
    [
        ([], 1, None, "sequences is empty; pass one"),
        (np.zeros((3, 2)), 1, None, r"sequences is ndarray; pass a list, of one sequence as \[x\]"),
        ([[1, 2]], 1, None, r"sequences\[0\] is list; expected a numpy array"),
        ([np.zeros(2), np.zeros((0,))], 1, None, r"sequences\[1\] has shape \(0,\), no time step; leave it out"),
        ([np.zeros(())], 1, None, r"sequences\[0\] has shape \(\), no time step"),
        ([np.array(["a"])], 1, None, r"sequences\[0\] has dtype <U1; expected numbers"),
        ([torch.zeros(3, dtype=torch.bfloat16)], 1, None, r"sequences\[0\] is torch.bfloat16 on cpu; keep it"),
        ([np.zeros((4, 2)), np.zeros((4, 3))], 1, None, r"sequences\[1\] has steps \(3,\) .* sequences\[0\] \(2,\)"),
        ([np.zeros(4), np.zeros(4, dtype=np.float32)], 1, None, "float32, .* float64; give all the same"),
        ([np.zeros(2), np.zeros(1)], 4, None, "batch_size is 4, the sequences have 3 steps in all; a row needs one"),
        ([np.zeros(2)], 0, None, "batch_size is 0; expected an int of at least 1"),
        ([np.zeros(2)], True, None, "batch_size is True"),
        ([np.zeros(2)], 1, [], "targets is empty"),
        ([np.zeros(2)], 1, [np.zeros(2)] * 2, "there are 2 targets and 1 sequences; pass one for each"),
        ([np.zeros(2)], 1, [np.zeros(3)], r"targets\[0\] has 3 steps, its sequence 2; pass one for each step"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(sequences, batch_size, targets, words):
    with pytest.raises(ArgumentError, match=words):
        SequenceStream(sequences, batch_size, targets=targets)


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (2, 2), (3, 2), (0, 5)])
def test_steps_beyond_the_stream_are_refused(start, stop):
    with pytest.raises(ArgumentError, match=rf"steps {start} to {stop} were asked for; the stream has 0 to 4"):
        SequenceStream(numbered(4, 3), 2).read(start, stop)
