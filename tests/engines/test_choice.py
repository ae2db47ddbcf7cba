"""Which engine runs a cell."""

import threading

import pytest

import recurra
from recurra.cells import Cell, State, get_cell, tanh
from recurra.engines import Choice, available, choose
from recurra.errors import ArgumentError


class Mine(Cell):
    gates = ("n",)
    states = ("h",)

    def step(self, x, u, s):
        return State(h=tanh(x.n + u.n))


def test_auto_takes_torch_where_its_kernels_compute_the_same():
    for name in ("lstm", "gru", "elman", "elman-relu"):
        assert choose(get_cell(name)) == Choice("torch", f"the fastest that computes {name}")


@pytest.mark.parametrize("cell", [get_cell("elman-sigmoid"), Mine()])
def test_auto_says_why_it_takes_the_reference(cell):
    choice = choose(cell)
    assert choice.engine == "reference"
    assert choice.why == "torch: torch has kernels for lstm, gru, elman, elman-relu, feedback, feedback-relu only"
    assert available(cell) == ("reference",)


def test_an_engine_is_asked_for_inside_a_with_and_no_longer():
    cell = get_cell("lstm")
    with recurra.engine("reference"):
        assert choose(cell).engine == "reference"
        with recurra.engine("auto"):
            assert choose(cell).engine == "torch"
        assert choose(cell).engine == "reference"
    assert choose(cell).engine == "torch"


def test_an_engine_is_given_back_after_an_error():
    with pytest.raises(KeyError), recurra.engine("reference"):
        raise KeyError
    assert choose(get_cell("lstm")).engine == "torch"


def test_an_engine_is_asked_for_in_this_thread_only():
    seen = []
    with recurra.engine("reference"):
        thread = threading.Thread(target=lambda: seen.append(choose(get_cell("gru")).engine))
        thread.start()
        thread.join()
    assert seen == ["torch"]


def test_a_named_engine_never_falls_back():
    words = r"engine 'torch' cannot run cell 'mine': torch has kernels for .* only; ask for one of: auto, reference"
    with recurra.engine("torch"), pytest.raises(ArgumentError, match=words):
        choose(Mine())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("refrence", "did you mean 'reference'?"),
        ("fast", "auto, torch, reference"),
        (None, "is unknown"),
        ("compiled", "planned and not built yet; use 'auto', 'torch' or 'reference'"),
        ("scan", "not built yet"),
    ],
)
def test_an_unknown_engine_is_refused_at_once(name, words):
    with pytest.raises(ArgumentError) as caught:
        recurra.engine(name)
    assert words in str(caught.value)
