"""`recurra cells`."""

from pathlib import Path

import pytest

from recurra.cells import list_cells
from recurra.compiler.toolchain import find_compiler
from recurra.nn import LSTM


def test_every_cell_has_a_row(shell):
    said = shell.does("cells")
    rows = [line for line in said.out.splitlines() if line.startswith("│")]
    names = [row.split("│")[1].strip() for row in rows]
    assert [name for name in names if name] == list_cells()  # a long paper goes on in a row without a name


def test_parameters_are_counted_at_the_given_size(shell):
    rows = {row["name"]: row for row in shell.does("cells", "--input-size", 3, "--hidden-size", 8, "--json").json}
    assert rows["lstm"]["parameters"] == sum(parameter.numel() for parameter in LSTM(3, 8).parameters())
    found = {name: rows[name]["engines"] for name in ("lstm", "peepholelstm", "mingru")}
    kernels = ["compiled"] if find_compiler() else []
    assert found == {
        "lstm": [*kernels, "torch", "reference"],
        "peepholelstm": [*kernels, "reference"],
        "mingru": [*kernels, "scan", "reference"],
    }
    assert rows["peepholelstm"]["parameters"] == rows["lstm"]["parameters"] + 3 * 8
    assert rows["mingru"]["recurrent gates"] == []
    assert all(row["paper"] for row in rows.values())


def test_one_cell_shows_its_equations(shell):
    said = shell.does("cells", "elman-relu")
    assert "elman-relu" in said.out
    assert "h_t = g(W x_t + U h_(t-1))" in said.out


@pytest.mark.parametrize(("name", "words"), [("lstmm", "did you mean 'lstm'"), ("lstm-x", "'lstm' takes none")])
def test_an_unknown_cell_is_one_line(shell, name, words):
    assert words in shell.refuses("cells", name)


@pytest.mark.skipif(find_compiler() is None, reason="the page names the engines of a machine with a C compiler")
def test_the_page_of_equations_is_what_the_command_prints(shell):
    page = Path(__file__).parents[2] / "docs" / "cells.md"
    assert shell.does("cells", "--markdown").out == page.read_text(), "run `recurra cells --markdown > docs/cells.md`"
    assert page.read_text().count("\n## ") == len(list_cells())
