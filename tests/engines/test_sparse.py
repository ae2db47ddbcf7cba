"""Recurrent weights of which only some are there: the kernel that looks for them computes what all of them give."""

import pytest
import torch

from recurra.cells import get_cell, list_cells
from recurra.compiler.toolchain import find_compiler
from recurra.engines import Conditions, Weights, compiled, kernel, reference, task
from recurra.engines.inputs import Wanted
from recurra.errors import ArgumentError
from recurra.testing import assert_within_rounding

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")

WITH_WEIGHTS = [name for name in list_cells() if get_cell(name).recurrent_gates]
TIME, BATCH, FEATURES, HIDDEN = 6, 4, 2, 19


@pytest.fixture(autouse=True)
def searching(monkeypatch):
    """However many there are."""
    monkeypatch.setattr(kernel, "_are_few", lambda *_: True)


def draw(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def make_weights(cell, connected, *, bias=True, hidden=HIDDEN, output=HIDDEN, norm=False):
    rows, again = len(cell.gates) * hidden, len(cell.recurrent_gates) * hidden
    order = torch.rand(again, output, generator=torch.Generator().manual_seed(5)).argsort(1)
    connections = order[:, :connected].sort(1).values
    recurrent = torch.zeros(again, output, dtype=torch.float64)
    recurrent.scatter_(1, connections, draw(again, connected, seed=6) / connected**0.5)
    return Weights(
        draw(rows, FEATURES, seed=7),
        recurrent,
        draw(rows, seed=8) if bias else None,
        draw(again, seed=9) if bias else None,
        None if output == hidden else draw(output, hidden, seed=10),
        tuple(draw(hidden, seed=11).sigmoid() for _ in cell.vectors),
        draw(rows, seed=12) if norm else None,
        draw(again, seed=13) if norm else None,
        connections,
    )


def results(module, cell, weights, conditions, reverse, dtype):
    """Outputs, last state, and gradients of everything; those of weights that are not there are left out."""
    convert = lambda one: None if one is None else one.to(dtype).requires_grad_()  # noqa: E731
    *some, vectors, gain, again_gain, connections = weights
    given = [convert(one) for one in some]
    made = Weights(*given, tuple(map(convert, vectors)), convert(gain), convert(again_gain), connections)
    x = convert(draw(TIME, BATCH, FEATURES, seed=1))
    units = [made.recurrent.shape[1], *[HIDDEN] * (len(cell.states) - 1)]
    start = cell.by_state([convert(draw(BATCH, width, seed=2)) for width in units])
    conditions = conditions._replace(dropout=None if conditions.dropout is None else conditions.dropout.to(dtype))
    y, last = module.run(cell, made, x, start, conditions, reverse=reverse)
    loss = sum((one * draw(*one.shape, seed=seed).to(dtype)).sum() for seed, one in enumerate((y, *last)))
    leaves = [x, *start, *[one for one in (*given, *made.vectors, made.input_gain) if one is not None]]
    found = list(torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True))
    place = 1 + len(start) + 1  # of the recurrent weights
    found[place] = found[place].gather(1, connections)
    return [part.detach().double() for part in (y, *last, *found)]


CONDITIONS = {
    "plain": Conditions(),
    "lengths": Conditions(lengths=torch.tensor([6, 0, 2, 5])),
    "dropout": Conditions(dropout=draw(BATCH, HIDDEN, seed=4).relu()),
}


def assert_as_the_reference(cell, weights, conditions=Conditions(), *, reverse=False):  # noqa: B008 - a tuple
    truth = results(reference, cell, weights, conditions, reverse, torch.float64)
    double, single, usual = (
        results(module, cell, weights, conditions, reverse, dtype)
        for module, dtype in ((compiled, torch.float64), (compiled, torch.float32), (reference, torch.float32))
    )
    for place, (true, *found) in enumerate(zip(truth, double, single, usual, strict=True)):
        scale = max(1.0, float(true.abs().max()))
        of_double, of_single, of_usual = (float((part - true).abs().max()) / scale for part in found)
        assert of_double <= 1e-10, (place, of_double)
        assert of_single <= 2 * of_usual + 1e-6, (place, of_single, of_usual)


@pytest.mark.slow
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("conditions", CONDITIONS)
@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_every_cell(name, conditions, reverse):
    cell = get_cell(name)
    if conditions == "dropout" and not cell.feeds_back:
        pytest.skip("it has no recurrent product to thin out")
    assert_as_the_reference(cell, make_weights(cell, 5), CONDITIONS[conditions], reverse=reverse)


@pytest.mark.parametrize("connected", [1, 2, 4, 7, HIDDEN])
def test_any_number_of_connections(connected):
    assert_as_the_reference(get_cell("gru"), make_weights(get_cell("gru"), connected))


@pytest.mark.parametrize("options", [{"bias": False}, {"norm": True}, {"output": 7}], ids=str)
def test_with_other_options(options):
    assert_as_the_reference(get_cell("lstm"), make_weights(get_cell("lstm"), 5, **options))


def test_weights_that_are_fixed_cost_no_gradient(monkeypatch):
    cell = get_cell("elman-tanh")
    weights = make_weights(cell, 5)
    asked = []
    taken = kernel.differentiate
    monkeypatch.setattr(task, "differentiate", lambda *all, **named: asked.append(named) or taken(*all, **named))
    bias = weights.input_bias.requires_grad_()
    y, _ = compiled.run(cell, weights, draw(TIME, BATCH, FEATURES), cell.by_state([draw(BATCH, HIDDEN)]))
    found = torch.autograd.grad(y.sum(), bias)[0]
    y, _ = reference.run(cell, weights, draw(TIME, BATCH, FEATURES), cell.by_state([draw(BATCH, HIDDEN)]))
    assert_within_rounding(found, torch.autograd.grad(y.sum(), bias)[0], "bias")
    assert asked[0]["wanted"] == Wanted(False, (False,), False, False)


WRONG = {
    "too few rows": lambda c: c[1:],
    "other numbers": lambda c: c.int(),
    "one axis": lambda c: c.flatten(),
    "none": lambda c: c[:, :0],
    "below the first": lambda c: c - HIDDEN,
    "past the last": lambda c: c + HIDDEN,
    "twice the same": lambda c: c[:, :1].repeat(1, 3),
    "falling": lambda c: c.flip(1),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_connections_that_lead_nowhere_are_refused(wrong):
    cell = get_cell("gru")
    weights = make_weights(cell, 5)
    weights = weights._replace(connections=WRONG[wrong](weights.connections))
    with pytest.raises(ArgumentError, match="connections"):
        compiled.run(cell, weights, draw(TIME, BATCH, FEATURES), cell.by_state([draw(BATCH, HIDDEN)]))


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(threads):
    cell = get_cell("lstm")
    weights, x = make_weights(cell, 5), draw(40, 64, FEATURES)
    state = cell.by_state([draw(64, HIDDEN), draw(64, HIDDEN)])
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected, _ = compiled.run(cell, weights, x, state)
        torch.set_num_threads(threads)
        found, _ = compiled.run(cell, weights, x, state)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found, expected)
