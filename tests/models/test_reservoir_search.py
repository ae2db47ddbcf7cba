"""The search finds what was hidden, honestly: on data that it did not learn from."""

import math

import pytest
import torch

from recurra.data.equations import narma
from recurra.errors import ArgumentError
from recurra.models.reservoir_search import search_reservoir

U, Y = (torch.from_numpy(one) for one in narma(1500))


def search(**options):
    return search_reservoir(U, Y, **{"hidden_size": 60, "trials": 8, "seed": 0, **options})


def test_the_best_is_measured_on_what_was_not_learned_from():
    found = search()
    errors = [trial.error for trial in found.trials]
    assert errors == sorted(errors)
    assert found.validated == 300
    best, network = found.best, found.build()
    assert network.washout == 100
    network.fit(U[:1200], Y[:1200])
    _, state = network(U[:1200])
    predicted, _ = network(U[1200:], state)
    error = (predicted - Y[1200:]).square().mean().sqrt() / Y[1200:].std()
    assert float(error) == pytest.approx(best.error, rel=1e-6)


def test_it_is_better_than_what_one_begins_with():
    plain = search(trials=1, ranges={"spectral_radius": (0.9, 0.9)})
    assert search(trials=16).best.error < 0.9 * plain.best.error


def test_points_fill_the_ranges_and_come_again():
    first, again = search(), search()
    assert first == again
    radii = sorted(trial.options["spectral_radius"] for trial in first.trials)
    assert radii[0] < 0.2
    assert radii[-1] > 1.0
    assert len(set(radii)) == 8


def test_each_trial_is_told():
    heard = []
    search(trials=3, on_trial=lambda number, trial: heard.append((number, trial.error)))
    assert [number for number, _ in heard] == [0, 1, 2]
    assert all(math.isfinite(error) for _, error in heard)


def test_what_is_fixed_is_not_searched():
    found = search(trials=2, fixed={"leak": 0.5, "connectivity": 0.2})
    assert sorted(found.best.options) == ["bias_scaling", "input_scaling", "spectral_radius"]
    assert found.build().reservoirs[0].leak == 0.5
    other = found.build(found.trials[1]).reservoirs[0]
    assert other.spectral_radius == found.trials[1].options["spectral_radius"]
    alone = search(trials=3, ranges={})  # the one there is
    assert alone.trials[0].options == {}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"trials": 0}, "trials is 0"),
        ({"ranges": {"leak": (0.0, 1.0)}}, "ranges"),
        ({"ranges": {"leak": (0.5, 0.1)}}, "the smaller first"),
        ({"validation": 1.0}, "validation is 1.0"),
        ({"hidden_size": 0}, "hidden_size is 0"),
        ({"ranges": {"leek": (0.1, 0.5)}}, "ranges names 'leek', which cannot be searched; did you mean 'leak'"),
        ({"ranges": {"leak": (0.1, 2.0)}}, "expected two numbers above 0 and at most 1, the smaller first"),
        ({"ranges": {"leak": (0.1, 0.5)}, "fixed": {"leak": 0.5}}, "leak is in ranges and in fixed"),
        ({"fixed": {"leek": 0.5}}, "fixed names 'leek', which is no argument of Reservoir; did you mean 'leak'"),
        ({"fixed": {"hidden_size": 5}}, "fixed names 'hidden_size'"),
        ({"ridges": ()}, "ridges is empty"),
        ({"ridges": (-1.0,)}, "ridges is -1.0"),
        ({"ridges": (0.0,), "ranges": {}, "hidden_size": 2000, "fixed": {"leak": 1.0}}, "none of 8 reservoirs could"),
        ({"washout": 1200}, "x has 1200 steps before the validation part, washout is 1200"),
    ],
)
def test_wrong_arguments_are_refused(options, words):
    with pytest.raises(ArgumentError, match=words):
        search(**options)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (U, torch.ones_like(Y), "the last 300 steps of y, the validation part, are constant or not finite"),
        (U[:, 0], None, r"x is \(1500,\); expected one series"),
        (U[:, None], Y, r"x is \(1500, 1, 1\); expected one series"),
        (U, Y[1:], "x has 1500 steps, y 1499"),
    ],
)
def test_series_that_tell_nothing_are_refused(x, y, words):
    with pytest.raises(ArgumentError, match=words):
        search_reservoir(x, y, hidden_size=20, trials=2)
