"""What a language model says of a text is the probability of each token once, however the text is cut."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from recurra.errors import ArgumentError
from recurra.layers import Recurrent
from recurra.layers.heads import Softmax
from recurra.layers.inputs import Embedding
from recurra.models import Seq2Seq
from recurra.training import TrainingSettings
from recurra.training.language import (
    Regularisation,
    _Regularised,
    bits_of_lines,
    bits_of_text,
    draw_codes,
    foretell_counts,
    train_language,
)
from recurra.training.recorder import Recorder
from recurra.training.regularising import activation_penalty

CODES, OPENING = 9, 3


def build(dtype=torch.float64, **options):
    embedding = Embedding(CODES, 6, padding=0, seed=0, dtype=dtype)
    body = Recurrent("lstm", 6, 7, 2, seed=1, dtype=dtype, **options)
    return Seq2Seq(embedding, body, Softmax(7, CODES, tied=embedding, seed=2))


def text(length, seed=0):
    return np.random.default_rng(seed).integers(4, CODES, length).astype(np.uint16)


def loop_bits(network, codes):
    """The same by a plain loop over tokens."""
    state, before, total = None, OPENING, 0.0
    with torch.no_grad():
        for code in codes.tolist():
            raw, state = network.step(torch.tensor([before]), state)
            total -= raw.log_softmax(-1)[0, code].item() / np.log(2)
            before = code
    return total


@pytest.mark.parametrize("length", [1, 2, 31])
def test_the_bits_of_a_text_are_those_of_a_loop_over_its_tokens(length, monkeypatch):
    network, codes = build().eval(), text(length)
    expected = loop_bits(network, codes)
    assert bits_of_text(network, codes, opening=OPENING) == pytest.approx(expected, rel=1e-12)
    monkeypatch.setattr("recurra.training.language._RAW", 4 * CODES)  # chunks of four tokens
    assert bits_of_text(network, codes, opening=OPENING) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("rows", [2, 3, 5])
def test_rows_count_every_token_once_behind_the_one_before(rows, monkeypatch):
    network, codes = build().eval(), text(31)
    edges = 31 * np.arange(rows + 1) // rows
    expected = 0.0
    for first, last in pairwise(edges.tolist()):
        part = codes[max(0, first - 1) : last].astype(np.int64)
        x = np.concatenate([[OPENING], part])[:-1] if first == 0 else part[:-1]
        target = part if first == 0 else part[1:]
        with torch.no_grad():
            raw, _ = network(torch.from_numpy(x)[:, None])
        expected += F.cross_entropy(raw[:, 0], torch.from_numpy(target), reduction="sum").item() / np.log(2)
    monkeypatch.setattr("recurra.training.language._RAW", 3 * rows * CODES)
    assert bits_of_text(network, codes, opening=OPENING, rows=rows) == pytest.approx(expected, rel=1e-12)


def test_lines_are_measured_one_by_one_whatever_stands_beside_them(monkeypatch):
    network = build().eval()
    lines = [text(5, 1).tolist(), [], text(40, 2).tolist(), text(1, 3).tolist()]
    expected = [loop_bits(network, np.array(line, np.int64)) for line in lines]
    assert expected[1] == 0
    np.testing.assert_allclose(bits_of_lines(network, lines, opening=OPENING), expected, rtol=1e-12)
    monkeypatch.setattr("recurra.training.language._LONG", 20)
    np.testing.assert_allclose(bits_of_lines(network, lines, opening=OPENING), expected, rtol=1e-12)


# --- training


def test_nothing_dropped_is_the_plain_network():
    network = build().train()
    x = torch.randint(4, CODES, (5, 3))
    features, state = _Regularised(network, Regularisation())(x)
    raw, last = network(x)
    assert torch.equal(network.head(features[..., :-1]), raw)
    assert torch.equal(features[..., -1], torch.zeros(5, 3, dtype=torch.float64))
    assert torch.equal(state.c, last.c)


def test_a_feature_is_dropped_at_all_steps_and_the_penalty_is_that_of_the_outputs():
    network = build(input_dropout=0.5, weight_dropout=0.3).train()
    x = torch.randint(4, CODES, (6, 3))
    x[-1, 2] = 0  # the row has ended
    torch.manual_seed(0)
    features, _ = _Regularised(network, Regularisation(0.3, 0.5, 2.0, 1.0))(x)
    dropped, penalty = features[..., :-1], features[0, 0, -1]
    gone = (dropped == 0).all(0)
    assert 0 < gone.sum() < gone.numel()
    assert torch.equal((dropped == 0).any(0), gone)
    torch.manual_seed(0)
    outputs, _ = _Regularised(network, Regularisation(0.3))(x)  # the same draws, but the last
    h = outputs[..., :-1]
    torch.testing.assert_close(dropped, torch.where(gone, 0.0, 2 * h))
    assert penalty.item() == pytest.approx(
        activation_penalty(h, dropped, alpha=2.0, beta=1.0, mask=x != 0).item(), rel=1e-12
    )


def test_input_dropout_and_that_between_layers_are_two():
    network = build(input_dropout=0.999).train()  # between layers nearly all is dropped, of the lowest layer nothing
    seen = []
    network.body.register_forward_hook(lambda module, given, kept, out: seen.append(kept["noise"]), with_kwargs=True)
    x = torch.randint(4, CODES, (5, 3))
    _Regularised(network, Regularisation())(x)
    assert seen[0].inputs[0] is None
    assert seen[0].inputs[1].shape == (3, 7)


@pytest.mark.parametrize("tied", [True, False])
def test_a_network_that_learned_nothing_foretells_how_often_each_code_occurs(tied):
    network = build() if tied else Seq2Seq(build().input, build().body, Softmax(7, CODES, dtype=torch.float64))
    foretell_counts(network, np.array([4, 4, 4, 5, 8], np.uint16))
    expected = torch.tensor([1, 1, 1, 1, 4, 2, 1, 1, 2], dtype=torch.float64) / 14
    torch.testing.assert_close(network.head(torch.zeros(1, 7, dtype=torch.float64)).softmax(-1)[0], expected)


def fit(**changes):
    network = build(torch.float32)
    codes = np.tile(np.array([4, 5, 6, 7, 8, 4, 6], np.uint16), 150)
    settings = TrainingSettings(
        **{"steps": 250, "batch_size": 5, "learning_rate": 0.03, "validate_every": 50, "seed": 3} | changes
    )
    chosen = Regularisation(0.02, 0.02, 0.01, 0.01)
    speed = train_language(
        network, codes, codes[:200], settings, chosen, Recorder(), chunk=10, opening=OPENING, name="language"
    )
    return network, codes, speed


def test_a_text_that_repeats_is_learnt():
    network, codes, speed = fit()
    assert bits_of_text(network, codes[:140], opening=OPENING) / 140 < 0.3  # of log2(5) = 2.3 for a guess
    assert speed > 0


def test_averaged_descent_trains_too():
    network, codes, _ = fit(optimizer="asgd", learning_rate=3.0, trigger=1, steps=100, validate_every=10)
    assert bits_of_text(network, codes[:140], opening=OPENING) / 140 < 1.5


# --- going on


def test_what_is_drawn_is_never_what_is_barred_and_goes_by_the_seed():
    network = build()
    drawn = [
        [next(codes) for _ in range(300)]
        for codes in (draw_codes(network, [3], never=[0, 1, 2, 8], temperature=3.0, seed=seed) for seed in (0, 0, 1))
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert set(drawn[0]) == {3, 4, 5, 6, 7}


def test_temperature_zero_goes_on_with_the_likeliest():
    network, codes, _ = fit()
    going = draw_codes(network, codes[:20].tolist(), never=[0], temperature=0)
    assert [next(going) for _ in range(10)] == codes[20:30].tolist()


def test_arguments_of_drawing_are_checked_at_once():
    with pytest.raises(ArgumentError, match="temperature is -1"):
        draw_codes(build(), [3], never=[], temperature=-1)
    with pytest.raises(ArgumentError, match="top_k is 99, there are 9 classes"):
        draw_codes(build(), [3], never=[], top_k=99)
