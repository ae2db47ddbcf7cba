"""Echo state networks learn chaos and memory, in closed form, whole and in parts."""

import copy
import itertools
import pickle

import numpy as np
import pytest
import torch

from recurra.compiler.toolchain import find_compiler
from recurra.data.equations import mackey_glass, narma
from recurra.errors import ArgumentError
from recurra.layers import Reservoir
from recurra.models.echo_checks import valid_steps
from recurra.models.echo_state import EchoStateNetwork


def make_reservoir(input_size=1, hidden_size=100, **options):
    return Reservoir(input_size, hidden_size, **{"seed": 0, "dtype": torch.float64, **options})


def scaled(x):
    x = torch.from_numpy(x)
    return 2 * (x - x.min()) / (x.max() - x.min()) - 1


def make_network(*, feedback=False, **options):
    reservoir = make_reservoir(2 if feedback else 1, 60, spectral_radius=0.8, leak=0.4, bias_scaling=0.2)
    return EchoStateNetwork(reservoir, 1, **{"ridge": 1e-3, "feedback": feedback, **options})


WAVE = torch.sin(torch.arange(600, dtype=torch.float64) / 5)[:, None]


ROWS = torch.stack([WAVE, WAVE], 1)


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
    going_on, _ = network.generate(x[:4500], 300)
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


@pytest.mark.parametrize("given", [True, False], ids=["with y", "without"])
@pytest.mark.parametrize("options", [{}, {"read_input": True}, {"feedback": True, "noise": 1e-2}], ids=str)
def test_parts_are_the_whole(options, given):
    """Also the pair of steps between two parts, the target that is fed back, and parts within the washout."""
    whole, parts = (make_network(**options) for _ in range(2))
    y = WAVE.roll(7) if given else None
    whole.fit(WAVE, y)
    state = None
    for begin, end in itertools.pairwise((0, 1, 60, 250, 251, 600)):
        state = parts.add(WAVE[begin:end], y[begin:end] if given else None, state)
    parts.solve()
    assert int(parts.readout.steps) == int(whole.readout.steps) == 500 - (not given)
    assert torch.allclose(parts.readout.weight, whole.readout.weight, atol=1e-9)


@pytest.mark.parametrize("threads", [1, 2])
def test_long_sequences_are_learned_from_chunk_by_chunk(threads, monkeypatch):
    monkeypatch.setattr("recurra.models.background.torch.get_num_threads", lambda: threads)
    monkeypatch.setattr("recurra.models.echo_state._CHUNK", 100)
    chunks = make_network(feedback=True)
    chunks.fit(WAVE)
    monkeypatch.setattr("recurra.models.echo_state._CHUNK", 1000)
    whole = make_network(feedback=True)
    whole.fit(WAVE)
    assert torch.allclose(chunks.readout.weight, whole.readout.weight, atol=1e-9)
    bad = WAVE.clone()
    bad[420] = float("nan")
    with pytest.raises(ArgumentError, match="hold NaN or infinity"):
        chunks.fit(bad)


def test_rows_of_different_lengths_are_those_rows_alone():
    network, other = (EchoStateNetwork(make_reservoir(), 1, washout=20, ridge=1e-3) for _ in range(2))
    x = torch.stack([WAVE[:200], WAVE[100:300], WAVE[7:207]], 1)
    y = x.roll(-1, 0)
    network.fit(x, y, lengths=[199, 120, 60])
    for row, steps in enumerate((199, 120, 60)):
        other.add(x[:steps, row : row + 1], y[:steps, row : row + 1])
    other.readout.solve()
    assert torch.allclose(network.readout.weight, other.readout.weight, atol=1e-9)


@pytest.mark.parametrize("given", [True, False], ids=["with y", "without"])
@pytest.mark.parametrize("options", [{}, {"feedback": True}], ids=str)
def test_what_padding_holds_is_not_learned(options, given):
    network, other = (make_network(washout=20, **options) for _ in range(2))
    x = torch.stack([WAVE[:200], WAVE[100:300], WAVE[7:207], WAVE[9:209]], 1)
    x[120:, 1], x[60:, 2], x[:, 3] = float("inf"), 1e3, float("nan")
    y = x.roll(3, 2) + x if given else None
    network.fit(x, y, lengths=[200, 120, 60, 0])
    for row, steps in enumerate((200, 120, 60)):
        other.add(x[:steps, row], None if y is None else y[:steps, row])
    other.solve()
    assert torch.allclose(network.readout.weight, other.readout.weight, atol=1e-9)
    assert int(network.readout.steps) == 180 + 100 + 40 - 3 * (not given)


@pytest.mark.parametrize("options", [{}, {"read_input": True}, {"feedback": True}], ids=str)
def test_rows_end_where_they_end_in_a_call_too(options):
    network = make_network(**options)
    network.fit(WAVE)
    x = torch.stack([WAVE[:30], WAVE[100:130], WAVE[7:37]], 1)
    x[12:, 1], x[:, 2] = float("nan"), float("nan")
    y, state = network(x, lengths=[30, 12, 0])
    for row, steps in enumerate((30, 12)):
        alone, last = network(x[:steps, row])
        assert torch.allclose(y[:steps, row], alone, atol=1e-9)
        assert (y[steps:, row] == 0).all()
        assert torch.allclose(state.reservoirs[0][0].h[:, row], last.reservoirs[0][0].h, atol=1e-12)
        assert state.y is None or torch.allclose(state.y[row], last.y, atol=1e-9)
    assert (y[:, 2] == 0).all()
    assert (state.reservoirs[0][0].h[:, 2] == 0).all()
    assert state.steps.tolist() == [30, 12, 0]
    short, last = network(x[:, 0], lengths=[12])
    assert torch.allclose(short[:12], network(x[:12, 0])[0], atol=1e-9)
    assert (short[12:] == 0).all()


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("batch", [(), (3,)], ids=["alone", "batch"])
@pytest.mark.parametrize("options", [{}, {"read_input": True}, {"feedback": True}], ids=str)
def test_whole_chunks_and_steps_are_one(options, batch, grad):
    size = 2 if "feedback" in options else 1
    network = EchoStateNetwork([make_reservoir(size), make_reservoir(size, 40, num_layers=2, leak=0.9)], 1, **options)
    network.fit(WAVE[:400], WAVE[3:403])
    x = WAVE[:30].reshape(30, *[1] * len(batch), 1).repeat(1, *batch, 1).requires_grad_(grad)
    whole, last = network(x)
    assert whole.requires_grad == grad
    first, state = network(x[:11])
    second, state = network(x[11:], state)
    assert torch.allclose(torch.cat([first, second]), whole, atol=1e-9)
    carried, steps = None, []
    for x_t in x:
        y_t, carried = network.step(x_t, carried)
        steps.append(y_t)
    assert torch.allclose(torch.stack(steps), whole, atol=1e-9)
    for one in (state, carried):
        assert torch.allclose(one.reservoirs[1][1].h, last.reservoirs[1][1].h, atol=1e-12)
        assert one.steps.tolist() == last.steps.tolist()


def test_it_is_taught_first_and_then_goes_on_alone():
    """The last target of what was added is the first output that is fed back."""
    network, x = make_network(feedback=True), WAVE.square()
    y = torch.cos(torch.arange(600, dtype=torch.float64) / 5)[:, None]
    state = network.add(x[:500], y[:500])
    network.solve()
    free, _ = network(x[500:], state)
    h, before = state.reservoirs[0][0].h[0], y[499]
    layer = network.reservoirs[0].layers[0]
    for x_t, y_t in zip(x[500:520], free, strict=False):
        pushed = layer.weight_ih_l0 @ torch.cat([x_t, before]) + layer.weight_hh_l0 @ h + layer.bias_ih_l0
        h = 0.6 * h + 0.4 * torch.tanh(pushed)
        before = network.readout.weight @ h + network.readout.bias
        assert torch.allclose(y_t, before, atol=1e-9)
    assert nrmse(free[:20], y[500:520]) < 0.1
    measured, _ = network.step(x[500], state, before=y[499] + 1)
    assert not torch.allclose(measured, free[0], atol=1e-2)


def test_it_goes_on_from_what_was_added_without_targets():
    network = make_network(feedback=True)
    state = network.add(WAVE[:500])
    network.solve()
    own, _ = network(WAVE[500:], state)
    assert torch.allclose(own[:1], network.step(WAVE[500], state, before=network.readout(state.waiting))[0])
    taught, _ = network.step(WAVE[500], state, before=WAVE[500])
    assert torch.allclose(own[0], taught, atol=0.05)


def test_what_is_generated_goes_on():
    for network in (make_network(), make_network(feedback=True)):
        network.fit(WAVE)
        answers, _ = network.generate(WAVE[:50], 9)
        first, state = network.generate(WAVE[:50], 4)
        second, _ = network.generate(first[-1:], 5, state)
        assert torch.allclose(torch.cat([first, second]), answers, atol=1e-9)


def test_noise_is_added_to_what_is_fed_back_and_comes_again():
    def weight(**options):
        network = make_network(feedback=True, **options)
        network.fit(WAVE, WAVE.roll(7))
        return network.readout.weight

    drawn = [np.random.default_rng((5, step)).standard_normal(1) for step in range(600)]
    before = torch.cat([torch.zeros_like(WAVE[:1]), WAVE.roll(7)[:-1]]) + 0.1 * torch.from_numpy(np.stack(drawn))
    network = make_network(feedback=True)
    units, _ = network.reservoirs[0](torch.cat([WAVE, before], 1))
    network.readout.fit(units[100:], WAVE.roll(7)[100:])
    assert torch.allclose(weight(noise=0.1, seed=5), network.readout.weight, atol=1e-9)
    assert not torch.allclose(weight(noise=0.1, seed=6), network.readout.weight, atol=1e-2)


def test_feedback_alone_makes_an_oscillator():
    """A pattern generator without inputs (Jaeger 2001): what is fed back is all that it has."""
    wave = torch.sin(torch.arange(1100, dtype=torch.float64) / 4)[:, None] * 0.6
    nothing = torch.zeros(900, 0, dtype=torch.float64)
    network = EchoStateNetwork(make_reservoir(bias_scaling=0.2), 1, feedback=True, ridge=1e-4)
    network.fit(nothing, wave[:900])
    found, _ = network.generate(nothing, 200, y=wave[:900])
    assert nrmse(found, wave[900:]) < 0.01


@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
@pytest.mark.parametrize("batch", [(), (3,)], ids=["alone", "batch"])
@pytest.mark.parametrize("options", [{}, {"read_input": True}, {"feedback": True}], ids=str)
def test_going_on_by_streams_and_by_steps_is_one(options, batch, monkeypatch):
    size = 2 if "feedback" in options else 1
    network = EchoStateNetwork([make_reservoir(size), make_reservoir(size, 40, num_layers=2)], 1, ridge=1e-3, **options)
    network.fit(WAVE[:400])
    x = WAVE[:50].reshape(50, *[1] * len(batch), 1).expand(50, *batch, 1)
    found, last = network.generate(x, 10)
    assert network.explain().endswith("\ngenerate: by streams")
    monkeypatch.setenv("RECURRA_CC", "none")
    assert "generate: step by step, slower (a stream needs a compiled kernel, and there is none" in network.explain()
    by_steps, after = network.generate(x, 10)
    assert torch.allclose(by_steps, found, atol=1e-9)
    for one, other in zip(last.reservoirs[1], after.reservoirs[1], strict=True):
        assert one.h.shape == other.h.shape
        assert torch.allclose(one.h, other.h, atol=1e-9)
    assert int(after.steps.max()) == 59  # all but the last answer
    assert found.shape == (10, *batch, 1)


@pytest.mark.parametrize("options", [{}, {"read_input": True}, {"feedback": True}], ids=str)
def test_online_it_ends_where_ridge_regression_does(options):
    online, state = make_network(online=True, **options), None
    for x_t, y_t in zip(WAVE[:200], WAVE[3:203], strict=True):
        _, state = online.update(x_t, y_t, state)
    features, last = online.read(WAVE[:200], y=WAVE[3:203] if "feedback" in options else None)
    rows = torch.cat([features, torch.ones(200, 1, dtype=torch.float64)], 1)[100:]
    held = rows.T @ rows + 1e-3 * torch.eye(rows.shape[1], dtype=torch.float64)
    expected = torch.linalg.solve(held, rows.T @ WAVE[103:203]).T
    assert torch.allclose(online.readout.weight, expected, atol=1e-7)
    assert torch.allclose(state.reservoirs[0][0].h, last.reservoirs[0][0].h, atol=1e-12)


def test_online_errors_fall_row_by_row_and_begin_after_the_washout():
    network = EchoStateNetwork(make_reservoir(hidden_size=50), 1, online=True, forgetting=0.999, ridge=1e-6, washout=20)
    state, errors = None, []
    for x_t, y_t in itertools.pairwise(WAVE[:401]):
        y, state = network.update(x_t.expand(2, 1), y_t.expand(2, 1), state)
        errors.append(float((y - y_t).abs().max()))
        if len(errors) == 20:
            assert (network.readout.weight == 0).all()
    assert max(errors[-50:]) < 0.005
    assert max(errors[20:40]) > 0.05
    assert network.generate(WAVE[:400], 5).answers.shape == (5, 1)


def test_it_can_be_copied_filed_and_converted():
    network, other = make_network(feedback=True), make_network(feedback=True)
    network.fit(WAVE)
    expected, _ = network(WAVE[:20])
    other.load_state_dict(network.state_dict())
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network)), other):  # noqa: S301 - our own bytes
        assert torch.equal(twin(WAVE[:20])[0], expected)
    single = other.float()(WAVE[:20].float())[0]
    assert single.dtype == torch.float32
    assert torch.allclose(single.double(), expected, atol=1e-4)
    other.fit(WAVE.float())
    assert torch.allclose(other(WAVE[:20].float())[0].double(), expected, atol=1e-2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: EchoStateNetwork([], 1), "reservoirs is"),
        (lambda: EchoStateNetwork([make_reservoir(1), make_reservoir(2)], 1), "one input_size"),
        (lambda: EchoStateNetwork(make_reservoir(batch_first=True), 1), "batch_first=False"),
        (lambda: EchoStateNetwork([make_reservoir(), Reservoir(1, 9)], 1), "build all with one dtype"),
        (lambda: EchoStateNetwork(make_reservoir(), 0), "output_size is 0"),
        (lambda: EchoStateNetwork(make_reservoir(), 2, feedback=True), "must read at least the 2 outputs"),
        (lambda: EchoStateNetwork(make_reservoir(), 1, washout=-1), "washout is -1"),
        (lambda: EchoStateNetwork(make_reservoir(), 1, noise=0.1), "there is no feedback"),
        (lambda: EchoStateNetwork(make_reservoir(), 1, forgetting=0.9), "use online=True"),
        (
            lambda: make_network().fit(WAVE[:50]),
            "longest row of x has 50 steps, the last without a next x to learn, was",
        ),
        (lambda: make_network().fit(WAVE[:100], WAVE[:100]), "has 100 steps, washout is 100, and none is left"),
        (lambda: make_network().fit(ROWS, ROWS, lengths=[40, 3]), "longest row of x has 40 steps, washout is 100"),
        (lambda: make_network().solve(), "call add first, with more steps than the washout of 100"),
        (lambda: EchoStateNetwork(make_reservoir(), 2).fit(WAVE), "y was left out"),
        (lambda: make_network().fit(WAVE, WAVE[1:]), r"y is \(599, 1\), x \(600, 1\); expected \(600, 1\)"),
        (lambda: make_network().fit(WAVE[:, 0]), r"x has shape \(600,\); expected \(time, batch, feature\)"),
        (lambda: make_network().fit(WAVE, WAVE.float()), "y has dtype torch.float32, x torch.float64"),
        (lambda: make_network().fit(WAVE, lengths=[601]), "lengths.0. is 601; expected 0 to 600"),
        (lambda: make_network().fit(WAVE.numpy()), "x is ndarray"),
        (lambda: EchoStateNetwork(make_reservoir(), 1, feedback=True).fit(WAVE, WAVE), "build them with input_size=2"),
        (lambda: EchoStateNetwork(make_reservoir(), 2).generate(WAVE, 3), "outputs to the input"),
        (lambda: make_network().generate(WAVE, 0), "steps is 0"),
        (lambda: make_network().generate(WAVE, 3), "has no weights yet; call fit"),
        (lambda: make_network()(WAVE), "has no weights yet; call fit"),
        (lambda: make_network(feedback=True)(WAVE), "has no weights yet; call fit"),
        (lambda: make_network().generate(WAVE, 3, y=WAVE), "has no weights yet|y is for a network with feedback"),
        (lambda: make_network(feedback=True).generate(WAVE, 3, y=WAVE[:5]), r"y is \(5, 1\), x \(600, 1\)"),
        (lambda: make_network(feedback=True)(WAVE[:0]), "no time step"),
        (lambda: make_network()(WAVE, 3), "state is int"),
        (lambda: make_network().step(WAVE[0], before=WAVE[0]), "without feedback, which reads no outputs"),
        (lambda: make_network(feedback=True).step(WAVE[0], before=WAVE[:2]), r"before is \(2, 1\), x \(1,\)"),
        (lambda: make_network().read(WAVE, y=WAVE), "y is for a network with feedback"),
        (lambda: make_network(feedback=True).read(WAVE), "y is NoneType"),
        (lambda: make_network().update(WAVE[0], WAVE[0]), "build it with online=True, or call fit"),
        (lambda: make_network(online=True).fit(WAVE), "fit was called on a network that learns online; call update"),
        (lambda: make_network(online=True).add(WAVE), "add was called on a network that learns online"),
        (lambda: make_network(online=True).update(WAVE[0], WAVE[:2]), r"y_t is \(2, 1\), x \(1,\)"),
    ],
)
def test_wrong_use_is_refused(call, words):
    with pytest.raises(ArgumentError, match=words):
        call()
