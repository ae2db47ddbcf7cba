"""Reservoirs are drawn as asked, stay as they are, and run as other layers do."""

import copy
import pickle

import pytest
import torch

from recurra.compiler.toolchain import find_compiler
from recurra.errors import ArgumentError
from recurra.layers import Reservoir
from recurra.layers.spectrum import spectral_radius
from recurra.testing import assert_within_rounding


def make_reservoir(input_size=2, hidden_size=30, **options):
    return Reservoir(input_size, hidden_size, **{"seed": 0, "dtype": torch.float64, **options})


def draw(*shape, seed=3):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("hidden_size", [11, 30, 150])
def test_recurrent_weights_are_sparse_and_scaled(hidden_size):
    layer = make_reservoir(hidden_size=hidden_size, spectral_radius=1.25).layers[0]
    assert spectral_radius(layer.weight_hh_l0) == pytest.approx(1.25, rel=1e-6)
    assert torch.equal((layer.weight_hh_l0 != 0).sum(1), torch.full((hidden_size,), 10))


def test_recurrent_weights_may_all_be_there():
    weight = make_reservoir(hidden_size=120, connectivity=1.0).layers[0].weight_hh_l0
    assert spectral_radius(weight) == pytest.approx(0.9, rel=1e-6)
    assert (weight != 0).all()


def test_input_weights_and_biases_are_within_their_scales():
    reservoir = make_reservoir(hidden_size=500, input_scaling=(0.5, 2.0), bias_scaling=0.1, input_connectivity=0.3)
    layer = reservoir.layers[0]
    largest = layer.weight_ih_l0.abs().amax(0)
    assert 0.48 < largest[0] <= 0.5
    assert 1.9 < largest[1] <= 2.0
    assert 0.25 < float((layer.weight_ih_l0 != 0).double().mean()) < 0.35
    assert 0.095 < float(layer.bias_ih_l0.abs().max()) <= 0.1
    assert (layer.bias_hh_l0 == 0).all()
    assert abs(float(layer.weight_ih_l0.mean())) < 0.05


def test_input_weights_may_all_be_as_large():
    weight = make_reservoir(hidden_size=500, input_scaling=0.5, input_weights="signs").layers[0].weight_ih_l0
    assert (weight.abs() == 0.5).all()
    assert 0.4 < float((weight > 0).double().mean()) < 0.6


def test_layers_have_their_own_dynamics_and_all_are_read():
    reservoir = make_reservoir(num_layers=2, leak=(1.0, 0.1), spectral_radius=(0.5, 0.9))
    for layer, radius in zip(reservoir.layers, (0.5, 0.9), strict=True):
        assert spectral_radius(layer.weight_hh_l0) == pytest.approx(radius)
    x = draw(8, 3, 2)
    y, state = reservoir(x)
    first, _ = reservoir.layers[0](x)
    second, _ = reservoir.layers[1](first)
    assert torch.equal(y, torch.cat([first, second], 2))
    assert reservoir.output_size == y.shape[2] == 60
    assert [one.h.shape for one in state] == [(1, 3, 30)] * 2


def test_it_follows_its_equation():
    reservoir = make_reservoir(leak=0.3, bias_scaling=0.5)
    layer, x = reservoir.layers[0], draw(6, 1, 2)
    h = torch.zeros(30, dtype=torch.float64)
    for x_t, y_t in zip(x[:, 0], reservoir(x)[0][:, 0], strict=True):
        h = 0.7 * h + 0.3 * torch.tanh(layer.weight_ih_l0 @ x_t + layer.weight_hh_l0 @ h + layer.bias_ih_l0)
        assert_within_rounding(y_t, h, "h")


@pytest.mark.parametrize("num_layers", [1, 2])
def test_whole_chunks_and_steps_are_one(num_layers):
    reservoir, x = make_reservoir(num_layers=num_layers), draw(7, 3, 2)
    whole, last = reservoir(x)
    first, state = reservoir(x[:4])
    second, state = reservoir(x[4:], state)
    assert_within_rounding(torch.cat([first, second]), whole, "chunks")
    steps, carried = [], None
    for x_t in x:
        y_t, carried = reservoir.step(x_t, carried)
        steps.append(y_t)
    assert_within_rounding(torch.stack(steps), whole, "steps")
    for one, other, expected in zip(state, carried, last, strict=True):
        assert_within_rounding(one.h, expected.h, "state")
        assert_within_rounding(other.h, expected.h, "state of steps")


def test_padding_and_batch_first():
    reservoir, x = make_reservoir(num_layers=2), draw(6, 3, 2)
    y, state = reservoir(x, lengths=[6, 0, 2])
    alone, last = reservoir(x[:2, 2:])
    assert_within_rounding(y[:2, 2], alone[:, 0], "y")
    assert_within_rounding(state[1].h[:, 2:], last[1].h, "state")
    assert (y[2:, 2] == 0).all()
    first = make_reservoir(num_layers=2, batch_first=True)
    assert torch.equal(first(x.transpose(0, 1))[0], reservoir(x)[0].transpose(0, 1))


def test_a_seed_decides_all_and_the_global_generator_where_there_is_none():
    assert torch.equal(make_reservoir()(draw(4, 1, 2))[0], make_reservoir()(draw(4, 1, 2))[0])
    assert not torch.equal(make_reservoir(seed=1).layers[0].weight_ih_l0, make_reservoir().layers[0].weight_ih_l0)
    drawn = []
    for _ in range(2):
        torch.manual_seed(5)
        drawn.append(Reservoir(1, 20).layers[0].weight_hh_l0)
    assert torch.equal(*drawn)


def test_weights_are_fixed_unless_they_are_to_be_trained():
    fixed, trainable = make_reservoir(), make_reservoir(trainable=True)
    assert not fixed(draw(4, 1, 2))[0].requires_grad
    trainable(draw(4, 1, 2))[0].square().sum().backward()
    assert trainable.layers[0].weight_hh_l0.grad.abs().sum() > 0
    x = draw(4, 1, 2).requires_grad_()
    fixed(x)[0].sum().backward()
    assert x.grad.abs().sum() > 0


@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
def test_a_stream_is_the_whole_and_says_where_it_is():
    reservoir, x = make_reservoir(num_layers=2), draw(6, 3, 2)
    whole, last = reservoir(x)
    stream = reservoir.stream(3, reservoir.initial_state(3))
    for x_t, y_t in zip(x, whole, strict=True):
        assert_within_rounding(torch.from_numpy(stream(x_t.numpy())), y_t, "y")
    for one, expected in zip(stream.state, last, strict=True):
        assert_within_rounding(one.h, expected.h, "state")
    assert [one.h.shape for one in reservoir.initial_state()] == [(1, 30)] * 2


def test_it_can_be_copied_and_filed():
    reservoir, x = make_reservoir(num_layers=2), draw(5, 2, 2)
    other = make_reservoir(num_layers=2, seed=7)
    other.load_state_dict(reservoir.state_dict())
    twins = [copy.deepcopy(reservoir), pickle.loads(pickle.dumps(reservoir)), other]  # noqa: S301 - our own bytes
    for twin in twins:
        assert torch.equal(twin(x)[0], reservoir(x)[0])


def test_explain_names_the_engine_of_each_layer():
    said = make_reservoir(num_layers=2).explain().splitlines()
    assert [line[:14] for line in said] == ["layer 0: leaky", "layer 1: leaky"]
    assert "10 of 30 outputs read" in said[1] or "by reference" in said[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hidden_size": 0}, "hidden_size is 0"),
        ({"num_layers": 1.5}, "num_layers is 1.5"),
        ({"leak": 0}, "leak is 0"),
        ({"leak": (0.5, 0.5)}, "leak has 2 numbers; expected one, or 1"),
        ({"leak": 2.0}, "leak is 2.0"),
        ({"spectral_radius": -1}, "spectral_radius is -1"),
        ({"input_scaling": (1.0,)}, "input_scaling has 1 numbers; expected one, or 2"),
        ({"input_scaling": float("inf")}, "input_scaling is inf"),
        ({"connectivity": 0.0}, "connectivity is 0.0"),
        ({"input_connectivity": 2}, "connectivity is 2"),
        ({"activation": "step"}, "step"),
        ({"input_weights": "normal"}, "input_weights is 'normal'"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_wrong_arguments_are_refused(options, words):
    with pytest.raises(ArgumentError, match=words):
        make_reservoir(**options)


def test_a_state_of_another_kind_is_refused():
    with pytest.raises(ArgumentError, match="state is Tensor; expected a tuple of 1 States"):
        make_reservoir()(draw(4, 1, 2), draw(1, 1, 30))
