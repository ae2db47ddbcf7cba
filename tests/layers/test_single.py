"""Single-step cells where compiled kernels do not run; `test_dropin.py` compares them with torch.nn's."""

import copy

import pytest
import torch

import recurra
from recurra.compiler.toolchain import find_compiler
from recurra.errors import ArgumentError
from recurra.nn import GRUCell, LSTMCell, RNNCell
from recurra.testing import assert_within_rounding

CELLS = [LSTMCell, GRUCell, RNNCell]
X = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))


def make_cell(kind):
    torch.manual_seed(0)
    return kind(2, 3)


def states(last):
    return last if isinstance(last, tuple) else (last,)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", CELLS)
def test_half_precision_stays_near_single(kind, dtype):
    cell = make_cell(kind)
    narrow = copy.deepcopy(cell).to(dtype)
    for found, expected in zip(states(narrow(X.to(dtype))), states(cell(X)), strict=True):
        assert found.dtype == dtype
        assert (found.float() - expected).abs().max() <= 2**-6


@pytest.mark.parametrize("kind", CELLS)
def test_autocast_stays_near_single(kind):
    cell = make_cell(kind)
    with torch.autocast("cpu", torch.bfloat16):
        last = states(cell(X))
    for found, expected in zip(last, states(cell(X)), strict=True):
        assert 0 < (found - expected).abs().max() <= 2**-6


@pytest.mark.parametrize("kind", CELLS)
def test_an_exported_cell_computes_the_same_by_torchs_operators_alone(kind):
    cell = make_cell(kind)
    program = torch.export.export(cell, (X,))
    assert "recurra" not in str(program.graph)
    for found, expected in zip(states(program.module()(X + 1)), states(cell(X + 1)), strict=True):
        assert_within_rounding(found, expected)


@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
def test_compiled_kernels_are_refused_by_name_for_what_they_do_not_know():
    cell = make_cell(GRUCell)
    with recurra.engine("compiled"):
        assert torch.isfinite(cell(X)).all()
        with pytest.raises(ArgumentError, match="kernels are compiled for float32 and float64; ask for one of"):
            cell.to(torch.bfloat16)(X.bfloat16())
