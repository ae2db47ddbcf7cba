"""The reference: the oracle must not test itself."""

import pytest
import torch

from recurra.cells import Cell, State, tanh
from recurra.engines import Conditions, Weights, compiled, engine, native, reference, scan
from recurra.engines.task import Task
from recurra.errors import ArgumentError
from recurra.nn import Recurrent


def test_the_reference_calls_no_kernel(monkeypatch):
    def refuse(*arguments, **named):
        raise AssertionError("a kernel was called")

    for module in (compiled, native, scan):
        monkeypatch.setattr(module, "run", refuse)
    monkeypatch.setattr(Task, "__call__", refuse)
    for kernel in ("lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell"):
        monkeypatch.setattr(torch, kernel, refuse)
        monkeypatch.setattr(torch._VF, kernel, refuse)
    for cell in ("lstm", "gru", "elman", "elman-relu"):
        layer = Recurrent(cell, 2, 3, bidirectional=True)
        with engine("reference"):
            y, _ = layer(torch.ones(4, 2, 2), lengths=[4, 2])
        assert y.abs().sum() > 0
        for name in ("auto", "torch"):
            with engine(name), pytest.raises(AssertionError, match="a kernel was called"):
                layer(torch.ones(4, 2, 2))


class Memory(Cell):
    """Counts its steps in c; the field order of its result differs from its states on purpose."""

    gates = ("n",)
    states = ("h", "c")

    def step(self, x, u, s):
        return State(c=s.c + 1, h=tanh(x.n + u.n))


def weights(rows=2, features=1, hidden=2):
    return Weights(torch.ones(rows, features), torch.zeros(rows, hidden))


def test_fields_are_taken_by_name_and_states_stand_still_past_the_end():
    start = State(h=torch.zeros(3, 2), c=torch.zeros(3, 2))
    for reverse in (False, True):
        y, last = reference.run(
            Memory(), weights(), torch.ones(4, 3, 1), start, Conditions(torch.tensor([4, 0, 2])), reverse=reverse
        )
        assert last._fields == ("h", "c")
        assert last.c[:, 0].tolist() == [4, 0, 2]
        assert (y[:, :, 0] != 0).sum(0).tolist() == [4, 0, 2]


class Wrong(Cell):
    gates = ("n",)
    states = ("h", "c")

    def step(self, x, u, s):
        return State(h=x.n, d=x.n)


class Bare(Wrong):
    def step(self, x, u, s):
        return x.n


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (Wrong(), r"step of cell 'wrong' returned State\(h, d\); return State\(h=..., c=...\)"),
        (Bare(), r"step of cell 'bare' returned Tensor; return State\(h=..., c=...\)"),
    ],
)
def test_a_step_that_returns_other_fields_is_named(cell, words):
    with pytest.raises(ArgumentError, match=words):
        Recurrent(cell, 1, 2)(torch.ones(1, 1, 1))


class Narrow(Wrong):
    """Its c has one unit, which would be spread over all."""

    def step(self, x, u, s):
        return State(h=x.n + s.c, c=x.n.mean(1, keepdim=True))


class Uncalled(Cell):
    gates = ("n",)
    states = ("h",)
    second = ("n",)

    def step(self, x, u, s):
        return State(h=u.n)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (Narrow, r"step of cell 'narrow' returned c as \(4, 1\); expected \(4, 3\)"),
        (Uncalled, r"step of cell 'uncalled' returned h as partial; expected \(4, 3\)"),
    ],
)
def test_a_state_of_another_shape_is_named(cell, words):
    with pytest.raises(ArgumentError, match=words):
        Recurrent(cell, 2, 3)(torch.zeros(5, 4, 2))
