"""Sequences, lengths and states that do not fit; the conformance suite holds the usual ones."""

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from recurra.cells import State
from recurra.errors import ArgumentError
from recurra.layers.lengths import read_lengths
from recurra.nn import Recurrent

LAYER = Recurrent("lstm", 2, 3, batch_first=True)
H = torch.zeros(1, 4, 3)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        ([[1.0, 2.0]], "x is list; expected a tensor (batch, time, feature)"),
        (torch.zeros(2), "x has shape (2,); expected (batch, time, feature), or (time, feature)"),
        (torch.zeros(4, 5, 3), "3 features, the layer's input_size is 2"),
        (torch.zeros(4, 0, 2), "no time step"),
        (torch.zeros(0, 2), "no time step"),
        (torch.zeros(4, 5, 2, dtype=torch.int64), "torch.int64"),
        (torch.zeros(4, 5, 2, device="meta"), "x is on meta, the weights on cpu"),
        (pack_sequence([torch.zeros(2, 3)]), "3 features"),
    ],
)
def test_a_sequence_that_does_not_fit(x, words):
    with pytest.raises(ArgumentError) as caught:
        LAYER(x)
    assert words in str(caught.value)


def test_a_batch_without_rows_is_a_batch():
    y, state = LAYER(torch.zeros(0, 5, 2))
    assert (y.shape, state.c.shape) == ((0, 5, 3), (1, 0, 3))
    assert LAYER(torch.zeros(0, 5, 2), lengths=[])[0].shape == (0, 5, 3)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State(h=H), "a tuple of 1; cell 'lstm' has h, c: pass State(h=..., c=...)"),
        (State(c=H, h=H), "a tuple of c, h"),
        ((H, None), "state.c is NoneType"),
        ((H, H[:, :1]), "state.c has shape (1, 1, 3); expected (1, 4, 3), (layers*directions, batch, hidden)"),
        ((H.double(), H), "state.h has dtype torch.float64, x torch.float32"),
        ((H, H.to("meta")), "state.c is on meta, x on cpu"),
        ([H, H], "state is a list"),
    ],
)
def test_a_state_that_does_not_fit(state, words):
    with pytest.raises(ArgumentError) as caught:
        LAYER(torch.zeros(4, 5, 2), state)
    assert words in str(caught.value)


def test_a_plain_tuple_is_a_state():
    x = torch.randn(4, 5, 2)
    assert torch.equal(LAYER(x, (H + 1, H))[0], LAYER(x, State(h=H + 1, c=H))[0])


def test_a_state_of_a_sequence_without_batch_has_none():
    with pytest.raises(
        ArgumentError, match=r"state.h has shape \(1, 4, 3\); expected \(1, 3\), \(layers\*directions, hidden\)"
    ):
        LAYER(torch.zeros(5, 2), (H, H))


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        ("abc", "lengths is 'abc'"),
        (3, "shape (), x has batch 2"),
        ([[1, 2]], "shape (1, 2), x has batch 2"),
        ([1, -1], "lengths[1] is -1; expected 0 to 5"),
        ([6, 1], "lengths[0] is 6; expected 0 to 5"),
        ([1.0, 2.0], "torch.float32; expected integers"),
        ([True, False], "torch.bool"),
    ],
)
def test_lengths_that_do_not_fit(lengths, words):
    with pytest.raises(ArgumentError) as caught:
        read_lengths(lengths, batch=2, time=5)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        ("abc", "y_lengths is 'abc'"),
        ([1], "y_lengths has shape (1,), y has batch 2; pass one length per row"),
        ([1, 6], "y_lengths[1] is 6; expected 0 to 5, the time steps of y; mend the length, or pad y to at least"),
        ([1.0, 2.0], "y_lengths has dtype torch.float32; expected integers, as in y_lengths.long()"),
    ],
)
def test_lengths_are_called_by_their_own_name(lengths, words):
    with pytest.raises(ArgumentError) as caught:
        read_lengths(lengths, batch=2, time=5, name="y_lengths", of="y")
    assert str(caught.value).startswith(words)


def test_lengths_that_say_nothing_are_none():
    assert read_lengths([5, 5], batch=2, time=5) is None
    assert read_lengths(torch.tensor([5, 4], dtype=torch.int32), batch=2, time=5).dtype == torch.int64


def test_lengths_beside_a_packed_sequence():
    with pytest.raises(ArgumentError, match="holds its own"):
        LAYER(pack_sequence([torch.zeros(2, 2)]), lengths=[2])


@pytest.mark.parametrize(
    ("x_t", "words"),
    [
        (torch.zeros(1, 4, 2), "x_t has shape (1, 4, 2); expected one time step"),
        (torch.zeros(4, 3), "x_t has shape (4, 3) with 3 features"),
        (1.0, "x_t is float"),
    ],
)
def test_a_step_that_does_not_fit(x_t, words):
    with pytest.raises(ArgumentError) as caught:
        LAYER.step(x_t)
    assert words in str(caught.value)
