"""Networks that classify texts: their training, their probabilities, and what a class's odds hang on."""

import numpy as np
import pytest
import torch

from recurra.layers import Recurrent
from recurra.layers.heads import Softmax
from recurra.layers.inputs import Embedding
from recurra.models import Seq2Vec
from recurra.training.classifier import (
    CodedTexts,
    balanced_weights,
    contributions,
    log_probabilities,
    train_classifier,
)
from recurra.training.recorder import Recorder
from recurra.training.rows import seeded
from recurra.training.settings import TrainingSettings


def build(seed=0, classes=3, pooling="max", cell="gru", dropout=0.3):
    def network():
        body = Recurrent(cell, 5, 6, bidirectional=True)
        return Seq2Vec(Embedding(9, 5, padding=0), body, Softmax(12, classes), pooling=pooling, dropout=dropout)

    return seeded(seed, network)


TEXTS = [[4, 5, 6], [7], [8, 4, 4, 4, 5, 6, 7], [], [5, 5]]


def odds(network, codes, place, temperature=1.0):
    """The log-odds by the network itself, in one piece."""
    with torch.no_grad():
        raw = network.eval()(torch.tensor(codes)[:, None], lengths=[len(codes)])[0].double() / temperature
    others = torch.cat([raw[:place], raw[place + 1 :]])
    return float(raw[place] - others.logsumexp(0))


def test_probabilities_are_those_of_each_text_alone_in_the_given_order():
    network = build()
    found = log_probabilities(network, TEXTS)
    assert found.shape == (5, 3)
    assert np.exp(found).sum(1) == pytest.approx(1, abs=1e-12)
    for row, codes in enumerate(TEXTS):
        assert log_probabilities(network, [codes])[0] == pytest.approx(found[row], abs=1e-6)


def test_no_dropout_is_drawn_for_probabilities():
    network = build().train()
    first, second = (log_probabilities(network, TEXTS) for _ in range(2))
    assert (first == second).all()


@pytest.mark.parametrize("pooling", ["max", "mean", "attention", "last"])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_contributions_add_up_to_the_log_odds_of_a_class(pooling, temperature):
    network = build(pooling=pooling)
    for place in range(3):
        found = contributions([network], TEXTS[2], place, temperature=temperature, steps=64)
        assert len(found.contributions) == 7
        total = found.base + sum(found.contributions)
        assert total - found.gap == pytest.approx(odds(network, TEXTS[2], place, temperature), abs=1e-5)
        assert abs(found.gap) < 0.01


def test_more_steps_of_the_integral_leave_a_smaller_gap():
    network = build(pooling="mean")
    gaps = [abs(contributions([network], TEXTS[2], 1, temperature=1, steps=steps).gap) for steps in (2, 256)]
    assert gaps[1] < gaps[0] / 10


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_of_several_networks_contributions_add_up_to_the_odds_of_their_mean_probability(temperature):
    """One network is sure and the others are not, so that the mean of their log-odds is another number."""
    networks = [build(seed) for seed in (0, 1, 2)]
    with torch.no_grad():
        networks[0].head.projection.weight.mul_(80)
    apart = []
    for place in range(3):
        found = contributions(networks, TEXTS[2], place, temperature=temperature, steps=256)
        each = [np.exp(log_probabilities(network, TEXTS[2:3])[0]) for network in networks]
        powers = np.mean(each, 0) ** (1 / temperature)
        said = float(np.log(powers[place] / (powers.sum() - powers[place])))
        assert found.base + sum(found.contributions) - found.gap == pytest.approx(said, abs=1e-4)
        assert abs(found.gap) < 0.02
        apart.append(abs(np.mean([odds(network, TEXTS[2], place, temperature) for network in networks]) - said))
    assert max(apart) > 0.5
    alike = contributions([networks[1]] * 2, TEXTS[0], 2, temperature=temperature, steps=8)
    one = contributions([networks[1]], TEXTS[0], 2, temperature=temperature, steps=8)
    assert alike.contributions == pytest.approx(one.contributions, abs=1e-5)
    assert (alike.base, alike.gap) == pytest.approx((one.base, one.gap), abs=1e-5)


def test_a_text_of_nothing_has_no_contributions_but_a_base():
    network = build()
    found = contributions([network], [], 0, temperature=1, steps=4)
    assert found.contributions == ()
    raw = log_probabilities(network, [[]])[0]
    assert found.base == pytest.approx(raw[0] - np.logaddexp(raw[1], raw[2]), abs=1e-5)


def test_training_tells_classes_apart_and_keeps_the_best_weights():
    generator = np.random.default_rng(0)
    codes = [[int(code) for code in generator.integers(4, 7, generator.integers(1, 9))] for _ in range(60)]
    target = np.array([row % 2 for row in range(60)])
    for row, place in enumerate(target):
        codes[row].insert(int(generator.integers(0, len(codes[row]) + 1)), 7 + int(place))
    learned = CodedTexts(codes[:40], target[:40])
    held = CodedTexts(codes[40:], target[40:])
    network = build(classes=2)
    settings = TrainingSettings(steps=60, batch_size=8, learning_rate=0.02, validate_every=10)
    seen = []
    recorder = Recorder(on_step=lambda name, steps, record: seen.append(record))
    train_classifier(network, learned, held, settings, recorder, "member-0")
    found = log_probabilities(network, held.codes)
    assert (found.argmax(1) == held.target).mean() == 1.0
    scores = [record.validation for record in seen if record.validation is not None]
    nats = -found[np.arange(20), held.target].mean()
    assert min(scores) == pytest.approx((1 - np.exp(-nats)) / 20, abs=1e-6)
    assert scores[0] > scores[-1]


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_weights_of_classes_are_those_of_the_cross_entropy(label_smoothing):
    """One batch of all texts: the loss shown is the weighted one of the network as it was."""
    target = np.array([0, 0, 0, 1, 2])
    weights = balanced_weights(target, 3)
    assert weights == pytest.approx([5 / 9, 5 / 3, 5 / 3])
    assert weights[target].mean() == pytest.approx(1)
    network = build(dropout=0.0)
    network.head.label_smoothing = label_smoothing
    raw = torch.from_numpy(log_probabilities(network, TEXTS))
    each = torch.nn.functional.cross_entropy(
        raw, torch.from_numpy(target), reduction="none", label_smoothing=label_smoothing
    ).numpy()
    texts, seen = CodedTexts(TEXTS, target), []
    recorder = Recorder(on_step=lambda name, steps, record: seen.append(record.loss))
    settings = TrainingSettings(steps=1, batch_size=5, learning_rate=0.01)
    train_classifier(network, texts, texts, settings, recorder, "member-0", weights=weights)
    assert seen[0] == pytest.approx(float((weights[target] * each).mean()), abs=1e-5)
    assert abs(seen[0] - each.mean()) > 1e-3
    if not label_smoothing:
        given = torch.nn.functional.cross_entropy(raw, torch.from_numpy(target), weight=torch.from_numpy(weights))
        assert seen[0] == pytest.approx(given.item(), abs=1e-5)
