"""The rows of the kernels' table: what is measured, and what it is held against."""

import importlib.util
from collections import Counter

import pytest

from recurra.bench import Settings, list_rows, measure
from recurra.bench.forward import ONNXRUNTIME, SHARE
from recurra.bench.records import Record
from recurra.bench.rows import QUICK, installed
from recurra.bench.scaling import SCAN, THREADS
from recurra.bench.sizes import SIZES, Size
from recurra.bench.streaming import STEP
from recurra.bench.timing import Pace
from recurra.bench.training import JAX, TORCH
from recurra.bench.variants import VARIANTS
from recurra.errors import ArgumentError

TINY = Settings((Size(3, 2, 1, 5), Size(1000, 1, 1, 2)), (1,), Pace(0.0, 1, 1), long=20)


def record(subject, peer, ratio, size=SIZES[0], threads=1):
    """Ours takes a millisecond."""
    return Record(subject, peer, size, threads, 1e-3, 1e-3 * ratio, None, "layer 0: x by reference (why)")


def test_every_question_has_a_row():
    rows = ["train", "jax", "forward", "variants", "peak", "threads", "step", "memory", "scan"]
    assert list(list_rows()) == rows


def test_an_unknown_row_is_refused_by_name():
    with pytest.raises(ArgumentError, match="row 'trian' is unknown; did you mean 'train'"):
        measure(["trian"])


@pytest.mark.parametrize(
    ("row", "cases"),
    [(TORCH, 2 * 3 * 9), (JAX, 2), (ONNXRUNTIME, 3 * 9), (VARIANTS, 2 * 5 * 9), (SHARE, 2 * 3), (THREADS, 3 * 6)],
)
def test_rows_take_all_their_sizes(row, cases):
    labels = [case.label for case in row.cases(Settings())]
    assert len(labels) == cases
    assert Counter(labels).most_common(1)[0][1] == 1


@pytest.mark.parametrize("row", [TORCH, JAX, ONNXRUNTIME, VARIANTS, SHARE, THREADS, STEP, SCAN])
def test_what_was_not_measured_is_neither_met_nor_missed(row):
    checks = row.judge((), Settings())
    assert checks
    assert {check.verdict for check in checks} == {"not measured"}


def test_training_is_held_against_the_goals_of_its_thread_count():
    records = [record(kind, "torch.nn", 3.6, threads=threads) for kind in ("LSTM", "GRU", "RNN") for threads in (1, 2)]
    records.append(record("GRU", "torch.nn", 0.9, SIZES[1], threads=2))
    checks = {check.what: check for check in TORCH.judge(records, Settings())}
    assert [check.verdict for check in checks.values()] == ["met"] * 4 + ["met", "missed", "met", "missed"]
    assert checks["GRU, 2 threads, geometric mean"].measured == pytest.approx((3.6 * 0.9) ** 0.5)
    slowest = checks["the least of all, 2 threads"]
    assert (slowest.measured, slowest.note) == (pytest.approx(0.9), "GRU at 100, 32, 64, 64")


def test_a_third_thread_count_has_no_goal_but_never_to_be_slower():
    (check,) = TORCH.judge([record("GRU", "torch.nn", 2.0, threads=4)], Settings(threads=(4,)))
    assert (check.what, check.goal, check.verdict) == ("the least of all, 4 threads", 1.0, "met")


def test_variants_are_as_good_as_the_worst_of_them():
    long = Size(1000, 16, 64, 64)
    records = [
        record("zoneout LSTM", "loop", 16.0),
        record("zoneout LSTM", "loop", 4.0, long),
        record("peephole LSTM", "loop", 9.0),
        record("peephole LSTM", "loop", 9.0, long),
        record("zoneout LSTM", "our LSTM", 1.0),
        record("peephole LSTM", "our LSTM", 0.5),
    ]
    mean, at_length, dearer = VARIANTS.judge(records, Settings(threads=(1,)))
    assert (mean.measured, mean.note, mean.verdict) == (pytest.approx(8.0), "zoneout LSTM", "met")
    assert (at_length.measured, at_length.note, at_length.verdict) == (pytest.approx(4.0), "zoneout LSTM", "missed")
    assert (dearer.measured, dearer.note, dearer.verdict) == (pytest.approx(2.0), "peephole LSTM", "missed")


def test_one_step_is_held_against_microseconds_at_the_smaller_width():
    size, wide = Size(1, 1, 32, 32), Size(1, 1, 128, 128)
    fast = record("layer.step", "torch.nn.LSTMCell", 4.0, size)._replace(ours=8e-6, theirs=32e-6)
    slow = record("layer.step", "torch.nn.LSTMCell", 4.0, wide)
    step, stream = STEP.judge([slow, fast], Settings())
    assert (step.measured, step.verdict, step.note) == (pytest.approx(8.0), "met", "torch.nn.LSTMCell 32.0 us")
    assert (stream.measured, stream.note) == (None, "not built")


def test_the_share_of_the_peak_is_the_least_of_the_large_sizes():
    records = [record("LSTM", "FMA peak", share, size) for share, size in ((0.9, SIZES[2]), (0.7, SIZES[3]))]
    (check,) = SHARE.judge(records, Settings(threads=(1,)))
    assert (check.measured, check.verdict, check.written(check.measured)) == (pytest.approx(0.7), "missed", "70 %")


@pytest.mark.parametrize("row", ["train", "variants", "peak", "threads", "step", "scan"])
def test_rows_are_measured_and_judged(row):
    settings = TINY
    if row in ("peak", "threads"):
        settings = TINY._replace(sizes=(Size(2, 32, 1, 128),))
    heard = []
    (section,) = measure([row], settings, on_case=lambda *said: heard.append(said))
    assert section.records
    assert all(one.ours > 0 and one.theirs > 0 and " by " in one.explained for one in section.records)
    built = [check for check in section.checks if check.note != "not built"]
    assert [check.what for check in built if check.measured is None] == []
    (_, _, done, total) = heard[-1]
    assert done == total == len(heard) - 1
    assert heard[0][2] == 0


@pytest.mark.parametrize(("row", "package"), [("jax", "jax"), ("forward", "onnxruntime")])
def test_a_peer_that_is_not_installed_is_said_to_be_so(row, package, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else found(name))
    (section,) = measure([row], TINY)
    assert section.records == ()
    assert {(check.verdict, check.note) for check in section.checks} == {
        ("not measured", f"{package} not installed; pip install 'recurra[bench]'")
    }


def test_no_obstacle_is_seen_in_what_is_installed():
    assert installed("torch", "numpy")() == ""


def test_a_quick_run_takes_a_size_that_the_peak_is_measured_at():
    assert [case.label for case in SHARE.cases(QUICK)] == [
        "LSTM at 100, 32, 128, 128, 1 thread",
        "LSTM at 100, 32, 128, 128, 2 threads",
    ]


def test_a_stream_object_is_timed_where_there_is_one(monkeypatch):
    from recurra.bench.streaming import one_step
    from recurra.layers import LSTM

    class Stream:
        def __init__(self, layer):
            self.layer, self.state = layer, None

        def __call__(self, x_t):
            import torch

            y_t, self.state = self.layer.step(torch.from_numpy(x_t), self.state)
            return y_t.numpy()

    monkeypatch.setattr(LSTM, "stream", lambda layer: Stream(layer), raising=False)
    records = one_step(3, Pace(0.0, 1, 1))
    assert {record.subject for record in records} == {"layer.step", "stream"}
