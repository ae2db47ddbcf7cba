"""States of many named series: streams in any order and any batches equal each alone."""

import pytest
import torch

from recurra.errors import ArgumentError
from recurra.nn import GRU, LSTM, ConvLSTM, Recurrent, SeriesStates
from recurra.testing import assert_within_rounding

LAYERS = {
    "lstm": lambda: Recurrent("lstm", 2, 3, 2, seed=0, dtype=torch.float64),
    "widths": lambda: Recurrent("gru", 2, [3, 5], seed=0, num_layers=2, dtype=torch.float64),
    "dilated": lambda: Recurrent("elman", 2, 3, 2, dilation=[1, 4], seed=0, dtype=torch.float64),
    "learned": lambda: Recurrent("gru", 2, 3, learn_initial_state=True, seed=0, dtype=torch.float64),
    "drop-in": lambda: LSTM(2, 3, seed=0, dtype=torch.float64),
}
BATCHES = (["a", "b", "c"], ["c"], ["b", "a"], ["d", "c"], ["a", "d", "c", "b"])


@pytest.mark.parametrize("name", LAYERS)
def test_interleaved_series_equal_each_alone(name):
    layer = LAYERS[name]()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.1)  # a learned initial state that is none of zeros
    x = {series: torch.randn(9, 2, dtype=torch.float64) for series in "abcd"}
    states, seen, outputs = SeriesStates(layer), dict.fromkeys("abcd", 0), {series: [] for series in "abcd"}
    for names in BATCHES:
        y_t, state = layer.step(torch.stack([x[series][seen[series]] for series in names]), states.gather(names))
        states.update(names, state)
        for row, series in enumerate(names):
            outputs[series].append(y_t[row])
            seen[series] += 1
    for series in "abcd":
        expected, _ = layer(x[series][: seen[series]])
        assert_within_rounding(torch.stack(outputs[series]), expected, f"series {series}")
    assert set(states) == set("abcd") and len(states) == 4


@pytest.mark.parametrize("name", LAYERS)
def test_a_state_dict_brings_them_back(name):
    layer = LAYERS[name]()
    states = SeriesStates(layer)
    _, state = layer(torch.randn(5, 2, 2, dtype=torch.float64))
    states.update(["a/b", ""], state)
    loaded = SeriesStates(layer)
    loaded.load_state_dict(states.state_dict())
    for found, expected in zip(loaded.gather(["", "a/b"]), states.gather(["", "a/b"]), strict=True):
        for one, other in zip(found, expected, strict=True) if isinstance(found, tuple) else [(found, expected)]:
            assert torch.equal(one, other)
            assert one.abs().sum() > 0


def test_a_kept_state_is_a_copy_without_history():
    layer = Recurrent("gru", 2, 3)
    states, (_, state) = SeriesStates(layer), layer(torch.randn(5, 1, 2))
    states.update(["a"], state)
    kept = states.gather(["a"]).h
    with torch.no_grad():
        state.h.zero_()
    assert not kept.requires_grad
    assert states.gather(["a"]).h.abs().sum() > 0


def test_a_forgotten_series_begins_anew():
    layer = Recurrent("gru", 2, 3)
    states = SeriesStates(layer)
    states.update(["a", "b"], layer(torch.randn(5, 2, 2))[1])
    states.forget(["a"])
    assert "a" not in states and "b" in states
    assert not states.gather(["a"]).h.any()
    assert states.gather([]).h.shape == (1, 0, 3)


def test_images_have_states_too():
    layer = ConvLSTM(1, 2)
    states, x = SeriesStates(layer), torch.randn(4, 1, 1, 5, 6)
    expected, _ = layer(x)
    for x_t, y_t in zip(x, expected, strict=True):
        found, state = layer.step(x_t, states.gather(["camera"], space=(5, 6)))
        states.update(["camera"], state)
        assert_within_rounding(found, y_t)


def test_states_of_another_layer_are_refused():
    lstm, gru = Recurrent("lstm", 2, 3), Recurrent("gru", 2, 3)
    states, (_, state) = SeriesStates(lstm), lstm(torch.randn(5, 2, 2))
    with pytest.raises(ArgumentError, match="cell 'lstm' has h, c"):
        states.update(["a", "b"], gru(torch.randn(5, 2, 2))[1])
    with pytest.raises(ArgumentError, match=r"state.c has shape"):
        states.update(["a", "b"], state._replace(c=state.c[:, :1]))
    images, camera = SeriesStates(ConvLSTM(1, 3)), ConvLSTM(1, 3)
    images.update(["a"], camera(torch.randn(2, 1, 1, 4, 4))[1])
    with pytest.raises(ArgumentError, match=r"space is \(\), that of the states kept \(4, 4\)"):
        images.gather(["a", "b"])
    with pytest.raises(ArgumentError, match="states of another layer"):
        SeriesStates(Recurrent("lstm", 1, 3)).load_state_dict(images.state_dict())


def test_a_drop_in_of_different_widths_takes_back_what_it_returned():
    layer = GRU(2, [3, 5], 2, seed=0)
    x = torch.randn(6, 2, 2)
    whole, _ = layer(x)
    first, state = layer(x[:4])
    assert_within_rounding(torch.cat([first, layer(x[4:], state)[0]]), whole)
    states = SeriesStates(layer)
    states.update(["a", "b"], state)
    assert_within_rounding(layer(x[4:], states.gather(["a", "b"]))[0], whole[4:])


def test_wrong_use_is_refused_in_words():
    layer = Recurrent("gru", 2, 3)
    states, (_, state) = SeriesStates(layer), layer(torch.randn(5, 2, 2))
    with pytest.raises(ArgumentError, match="expected a Recurrent"):
        SeriesStates(torch.nn.GRU(2, 3))
    with pytest.raises(ArgumentError, match=r"state.h has shape \(1, 2, 3\); expected \(1, 1, 3\)"):
        states.update(["a"], state)
    with pytest.raises(ArgumentError, match="names has 'a' twice"):
        states.gather(["a", "b", "a"])
    with pytest.raises(ArgumentError, match="sequence of strings"):
        states.gather("ab")
    states.update(["a", "b"], state)
    with pytest.raises(ArgumentError, match="series 'c' is not known; there are: 'a', 'b'"):
        states.forget(["c"])
    with pytest.raises(ArgumentError, match="states of another layer"):
        SeriesStates(Recurrent("gru", 2, 4)).load_state_dict(states.state_dict())
    with pytest.raises(ArgumentError, match="the layer's state has h, c"):
        SeriesStates(Recurrent("lstm", 2, 3)).load_state_dict(states.state_dict())
