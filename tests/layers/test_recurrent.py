"""The layer against torch.nn: the same numbers for the same weights, in every form of call."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence, pad_packed_sequence

import recurra
from recurra.compiler.toolchain import find_compiler
from recurra.nn import Recurrent
from recurra.testing import assert_within_rounding

RIVALS = {
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "elman": nn.RNN,
    "elman-relu": lambda *sizes, **named: nn.RNN(*sizes, nonlinearity="relu", **named),
}
ENGINES = ("auto", "torch", "reference")


def pair(cell, input_size, hidden_size, num_layers=1, **named):
    """Ours and torch's with the same weights, in float64, by the same seed."""
    named = {"dtype": torch.float64, **named}
    ours = Recurrent(cell, input_size, hidden_size, num_layers, seed=3, **named)
    torch.manual_seed(3)
    return ours, RIVALS[cell](input_size, hidden_size, num_layers, **named)


def parts(state):
    return state if isinstance(state, tuple) else (state,)


def assert_same_results(ours, theirs, x, given_ours, given_theirs):
    """y, final state and every gradient of two calls on the same x."""
    gradients = []
    for layer, state in ((ours, given_ours), (theirs, given_theirs)):
        y, last = layer(x, state)
        flat = [y.data if isinstance(y, PackedSequence) else y, *parts(last)]
        loss = sum(
            (part * torch.linspace(-1, 1, part.numel(), dtype=part.dtype).view(part.shape)).sum() for part in flat
        )
        leaves = [*parts(x)[:1], *parts(state), *layer.parameters()]
        leaves = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor) and leaf.requires_grad]
        gradients.append([*flat, *torch.autograd.grad(loss, leaves)])
    assert len(gradients[0]) == len(gradients[1])
    for found, expected in zip(*gradients, strict=True):
        assert_within_rounding(found, expected)


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_results_and_gradients_are_those_of_torch(data):
    cell, engine = data.draw(st.sampled_from(list(RIVALS))), data.draw(st.sampled_from(ENGINES))
    time, batch, features, hidden = (data.draw(st.integers(1, top)) for top in (7, 5, 4, 9))
    layers, both, bias, batch_first = data.draw(st.tuples(st.integers(1, 3), *[st.booleans()] * 3))
    form = data.draw(st.sampled_from(["batched", "unbatched", "packed"]))
    ours, theirs = pair(cell, features, hidden, layers, bidirectional=both, bias=bias, batch_first=batch_first)
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    draw = lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)  # noqa: E731
    stacked = layers * (1 + both)
    shape = (
        (time, features) if form == "unbatched" else (batch, time, features) if batch_first else (time, batch, features)
    )
    x = draw(*shape)
    if form == "packed":
        lengths = data.draw(st.lists(st.integers(1, time), min_size=batch, max_size=batch))
        x = pack_padded_sequence(x, lengths, batch_first=batch_first, enforce_sorted=False)
    state = tuple(
        draw(*((stacked, hidden) if form == "unbatched" else (stacked, batch, hidden))) for _ in ours.cell.states
    )
    given_state = data.draw(st.booleans())
    with recurra.engine(engine):
        assert_same_results(
            ours,
            theirs,
            x,
            state if given_state else None,
            (state if len(state) > 1 else state[0]) if given_state else None,
        )


@pytest.mark.parametrize("cell", RIVALS)
def test_the_same_seed_gives_the_weights_of_torch_and_loads_both_ways(cell):
    torch.manual_seed(11)
    theirs = RIVALS[cell](3, 5, 2, bidirectional=True)
    torch.manual_seed(11)
    from_global = Recurrent(cell, 3, 5, 2, bidirectional=True)
    seeded = Recurrent(cell, 3, 5, 2, bidirectional=True, seed=11)
    assert list(from_global.state_dict()) == list(theirs.state_dict())
    for name, weight in theirs.state_dict().items():
        assert torch.equal(from_global.state_dict()[name], weight)
        assert torch.equal(seeded.state_dict()[name], weight)
    other = Recurrent(cell, 3, 5, 2, bidirectional=True, seed=12)
    other.load_state_dict(theirs.state_dict(), strict=True)
    theirs.load_state_dict(Recurrent(cell, 3, 5, 2, bidirectional=True, seed=13).state_dict(), strict=True)
    assert torch.equal(other.weight_hh_l1_reverse, seeded.weight_hh_l1_reverse)
    assert not torch.equal(theirs.weight_hh_l1_reverse, seeded.weight_hh_l1_reverse)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("cell", RIVALS)
def test_dropout_is_drawn_as_torch_draws_it(cell, engine):
    ours, theirs = pair(cell, 2, 6, 3, dropout=0.4, bidirectional=True)
    x = torch.randn(4, 3, 2, dtype=torch.float64)
    torch.manual_seed(0)
    expected, _ = theirs(x)
    torch.manual_seed(0)
    with recurra.engine(engine):
        assert_within_rounding(ours(x)[0], expected)
        assert_within_rounding(ours.eval()(x)[0], theirs.eval()(x)[0])
    assert float((expected - theirs(x)[0]).detach().abs().max()) > 1e-3


def test_dropout_acts_between_layers_only():
    x = torch.randn(3, 2, 4)
    layer = Recurrent("gru", 4, 5, 2, dropout=1.0, seed=0)
    y, state = layer(x)
    assert torch.equal(layer(x + 1)[0], y)  # nothing passes from the first layer to the second
    assert y.abs().min() > 0  # and the second layer's own output is whole
    assert not torch.equal(layer(x + 1)[1].h[0], state.h[0])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("enforce_sorted", [True, False])
def test_a_packed_sequence_keeps_its_order_and_ties(engine, enforce_sorted):
    ours, theirs = pair("lstm", 2, 3, bidirectional=True)
    rows = [
        torch.randn(length, 2, dtype=torch.float64) for length in ((4, 2, 2, 1) if enforce_sorted else (2, 4, 1, 2))
    ]
    packed = pack_sequence(rows, enforce_sorted=enforce_sorted)
    with recurra.engine(engine):
        y, state = ours(packed)
    expected, (h, c) = theirs(packed)
    assert torch.equal(y.batch_sizes, expected.batch_sizes)
    assert_within_rounding(y.data, expected.data)
    assert_within_rounding(state.h, h)
    assert_within_rounding(state.c, c)
    assert_within_rounding(pad_packed_sequence(y)[0], pad_packed_sequence(expected)[0])


@pytest.mark.parametrize("cell", ["lstm", "elman-sigmoid"])
def test_lengths_are_what_a_packed_sequence_holds(cell):
    layer = Recurrent(cell, 2, 3, 2, bidirectional=True, batch_first=True, seed=0, dtype=torch.float64)
    x, lengths = torch.randn(3, 5, 2, dtype=torch.float64), [2, 5, 1]
    y, state = layer(x, lengths=lengths)
    packed, packed_state = layer(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
    assert_within_rounding(y, pad_packed_sequence(packed, batch_first=True)[0])
    assert_within_rounding(state.h, packed_state.h)


def test_lengths_without_a_batch():
    layer, x = Recurrent("gru", 2, 3, bidirectional=True, seed=0), torch.randn(5, 2)
    y, state = layer(x, lengths=[3])
    expected, last = layer(x[:3])
    assert_within_rounding(y[:3], expected)
    assert not y[3:].any()
    assert_within_rounding(state.h, last.h)


def test_an_initial_state_is_zeros_in_the_layers_own_type():
    layer = Recurrent("lstm", 2, 3, 2, bidirectional=True, dtype=torch.float64)
    state = layer.initial_state(5)
    assert (state.h.shape, state.c.dtype) == ((4, 5, 3), torch.float64)
    assert layer.initial_state().c.shape == (4, 3)
    x = torch.randn(2, 5, 2, dtype=torch.float64)
    assert torch.equal(layer(x, state)[0], layer(x)[0])


def test_a_step_continues_a_sequence_in_either_batch_order():
    for batch_first in (False, True):
        layer = Recurrent("lstm", 2, 3, batch_first=batch_first, seed=0)
        x = torch.randn(4, 4, 2)
        y, _ = layer(x)
        state = None
        for x_t, expected in zip(x.unbind(int(batch_first)), y.unbind(int(batch_first)), strict=True):
            y_t, state = layer.step(x_t, state)
            assert_within_rounding(y_t, expected)


@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
def test_explain_names_engine_and_reason_per_layer():
    layer = Recurrent("lstm", 1, [20, 2], 2, bidirectional=True, dtype=torch.float64)
    why = r"\(the fastest that computes lstm; training keeps (.*) bytes a step and row\)"
    lines = enumerate(layer.explain().splitlines())
    first, second = (
        int(re.fullmatch(f"layer {place}: lstm, both directions by compiled {why}", line)[1].replace(",", ""))
        for place, line in lines
    )
    assert first >= 5 * 20 * 8 > second >= 5 * 2 * 8  # four gates and the memory, in float64
    with recurra.engine("torch"):
        assert layer.explain().splitlines() == [
            "layer 0: lstm, both directions by torch (asked for by name)",
            "layer 1: lstm, both directions by torch (asked for by name)",
        ]


def test_explain_names_the_remedy_where_there_is_no_compiler(monkeypatch):
    monkeypatch.setenv("RECURRA_CC", "none")
    without = "compiled: RECURRA_CC=none turns the compiler off; unset it"
    assert Recurrent("lstm", 1, 2).explain() == f"layer 0: lstm by torch ({without})"
    assert f"by reference ({without}; torch: torch has kernels for" in Recurrent("elman-sigmoid", 1, 2).explain()


def test_a_layer_prints_its_arguments():
    layer = Recurrent("elman-relu", 3, 7, 2, dropout=0.5, bidirectional=True)
    assert repr(layer) == "Recurrent('elman-relu', 3, 7, num_layers=2, dropout=0.5, bidirectional=True)"


def test_autocast_runs_in_every_engine():
    layer, x = Recurrent("lstm", 3, 5, bidirectional=True, seed=0), torch.randn(4, 3, 3)
    exact, _ = layer(x)
    for name in ENGINES:
        with recurra.engine(name), torch.autocast("cpu", torch.bfloat16):
            for lengths in (None, [4, 4, 4], [4, 0, 2]):
                y, _ = layer(x, lengths=lengths)
                assert (y[:, 0] - exact[:, 0]).abs().max() < 0.02


def test_reference_differentiates_under_functional_transforms():
    layer, x = Recurrent("gru", 2, 3, seed=0), torch.randn(6, 4, 1, 2)
    with recurra.engine("reference"):
        mapped = torch.func.vmap(lambda one: layer(one)[0])(x)
    assert_within_rounding(mapped[2], layer(x[2])[0])
