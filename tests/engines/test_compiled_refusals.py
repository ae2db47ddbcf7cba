"""What the compiled engine leaves to others, and that these then run: transforms, other types, traces, no compiler."""

import pytest
import torch

import recurra
from recurra.cells import list_cells
from recurra.compiler.toolchain import find_compiler
from recurra.engines import available
from recurra.errors import ArgumentError
from recurra.nn import Recurrent
from recurra.testing import assert_within_rounding

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")

HIDDEN = 5


def draw(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


X = draw(6, 4, 2)


def make_layer():
    return Recurrent("lstm", 2, HIDDEN, seed=0, dtype=torch.float64)


def outputs_of(layer):
    return lambda x: layer(x)[0]


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_transforms_run_by_another_engine():
    layer = make_layer()
    many = draw(3, 6, 4, 2)
    assert_within_rounding(torch.func.vmap(outputs_of(layer))(many), torch.stack([layer(x)[0] for x in many]))
    gradient = torch.func.grad(lambda x: layer(x)[0].square().sum())(X)
    x = X.clone().requires_grad_()
    assert_within_rounding(gradient, torch.autograd.grad(layer(x)[0].square().sum(), x)[0])
    with recurra.engine("reference"):
        expected = torch.func.jvp(outputs_of(layer), (X,), (X.flip(0),))
    for one, other in zip(torch.func.jvp(outputs_of(layer), (X,), (X.flip(0),)), expected, strict=True):
        assert_within_rounding(one, other)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(X, X.flip(0))
        tangent = torch.autograd.forward_ad.unpack_dual(layer(dual)[0]).tangent
    assert_within_rounding(tangent, expected[1])


def test_a_transform_is_refused_by_name():
    with recurra.engine("compiled"), pytest.raises(ArgumentError, match="kernels know no transforms of torch"):
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
def test_fake_tensors_do_not_reach_a_kernel(in_a_fork):
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
    with (
        recurra.engine("compiled"),
        pytest.raises(ArgumentError, match="RECURRA_CC=none turns the compiler off; unset it"),
    ):
        make_layer()(X)
    with pytest.raises(ArgumentError, match="there is none: RECURRA_CC=none turns the compiler off; unset it"):
        make_layer().stream()
