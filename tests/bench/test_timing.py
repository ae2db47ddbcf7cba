"""Functions timed in turn."""

import gc

import pytest
import torch

from recurra.bench.timing import Pace, Timing, alternate, times_faster, using_threads


def _clocked(monkeypatch, costs):
    """Functions by name, each of which moves the clock on by its cost; and the names in the order of the calls."""
    now, calls = [0.0], []
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    def function(name, cost):
        def call():
            calls.append(name)
            now[0] += cost

        return call

    return {name: function(name, cost) for name, cost in costs.items()}, calls


def test_functions_are_called_in_turn(monkeypatch):
    functions, calls = _clocked(monkeypatch, {"ours": 1.0, "theirs": 3.0})
    timings = alternate(functions, Pace(0.0, least=2, most=9))
    assert calls[4:] == ["ours", "theirs"] * 2  # after two calls of each to warm up
    assert timings == {"ours": Timing((1.0, 1.0)), "theirs": Timing((3.0, 3.0))}


@pytest.mark.parametrize(("seconds", "rounds"), [(0.0, 5), (32.0, 9), (1000.0, 20)])
def test_rounds_fill_the_seconds_between_the_least_and_the_most(monkeypatch, seconds, rounds):
    functions, _ = _clocked(monkeypatch, {"ours": 1.0, "theirs": 3.0})
    assert len(alternate(functions, Pace(seconds, least=5, most=20))["ours"].seconds) == rounds


def test_short_calls_are_put_together_until_the_clock_resolves_them(monkeypatch):
    functions, calls = _clocked(monkeypatch, {"short": 1e-4})
    timings = alternate(functions, Pace(0.0, least=1, most=1))
    assert len(calls) == 2 + 10
    assert timings["short"].median == pytest.approx(1e-4)


def test_the_garbage_collector_rests_and_is_woken():
    collecting = []
    alternate({"ours": lambda: collecting.append(gc.isenabled())}, Pace(0.0, least=1, most=1))
    assert collecting[-1] is False
    assert gc.isenabled()


def test_the_ratio_is_that_of_medians_and_its_spread_that_of_rounds():
    ratio = times_faster(Timing((1.0, 1.0, 1.0, 2.0, 1.0)), Timing((2.0, 3.0, 4.0, 2.0, 3.0)))
    assert ratio == (3.0, 2.0, 3.0)


def test_one_round_has_a_ratio():
    assert times_faster(Timing((2.0,)), Timing((3.0,))) == (1.5, 1.5, 1.5)


def test_threads_are_given_back_even_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), using_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise KeyError
    assert torch.get_num_threads() == before
