"""Layers of which only some recurrent weights are there."""

import numpy as np
import pytest
import torch

import recurra
from recurra.compiler.toolchain import find_compiler
from recurra.engines import kernel
from recurra.errors import ArgumentError
from recurra.nn import LSTM, ConvRecurrent, Recurrent
from recurra.testing import assert_within_rounding


def make_layer(cell="gru", **options):
    return Recurrent(cell, 3, 20, **{"connectivity": 0.1, "seed": 0, "dtype": torch.float64, **options})


def draw(*shape, seed=3):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_each_unit_of_a_gate_reads_so_many_outputs():
    layer = make_layer(num_layers=2)
    for name in ("l0", "l1"):
        weight = getattr(layer, f"weight_hh_{name}")
        assert torch.equal((weight != 0).sum(1), torch.full((60,), 2))
    assert not torch.equal(layer.connections_hh_l0, layer.connections_hh_l1)


@pytest.mark.parametrize(("connectivity", "expected"), [(0.01, 1), (0.25, 5), (0.5, 10), (0.999, 20)])
def test_the_share_is_rounded_and_never_to_none(connectivity, expected):
    assert make_layer(connectivity=connectivity).connections_hh_l0.shape == (60, expected)


def test_a_seed_draws_the_same_and_another_one_others():
    first, again, other = make_layer(), make_layer(), make_layer(seed=1)
    assert torch.equal(first.connections_hh_l0, again.connections_hh_l0)
    assert torch.equal(first.weight_hh_l0, again.weight_hh_l0)
    assert not torch.equal(first.connections_hh_l0, other.connections_hh_l0)


def test_what_is_not_there_gets_no_gradient_and_has_no_effect():
    layer, x = make_layer(), draw(6, 2, 3)
    y, _ = layer(x)
    y.square().sum().backward()
    there = torch.zeros_like(layer.weight_hh_l0, dtype=torch.bool).scatter(1, layer.connections_hh_l0, True)
    assert (layer.weight_hh_l0.grad[~there] == 0).all()
    assert (layer.weight_hh_l0.grad[there] != 0).all()
    with torch.no_grad():
        layer.weight_hh_l0[~there] = 9.0
    assert torch.equal(layer(x)[0], y)


def test_it_goes_to_a_file_and_comes_back(tmp_path):
    layer, other, x = make_layer(), make_layer(seed=1), draw(6, 2, 3)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(layer(x)[0], other(x)[0])
    with pytest.raises(RuntimeError, match="connections_hh_l0"):
        make_layer().load_state_dict(make_layer(connectivity=1.0).state_dict())


@pytest.mark.parametrize("few", [False, True], ids=["all", "few"])
@pytest.mark.parametrize("engine", ["compiled", "torch", "reference"])
def test_engines_and_steps_agree(engine, few, monkeypatch):
    if find_compiler() is None:
        pytest.skip("there is no C compiler")
    monkeypatch.setattr(kernel, "_are_few", lambda *_: few)
    layer, x = make_layer("lstm", num_layers=2), draw(6, 2, 3)
    with recurra.engine("reference"):
        expected, last = layer(x)
    with recurra.engine(engine):
        found, state = layer(x)
        steps, carried = [], None
        for x_t in x:
            y_t, carried = layer.step(x_t, carried)
            steps.append(y_t)
    for name, part in (("y", found), ("steps", torch.stack(steps))):
        assert_within_rounding(part, expected, name)
    for part, other, expected_part in zip(state, carried, last, strict=True):
        assert_within_rounding(part, expected_part, "state")
        assert_within_rounding(other, expected_part, "carried state")


@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
def test_a_stream_looks_for_them_too(monkeypatch):
    monkeypatch.setattr(kernel, "_are_few", lambda *_: True)
    layer, x = make_layer("lstm"), draw(6, 2, 3)
    stream = layer.stream(2)
    found = np.stack([stream(x_t.numpy()).copy() for x_t in x])
    assert_within_rounding(torch.from_numpy(found), layer(x)[0].detach(), "y")


def test_a_drop_in_takes_it():
    layer = LSTM(3, 20, connectivity=0.2)
    assert layer(torch.zeros(5, 2, 3))[0].shape == (5, 2, 20)
    assert repr(layer) == "LSTM(3, 20, connectivity=0.2)"


@pytest.mark.parametrize("value", [0, 1.5, -0.1, True, "0.1", None, float("nan")])
def test_other_shares_are_refused(value):
    with pytest.raises(ArgumentError, match="connectivity is"):
        make_layer(connectivity=value)


@pytest.mark.parametrize("cell", ["indrnn", "mingru"])
def test_cells_without_recurrent_weights_refuse_it(cell):
    with pytest.raises(ArgumentError, match=f"connectivity=0.1 does not fit cell '{cell}'"):
        make_layer(cell)


def test_convolutions_refuse_it():
    with pytest.raises(ArgumentError, match="connectivity does not fit a convolutional layer"):
        ConvRecurrent("lstm", 3, 8, connectivity=0.5)
