"""Cells by name."""

import sys

import pytest

import recurra.cells
from recurra.cells import Cell, get_cell, list_cells
from recurra.cells.gru import GRU
from recurra.cells.lstm import LSTM
from recurra.errors import ArgumentError


def test_the_list_holds_cells_and_no_helper_modules():
    assert {"elman", "gru", "lstm"} <= set(list_cells())
    assert all(isinstance(get_cell(name), Cell) for name in list_cells())
    assert all(get_cell(name).name == name for name in list_cells())


def test_a_name_a_class_and_a_cell_mean_the_same():
    cell = GRU()
    assert get_cell("gru") == get_cell(GRU) == cell
    assert get_cell(cell) is cell


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("lstn", "did you mean 'lstm'"),
        ("LSTM", "did you mean 'lstm'"),
        ("transformer", "'gru', 'indrnn', "),
        ("", "is unknown"),
        ("_cell", "is unknown"),
        ("os", "is unknown"),
        ("..errors", "is unknown"),
        ("lstm-tanh", "'lstm' takes none"),
        ("elman-relu-tanh", "'elman' takes 1 at most: activation"),
        ("elman-rleu", "did you mean 'relu'?"),
        (None, "cell is None"),
        (Cell, "pass a name"),
        (int, "pass a name"),
    ],
)
def test_what_is_no_cell_is_refused(spec, words):
    with pytest.raises(ArgumentError) as caught:
        get_cell(spec)
    assert words in str(caught.value)


def test_only_names_in_the_folder_are_imported(tmp_path, monkeypatch):
    (tmp_path / "intruder.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("intruder", "intruder.x", "../intruder"):
        with pytest.raises(ArgumentError, match="is unknown"):
            get_cell(name)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder beside ours, where a test can put files."""
    monkeypatch.setattr(recurra.cells, "__path__", [*recurra.cells.__path__, str(tmp_path)])
    yield tmp_path
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(f"recurra.cells.{path.stem}", None)


def test_a_new_file_is_all_that_a_new_cell_needs(folder):
    (folder / "fading.py").write_text(
        "from recurra.cells import Cell, State, tanh\n"
        "from recurra.cells.lstm import LSTM\n"
        "class Fading(Cell):\n"
        "    gates = ('n',)\n"
        "    states = ('h',)\n"
        "    def step(self, x, u, s):\n"
        "        return State(h=0.9 * s.h + 0.1 * tanh(x.n + u.n))\n"
    )
    assert "fading" in list_cells()
    assert get_cell("fading").gates == ("n",)


def test_a_file_without_its_cell_is_named(folder):
    (folder / "hollow.py").write_text("from recurra.cells.lstm import LSTM\n")
    with pytest.raises(ArgumentError, match=r"recurra/cells/hollow\.py defines no Cell"):
        get_cell("hollow")
    assert get_cell("lstm") == LSTM()
