"""The engine that takes all steps of a linear recurrence at once: its results are those of the reference."""

from typing import ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jacfwd, vmap

import recurra
from recurra.cells import Cell, State, get_cell, sigmoid, tanh
from recurra.cells._functions import exp, maximum, where
from recurra.engines import Conditions, Weights, available, reference, scan
from recurra.errors import ArgumentError
from recurra.nn import ConvRecurrent, Recurrent
from recurra.testing import assert_lawful, assert_within_rounding, check_cell
from recurra.testing.sampling import draw, draw_like

LINEAR = ("mingru", "minlstm", "qrnn", "lru", "indrnn-linear")


class Delayed(Cell):
    """Two fields of memory that read each other, and an output that reads them before the step and after it."""

    gates = ("n", "g")
    states = ("h", "c", "d")
    recurrent = second = ("q",)
    reads_gaps = True
    vectors: ClassVar = {"v": None}

    def step(self, x, u, s, p):
        c = exp(-x.gap * exp(p.v)) * s.c - 0.3 * s.d + where(x.n > 0, x.n, 0.1 * x.n)
        return State(h=tanh(s.d) * c + u.q(s.c * maximum(x.g, p.v)), c=c, d=sigmoid(x.g) * s.c)


class Blind(Cell):
    """Sees no input; its output is its memory under another name."""

    gates = ("n",)
    states = ("h", "c")
    recurrent = ()

    def step(self, x, u, s):
        c = 0.9 * s.c + 1
        return State(h=c, c=c)


class Forgetful(Cell):
    """Has no memory at all."""

    gates = ("n",)
    states = ("h",)
    recurrent = ()

    def step(self, x, u, s):
        return State(h=tanh(x.n))


def results(layer, engine, x, start, **named):
    """Outputs, final states and every gradient; what is dropped is the same in every run."""
    leaves = [part.detach().clone().requires_grad_() for part in (x, *start)]
    torch.manual_seed(4)
    with recurra.engine(engine):
        y, last = layer(leaves[0], start._make(leaves[1:]), **named)
    loss = sum((draw_like(part, seed=i) * part).sum() for i, part in enumerate((y, *last)))
    leaves += layer.parameters()
    if isinstance(gaps := named.get("gaps"), torch.Tensor) and gaps.requires_grad:
        leaves.append(gaps)
    return [y, *last, *torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)]


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_every_result_and_gradient_is_that_of_the_reference(data):
    cell = get_cell(data.draw(st.sampled_from([*LINEAR, Delayed, Blind, Forgetful])))
    time, batch = data.draw(st.sampled_from([1, 2, 5, 34, 80])), data.draw(st.integers(1, 3))
    both = data.draw(st.booleans())
    options = {"bidirectional": both, "learn_initial_state": data.draw(st.booleans()), "bias": data.draw(st.booleans())}
    if "zoneout" not in cell.refuses:
        options["zoneout"] = data.draw(st.sampled_from([0, 0.3, {"h": 0.4}, {cell.states[-1]: 0.4}]))
        options["layer_norm"] = data.draw(st.booleans())
    layer = Recurrent(cell, 2, 3, seed=0, dtype=torch.float64, **options).train(data.draw(st.booleans()))
    named = {"lengths": data.draw(st.none() | st.lists(st.integers(0, time), min_size=batch, max_size=batch))}
    seed = data.draw(st.integers(0, 99))
    if data.draw(st.booleans()):
        named["resets"] = draw(time, batch, seed=seed) > 1
    if cell.reads_gaps:
        named["gaps"] = draw(time, batch, seed=seed + 1).abs().requires_grad_()
    start = layer.initial_state(batch).map(lambda part: draw(*part.shape, seed=seed + 2))
    x = draw(time, batch, 2, seed=seed + 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "_SEGMENT", data.draw(st.sampled_from([1, 100, scan._SEGMENT])))
        found = results(layer, "scan", x, start, **named)
    for index, (one, other) in enumerate(zip(found, results(layer, "reference", x, start, **named), strict=True)):
        assert_within_rounding(one, other, f"result {index}")


@pytest.mark.parametrize("reverse", [False, True])
def test_recurrent_dropout_thins_what_second_products_read(reverse):
    cell, kept = get_cell("lru"), torch.tensor([[0.0, 2.0, 2.0], [2.0, 0.0, 2.0]]).double()
    weights = Weights(draw(9, 2, seed=0), draw(6, 3, seed=1), vectors=(draw(3, seed=2), draw(3, seed=3)))
    start = State(h=draw(2, 3, seed=4), re=draw(2, 3, seed=5), im=draw(2, 3, seed=6))
    arguments = cell, weights, draw(30, 2, 2, seed=7), start, Conditions(dropout=kept)
    y, last = scan.run(*arguments, reverse=reverse)
    expected, final = reference.run(*arguments, reverse=reverse)
    for one, other in zip((y, *last), (expected, *final), strict=True):
        assert_within_rounding(one, other)


def test_an_output_that_is_no_memory_may_be_projected_and_kept_behind_that():
    cell, kept = get_cell("qrnn"), draw(30, 2, 2, seed=8) > 0
    weights = Weights(draw(9, 2, seed=0), projection=draw(2, 3, seed=1))
    start = State(h=draw(2, 2, seed=2), c=draw(2, 3, seed=3))
    for zoneout in (None, (kept, None), (0.5, 0.25)):
        arguments = cell, weights, draw(30, 2, 2, seed=4), start, Conditions(zoneout=zoneout)
        y, last = scan.run(*arguments)
        expected, final = reference.run(*arguments)
        assert y.shape == (30, 2, 2)
        for one, other in zip((y, *last), (expected, *final), strict=True):
            assert_within_rounding(one, other)
    assert "a projected output has other units" in scan.refusal(get_cell("mingru"), frozenset({"projection"}))
    assert scan.refusal(cell, frozenset({"projection"})) is None


@pytest.mark.parametrize("cell", LINEAR)
@pytest.mark.parametrize("lengths", [None, [70, 0, 17]])
def test_float32_keeps_to_the_law(cell, lengths):
    single = Recurrent(cell, 4, 6, 2, bidirectional=True, seed=0)
    exact = Recurrent(cell, 4, 6, 2, bidirectional=True, dtype=torch.float64)
    exact.load_state_dict(single.state_dict())
    x = draw(70, 3, 4)
    start = exact.initial_state(3).map(lambda part: draw(*part.shape, seed=1))
    found, plain = (
        results(single, engine, x.float(), start.map(torch.Tensor.float), lengths=lengths)
        for engine in ("scan", "reference")
    )
    for index, parts in enumerate(
        zip(found, plain, results(exact, "reference", x, start, lengths=lengths), strict=True)
    ):
        assert_lawful(*parts, f"result {index}")


@pytest.mark.parametrize("name", [*LINEAR, Delayed])
def test_every_cell_passes_the_conformance_suite_by_it(name):
    assert "scan" in available(get_cell(name))
    assert "padding_reaches_nothing" in check_cell(name)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("sru", "c is not linear in the state of the step before"),
        ("elman-linear", "a recurrent product reads the output of the step before, which mixes its units"),
    ],
)
def test_what_is_not_linear_is_refused_in_words(cell, words):
    with recurra.engine("scan"), pytest.raises(ArgumentError, match=f"engine 'scan' cannot run cell '{cell}': {words}"):
        Recurrent(cell, 1, 2)(torch.zeros(3, 1, 1))


@pytest.mark.parametrize("cell", LINEAR)
def test_derivatives_are_right_to_the_second(cell):
    layer = Recurrent(cell, 2, 2, bidirectional=True, seed=0, dtype=torch.float64)
    x = draw(67, 2, 2).requires_grad_()
    names = [name for name, _ in layer.named_parameters()]

    def results_of(x, *values):
        y, last = functional_call(layer, dict(zip(names, values, strict=True)), (x,), {"lengths": [67, 3]})
        return (y, *last)

    with recurra.engine("scan"):
        assert torch.autograd.gradcheck(results_of, (x, *layer.parameters()), fast_mode=True)
        assert torch.autograd.gradgradcheck(results_of, (x, *layer.parameters()), fast_mode=True)


def test_images_are_scanned_place_by_place():
    for cell in ("mingru", "lru"):
        layer = ConvRecurrent(cell, 2, 3, kernel_size=3, bidirectional=True, seed=0, dtype=torch.float64)
        start = layer.initial_state(2, space=(4, 5)).map(lambda part: draw(*part.shape, seed=1))
        named = {"lengths": [30, 7], "resets": draw(30, 2, seed=3) > 1}
        x = draw(30, 2, 2, 4, 5)
        found, expected = (results(layer, engine, x, start, **named) for engine in ("scan", "reference"))
        for one, other in zip(found, expected, strict=True):
            assert_within_rounding(one, other)


@pytest.mark.parametrize("cell", LINEAR)
def test_half_precision_and_autocast_stay_near_single(cell):
    layer, x = Recurrent(cell, 2, 3, bidirectional=True, seed=0), draw(30, 2, 2).float()
    with recurra.engine("scan"):
        exact, _ = layer(x, lengths=[30, 4])
        with torch.autocast("cpu", torch.bfloat16):
            cast, _ = layer(x, lengths=[30, 4])
        narrow, state = layer.bfloat16()(x.bfloat16(), lengths=[30, 4])
    assert {part.dtype for part in (narrow, *state)} == {torch.bfloat16}
    for found in (cast, narrow):
        assert (found.float() - exact).abs().max() <= 2**-5 * exact.abs().max()
    with recurra.engine("reference"), torch.autocast("cpu", torch.bfloat16):
        assert layer.float()(x)[0].dtype == cast.dtype


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@pytest.mark.parametrize("cell", ["qrnn", "lru"])
def test_transforms_and_forward_derivatives(cell):
    layer, x = Recurrent(cell, 2, 3, seed=0, dtype=torch.float64), draw(3, 70, 2, 2)
    weights = dict(layer.named_parameters())

    def loss(weights, one):
        return functional_call(layer, weights, (one,), {"lengths": [70, 4]})[0].square().mean()

    with recurra.engine("scan"):
        gradients = [torch.autograd.grad(loss(weights, one), list(weights.values())) for one in x]
        mapped = vmap(grad(loss), in_dims=(None, 0))(weights, x)
        for one, parts in zip(mapped.values(), zip(*gradients, strict=True), strict=True):
            assert_within_rounding(one, torch.stack(parts), "vmap of grad")
        backward = torch.autograd.functional.jacobian(lambda one: layer(one)[0], x[0, :6])
        assert_within_rounding(jacfwd(lambda one: layer(one)[0])(x[0, :6]), backward, "jacfwd")
        with forward_ad.dual_level():
            y, _ = layer(forward_ad.make_dual(x[0, :6], x[1, :6]))
            along = forward_ad.unpack_dual(y).tangent
        assert_within_rounding(along, (backward * x[1, :6]).sum((-3, -2, -1)), "a dual number")


@pytest.mark.parametrize("cell", ["mingru", "qrnn", "lru"])
def test_it_compiles_whole(cell):
    torch._dynamo.reset()
    layer = Recurrent(cell, 2, 3, bidirectional=True, seed=0, dtype=torch.float64)
    resets = torch.zeros(67, 3, dtype=torch.bool)
    resets[12, 1] = True
    x, start = draw(67, 3, 2), layer.initial_state(3)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    named = {"lengths": torch.tensor([67, 67, 4]), "resets": resets}
    found = results(compiled, "scan", x, start, **named)
    for one, other in zip(found, results(layer, "scan", x, start, **named), strict=True):
        assert_within_rounding(one, other)


def test_an_exported_program_takes_any_batch():
    layer = Recurrent("mingru", 2, 3, seed=0, dtype=torch.float64).eval()
    rows = torch.export.Dim("rows", min=2, max=10_000)
    with recurra.engine("scan"):
        program = torch.export.export(layer, (draw(70, 3, 2),), dynamic_shapes={"x": {1: rows}}).module()
    x = draw(70, 5000, 2)
    assert_within_rounding(program(x)[0], layer(x)[0])


def test_without_a_compiler_it_is_what_auto_takes(monkeypatch):
    monkeypatch.setenv("RECURRA_CC", "none")
    said = Recurrent("mingru", 2, 3).explain()
    assert said.startswith("layer 0: mingru by scan (compiled: ")
    assert "torch: torch has kernels for" in said
    assert "scan: c is not linear in the state of the step before" in Recurrent("sru", 2, 3).explain()


def test_a_hundred_thousand_steps_take_memory_and_time_for_themselves_alone():
    layer, x = Recurrent("mingru", 1, 2, seed=0), draw(100_000, 1, 1).float()
    with recurra.engine("scan"):
        y, last = layer(x)
        y.sum().backward()
        parts = [layer(x[:50_001])]
        parts.append(layer(x[50_001:], parts[0][1]))
    assert_within_rounding(torch.cat([part for part, _ in parts]), y)
    assert torch.isfinite(layer.weight_ih_l0.grad).all()
    assert torch.equal(last.h[0], y[-1])
