"""The short way of a whole sequence gives what the long way does: results, states, gradients, errors."""

import copy
import pickle

import pytest
import torch
from torch.nn.utils import parametrizations, prune

import recurra
from recurra.cells import list_cells
from recurra.compiler.toolchain import find_compiler
from recurra.errors import ArgumentError, Notice
from recurra.layers.sequencing import Sequencer
from recurra.nn import GRU, LSTM, Recurrent

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")


def draw(*shape, seed=3, dtype=torch.float64):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)


def make_layer(cell="lstm", **options):
    return Recurrent(cell, 2, 5, **{"seed": 0, "dtype": torch.float64, **options})


@pytest.fixture
def shortly(counting):
    """How many calls went the short way."""
    return counting(Sequencer)


def call(layer, x, state=None, **named):
    """Outputs, final state, and the gradients of everything, from all of the results."""
    x = x.clone().requires_grad_()
    parts = [] if state is None else [part.clone().requires_grad_() for part in state]
    y, last = layer(x, layer.cell.by_state(parts) if parts else None, **named)
    results = [y, *last]
    loss = sum((one * draw(*one.shape, seed=seed, dtype=one.dtype)).sum() for seed, one in enumerate(results))
    leaves = [x, *parts, *layer.parameters()]
    return [*results, *torch.autograd.grad(loss, leaves, allow_unused=True)]


def assert_equal_to_the_long_way(layer, x, state=None):
    """Bit for bit: the same kernels see the same numbers."""
    found = call(layer, x, state)
    batch = x.shape[0 if layer.batch_first else 1]
    expected = call(layer, x, state, noise=Recurrent.draw_noise(layer, batch))  # noise, if only of nothing
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.equal(one, other)


OPTIONS = [
    {},
    {"bias": False},
    {"num_layers": 2},
    {"bidirectional": True},
    {"num_layers": 3, "bidirectional": True, "batch_first": True},
    {"dtype": torch.float32, "batch_first": True},
    {"proj_size": 3, "num_layers": 2},
]


@pytest.mark.parametrize("given", [False, True], ids=["zeros", "state"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_results_and_gradients_are_those_of_the_long_way(options, given, shortly):
    layer = make_layer(**options)
    x = draw(4, 3, 2, dtype=options.get("dtype", torch.float64))
    state = [torch.randn_like(part) for part in layer.initial_state(4 if layer.batch_first else 3)] if given else None
    assert_equal_to_the_long_way(layer, x, state)
    assert shortly[0] == 1


@pytest.mark.slow
@pytest.mark.parametrize("cell", list_cells())
def test_every_cell_goes_its_short_way(cell):
    assert_equal_to_the_long_way(make_layer(cell, num_layers=2), draw(4, 3, 2))


def test_a_cell_with_vectors_of_its_own_gives_them_gradients(shortly):
    assert_equal_to_the_long_way(make_layer("peepholelstm"), draw(4, 3, 2))
    assert shortly[0] == 1


@pytest.mark.parametrize(
    "options",
    [
        {"layer_norm": True},
        {"zoneout": 0.1},
        {"recurrent_dropout": 0.1},
        {"dropout": 0.1, "num_layers": 2},
        {"residual": True, "num_layers": 2},
        {"dilation": 2},
        {"learn_initial_state": True},
        {"weight_norm": True},
        {"checkpoint": True},
    ],
    ids=str,
)
def test_what_acts_on_a_sequence_goes_the_long_way(options, shortly):
    make_layer(**options)(draw(4, 3, 2))
    assert shortly[0] == 0


def test_dropouts_are_out_of_the_way_in_evaluation(shortly):
    layer = make_layer(recurrent_dropout=0.5)
    layer(draw(4, 3, 2))
    layer.eval()
    layer(draw(4, 3, 2))
    assert shortly[0] == 1


def test_a_setting_that_changes_is_heeded(shortly):
    layer, x = make_layer(zoneout={"h": 0.0}), draw(4, 3, 2)
    layer(x)
    layer.zoneout["h"] = 1.0
    y, _ = layer(x)
    assert y.abs().sum() == 0
    layer.zoneout = 0.0
    layer(x)
    layer.recurrent_dropout = 0.5
    layer(x)
    assert shortly[0] == 2


def test_parameters_may_be_replaced_and_changed_between_calls(shortly):
    layer, other, x = make_layer(), make_layer(seed=1), draw(4, 3, 2)
    first = layer(x)[0]
    layer.load_state_dict(other.state_dict())
    assert torch.equal(layer(x)[0], other(x)[0])
    layer.weight_hh_l0 = torch.nn.Parameter(make_layer().weight_hh_l0.detach())
    assert not torch.equal(layer(x)[0], first)
    assert_equal_to_the_long_way(layer, x)
    assert shortly[0] == 5


def test_computed_parameters_go_the_long_way(shortly):
    x = draw(4, 3, 2)
    parametrized, pruned = make_layer(), make_layer()
    parametrizations.orthogonal(parametrized, "weight_hh_l0")
    prune.random_unstructured(pruned, "weight_hh_l0", amount=0.5)
    for layer in (parametrized, pruned):
        assert layer(x)[0].grad_fn is not None
    assert shortly[0] == 0


def test_a_copy_runs_its_own_parameters(shortly):
    layer, x = make_layer(), draw(4, 3, 2)
    before = layer(x)[0]
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):  # noqa: S301 - our own bytes
        with torch.no_grad():
            twin.weight_ih_l0.zero_()
        assert not torch.equal(twin(x)[0], before)
    assert torch.equal(layer(x)[0], before)


def test_zeros_kept_in_inference_mode_serve_training_later():
    layer, x = make_layer(), draw(4, 3, 2)
    with torch.inference_mode():
        layer(x)
    layer(x)[0].sum().backward()
    assert layer.weight_hh_l0.grad.abs().sum() > 0


def test_a_returned_state_can_be_changed_without_harm():
    layer, x = make_layer(), draw(4, 3, 2)
    with torch.no_grad():
        first, state = layer(x)
        state.h.fill_(7)
        state.c.fill_(7)
        assert torch.equal(layer(x)[0], first)


def test_frozen_weights_get_no_gradient_and_the_others_keep_theirs():
    layer, x = make_layer(), draw(4, 3, 2)
    expected = torch.autograd.grad(layer(x)[0].sum(), layer.weight_ih_l0)[0]
    layer.weight_hh_l0.requires_grad_(False)
    layer(x)[0].sum().backward()
    assert layer.weight_hh_l0.grad is None
    assert torch.equal(layer.weight_ih_l0.grad, expected)


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}], ids=str)
def test_second_derivatives_are_the_references(options):
    layer = make_layer("gru", **options)
    x = draw(3, 2, 2).requires_grad_()
    with pytest.warns(Notice, match="a derivative of a derivative"):
        assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], x)


def test_a_torch_cell_in_each_form_of_state(shortly):
    x = draw(4, 3, 2, dtype=torch.float32)
    for ours, theirs, state in (
        (LSTM(2, 5), torch.nn.LSTM(2, 5), (torch.randn(1, 3, 5), torch.randn(1, 3, 5))),
        (GRU(2, 5), torch.nn.GRU(2, 5), torch.randn(1, 3, 5)),
    ):
        theirs.load_state_dict(ours.state_dict())
        torch.testing.assert_close(ours(x, state), theirs(x, state))
    assert shortly[0] == 2


@pytest.mark.parametrize(
    ("x", "state", "error"),
    [
        (draw(4, 3, 7), None, "x has shape (4, 3, 7) with 7 features"),
        (draw(4, 3, 2, dtype=torch.float32), None, "x has dtype torch.float32, the weights torch.float64"),
        (draw(0, 3, 2), None, "x has shape (0, 3, 2), no time step"),
        (draw(4, 3, 2), (draw(1, 4, 5), draw(1, 4, 5)), "state.h has shape (1, 4, 5); expected (1, 3, 5)"),
        (draw(4, 3, 2), draw(1, 3, 5), "state is a Tensor"),
    ],
)
def test_what_does_not_fit_is_refused_as_on_the_long_way(x, state, error):
    with pytest.raises(ArgumentError) as caught:
        make_layer()(x, state)
    assert error in str(caught.value)


def test_a_parameter_of_another_shape_is_refused():
    layer = make_layer()
    layer.weight_hh_l0 = torch.nn.Parameter(draw(20, 4))
    with pytest.raises(ArgumentError, match=r"weight_hh has shape \(20, 4\); expected \(20, 5\)"):
        layer(draw(4, 3, 2))


def test_an_engine_asked_for_is_the_one_that_runs(shortly):
    layer, x = make_layer(), draw(4, 3, 2)
    for name in ("reference", "torch"):
        with recurra.engine(name):
            layer(x)
    assert shortly[0] == 0
    with recurra.engine("compiled"):
        layer(x)
    assert shortly[0] == 1


def test_without_a_compiler_the_short_way_is_closed(monkeypatch, shortly):
    layer, x = make_layer(), draw(4, 3, 2)
    expected = layer(x)[0]
    monkeypatch.setenv("RECURRA_CC", "none")
    torch.testing.assert_close(layer(x)[0], expected)
    assert shortly[0] == 1
