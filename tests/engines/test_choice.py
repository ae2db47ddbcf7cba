"""Which engine runs a cell."""

import re
import threading

import pytest

import recurra
from recurra.cells import Cell, State, get_cell, tanh
from recurra.compiler.toolchain import find_compiler
from recurra.engines import Choice, available, choose
from recurra.errors import ArgumentError

with_a_compiler = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")


class Mine(Cell):
    gates = ("n",)
    states = ("h",)

    def step(self, x, u, s):
        return State(h=tanh(x.n + u.n))


@pytest.fixture
def no_compiler(monkeypatch):
    monkeypatch.setenv("RECURRA_CC", "none")


@with_a_compiler
@pytest.mark.parametrize("cell", [get_cell("lstm"), get_cell("mingru"), get_cell("elman-sigmoid"), Mine()])
def test_auto_takes_compiled_kernels_where_there_is_a_compiler(cell):
    assert choose(cell) == Choice("compiled", f"the fastest that computes {cell.name}")


@with_a_compiler
def test_what_is_available_is_named_from_the_fastest_on():
    assert available(get_cell("lstm")) == ("compiled", "torch", "reference")
    assert available(get_cell("qrnn")) == ("compiled", "scan", "reference")
    assert available(Mine()) == ("compiled", "reference")


@pytest.mark.usefixtures("no_compiler")
def test_without_a_compiler_auto_takes_torch_where_its_kernels_compute_the_same():
    for name in ("lstm", "gru", "elman", "elman-relu"):
        choice = choose(get_cell(name))
        assert choice.engine == "torch"
        assert choice.why == "compiled: RECURRA_CC=none turns the compiler off; unset it"


@pytest.mark.usefixtures("no_compiler")
def test_without_a_compiler_auto_scans_what_is_linear_in_its_state():
    for name in ("mingru", "minlstm", "qrnn", "lru", "indrnn-linear"):
        choice = choose(get_cell(name))
        assert choice.engine == "scan"
        assert choice.why.endswith(
            "torch: torch has kernels for lstm, gru, elman, elman-relu, feedback, feedback-relu only"
        )
        assert available(get_cell(name)) == ("scan", "reference")


@pytest.mark.usefixtures("no_compiler")
@pytest.mark.parametrize(
    ("cell", "why"),
    [
        (get_cell("elman-sigmoid"), "a recurrent product reads the output of the step before, which mixes its units"),
        (Mine(), "a recurrent product reads the output of the step before, which mixes its units"),
        (get_cell("sru"), "c is not linear in the state of the step before"),
    ],
)
def test_auto_says_why_it_takes_the_reference(cell, why):
    choice = choose(cell)
    assert choice.engine == "reference"
    assert choice.why == (
        "compiled: RECURRA_CC=none turns the compiler off; unset it; "
        "torch: torch has kernels for lstm, gru, elman, elman-relu, feedback, feedback-relu only; "
        f"scan: {why}"
    )
    assert available(cell) == ("reference",)


def test_an_engine_is_asked_for_inside_a_with_and_no_longer():
    cell = get_cell("lstm")
    usual = choose(cell).engine
    with recurra.engine("reference"):
        assert choose(cell).engine == "reference"
        with recurra.engine("auto"):
            assert choose(cell).engine == usual != "reference"
        assert choose(cell).engine == "reference"
    assert choose(cell).engine == usual


def test_an_engine_is_given_back_after_an_error():
    with pytest.raises(KeyError), recurra.engine("reference"):
        raise KeyError
    assert choose(get_cell("lstm")).engine != "reference"


def test_an_engine_is_asked_for_in_this_thread_only():
    seen = []
    with recurra.engine("reference"):
        thread = threading.Thread(target=lambda: seen.append(choose(get_cell("gru")).engine))
        thread.start()
        thread.join()
    assert seen == [choose(get_cell("gru")).engine] != ["reference"]


@pytest.mark.parametrize("name", ["torch", "scan"])
def test_a_named_engine_never_falls_back(name):
    words = rf"engine '{name}' cannot run cell 'mine': .*; ask for one of: auto, .*reference$"
    with recurra.engine(name), pytest.raises(ArgumentError, match=words):
        choose(Mine())


@pytest.mark.parametrize(
    ("name", "cell"),
    [pytest.param("compiled", "lru", marks=with_a_compiler), ("torch", "gru"), ("scan", "lru"), ("reference", "lru")],
)
def test_every_engine_can_be_asked_for_by_name(name, cell):
    with recurra.engine(name):
        assert choose(get_cell(cell)) == Choice(name, "asked for by name")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("refrence", "did you mean 'reference'? There are: auto, compiled, torch, scan, reference"),
        ("fast", "there are: 'auto', 'compiled', 'torch', 'scan', 'reference'"),
        (None, "there are: 'auto', 'compiled', 'torch', 'scan', 'reference'"),
    ],
)
def test_an_unknown_engine_is_refused_at_once(name, said):
    with pytest.raises(ArgumentError, match=f"is unknown; {re.escape(said)}$"):
        recurra.engine(name)
