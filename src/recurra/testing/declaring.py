"""Checks of what a cell declares: its name, its parameters, its state."""

from __future__ import annotations

import copy
import pickle

import torch

from recurra.cells import Cell, State, get_cell
from recurra.layers import Recurrent
from recurra.testing.comparing import assert_raises_argument_error, assert_that
from recurra.testing.sampling import HIDDEN, INPUT, draw, draw_state, make_layer

__all__ = ["CHECKS"]


def a_cell_equals_its_copies(cell: Cell) -> None:
    """By class and options; and a built-in cell is found again by its name."""
    copied = copy.deepcopy(cell)
    assert_that(copied == cell and hash(copied) == hash(cell), f"{copied!r} is a copy of {cell!r} and not equal to it")
    if type(cell).__module__.startswith("recurra.cells."):
        assert_that(get_cell(cell.name) == cell, f"get_cell({cell.name!r}) is {get_cell(cell.name)!r}, not {cell!r}")


def parameters_have_torch_names_and_layout(cell: Cell) -> None:
    """weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, the same with _reverse, then the next layer."""
    layer = make_layer(cell, num_layers=2, bidirectional=True)
    rows = len(cell.gates) * HIDDEN
    expected: dict[str, tuple[int, ...]] = {}
    for index, features in ((0, INPUT), (1, 2 * HIDDEN)):
        for end in (f"l{index}", f"l{index}_reverse"):
            expected |= {f"weight_ih_{end}": (rows, features), f"weight_hh_{end}": (rows, HIDDEN)}
            expected |= {f"bias_ih_{end}": (rows,), f"bias_hh_{end}": (rows,)}
    found = {name: tuple(parameter.shape) for name, parameter in layer.named_parameters()}
    assert_that(list(found.items()) == list(expected.items()), f"parameters are {found}, not {expected}")
    unbiased = dict(make_layer(cell, bias=False).named_parameters())
    assert_that(list(unbiased) == ["weight_ih_l0", "weight_hh_l0"], f"without bias: {list(unbiased)}")


def a_seed_decides_the_weights(cell: Cell) -> None:
    """And leaves torch's global generator alone."""
    before = torch.random.get_rng_state()
    first, second = (make_layer(cell).state_dict() for _ in range(2))
    assert_that(torch.equal(before, torch.random.get_rng_state()), "a seeded layer drew from the global generator")
    assert_that(all(torch.equal(first[name], second[name]) for name in first), "one seed gave two sets of weights")
    other = Recurrent(cell, INPUT, HIDDEN, seed=1, dtype=torch.float64).state_dict()
    assert_that(not torch.equal(first["weight_hh_l0"], other["weight_hh_l0"]), "two seeds gave the same weights")
    bound = HIDDEN**-0.5
    assert_that(float(first["weight_hh_l0"].abs().max()) <= bound, f"a weight exceeds 1/sqrt(hidden) = {bound:.3g}")


def results_have_the_declared_shapes(cell: Cell) -> None:
    """Outputs are h; states are named tuples of (layers*directions, batch, hidden); all in the dtype of x."""
    layer = make_layer(cell, num_layers=2, bidirectional=True, dtype=torch.float32)
    y, state = layer(draw(3, 5, INPUT).float())
    assert_that(tuple(y.shape) == (3, 5, 2 * HIDDEN), f"y has shape {tuple(y.shape)}")
    assert_that(isinstance(state, State) and state._fields == cell.states, f"the state has fields {state._fields}")
    for name, part in state._asdict().items():
        assert_that(tuple(part.shape) == (4, 5, HIDDEN), f"state.{name} has shape {tuple(part.shape)}")
        assert_that(part.dtype == y.dtype == torch.float32, f"state.{name} has dtype {part.dtype}, y {y.dtype}")
    assert_that(torch.equal(y[-1, :, :HIDDEN], state.h[2]), "the last forward output is not the final h")
    assert_that(torch.equal(y[0, :, HIDDEN:], state.h[3]), "the first reverse output is not the final h of the reverse")


def copies_and_files_keep_results(cell: Cell) -> None:
    """deepcopy, pickle and state_dict, of layers and of states, bit for bit."""
    layer, x = make_layer(cell, num_layers=2), draw(3, 2, INPUT)
    with torch.no_grad():  # torch deep-copies no tensor that has a history
        y, state = layer(x)
    loaded = Recurrent(cell, INPUT, HIDDEN, 2, seed=5, dtype=torch.float64)
    loaded.load_state_dict(layer.state_dict(), strict=True)
    copies = {"deepcopy": copy.deepcopy(layer), "state_dict": loaded}
    if "<locals>" not in type(cell).__qualname__:  # pickle finds no class defined inside a function
        copies["pickle"] = pickle.loads(pickle.dumps(layer))  # noqa: S301 - written two words before
    for way, copied in copies.items():
        assert_that(torch.equal(copied(x)[0], y), f"{way} changed the outputs")
    for way, kept in (("deepcopy", copy.deepcopy(state)), ("pickle", pickle.loads(pickle.dumps(state)))):  # noqa: S301
        assert_that(type(kept) is type(state), f"{way} made a state a {type(kept).__name__}")
        assert_that(all(map(torch.equal, kept, state)), f"{way} changed a state")


def wrong_use_is_refused_in_words(cell: Cell) -> None:
    """Each refusal names the argument, what came and what was expected."""
    layer, x = make_layer(cell), draw(3, 2, INPUT)
    wrong = draw_state(layer, 5)
    assert_raises_argument_error(["x", f"{INPUT + 1} features", str(INPUT)], layer, draw(3, 2, INPUT + 1))
    assert_raises_argument_error(["x", "float32", "float64"], layer, x.float())
    assert_raises_argument_error(["x", "no time step"], layer, x[:0])
    assert_raises_argument_error(["state.h", "(1, 5, 7)", "(1, 2, 7)"], layer, x, wrong)
    assert_raises_argument_error(["state", "tuple of 3", cell.name], layer, x, (wrong.h, wrong.h, wrong.h))
    assert_raises_argument_error(["state", "Tensor", "State(h=..."], layer, x, wrong.h)
    assert_raises_argument_error(["lengths", "(3,)", "batch 2"], layer, x, lengths=[1, 1, 1])
    assert_raises_argument_error(["lengths[1]", "4", "0 to 3"], layer, x, lengths=[3, 4])
    assert_raises_argument_error(["lengths", "float"], layer, x, lengths=torch.tensor([1.0, 2.0]))
    assert_raises_argument_error(["step", "bidirectional"], make_layer(cell, bidirectional=True).step, x[0])


CHECKS = (
    a_cell_equals_its_copies,
    parameters_have_torch_names_and_layout,
    a_seed_decides_the_weights,
    results_have_the_declared_shapes,
    copies_and_files_keep_results,
    wrong_use_is_refused_in_words,
)
