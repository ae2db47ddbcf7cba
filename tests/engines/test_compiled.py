"""The compiled engine beside the others: what it takes, what it leaves to them, and that it never says one thing and
does another."""

import os
import signal
import threading
import time
import traceback
import warnings

import pytest
import torch

import recurra
from recurra.cells import Cell, State, get_cell, list_cells, tanh
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


# What it takes.


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
    assert_same([found[0], found[1], *found[2:]], [expected[0].transpose(0, 1), expected[1].transpose(0, 1), *expected[2:]])


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


@pytest.mark.parametrize("frozen", ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "p_i_l0", "x", "all but x"])
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


# What calls leave behind.


def test_denormal_numbers_are_numbers_again_after_a_call():
    tiny, layer = torch.tensor([1e-30]), Recurrent("gru", 2, 3, seed=0)
    assert (tiny * 1e-10).item() > 0
    for call in (lambda x: layer(x)[0].sum().backward(), lambda x: layer.step(x[0]), lambda x: layer.stream()(x[0, 0].numpy())):
        call(torch.ones(3, 1, 2))
        assert (tiny * 1e-10).item() > 0
        with torch.no_grad():
            call(torch.ones(3, 1, 2)) if "backward" not in call.__code__.co_names else layer(torch.ones(3, 1, 2))
        assert (tiny * 1e-10).item() > 0


def test_threads_call_the_same_and_other_layers_at_once():
    shared = Recurrent("gru", 2, 7, seed=0)
    layers = [shared, shared, Recurrent("cfc", 2, 7, seed=1), Recurrent("lstm", 2, 7, layer_norm=True, seed=2)]
    inputs = [draw(9, 4, 2, seed=seed, dtype=torch.float32) for seed in range(4)]

    def run(place):
        return gradients(layers[place], inputs[place])

    alone, found = [run(place) for place in range(4)], [None] * 4
    start = threading.Barrier(4)

    def work(place):
        start.wait()
        found[place] = [run(place) for _ in range(10)]

    workers = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for place, runs in enumerate(found):
        for one in runs:
            assert all(map(torch.equal, one, alone[place]))


def in_a_fork(action, seconds=20.0):
    """How a forked process that does it ends: its exit status, negative for a signal; None: not in time."""
    process = os.fork()
    if process == 0:
        try:
            action()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return None


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_with_one_thread_goes_on():
    """As a data loader's workers are."""
    layer = make_layer()
    expected, _ = layer(X)

    def child():
        torch.set_num_threads(1)
        with torch.no_grad():
            assert torch.equal(layer(X)[0], expected)

    assert in_a_fork(child) == 0


# What it leaves to others.


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
        assert torch.autograd.gradgradcheck(outputs, [draw(3, 2, 2).requires_grad_(), *layer.parameters()], fast_mode=True)


def test_a_notice_says_that_the_reference_takes_second_derivatives():
    layer, x = make_layer(), X.clone().requires_grad_()
    with recurra.engine("compiled"):
        y, _ = layer(x)
    with pytest.warns(Notice, match="a derivative of a derivative was asked for: the reference runs cell 'lstm' for it"):
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


def outputs_of(layer):
    return lambda x: layer(x)[0]


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_transforms_run_by_another_engine():
    layer = make_layer()
    many = draw(3, 6, 4, 2)
    assert_within_rounding(torch.func.vmap(outputs_of(layer))(many), torch.stack([layer(x)[0] for x in many]))
    gradient = torch.func.grad(lambda x: layer(x)[0].square().sum())(X)
    assert_within_rounding(gradient, gradients(layer, X, weigh=lambda y: y.square().sum())[1])
    with recurra.engine("reference"):
        expected = torch.func.jvp(outputs_of(layer), (X,), (X.flip(0),))
    assert_same(torch.func.jvp(outputs_of(layer), (X,), (X.flip(0),)), expected)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(X, X.flip(0))
        tangent = torch.autograd.forward_ad.unpack_dual(layer(dual)[0]).tangent
    assert_within_rounding(tangent, expected[1])


def test_a_transform_is_refused_by_name():
    with recurra.engine("compiled"), pytest.raises(ArgumentError, match="kernels know no transforms of torch.func"):
        torch.func.vmap(outputs_of(make_layer()))(draw(3, 6, 4, 2))


def test_many_gradients_at_once():
    layer, x = make_layer(), X.clone().requires_grad_()
    y, _ = layer(x)
    many = draw(3, *y.shape)
    (found,) = torch.autograd.grad(y, x, many, is_grads_batched=True, retain_graph=True)
    expected = [torch.autograd.grad(y, x, one, retain_graph=True)[0] for one in many]
    assert_within_rounding(found, torch.stack(expected))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_runs_by_another_engine(dtype):
    layer = Recurrent("cfc", 2, HIDDEN, seed=0, dtype=dtype)
    assert layer(X.to(dtype))[0].dtype == dtype
    assert "compiled: kernels are compiled for float32 and float64" in layer.explain()


def test_autocast_runs_by_another_engine():
    layer = Recurrent("cfc", 2, HIDDEN, seed=0)
    with torch.autocast("cpu", torch.bfloat16):
        y, _ = layer(X.float())
        assert "autocast asks for less" in layer.explain()
    assert y.isfinite().all()


def test_tensors_without_values_run_by_another_engine():
    layer = Recurrent("cfc", 2, HIDDEN, seed=0, device="meta")
    y, last = layer(torch.empty(6, 4, 2, device="meta"))
    assert y.is_meta and last.h.is_meta
    assert y.shape == (6, 4, HIDDEN)


@pytest.mark.parametrize("engine", ["compiled", "reference"])
def test_a_graph_of_operators_holds_the_recurrence(engine):
    layer = Recurrent("gru", 2, HIDDEN, seed=0).eval()
    with torch.no_grad(), recurra.engine(engine):
        traced = torch.fx.experimental.proxy_tensor.make_fx(outputs_of(layer))(torch.ones(6, 4, 2))
        assert_within_rounding(traced(X.float()), layer(X.float())[0])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_a_trace_of_torchscript_holds_the_recurrence(engine):
    layer = Recurrent("gru", 2, HIDDEN, seed=0).eval()
    with torch.no_grad(), recurra.engine(engine):
        traced = torch.jit.trace(layer, (torch.ones(6, 4, 2),), strict=False, check_trace=False)
        assert_within_rounding(traced(X.float())[0], layer(X.float())[0])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_fake_tensors_do_not_reach_a_kernel():
    """In a fork: a kernel would read where nothing is."""

    def child():
        from torch._subclasses.fake_tensor import FakeTensorMode

        with FakeTensorMode():
            layer = Recurrent("lstm", 2, HIDDEN)
            y, _ = layer(torch.ones(6, 4, 2))
            assert y.shape == (6, 4, HIDDEN)
            with torch.no_grad():
                assert layer.step(torch.ones(4, 2))[0].shape == (4, HIDDEN)

    assert in_a_fork(child) == 0


def test_a_tensor_whose_sign_is_pending_is_read_with_it():
    """As the imaginary part of a conjugate is."""
    layer, x = make_layer(features=1), draw(6, 4, 1, 2)
    pending = torch.view_as_complex(x).conj().imag
    assert pending.is_neg()
    assert_within_rounding(layer(pending)[0], layer(pending.resolve_neg().clone())[0])
    with torch.no_grad():
        assert_within_rounding(layer.step(pending[0, :1])[0], layer.step(pending[0, :1].resolve_neg().clone())[0])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_resets_without_a_state_to_go_back_to_do_nothing_as_in_the_reference():
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


# Without a compiler.


@pytest.fixture
def no_compiler(monkeypatch):
    monkeypatch.setenv("RECURRA_CC", "none")


@pytest.mark.usefixtures("no_compiler")
@pytest.mark.parametrize("name", list_cells())
def test_without_a_compiler_every_cell_runs_and_says_why(name):
    layer = Recurrent(name, 2, 3, num_layers=2, seed=0)
    said = layer.explain()
    assert "by compiled" not in said
    assert "compiled: RECURRA_CC=none turns the compiler off; unset it" in said
    x = torch.ones(4, 2, 2)
    y, state = layer(x)
    y.sum().backward()
    stepped = None
    for x_t in x:
        y_t, stepped = layer.step(x_t, stepped)
    assert_within_rounding(y_t, y[-1])
    assert_within_rounding(stepped[0], state[0])
    assert "compiled" not in available(layer.cell)


@pytest.mark.usefixtures("no_compiler")
def test_without_a_compiler_a_request_for_it_is_refused_with_the_remedy():
    with recurra.engine("compiled"), pytest.raises(ArgumentError, match="RECURRA_CC=none turns the compiler off; unset it"):
        make_layer()(X)
    with pytest.raises(ArgumentError, match="there is none: RECURRA_CC=none turns the compiler off; unset it; use layer.step"):
        make_layer().stream()


def test_the_drop_ins_run_by_it_too():
    ours, theirs = LSTM(2, 3, 2, bidirectional=True, dtype=torch.float64), torch.nn.LSTM(2, 3, 2, bidirectional=True).double()
    ours.load_state_dict(theirs.state_dict())
    assert "by compiled" in ours.explain()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, expected = ours(X), theirs(X)
    assert_same([found[0], *found[1]], [expected[0], *expected[1]])
