"""Rows that begin anew by torch's kernels: results and gradients are those of the reference."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import recurra
from recurra.nn import Recurrent
from recurra.testing import assert_within_rounding


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_every_result_and_gradient_is_that_of_the_reference(data):
    cell = data.draw(st.sampled_from(["lstm", "gru", "elman"]))
    time, batch = data.draw(st.integers(1, 7)), data.draw(st.integers(1, 4))
    both, learned, share = data.draw(st.booleans()), data.draw(st.booleans()), data.draw(st.sampled_from([0, 0.3, 1]))
    lengths = data.draw(st.none() | st.lists(st.integers(0, time), min_size=batch, max_size=batch))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    layer = Recurrent(cell, 2, 3, bidirectional=both, learn_initial_state=learned, seed=0, dtype=torch.float64)
    x = torch.randn(time, batch, 2, generator=generator, dtype=torch.float64)
    resets = torch.rand(time, batch, generator=generator) < share
    found = []
    for name in ("torch", "reference"):
        leaf, start = x.clone().requires_grad_(), layer.initial_state(batch)
        start = start.map(lambda part: (part.detach() + 0.5).requires_grad_())
        with recurra.engine(name):
            y, last = layer(leaf, start, lengths=lengths, resets=resets)
        loss = sum(
            (part * torch.linspace(-1, 2, part.numel(), dtype=part.dtype).view_as(part)).sum() for part in (y, *last)
        )
        leaves = [leaf, *start, *layer.parameters()]
        found.append([y, *last, *torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)])
    for one, other in zip(*found, strict=True):
        assert_within_rounding(one, other)


def test_explain_is_right_about_resets():
    layer, x = Recurrent("gru", 2, 3), torch.randn(4, 2, 2)
    with recurra.engine("torch"):
        assert "by torch" in layer.explain()
        y, _ = layer(x, resets=torch.ones(4, 2, dtype=torch.bool))
    for t in range(4):
        assert_within_rounding(y[t], layer(x[t : t + 1])[0][0])


@pytest.mark.parametrize("compiler", ["", "none"])
def test_resets_that_may_not_be_looked_at_are_not_left_to_torchs_kernels(compiler, monkeypatch):
    monkeypatch.setenv("RECURRA_CC", compiler)
    layer, x, resets = (
        Recurrent("gru", 2, 3),
        torch.randn(4, 2, 2),
        torch.tensor([[0, 0], [0, 1], [1, 0], [0, 0]]).bool(),
    )
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    with recurra.engine("torch"):
        expected, _ = layer(x, resets=resets)
    assert_within_rounding(compiled(x, resets=resets)[0], expected)


@pytest.mark.parametrize("name", ["auto", "torch", "reference"])
def test_a_reset_past_the_end_of_a_row_does_nothing(name):
    layer, x = Recurrent("lstm", 2, 3, bidirectional=True), torch.randn(4, 1, 2)
    late = torch.tensor([[0], [0], [1], [1]]).bool()
    with recurra.engine(name):
        y, last = layer(x, lengths=[2], resets=late)
        expected, final = layer(x, lengths=[2])
    assert_within_rounding(y, expected)
    assert_within_rounding(last.c, final.c)
