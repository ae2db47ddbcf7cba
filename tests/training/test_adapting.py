"""Dynamic evaluation: a probability of the text, lower bits where it repeats what training had not, nothing lost."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from recurra.layers import Embedding, Recurrent, Softmax
from recurra.models import Seq2Seq
from recurra.training.adapting import adapted_bits
from recurra.training.language import bits_of_text


def build(cell="lstm"):
    torch.manual_seed(0)
    return Seq2Seq(Embedding(12, 6), Recurrent(cell, 6, 8), Softmax(8, 12))


def draw(count, seed=0):
    return np.random.default_rng(seed).integers(4, 12, count).astype(np.uint16)


@pytest.mark.parametrize("count", [1, 7, 45])
def test_weights_that_stay_give_the_bits_of_the_text(count):
    network, codes = build(), draw(count)
    expected = bits_of_text(network, codes, opening=3)
    assert adapted_bits(network, codes, opening=3, chunk=7, rate=0.0) == pytest.approx(expected, rel=1e-6)


def test_what_repeats_is_learned_by_a_copy():
    network, codes = build("gru"), np.tile(draw(9), 400)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    static = bits_of_text(network, codes, opening=3)
    assert adapted_bits(network, codes, opening=3, rate=1e-2) < 0.8 * static
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(("chunk", "count"), [(1, 30), (4, 90), (4, 100)])
def test_no_token_is_learned_before_it_is_foretold(chunk, count):
    network, past = build(), draw(count)
    options = {"opening": 3, "chunk": chunk, "rate": 1e-2}
    before = adapted_bits(network, past, **options)
    each = [adapted_bits(network, np.append(past, code).astype(np.uint16), **options) - before for code in range(12)]
    assert sum(2.0**-bits for bits in each) == pytest.approx(1.0, abs=1e-4)
    still = bits_of_text(network, past, opening=3)
    assert before != pytest.approx(still, rel=1e-4)


def test_steps_are_those_of_the_formula():
    network, codes = build(), draw(22 * 4)
    chunk, rate, decay = 4, 1e-2, 0.1
    model = build()
    weights = list(model.parameters())
    first = [weight.detach().clone() for weight in weights]
    squares = [torch.zeros_like(weight) for weight in weights]
    nats, state, before = 0.0, None, 3
    for count in range(1, 23):
        target = torch.from_numpy(codes[(count - 1) * chunk : count * chunk].astype(np.int64))
        raw, state = model(torch.cat([torch.tensor([before]), target[:-1]])[:, None], state)
        state, before = state.map(torch.Tensor.detach), int(target[-1])
        loss = F.cross_entropy(raw[:, 0], target)
        nats += float(loss.detach()) * chunk
        model.zero_grad()
        loss.backward()
        for weight, origin, square in zip(weights, first, squares, strict=True):
            square += weight.grad**2
            if count <= 20:
                continue
            root = (square / count).sqrt()
            moved = weight.detach() - rate * weight.grad / (root + 1e-3 * root.mean())
            back = (decay * root / root.mean()).clamp(max=1)
            weight.data = moved + back * (origin - moved)
    found = adapted_bits(network, codes, opening=3, chunk=chunk, rate=rate, decay=decay)
    assert found == pytest.approx(nats / np.log(2), rel=1e-5)
    assert found != pytest.approx(bits_of_text(network, codes, opening=3), rel=1e-4)
