"""Calls of kernels: every result is written, threads change nothing, the tape is as long as it must be."""

import pytest
import torch

import recurra
from recurra.cells import Cell, State, get_cell, sigmoid, tanh
from recurra.compiler.forms import Form
from recurra.compiler.library import FIELDS, get_library, parts_for
from recurra.compiler.processor import Processor
from recurra.compiler.program import make_program
from recurra.compiler.toolchain import find_compiler
from recurra.engines import kernel
from recurra.engines.inputs import Inputs
from recurra.nn import Recurrent
from recurra.testing import assert_within_rounding

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")


class Blind(Cell):
    """Sees no input."""

    gates = ("n",)
    states = ("h", "c")

    def step(self, x, u, s):
        return State(h=tanh(u.n) + s.c, c=0.9 * s.c)


class Idle(Cell):
    """Leaves some gates unused, and a further projection."""

    gates = ("a", "b", "c")
    states = ("h", "c")
    recurrent = ("b", "q", "r")
    second = ("q", "r")

    def step(self, x, u, s):
        return State(h=tanh(x.b + u.r(s.c)), c=sigmoid(x.b) * s.c)


class Alone(Cell):
    """Multiplies nothing by a matrix."""

    gates = ("n",)
    states = ("h",)

    def step(self, x, u, s):
        return State(h=0.5 * s.h)


def results(layer, engine, *, time=5, batch=3, resets=False, lengths=None, seed=0):
    """Outputs, final states and every gradient, by name."""
    generator = torch.Generator().manual_seed(seed)
    dtype = layer.weight_ih_l0.dtype

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    x = draw(time, batch, layer.input_size).requires_grad_()
    state = layer.initial_state(batch).map(lambda part: draw(*part.shape).requires_grad_())
    begins = torch.rand(time, batch, generator=generator) < 0.3 if resets else None
    with recurra.engine(engine), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        y, last = layer(x, state, lengths=lengths, resets=begins)
    found = {"y": y, **{f"final {name}": part for name, part in last._asdict().items()}}
    loss = sum((draw(*part.shape) * part).sum() for part in found.values())
    leaves = {"x": x, **{f"initial {name}": part for name, part in state._asdict().items()}}
    leaves |= dict(layer.named_parameters())
    gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
    found |= {f"gradient of {name}": one for name, one in zip(leaves, gradients, strict=True)}
    return {name: part.detach() for name, part in found.items()}


def make_layer(cell, hidden=5, features=2, dtype=torch.float64, **options):
    return Recurrent(cell, features, hidden, bidirectional=True, seed=0, dtype=dtype, **options).train()


@pytest.fixture
def filled_with_nan(monkeypatch):
    """New memory holds NaN."""
    new_empty, empty_like = torch.Tensor.new_empty, torch.empty_like

    def fill(tensor):
        return tensor.fill_(torch.nan) if tensor.is_floating_point() else tensor

    monkeypatch.setattr(torch.Tensor, "new_empty", lambda self, *args, **named: fill(new_empty(self, *args, **named)))
    monkeypatch.setattr(torch, "empty_like", lambda *args, **named: fill(empty_like(*args, **named)))
    assert torch.ones(2).new_empty(3).isnan().all()


PROGRAMS = [
    ("lstm", {}),
    ("lstm", {"proj_size": 3, "recurrent_dropout": 0.3}),
    ("gru", {"layer_norm": True, "zoneout": 0.3}),
    ("cfc", {"bias": False}),
    ("lru", {}),
    (Blind, {}),
    (Idle, {}),
    (Alone, {}),
]


@pytest.mark.slow
@pytest.mark.usefixtures("filled_with_nan")
@pytest.mark.parametrize(("cell", "options"), PROGRAMS, ids=str)
def test_no_result_and_no_gradient_is_left_out(cell, options):
    layer = make_layer(cell, **options)
    for case in ({}, {"lengths": [5, 0, 2]}, {"resets": True, "lengths": [0, 5, 3]}, {"time": 1, "batch": 1}):
        found, expected = (results(layer, engine, **case) for engine in ("compiled", "reference"))
        for name, part in expected.items():
            assert_within_rounding(found[name], part, name)


# Weights larger than a cache, products deeper than a strip, more rows than a block.
LARGE = [("lstm", (6, 43, 190, 200)), ("cfc", (4, 300, 3, 140)), ("gru", (3, 600, 2, 3)), ("elman", (400, 3, 150, 33))]


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "sizes"), LARGE, ids=str)
def test_large_sizes(cell, sizes, threads):
    time, batch, features, hidden = sizes
    threads(2)
    layer = make_layer(cell, hidden, features)
    case = {
        "time": time,
        "batch": batch,
        "resets": True,
        "lengths": [(7 * row + 3) % (time + 1) for row in range(batch)],
    }
    found, expected = (results(layer, engine, **case) for engine in ("compiled", "reference"))
    for name, part in expected.items():
        assert_within_rounding(found[name], part, name)


@pytest.mark.usefixtures("filled_with_nan")
def test_nothing_is_left_out_where_nothing_is_differentiated():
    layer = Recurrent("lstm", 2, 5, seed=0, dtype=torch.float64)
    for time, batch in ((1, 1), (1, 4), (1, 9), (4, 3)):
        x = torch.ones(time, batch, 2, dtype=torch.float64)
        with torch.no_grad():
            with recurra.engine("compiled"):
                y, last = layer(x)
            with recurra.engine("reference"):
                expected, final = layer(x)
        assert_within_rounding(y, expected)
        assert_within_rounding(last.c, final.c)


@pytest.fixture
def threads(monkeypatch):
    """Sets how many threads share a batch, however little work it is."""
    monkeypatch.setattr(kernel, "_WORTHWHILE", 1)
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


SHARED = [("lstm", {}), ("gru", {"layer_norm": True}), ("resetbeforegru", {}), ("sru", {})]
RAGGED = {"time": 7, "batch": 5, "resets": True, "lengths": [7, 1, 0, 7, 4]}


@pytest.mark.parametrize("case", [{"time": 7, "batch": 5}, RAGGED], ids=["full", "ragged"])
@pytest.mark.parametrize(("cell", "options"), SHARED, ids=str)
def test_threads_change_no_bit_of_results_and_gradients_by_rounding_only(cell, options, case, threads):
    layer = make_layer(cell, hidden=7, dtype=torch.float32, **options)
    threads(1)
    alone = results(layer, "compiled", **case)
    for count in (2, 3, 8):
        threads(count)
        shared, again = (results(layer, "compiled", **case) for _ in range(2))
        for name, part in alone.items():
            if not name.startswith("gradient"):
                assert torch.equal(shared[name], part), f"{name} with {count} threads"
            assert_within_rounding(shared[name], part, f"{name} with {count} threads")
            assert torch.equal(shared[name], again[name]), f"{name} differs from run to run"


def test_the_way_back_is_shared_as_the_way_there_was(threads):
    layer, x = make_layer("lstm", hidden=7), torch.randn(7, 5, 2, dtype=torch.float64)
    for before, after in ((1, 2), (3, 1), (2, 8)):
        gradients = []
        for there in (before, after):
            threads(before)
            y, _ = layer(x, lengths=[7, 1, 0, 7, 4])
            threads(there)
            gradients.append(torch.autograd.grad(y.square().sum(), list(layer.parameters())))
        assert all(map(torch.equal, *gradients))


FORMS = {"lstm": Form(), "gru": Form(layer_norm=True), "mingru": Form(), "mgu": Form(thinned=True)}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", FORMS)
def test_the_tape_is_as_long_as_the_kernel_says(name, dtype):
    cell = get_cell(name)
    program = make_program(cell, FORMS[name])
    for hidden in (1, 7, 33, 64):
        again = len(cell.recurrent_gates) * hidden
        inputs = Inputs(
            torch.zeros(3, 5, 2, dtype=dtype),
            [torch.zeros(5, hidden, dtype=dtype) for _ in cell.states],
            torch.zeros(len(cell.gates) * hidden, 2, dtype=dtype),
            torch.zeros(again, hidden, dtype=dtype) if again else None,
        )
        built = get_library(program, 8 * dtype.itemsize, parts_for(program, hidden, dtype))
        for slabs in (1, 2, 5):
            sizes = {"time": 3, "batch": 5, "input": 2, "hidden": hidden, "output": hidden, "slabs": slabs}
            found = built.tape_size([sizes.get(field, 0) for field in FIELDS])
            assert found == kernel.tape_size(program, inputs)


def test_a_layer_runs_where_the_system_does_not_describe_its_processor(monkeypatch):
    """As on a Mac: what the compiler makes of the processor decides how long the tape is."""
    monkeypatch.setattr("recurra.compiler.processor.processor", lambda: Processor("unknown", frozenset(), "unknown"))
    layer = make_layer(type("Own", (Blind,), {"step": lambda self, x, u, s: State(h=tanh(x.n + u.n) + s.c, c=s.h)}))
    found, expected = (results(layer, engine) for engine in ("compiled", "reference"))
    for name, part in expected.items():
        assert_within_rounding(found[name], part, name)


def test_explain_says_what_training_keeps():
    layer = Recurrent("lstm", 2, 64, seed=0)
    program = make_program(layer.cell)
    assert len(program.kept) == 5
    assert f"training keeps {5 * 64 * 4:,} bytes a step and row" in layer.explain()


def test_a_backward_pass_may_be_taken_again():
    layer, x = make_layer("lstm"), torch.randn(4, 3, 2, dtype=torch.float64)
    with recurra.engine("compiled"):
        y, _ = layer(x)
    loss = y.square().sum()
    first = torch.autograd.grad(loss, list(layer.parameters()), retain_graph=True)
    second = torch.autograd.grad(loss, list(layer.parameters()), retain_graph=True)
    assert all(map(torch.equal, first, second))


def test_results_that_were_changed_since_are_not_differentiated():
    layer, x = make_layer("gru"), torch.randn(4, 3, 2, dtype=torch.float64)
    with recurra.engine("compiled"):
        y, _ = layer(x)
    loss = y.square().sum()
    with torch.no_grad():
        layer.weight_hh_l0.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
