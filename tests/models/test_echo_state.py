"""Echo state networks learn chaos and memory, in closed form, whole and in parts."""

import itertools

import pytest
import torch

from recurra.compiler.toolchain import find_compiler
from recurra.data.equations import mackey_glass, narma
from recurra.errors import ArgumentError
from recurra.layers import LeastSquares, Reservoir
from recurra.models.echo_state import EchoStateNetwork, forgetting, valid_steps


def make_reservoir(input_size=1, hidden_size=100, **options):
    return Reservoir(input_size, hidden_size, **{"seed": 0, "dtype": torch.float64, **options})


def scaled(x):
    x = torch.from_numpy(x)
    return 2 * (x - x.min()) / (x.max() - x.min()) - 1


WAVE = torch.sin(torch.arange(600, dtype=torch.float64) / 5)[:, None]


def nrmse(found, expected):
    return float((found - expected).square().mean().sqrt() / expected.std())


@pytest.mark.slow
def test_mackey_glass_one_step_ahead():
    x = scaled(mackey_glass(6000))
    network = EchoStateNetwork(make_reservoir(hidden_size=500, spectral_radius=1.25, connectivity=0.1), 1)
    network.fit(x[:4500])
    _, state = network(x[:4500])
    predicted, _ = network(x[4500:-1], state)
    assert nrmse(predicted, x[4501:]) < 1e-3
    going_on = network.generate(x[:4500], 300)
    assert valid_steps(going_on, x[4500:4800]) > 150


@pytest.mark.slow
def test_narma_needs_memory():
    u, y = (torch.from_numpy(one) for one in narma(4000))
    network = EchoStateNetwork(make_reservoir(hidden_size=300, leak=1.0, input_scaling=0.3, bias_scaling=0.2), 1)
    network.fit(u[:3000], y[:3000])
    _, state = network(u[:3000])
    found, _ = network(u[3000:], state)
    assert nrmse(found, y[3000:]) < 0.25
    forgetful = EchoStateNetwork(make_reservoir(hidden_size=300, leak=1.0, spectral_radius=0.01), 1)
    forgetful.fit(u[:3000], y[:3000])
    assert nrmse(forgetful(u[3000:])[0], y[3000:]) > 0.5


def test_parts_are_the_whole():
    whole, parts = (EchoStateNetwork(make_reservoir(), 1, ridge=1e-3) for _ in range(2))
    whole.fit(WAVE[:-1], WAVE[1:])
    state = None
    for begin in range(0, 599, 200):
        state = parts.add(WAVE[begin : min(begin + 200, 599)], WAVE[begin + 1 : begin + 201], state)
    parts.readout.solve()
    assert torch.allclose(parts.readout.weight, whole.readout.weight, atol=1e-9)


def test_rows_of_different_lengths_are_those_rows_alone():
    network, other = (EchoStateNetwork(make_reservoir(), 1, washout=20, ridge=1e-3) for _ in range(2))
    x = torch.stack([WAVE[:200], WAVE[100:300], WAVE[7:207]], 1)
    y = x.roll(-1, 0)
    network.fit(x, y, lengths=[199, 120, 60])
    for row, steps in enumerate((199, 120, 60)):
        other.add(x[:steps, row : row + 1], y[:steps, row : row + 1])
    other.readout.solve()
    assert torch.allclose(network.readout.weight, other.readout.weight, atol=1e-9)


@pytest.mark.parametrize("options", [{}, {"read_input": True}, {"feedback": True}], ids=str)
def test_steps_are_the_whole(options):
    size = 2 if "feedback" in options else 1
    network = EchoStateNetwork([make_reservoir(size), make_reservoir(size, 40, num_layers=2, leak=0.9)], 1, **options)
    network.fit(WAVE[:400])
    whole, last = network(WAVE[:30])
    y_t, state, steps = torch.zeros(1, dtype=torch.float64), None, []
    for x_t in WAVE[:30]:
        y_t, state = network.step(x_t, state, before=y_t)
        steps.append(y_t)
    assert torch.allclose(torch.stack(steps), whole, atol=1e-9)
    assert torch.allclose(state[1][1].h, last[1][1].h, atol=1e-12)


def test_feedback_alone_makes_an_oscillator():
    """A pattern generator without inputs (Jaeger 2001): what is fed back is all that it has."""
    wave = torch.sin(torch.arange(1100, dtype=torch.float64) / 4)[:, None] * 0.6
    nothing = torch.zeros(900, 0, dtype=torch.float64)
    network = EchoStateNetwork(make_reservoir(bias_scaling=0.2), 1, feedback=True, ridge=1e-4)
    network.fit(nothing, wave[:900])
    found = network.generate(nothing, 200, y=wave[:900])
    assert nrmse(found, wave[900:]) < 0.01


@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
@pytest.mark.parametrize("batch", [(), (3,)], ids=["alone", "batch"])
@pytest.mark.parametrize("options", [{}, {"read_input": True}, {"feedback": True}], ids=str)
def test_going_on_by_streams_and_by_steps_is_one(options, batch, monkeypatch):
    size = 2 if "feedback" in options else 1
    network = EchoStateNetwork([make_reservoir(size), make_reservoir(size, 40, num_layers=2)], 1, ridge=1e-3, **options)
    network.fit(WAVE[:400])
    x = WAVE[:50].reshape(50, *[1] * len(batch), 1).expand(50, *batch, 1)
    found = network.generate(x, 10)
    assert network.explain().endswith("\ngenerate: by streams")
    monkeypatch.setenv("RECURRA_CC", "none")
    assert "generate: step by step, slower (a stream needs a compiled kernel, and there is none" in network.explain()
    assert torch.allclose(network.generate(x, 10), found, atol=1e-9)
    assert found.shape == (10, *batch, 1)


def test_it_learns_online_by_recursive_least_squares():
    reservoir, readout = make_reservoir(hidden_size=50), LeastSquares(50, 1, ridge=1e-6, dtype=torch.float64)
    state, errors = None, []
    for x_t, wanted in itertools.pairwise(WAVE[:401]):
        h, state = reservoir.step(x_t, state)
        errors.append(float(readout.update(h, wanted).abs()))
    assert max(errors[-50:]) < 0.005
    assert max(errors[:20]) > 0.05


def test_a_stable_reservoir_forgets_where_it_began_and_a_wild_one_does_not():
    x = WAVE[:500] * 0.01
    calm = forgetting(make_reservoir(spectral_radius=0.8, leak=1.0), x)
    assert calm.holds
    assert 10 < calm.steps < 300
    wild = forgetting(make_reservoir(spectral_radius=3.0, leak=1.0), x)
    assert not wild.holds
    assert wild.steps is None
    assert float(wild.distances[-1]) > 0.1


def test_valid_steps_count_until_the_first_that_is_off():
    truth = torch.sin(torch.arange(100.0))[:, None]
    assert valid_steps(truth, truth) == 100
    off = truth.clone()
    off[40] += 1.0
    assert valid_steps(off, truth) == 40
    off[20] = float("nan")
    assert valid_steps(off, truth) == 20
    with pytest.raises(ArgumentError, match="expected one shape"):
        valid_steps(truth[1:], truth)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: EchoStateNetwork([], 1), "reservoirs is"),
        (lambda: EchoStateNetwork([make_reservoir(1), make_reservoir(2)], 1), "one input_size"),
        (lambda: EchoStateNetwork(make_reservoir(batch_first=True), 1), "batch_first=False"),
        (lambda: EchoStateNetwork(make_reservoir(), 0), "output_size is 0"),
        (lambda: EchoStateNetwork(make_reservoir(), 2, feedback=True), "must read at least the 2 outputs"),
        (lambda: EchoStateNetwork(make_reservoir(), 1, washout=-1), "washout is -1"),
        (lambda: EchoStateNetwork(make_reservoir(), 1).fit(WAVE[:50]), "49 steps to learn from, washout is 100"),
        (lambda: EchoStateNetwork(make_reservoir(), 2).fit(WAVE), "y was left out"),
        (lambda: EchoStateNetwork(make_reservoir(), 1).fit(WAVE, WAVE[1:]), r"x is \(600, 1\), y \(599, 1\)"),
        (lambda: EchoStateNetwork(make_reservoir(), 2).generate(WAVE, 3), "outputs to the input"),
        (lambda: EchoStateNetwork(make_reservoir(), 1).generate(WAVE, 0), "steps is 0"),
        (lambda: EchoStateNetwork(make_reservoir(), 1)(WAVE, 3), "state is int"),
    ],
)
def test_wrong_use_is_refused(call, words):
    with pytest.raises(ArgumentError, match=words):
        call()
