"""Streams on NumPy arrays: each step is the layer's own."""

import gc

import numpy as np
import pytest
import torch

import recurra
from recurra.cells import State, list_cells
from recurra.compiler.toolchain import find_compiler
from recurra.errors import ArgumentError
from recurra.nn import LSTM, Recurrent
from recurra.testing import assert_within_rounding

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")


def draw(*shape, seed=3, dtype=torch.float64):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)


def make_layer(cell="lstm", hidden=5, **options):
    return Recurrent(cell, 2, hidden, **{"seed": 0, "dtype": torch.float64, **options}).eval()


def run(stream, x):
    """Outputs of every step."""
    return torch.from_numpy(np.stack([np.array(stream(x_t.numpy())) for x_t in x]))


@torch.no_grad()
def assert_streams(layer, batch=3, steps=6, state=None):
    """As the equations have it, from the first step to the last, with the state that is left."""
    dtype = next(layer.parameters()).dtype
    x = draw(*((steps, 2) if batch is None else (steps, batch, 2)), dtype=dtype)
    stream = layer.stream(batch, state)
    y = run(stream, x)
    with recurra.engine("reference"):
        expected, last = layer(x, state)
    assert y.dtype == dtype
    assert_within_rounding(y, expected, "y")
    for name, part, other in zip(layer.cell.states, stream.state, last, strict=True):
        assert_within_rounding(part, other, name)
    return stream


@pytest.mark.slow
@pytest.mark.parametrize("cell", [*list_cells(), "elman-relu"])
def test_every_cell_streams(cell):
    layer = make_layer(cell, num_layers=2)
    assert_streams(layer)
    assert_streams(layer, batch=None)


@pytest.mark.parametrize(
    "options",
    [
        {"num_layers": 3},
        {"num_layers": 3, "residual": True},
        {"residual": True, "num_layers": 2, "zoneout": 0.3},
        {"bias": False},
        {"layer_norm": True, "num_layers": 2},
        {"layer_norm": True, "zoneout": {"c": 0.4}},
        {"weight_norm": True},
        {"zoneout": 0.3},
        {"zoneout": {"h": 0.2}},
        {"proj_size": 3, "num_layers": 2},
        {"learn_initial_state": True, "num_layers": 2},
        {"recurrent_dropout": 0.5, "input_dropout": 0.5, "weight_dropout": 0.5, "num_layers": 2, "dropout": 0.5},
        {"checkpoint": 2},
        {"dtype": torch.float32, "num_layers": 2},
    ],
    ids=str,
)
def test_layers_stream_with_every_option_that_acts_in_evaluation(options):
    layer = make_layer(**options)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.startswith("initial"):
                parameter.copy_(draw(len(parameter)))
    assert_streams(layer)
    assert_streams(layer, batch=None)
    assert_streams(layer.train().eval(), batch=1)


@pytest.mark.parametrize("hidden", [1, 3, 33, 64])
@pytest.mark.parametrize("batch", [None, 1, 7, 300])
def test_odd_sizes_stream(hidden, batch):
    assert_streams(make_layer("gru", hidden, dtype=torch.float32), batch)


def test_layers_of_different_widths_stream():
    layer = Recurrent("gru", 2, (4, 7, 3), 3, seed=0, dtype=torch.float64)
    x = draw(5, 3, 2)
    stream = layer.stream(3)
    with torch.no_grad():
        expected, last = layer(x)
    assert_within_rounding(run(stream, x), expected)
    assert [tuple(part.shape) for part in stream.state.h] == [(1, 3, 4), (1, 3, 7), (1, 3, 3)]
    for part, other in zip(stream.state.h, last.h, strict=True):
        assert_within_rounding(part, other)


def test_a_layer_in_training_streams_as_in_evaluation():
    layer = make_layer(zoneout=0.3, recurrent_dropout=0.5)
    x = draw(5, 3, 2)
    with torch.no_grad():
        expected, _ = layer(x)
    assert_within_rounding(run(layer.train().stream(3), x), expected)


@pytest.mark.parametrize("batch", [None, 3])
def test_a_stream_begins_with_the_state_that_it_is_given(batch):
    layer = make_layer(num_layers=2)
    shape = (2, 5) if batch is None else (2, 3, 5)
    assert_streams(layer, batch, state=State(h=draw(*shape), c=draw(*shape, seed=4)))


@pytest.mark.parametrize("batch", [None, 3])
def test_a_state_may_be_a_tuple_as_for_a_step(batch):
    layer, x = make_layer(), draw(4, 2) if batch is None else draw(4, 3, 2)
    shape = (1, 5) if batch is None else (1, 3, 5)
    state = (draw(*shape), draw(*shape, seed=4))
    with torch.no_grad():
        expected, _ = layer(x, state)
    assert_within_rounding(run(layer.stream(batch, state), x), expected)
    stream = layer.stream(batch)
    stream.state = state
    assert_within_rounding(run(stream, x), expected)


def test_drop_ins_take_the_state_in_torchs_form():
    layer, x = LSTM(2, 5, dtype=torch.float64), draw(4, 3, 2)
    state = (draw(1, 3, 5), draw(1, 3, 5, seed=4))
    with torch.no_grad():
        expected, _ = layer(x, state)
    assert_within_rounding(run(layer.stream(3, state), x), expected)


def test_the_state_is_read_and_written_and_is_a_copy():
    layer, x = make_layer(num_layers=2), draw(6, 3, 2)
    stream = layer.stream(3)
    run(stream, x[:3])
    kept = stream.state
    shown = kept.map(torch.clone)
    first = run(stream, x[3:])
    assert all(map(torch.equal, kept, shown))
    stream.state = kept
    assert torch.equal(run(stream, x[3:]), first)
    kept.h.fill_(9)
    stream.state = shown
    assert torch.equal(run(stream, x[3:]), first)


def test_a_state_goes_from_a_stream_to_a_step_and_back():
    layer, x = make_layer(), draw(6, 3, 2)
    stream = layer.stream(3)
    run(stream, x[:2])
    with torch.no_grad():
        _, state = layer.step(x[2], stream.state)
        stream.state = state
        expected, _ = layer(x)
    assert_within_rounding(run(stream, x[3:]), expected[3:])


def test_reset_goes_back_to_where_the_stream_began():
    layer, x = make_layer(num_layers=2, learn_initial_state=True), draw(4, 3, 2)
    with torch.no_grad():
        layer.initial_h_l0.fill_(0.5)
    for state in (None, State(h=draw(2, 3, 5), c=draw(2, 3, 5, seed=4))):
        stream = layer.stream(3, state)
        first = run(stream, x)
        stream.reset()
        assert torch.equal(run(stream, x), first)


def test_weights_are_those_of_the_time_of_opening():
    layer, x = make_layer(), draw(4, 3, 2)
    stream, early = layer.stream(3), layer.stream(3)
    expected = run(early, x)
    with torch.no_grad():
        layer.weight_hh_l0.mul_(3)
        layer.bias_ih_l0.add_(1)
    assert torch.equal(run(stream, x), expected)
    assert not torch.equal(run(layer.stream(3), x), expected)


def test_a_stream_outlives_its_layer():
    layer, x = make_layer("peepholelstm", layer_norm=True), draw(50, 3, 2)
    with torch.no_grad():
        expected, _ = layer(x)
    stream = layer.stream(3)
    del layer
    gc.collect()
    torch.randn(1000, 100)
    assert_within_rounding(run(stream, x), expected)


def test_streams_of_one_layer_do_not_meet():
    layer, x = make_layer(num_layers=2), draw(5, 3, 2)
    one, other = layer.stream(3), layer.stream(3)
    found = [(np.array(one(x_t.numpy())), np.array(other(-x_t.numpy()))) for x_t in x]
    assert torch.equal(torch.from_numpy(np.stack([y for y, _ in found])), run(layer.stream(3), x))
    assert torch.equal(torch.from_numpy(np.stack([y for _, y in found])), run(layer.stream(3), -x))


def test_the_result_is_the_streams_own_array():
    stream = make_layer("gru", dtype=torch.float32).stream()
    first = stream(np.ones(2, np.float32))
    kept = first.copy()
    second = stream(np.ones(2, np.float32))
    assert second is first
    assert second.shape == (5,) and second.dtype == np.float32
    assert not np.array_equal(second, kept)


def test_what_is_written_into_the_result_does_not_come_back():
    layer, x = make_layer("gru", num_layers=2), draw(5, 3, 2)
    stream, expected = layer.stream(3), run(layer.stream(3), x)
    for x_t, y_t in zip(x, expected, strict=True):
        y = stream(x_t.numpy())
        assert np.array_equal(y, y_t)
        y[...] = 9


def test_x_may_be_anything_that_numpy_can_copy():
    layer = make_layer(dtype=torch.float32)
    expected = layer.stream()(np.array([1, 2], np.float32)).copy()
    wide = np.arange(8, dtype=np.float32)
    for x_t in (
        [1, 2],
        (1.0, 2.0),
        np.array([1, 2]),
        torch.tensor([1.0, 2.0]),
        wide[1:3],
        np.array([0, 1, 0, 2, 0])[1::2],
    ):
        assert np.array_equal(layer.stream()(x_t), expected)


@pytest.mark.parametrize("batch", [None, 3])
def test_gaps_are_those_of_this_step_and_1_where_none_are_given(batch):
    layer = make_layer("cfc", num_layers=2)
    x = draw(6, 2) if batch is None else draw(6, 3, 2)
    gaps = [None, 2.5, None, np.array([0.5, 1, 3]) if batch else 0.5, None, 1.5]
    stream, state = layer.stream(batch), None
    for x_t, gap in zip(x, gaps, strict=True):
        y = torch.from_numpy(np.array(stream(x_t.numpy(), gap)))
        given = None
        if gap is not None:
            given = torch.tensor(gap, dtype=torch.float64).expand(() if batch is None else (3,))
        with torch.no_grad(), recurra.engine("reference"):
            expected, state = layer.step(x_t, state, gaps=given)
        assert_within_rounding(y, expected, f"y after a gap of {gap}")


def test_gaps_are_forgotten_by_a_reset():
    stream, x = make_layer("cfc").stream(), draw(2).numpy()
    first = stream(x).copy()
    stream(x, 4.0)
    stream.reset()
    assert np.array_equal(stream(x), first)


REFUSED = [
    (lambda: make_layer(bidirectional=True).stream(), "stream was called on a bidirectional layer"),
    (lambda: make_layer(dilation=2).stream(), "stream was called on a layer with dilation=2; use layer.step"),
    (lambda: make_layer(dtype=torch.bfloat16).stream(), "a stream needs a compiled kernel, and there is none"),
    (lambda: make_layer(proj_size=2, zoneout=0.2).stream(), "and there is none: zoneout of a projected output"),
    (lambda: make_layer().stream(3, State(h=draw(1, 2, 5), c=draw(1, 3, 5))), "state.h has shape (1, 2, 5)"),
    (lambda: make_layer().stream(3, State(h=draw(1, 3, 5))), "cell 'lstm' has h, c"),
    (lambda: make_layer().stream()(np.ones(2), 1.0), "gaps was passed; cell 'lstm' reads no time gaps"),
    (lambda: setattr(make_layer().stream(3), "state", State(h=draw(1, 4, 5), c=draw(1, 4, 5))), "state.h has shape"),
    (lambda: setattr(make_layer().stream(3), "state", draw(1, 3, 5)), "state is a Tensor"),
    (
        lambda: setattr(make_layer().stream(3), "state", State(h=draw(1, 3, 5).float(), c=draw(1, 3, 5).float())),
        "state.h has dtype torch.float32",
    ),
]


@pytest.mark.parametrize(("call", "words"), REFUSED)
def test_what_cannot_stream_says_why(call, words):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert words in str(caught.value)


@pytest.mark.parametrize("batch", [None, 3])
@pytest.mark.parametrize("shape", [(3,), (4,), (2, 2), (4, 2), (3, 3), (2, 3, 2)])
def test_a_step_of_another_shape_is_refused(batch, shape):
    stream = make_layer().stream(batch)
    with pytest.raises(ValueError):
        stream(np.ones(shape))


@pytest.mark.parametrize("batch", [-1, 0.5, "3"])
def test_a_batch_that_is_no_count_is_refused_in_words(batch):
    with pytest.raises(ArgumentError, match="batch"):
        make_layer().stream(batch)


def test_an_empty_batch_streams():
    stream = make_layer().stream(0)
    assert stream(np.ones((0, 2))).shape == (0, 5)
    assert stream.state.h.shape == (1, 0, 5)
