"""The search finds what was hidden, honestly: on data that it did not learn from."""

import math

import pytest
import torch

from recurra.data.equations import narma
from recurra.errors import ArgumentError
from recurra.layers import Reservoir
from recurra.models.echo_state import EchoStateNetwork
from recurra.models.reservoir_search import search_reservoir

U, Y = (torch.from_numpy(one) for one in narma(1500))


def search(**options):
    return search_reservoir(U, Y, **{"hidden_size": 60, "trials": 8, "seed": 0, **options})


def test_the_best_is_measured_on_what_was_not_learned_from():
    found = search()
    errors = [trial.error for trial in found.trials]
    assert errors == sorted(errors)
    assert found.validated == 300
    best = found.best
    network = EchoStateNetwork(
        Reservoir(1, 60, **best.options, seed=0, dtype=torch.float64), 1, ridge=best.ridge, washout=100
    )
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


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"trials": 0}, "trials is 0"),
        ({"ranges": {"leak": (0.0, 1.0)}}, "ranges"),
        ({"ranges": {"leak": (0.5, 0.1)}}, "the smaller first"),
        ({"validation": 1.0}, "validation is 1.0"),
        ({"hidden_size": 0}, "hidden_size is 0"),
    ],
)
def test_wrong_arguments_are_refused(options, words):
    with pytest.raises(ArgumentError, match=words):
        search(**options)
