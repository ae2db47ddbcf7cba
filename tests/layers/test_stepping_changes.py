"""Single steps of a layer that was changed, copied or wrapped between them: it takes each as it is then."""

import copy
import pickle

import pytest
import torch
from torch.nn.utils import parametrizations, parametrize, prune

import recurra
from recurra.compiler.toolchain import find_compiler
from recurra.errors import ArgumentError
from recurra.nn import Recurrent
from recurra.testing import assert_within_rounding

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")


def draw(*shape, seed=3, dtype=torch.float64):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)


def make_layer(cell="lstm", **options):
    return Recurrent(cell, 2, 5, **{"seed": 0, "dtype": torch.float64, **options}).eval()


@torch.no_grad()
def assert_steps_are_right(layer, state=None, dtype=torch.float64):
    """By the equations one by one."""
    expected = state
    for x_t in draw(4, 3, 2, dtype=dtype):
        y_t, state = layer.step(x_t, state)
        with recurra.engine("reference"):
            expected_y, expected = layer.step(x_t, expected)
        assert_within_rounding(y_t, expected_y, "y")
        for name, part, other in zip(layer.cell.states, state, expected, strict=True):
            assert_within_rounding(part, other, name)
    return state


def change_in_place(layer):
    layer.weight_hh_l0.data.mul_(-2)
    layer.bias_ih_l0.data += 1


def replace(layer):
    layer.weight_hh_l0 = torch.nn.Parameter(draw(20, 5, seed=8))
    layer.bias_ih_l0 = torch.nn.Parameter(draw(20, seed=8))


def point_elsewhere(layer):
    layer.weight_ih_l0.data = draw(20, 2, seed=8)


def load(layer):
    layer.load_state_dict(make_layer(seed=4).state_dict())


def load_and_assign(layer):
    layer.load_state_dict(make_layer(seed=4).state_dict(), assign=True)


def spread_out(layer):
    layer.weight_hh_l0.data = draw(5, 20, seed=8).t()


def become_single(layer):
    layer.float()


def become_single_and_double_again(layer):
    layer.float().double()


def cut_back(layer):
    prune.l1_unstructured(layer, "weight_hh_l0", 0.4)


def cut_back_for_good(layer):
    prune.l1_unstructured(layer, "weight_hh_l0", 0.4)
    prune.remove(layer, "weight_hh_l0")


class Halved(torch.nn.Module):
    def forward(self, weight):
        return weight / 2


def compute_a_weight(layer):
    parametrize.register_parametrization(layer, "weight_hh_l0", Halved())


def compute_a_weight_for_good(layer):
    parametrize.register_parametrization(layer, "weight_hh_l0", Halved())
    parametrize.remove_parametrizations(layer, "weight_hh_l0")


def normalise_a_weight(layer):
    parametrizations.spectral_norm(layer, "weight_hh_l0")


def train_a_step(layer):
    with torch.enable_grad():
        layer(draw(3, 3, 2))[0].square().sum().backward()
    torch.optim.SGD(layer.parameters(), 0.5).step()


def keep_units(layer):
    layer.zoneout = 0.4


def draw_anew(layer):
    layer.seed = 9
    layer.reset_parameters()


CHANGES = [
    change_in_place,
    replace,
    point_elsewhere,
    load,
    load_and_assign,
    spread_out,
    become_single,
    become_single_and_double_again,
    cut_back,
    cut_back_for_good,
    compute_a_weight,
    compute_a_weight_for_good,
    normalise_a_weight,
    train_a_step,
    keep_units,
    draw_anew,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_layer_that_was_changed_between_steps_is_the_changed_one(change):
    layer = make_layer()
    state = assert_steps_are_right(layer)
    before, _ = layer.step(draw(3, 2), state)
    change(layer)
    dtype = torch.float32 if change is become_single else torch.float64
    state = assert_steps_are_right(layer, state.map(lambda part: part.to(dtype)), dtype)
    if change is not become_single_and_double_again:
        with torch.no_grad():
            assert not torch.equal(layer.step(draw(3, 2, dtype=dtype), state)[0].double(), before)
    assert_steps_are_right(layer, dtype=dtype)


def test_a_square_weight_that_was_turned_where_it_lies_is_the_turned_one():
    layer = make_layer("elman")
    assert_steps_are_right(layer)
    layer.weight_hh_l0.data = layer.weight_hh_l0.data.t()
    assert_steps_are_right(layer)


def test_a_weight_that_was_cut_where_it_lies_is_refused_as_in_a_whole_sequence():
    layer = make_layer("elman")
    assert_steps_are_right(layer)
    layer.weight_hh_l0.data = layer.weight_hh_l0.data[:, :4]
    with torch.no_grad(), pytest.raises((RuntimeError, ArgumentError)):
        layer.step(draw(3, 2))


def test_settings_changed_inside_a_mapping_are_seen():
    layer = make_layer(zoneout={"h": 0.0})
    assert_steps_are_right(layer)
    layer.zoneout["h"] = 0.5
    assert_steps_are_right(layer)


def pickled(layer):
    return pickle.loads(pickle.dumps(layer))  # noqa: S301 - written two words before


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
def test_a_copy_of_a_layer_that_has_stepped_steps_by_itself(copied):
    layer = make_layer(recurrent_dropout=0.5)
    assert_steps_are_right(layer)
    other = copied(layer)
    assert_steps_are_right(other)
    other.train()
    x, state = draw(3, 2), assert_steps_are_right(layer)
    with torch.no_grad():
        steps = [other.step(x, state)[0] for _ in range(8)]
        assert any(not torch.equal(steps[0], y) for y in steps), "nothing is dropped in training"
        assert torch.equal(layer.step(x, state)[0], layer.step(x, state)[0])
    with torch.no_grad():
        other.eval()
        other.weight_hh_l0 = torch.nn.Parameter(-2 * other.weight_hh_l0)
    assert_steps_are_right(other)
