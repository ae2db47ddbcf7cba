"""Whether a reservoir forgets is found out, and how long a prediction holds."""

import pytest
import torch

from recurra.errors import ArgumentError
from recurra.layers import Reservoir
from recurra.models.echo_checks import check_echo_state, valid_steps
from recurra.models.echo_state import EchoStateNetwork

WAVE = torch.sin(torch.arange(500, dtype=torch.float64) / 5)[:, None] * 0.01


def make_reservoir(input_size=1, **options):
    return Reservoir(input_size, 100, **{"leak": 1.0, "seed": 0, "dtype": torch.float64, **options})


def test_a_stable_reservoir_forgets_where_it_began_and_a_wild_one_does_not():
    calm = check_echo_state(make_reservoir(spectral_radius=0.8), WAVE)
    assert calm.holds
    assert 10 < calm.steps < 300
    wild = check_echo_state(make_reservoir(spectral_radius=3.0), WAVE)
    assert not wild.holds
    assert wild.steps is None
    assert float(wild.distances[-1]) > 0.1


def test_a_network_is_checked_by_its_units():
    alone = check_echo_state(make_reservoir(spectral_radius=0.8), WAVE)
    network = EchoStateNetwork(make_reservoir(spectral_radius=0.8), 1, read_input=True)
    assert torch.allclose(check_echo_state(network, WAVE).distances, alone.distances)
    pair = EchoStateNetwork([make_reservoir(spectral_radius=0.8), make_reservoir(spectral_radius=3.0)], 1)
    assert not check_echo_state(pair, WAVE).holds


def test_a_network_with_feedback_is_checked_with_its_outputs_fed_back():
    reservoir, y = make_reservoir(2, spectral_radius=0.8), WAVE.roll(9)
    found = check_echo_state(EchoStateNetwork(reservoir, 1, feedback=True), WAVE, y=y)
    before = torch.cat([torch.zeros_like(y[:1]), y[:-1]])
    assert torch.allclose(found.distances, check_echo_state(reservoir, torch.cat([WAVE, before], 1)).distances)


def test_the_order_of_axes_does_not_matter():
    first, usual = (make_reservoir(spectral_radius=0.8, batch_first=flag) for flag in (True, False))
    assert torch.equal(check_echo_state(first, WAVE).distances, check_echo_state(usual, WAVE).distances)


def test_valid_steps_count_until_the_first_that_is_off():
    truth = torch.sin(torch.arange(100.0))[:, None]
    assert valid_steps(truth, truth) == 100
    off = truth.clone()
    off[40] += 1.0
    assert valid_steps(off, truth) == 40
    off[20] = float("nan")
    assert valid_steps(off, truth) == 20


FEEDBACK = EchoStateNetwork(make_reservoir(2), 1, feedback=True)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: check_echo_state(torch.nn.Linear(1, 1), WAVE), "network is Linear; expected a Reservoir or an"),
        (lambda: check_echo_state(make_reservoir(), WAVE[:, None]), r"x is \(500, 1, 1\); expected one sequence"),
        (lambda: check_echo_state(make_reservoir(), WAVE[:0]), "no time step"),
        (lambda: check_echo_state(FEEDBACK, WAVE), "y was left out"),
        (lambda: check_echo_state(FEEDBACK, WAVE, y=WAVE[1:]), r"y is \(499, 1\), x \(500, 1\)"),
        (lambda: check_echo_state(make_reservoir(), WAVE, y=WAVE), "y was passed, and nothing is fed back"),
        (lambda: valid_steps(WAVE[1:], WAVE), "expected one shape"),
        (lambda: valid_steps(WAVE[:, None], WAVE[:, None]), "of a batch, a row at a time"),
    ],
)
def test_wrong_arguments_are_refused(call, words):
    with pytest.raises(ArgumentError, match=words):
        call()
