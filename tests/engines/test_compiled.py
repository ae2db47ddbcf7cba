"""The compiled engine by itself: tensors of any form, gradients of any part, numbers of any size."""

import warnings

import pytest
import torch

import recurra
from recurra.cells import Cell, State, get_cell, tanh
from recurra.compiler.toolchain import find_compiler
from recurra.engines import Conditions, available, choose, compiled
from recurra.errors import ArgumentError, Notice
from recurra.nn import LSTM, Recurrent
from recurra.testing import assert_within_rounding

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")

HIDDEN = 5


def draw(*shape, seed=3, dtype=torch.float64):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)


def make_layer(cell="lstm", features=2, **options):
    return Recurrent(cell, features, HIDDEN, **{"seed": 0, "dtype": torch.float64, **options})


def gradients(layer, x, *, weigh=None, engine="compiled", **named):
    """The outputs, and the gradients of x and of all parameters, of a weighted sum of the outputs."""
    x = x.detach().requires_grad_() if x.is_leaf else x
    with recurra.engine(engine):
        y, _ = layer(x, **named)
    weigh = weigh or (lambda y: (y * torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view_as(y)).sum())
    found = torch.autograd.grad(weigh(y), [x, *layer.parameters()], allow_unused=True, materialize_grads=True)
    return [y.detach(), *found]


def assert_same(found, expected):
    for place, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert_within_rounding(one, other, f"result {place}")


def test_auto_takes_it_and_says_why():
    for name in ("lstm", "cfc", "slstm", "elman-sigmoid"):
        assert choose(get_cell(name)).engine == "compiled"
        assert "compiled" in available(get_cell(name))
    assert "lstm by compiled" in make_layer().explain()


X = draw(6, 4, 2)
FORMS = {
    "a part of more features": draw(6, 4, 7)[..., 2:4],
    "every other feature": draw(6, 4, 4)[..., ::2],
    "time and batch changed about": draw(4, 6, 2).transpose(0, 1),
    "features first": draw(2, 6, 4).permute(1, 2, 0),
    "one row for all": draw(6, 1, 2).expand(6, 4, 2),
    "one step for all": draw(1, 4, 2).expand(6, 4, 2),
    "one number for all": draw(1, 1, 1).expand(6, 4, 2),
    "turned": draw(6, 4, 2).flip(0)[::1],
    "every other step": draw(12, 4, 2)[::2],
}


@pytest.mark.parametrize("form", FORMS)
def test_x_may_lie_in_memory_in_any_way(form):
    x, layer = FORMS[form], make_layer(bidirectional=True)
    assert_same(gradients(layer, x), gradients(layer, x.clone().contiguous()))


def test_one_feature_may_lie_in_memory_in_any_way():
    x, layer = draw(6, 4, 3)[..., 1:2], make_layer(features=1)
    assert_same(gradients(layer, x), gradients(layer, x.contiguous()))


def test_batch_first_is_the_same_sequence():
    rows = draw(4, 6, 2)
    found = gradients(make_layer(batch_first=True), rows)
    expected = gradients(make_layer(), rows.transpose(0, 1).contiguous(), weigh=lambda y: (
        y.transpose(0, 1) * torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view(4, 6, HIDDEN)).sum())  # fmt: skip
    assert_same(
        [found[0], found[1], *found[2:]], [expected[0].transpose(0, 1), expected[1].transpose(0, 1), *expected[2:]]
    )


WEIGHED = {
    "one number for all": lambda y: y.sum(),
    "every other output": lambda y: y[..., ::2].sum(),
    "the last step": lambda y: y[-1].square().sum(),
    "turned about": lambda y: (y.transpose(0, 1) * draw(4, 6, HIDDEN)).sum(),
    "a row for all": lambda y: (y * draw(1, 1, HIDDEN)).sum(),
}


@pytest.mark.parametrize("weigh", WEIGHED)
def test_gradients_may_lie_in_memory_in_any_way(weigh):
    layer = make_layer()
    found, expected = (gradients(layer, X, weigh=WEIGHED[weigh], engine=engine) for engine in ("compiled", "reference"))
    assert_same(found, expected)


@pytest.mark.parametrize("asked", [("y",), ("c",), ("h",), ("y", "c"), ("h", "c"), ("y", "h", "c")])
def test_results_that_nobody_asks_for_owe_nothing(asked):
    layer, found = make_layer(), []
    for engine in ("compiled", "reference"):
        x = X.clone().requires_grad_()
        with recurra.engine(engine):
            y, last = layer(x)
        named = {"y": y, **last._asdict()}
        loss = sum(named[name].square().sum() for name in asked)
        found.append(torch.autograd.grad(loss, [x, *layer.parameters()]))
    assert_same(*found)


@pytest.mark.parametrize(
    "frozen", ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "p_i_l0", "x", "all but x"]
)
def test_what_is_frozen_has_no_gradient_and_the_others_have_theirs(frozen):
    layer = make_layer("peepholelstm")
    leaves = {"x": X.clone().requires_grad_(), **dict(layer.named_parameters())}
    for name, leaf in leaves.items():
        leaf.requires_grad_((name == "x") if frozen == "all but x" else name != frozen)
    found = []
    for engine in ("compiled", "reference"):
        for leaf in leaves.values():
            leaf.grad = None
        with recurra.engine(engine):
            layer(leaves["x"])[0].square().sum().backward()
        found.append({name: leaf.grad for name, leaf in leaves.items()})
    for name, leaf in leaves.items():
        if leaf.requires_grad:
            assert_within_rounding(found[0][name], found[1][name], name)
        else:
            assert found[0][name] is None


def test_where_nothing_is_asked_for_nothing_is_kept():
    layer = make_layer().requires_grad_(False)
    assert layer(X)[0].grad_fn is None
    assert layer(X.clone().requires_grad_())[0].grad_fn is not None
    with torch.inference_mode():
        assert_within_rounding(layer(X)[0], layer(X.clone())[0])


@pytest.mark.parametrize("shape", [(1, 1, 2), (1, 4, 2), (5, 1, 2), (3, 0, 2), (1, 0, 2), (300, 3, 2)])
@pytest.mark.parametrize("cell", ["gru", "cfc"])
def test_any_number_of_steps_and_rows(cell, shape):
    layer = make_layer(cell, bidirectional=True)
    found, expected = (gradients(layer, draw(*shape), engine=engine) for engine in ("compiled", "reference"))
    assert_same(found, expected)
    with torch.no_grad():
        assert_within_rounding(layer(draw(*shape))[0], expected[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-300, 1e-40, 1e-30, 1e-8, 30.0, 1e30])
@pytest.mark.parametrize("cell", ["lstm", "gru", "slstm", "minlstm"])
def test_huge_and_tiny_inputs(cell, scale, dtype):
    layer = make_layer(cell, dtype=dtype)
    x = (draw(6, 4, 2) * scale).to(dtype)
    found, expected = (gradients(layer, x, engine=engine) for engine in ("compiled", "reference"))
    for one, other in zip(found, expected, strict=True):
        finite = other.isfinite()
        assert torch.equal(finite, one.isfinite())
        assert_within_rounding(one[finite], other[finite])


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_stays_in_its_row(value):
    layer, x = make_layer(bidirectional=True), X.clone()
    x[2, 1] = value
    y, _ = layer(x)
    clean, _ = layer(X)
    others = [0, 2, 3]
    assert_within_rounding(y[:, others], clean[:, others])
    with recurra.engine("reference"):
        expected, _ = layer(x)
    assert torch.equal(y.isnan(), expected.isnan())


CELLS = ["lstm", "peepholelstm", "cfc"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::recurra.errors.Notice")
@pytest.mark.parametrize("options", [{}, {"layer_norm": True}], ids=["plain", "normal"])
@pytest.mark.parametrize("cell", CELLS)
def test_second_derivatives_are_right(cell, options):
    layer = Recurrent(cell, 2, 2 if not options else 3, seed=0, dtype=torch.float64, **options)
    names = [name for name, _ in layer.named_parameters()]

    def outputs(x, *values):
        y, last = torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,), {"lengths": [3, 2]})
        return (y, *last)

    with recurra.engine("compiled"):
        assert torch.autograd.gradgradcheck(
            outputs, [draw(3, 2, 2).requires_grad_(), *layer.parameters()], fast_mode=True
        )


def test_a_notice_says_that_the_reference_takes_second_derivatives():
    layer, x = make_layer(), X.clone().requires_grad_()
    with recurra.engine("compiled"):
        y, _ = layer(x)
    with pytest.warns(
        Notice, match="a derivative of a derivative was asked for: the reference runs cell 'lstm' for it"
    ):
        (first,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    with recurra.engine("reference"):
        y, _ = layer(x)
    (expected,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    assert_within_rounding(first, expected)
    assert_within_rounding(*(torch.autograd.grad(one.square().sum(), x)[0] for one in (first, expected)))


class Ticking(Cell):
    """Its memory owes nothing to anything but itself."""

    gates = ("n",)
    states = ("h", "m")

    def step(self, x, u, s):
        return State(h=tanh(x.n + u.n + s.m), m=0.5 * s.m)


@pytest.mark.filterwarnings("ignore::recurra.errors.Notice")
def test_second_derivatives_where_a_result_owes_nothing_to_what_is_asked_for():
    layer, x = make_layer(Ticking).requires_grad_(False), X.clone().requires_grad_()
    y, last = layer(x)
    (first,) = torch.autograd.grad(y.sum() + last.m.sum(), x, create_graph=True)
    with recurra.engine("reference"):
        y, _ = layer(x)
    assert_within_rounding(first, torch.autograd.grad(y.sum(), x)[0])


def test_a_tensor_whose_sign_is_pending_is_read_with_it():
    """As the imaginary part of a conjugate is."""
    layer, x = make_layer(features=1), draw(6, 4, 1, 2)
    pending = torch.view_as_complex(x).conj().imag
    assert pending.is_neg()
    assert_within_rounding(layer(pending)[0], layer(pending.resolve_neg().clone())[0])
    with torch.no_grad():
        assert_within_rounding(layer.step(pending[0, :1])[0], layer.step(pending[0, :1].resolve_neg().clone())[0])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_resets_without_a_state_to_go_back_to_do_nothing_as_in_the_reference(in_a_fork):
    layer = make_layer()
    weights = layer._stack.recurrences[0].weights(layer, None)
    start = layer.initial_state(4).map(lambda part: part[0])

    def child():
        with torch.no_grad():
            y, _ = compiled.run(layer.cell, weights, X, start, Conditions(resets=torch.ones(6, 4, dtype=torch.bool)))
        assert torch.equal(y, compiled.run(layer.cell, weights, X, start)[0])

    assert in_a_fork(child) == 0


@pytest.mark.parametrize("name", ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"])
def test_a_parameter_of_another_shape_is_refused_and_not_read_past_its_end(name):
    layer = make_layer()
    smaller = getattr(layer, name).detach()[..., :-1]
    if name.startswith("weight_ih"):
        smaller = smaller[:, :1]
    setattr(layer, name, torch.nn.Parameter(smaller.clone()))
    with pytest.raises((RuntimeError, ArgumentError)):
        layer(X)
    with torch.no_grad(), pytest.raises((RuntimeError, ArgumentError)):
        layer.step(X[0])


def test_the_drop_ins_run_by_it_too():
    ours, theirs = (
        LSTM(2, 3, 2, bidirectional=True, dtype=torch.float64),
        torch.nn.LSTM(2, 3, 2, bidirectional=True).double(),
    )
    ours.load_state_dict(theirs.state_dict())
    assert "by compiled" in ours.explain()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, expected = ours(X), theirs(X)
    assert_same([found[0], *found[1]], [expected[0], *expected[1]])
