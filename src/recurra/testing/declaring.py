"""Checks of what a cell declares: its name, its parameters, its state."""

from __future__ import annotations

import copy
import pickle

import torch

from recurra.cells import State, get_cell
from recurra.testing.comparing import assert_raises_argument_error, assert_that
from recurra.testing.sampling import HIDDEN, INPUT, Subject, draw, draw_state

__all__ = ["CHECKS"]


def a_cell_equals_its_copies(subject: Subject) -> None:
    """By class and options; and a built-in cell is found again by its name."""
    cell = subject.cell
    copied = copy.deepcopy(cell)
    assert_that(copied == cell and hash(copied) == hash(cell), f"{copied!r} is a copy of {cell!r} and not equal to it")
    if type(cell).__module__.startswith("recurra.cells."):
        assert_that(get_cell(cell.name) == cell, f"get_cell({cell.name!r}) is {get_cell(cell.name)!r}, not {cell!r}")


def parameters_have_torch_names_and_layout(subject: Subject) -> None:
    """weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, the same with _reverse, then the next layer."""
    layer, cell = subject.layer(num_layers=2, bidirectional=True), subject.cell
    rows, again = len(cell.gates) * HIDDEN, len(cell.recurrent_gates) * HIDDEN
    expected: dict[str, tuple[int, ...]] = {}
    for index, features in ((0, INPUT), (1, 2 * HIDDEN)):
        for end in (f"l{index}", f"l{index}_reverse"):
            shapes = {
                "weight_ih": (rows, features),
                "weight_hh": (again, HIDDEN),
                "bias_ih": (rows,),
                "bias_hh": (again,),
            }
            expected |= {f"{name}_{end}": shape for name, shape in shapes.items() if shape[0]}
            expected |= {f"{vector}_{end}": (HIDDEN,) for vector in cell.vectors}
    found = {name: tuple(parameter.shape) for name, parameter in layer.named_parameters()}
    assert_that(list(found.items()) == list(expected.items()), f"parameters are {found}, not {expected}")
    unbiased = [name for name, _ in subject.layer(bias=False).named_parameters()]
    kept = [name for name, _ in subject.layer().named_parameters() if not name.startswith("bias_")]
    assert_that(unbiased == kept, f"without bias: {unbiased}")


def a_seed_decides_the_weights(subject: Subject) -> None:
    """And leaves torch's global generator alone."""
    before = torch.random.get_rng_state()
    first, second = (subject.layer().state_dict() for _ in range(2))
    assert_that(torch.equal(before, torch.random.get_rng_state()), "a seeded layer drew from the global generator")
    assert_that(all(torch.equal(first[name], second[name]) for name in first), "one seed gave two sets of weights")
    other = subject.layer(seed=1).state_dict()
    bound = HIDDEN**-0.5
    for name in first:
        assert_that(not torch.equal(first[name], other[name]), f"two seeds gave the same {name}")
        if name.startswith(("weight", "bias")):
            assert_that(float(first[name].abs().max()) <= bound, f"{name} exceeds 1/sqrt(hidden) = {bound:.3g}")


def results_have_the_declared_shapes(subject: Subject) -> None:
    """Outputs are the first state; states are named, (layers*directions, batch, hidden); all in the dtype of x."""
    layer = subject.layer(num_layers=2, bidirectional=True, dtype=torch.float32)
    y, state = layer(draw(3, 5, INPUT).float())
    assert_that(tuple(y.shape) == (3, 5, 2 * HIDDEN), f"y has shape {tuple(y.shape)}")
    assert_that(
        isinstance(state, State) and state._fields == subject.cell.states, f"the state has fields {state._fields}"
    )
    for name, part in state._asdict().items():
        assert_that(tuple(part.shape) == (4, 5, HIDDEN), f"state.{name} has shape {tuple(part.shape)}")
        assert_that(part.dtype == y.dtype == torch.float32, f"state.{name} has dtype {part.dtype}, y {y.dtype}")
    assert_that(torch.equal(y[-1, :, :HIDDEN], state[0][2]), "the last forward output is not the final state")
    assert_that(torch.equal(y[0, :, HIDDEN:], state[0][3]), "the first reverse output is not the last state")


def copies_and_files_keep_results(subject: Subject) -> None:
    """deepcopy, pickle and state_dict, of layers and of states, bit for bit."""
    layer, x = subject.layer(num_layers=2), draw(3, 2, INPUT)
    with torch.no_grad():  # torch deep-copies no tensor that has a history
        y, state = layer(x)
    loaded = subject.layer(num_layers=2, seed=5)
    loaded.load_state_dict(layer.state_dict(), strict=True)
    copies = {"deepcopy": copy.deepcopy(layer), "state_dict": loaded}
    if "<locals>" not in type(subject.cell).__qualname__:  # pickle finds no class defined inside a function
        copies["pickle"] = pickle.loads(pickle.dumps(layer))  # noqa: S301 - written two words before
    for way, copied in copies.items():
        assert_that(torch.equal(copied(x)[0], y), f"{way} changed the outputs")
    for way, kept in (("deepcopy", copy.deepcopy(state)), ("pickle", pickle.loads(pickle.dumps(state)))):  # noqa: S301
        assert_that(type(kept) is type(state), f"{way} made a state a {type(kept).__name__}")
        assert_that(all(map(torch.equal, kept, state)), f"{way} changed a state")


def wrong_use_is_refused_in_words(subject: Subject) -> None:
    """Each refusal names the argument, what came and what was expected."""
    layer, x = subject.layer(), draw(3, 2, INPUT)
    wrong = draw_state(layer, 5)
    assert_raises_argument_error(["x", f"{INPUT + 1} features", str(INPUT)], layer, draw(3, 2, INPUT + 1))
    assert_raises_argument_error(["x", "float32", "float64"], layer, x.float())
    assert_raises_argument_error(["x", "no time step"], layer, x[:0])
    assert_raises_argument_error([f"state.{subject.cell.states[0]}", "(1, 5, 7)", "(1, 2, 7)"], layer, x, wrong)
    h, cell = wrong[0], subject.cell
    assert_raises_argument_error(["state", "tuple of 9", cell.name], layer, x, (h,) * 9)
    assert_raises_argument_error(["state", "Tensor", f"State({cell.states[0]}=..."], layer, x, h)
    assert_raises_argument_error(["lengths", "(3,)", "batch 2"], layer, x, lengths=[1, 1, 1])
    assert_raises_argument_error(["lengths[1]", "4", "0 to 3"], layer, x, lengths=[3, 4])
    assert_raises_argument_error(["lengths", "float"], layer, x, lengths=torch.tensor([1.0, 2.0]))
    assert_raises_argument_error(["step", "bidirectional"], subject.layer(bidirectional=True).step, x[0])


CHECKS = (
    a_cell_equals_its_copies,
    parameters_have_torch_names_and_layout,
    a_seed_decides_the_weights,
    results_have_the_declared_shapes,
    copies_and_files_keep_results,
    wrong_use_is_refused_in_words,
)
