"""Every cell of the folder passes; every check fails on a cell made wrong for it."""

from typing import ClassVar

import pytest
import torch

from recurra.cells import Cell, State, list_cells, tanh
from recurra.cells.elman import Elman
from recurra.compiler.toolchain import find_compiler
from recurra.engines import compiled
from recurra.errors import ArgumentError
from recurra.testing import check_cell, list_checks, list_options

CELLS = [*list_cells(), "elman-relu", "elman-sigmoid", "feedback-relu", "indrnn-linear", "leaky-0.9-relu"]


@pytest.mark.parametrize("check", list_checks())
@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_of_the_folder_passes(cell, check):
    assert check_cell(cell, checks=[check]) in ([check], [])


# Cells that an option means nothing for. Every other pair must run.
_WITHOUT_PRODUCT = {"indrnn", "lru", "mingru", "minlstm", "qrnn", "sru"}
_WITHOUT_WEIGHTS = _WITHOUT_PRODUCT - {"lru"}
_REFUSED = {
    "recurrent dropout": _WITHOUT_PRODUCT,
    "weight dropout": _WITHOUT_WEIGHTS,
    "connectivity": _WITHOUT_WEIGHTS,
    "zoneout": {"lru", "slstm"},
    "layer norm": {"lru"},
    "learned initial state": {"slstm"},
    "forget bias": {"cfc", "elman", "feedback", "indrnn", "jordan", "leaky", "lru", "mgu", "mingru"},
    "projection": set(list_cells()) - {"cifg", "elman", "feedback", "lstm", "peepholelstm", "slstm"},
}


@pytest.mark.parametrize("option", list_options())
@pytest.mark.parametrize("cell", list_cells())
def test_a_cell_of_the_folder_passes_with_every_option(cell, option):
    ran = check_cell(cell, option=option)
    if cell in _REFUSED.get(option, ()):
        assert ran == []
    else:
        assert {"gradients_are_right", "padded_equals_one_by_one"} < set(ran)


class Leaky(Cell):
    """What a newcomer writes: nothing else is registered."""

    gates = ("n", "k")
    states = ("h", "m")

    def step(self, x, u, s):
        m = 0.9 * s.m + 0.1 * tanh(x.n + u.n)
        return State(h=m * (x.k + u.k).sigmoid(), m=m)


def test_a_new_cell_passes_with_nothing_registered():
    assert check_cell(Leaky) == list_checks()


class Excused(Leaky):
    exempt: ClassVar = {"second_gradients_are_right": "kept here to test exemptions"}


def test_an_exemption_is_declared_on_the_class():
    assert check_cell(Excused, checks=["second_gradients_are_right"]) == []
    with pytest.raises(ArgumentError, match="did you mean 'gradients_are_right'"):
        check_cell(Leaky, checks=["gradients_are_write"])


class MixesRows(Leaky):
    def step(self, x, u, s):
        return State(h=tanh(x.n + u.n.mean(0, keepdim=True)), m=s.m)


class Remembers(Leaky):
    """Keeps its state on itself."""

    def step(self, x, u, s):
        self.last = tanh(x.n) if len(s.h) != len(getattr(self, "last", ())) else tanh(x.n + self.last)
        return State(h=self.last, m=s.m)


class CutsGradients(Leaky):
    def step(self, x, u, s):
        return State(h=tanh(x.n + u.n.detach() + s.h), m=s.m)


class CutsSecondGradients(Leaky):
    def step(self, x, u, s):
        return State(h=Once.apply(x.n + u.n) + s.m, m=s.m)


class Once(torch.autograd.Function):
    """tanh whose derivative is a constant to the second derivative."""

    @staticmethod
    def forward(ctx, value):
        ctx.save_for_backward(value)
        return value.tanh()

    @staticmethod
    def backward(ctx, gradient):
        (value,) = ctx.saved_tensors
        return gradient * (1 - value.detach().tanh() ** 2)


class Widens(Leaky):
    def step(self, x, u, s):
        return State(h=tanh(x.n + u.n).double(), m=s.m)


class Counts(Elman):
    """Claims to be a copy of nobody."""

    def __eq__(self, other):
        return False

    __hash__ = Elman.__hash__


class Explodes(Leaky):
    def step(self, x, u, s):
        return State(h=1 / (s.m - s.m) + x.n, m=s.m)


@pytest.mark.parametrize(
    ("cell", "check"),
    [
        (MixesRows, "rows_of_a_batch_do_not_meet"),
        (MixesRows, "padded_equals_one_by_one"),
        (Remembers, "whole_equals_chunks_equals_steps"),
        (CutsGradients, "gradients_are_right"),
        (CutsSecondGradients, "second_gradients_are_right"),
        (Widens, "results_have_the_declared_shapes"),
        (Counts, "a_cell_equals_its_copies"),
        (Explodes, "one_step_and_odd_sizes_run"),
    ],
)
def test_a_wrong_cell_is_named_with_the_check_that_it_fails(cell, check):
    with pytest.raises(AssertionError, match=f"cell '{cell.__name__.lower()}' fails {check}"):
        check_cell(cell, checks=[check])


@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
@pytest.mark.parametrize(("option", "error"), [(None, 5e-6), ("layer norm", 1e-4)])
def test_a_kernel_that_is_less_accurate_than_plain_arithmetic_fails(monkeypatch, option, error):
    """Also where a single draw is no evidence, and many decide."""
    right = compiled.run

    def blurred(*arguments, **named):
        y, state = right(*arguments, **named)
        return y * (1 + error * torch.linspace(-1, 1, y.shape[-1], dtype=y.dtype)), state

    monkeypatch.setattr(compiled, "run", blurred)
    with pytest.raises(AssertionError, match="in the middle of 33 draws"):
        check_cell("lstm", checks=["engines_equal_the_reference"], option=option)
