"""The loops that kernels are timed against compute what our layers do."""

import pytest
import torch

from recurra.bench.peers.loops import LSTMLoop
from recurra.bench.sizes import Size
from recurra.bench.steps import draw, training_step
from recurra.bench.variants import _VARIANTS, Variant
from recurra.layers import Recurrent
from recurra.testing import assert_within_rounding

PLAIN = {"plain LSTM": Variant("lstm", {}, LSTMLoop)}


@pytest.mark.parametrize("name", [*PLAIN, *_VARIANTS])
def test_a_loop_has_the_outputs_and_gradients_of_our_layer(name):
    variant = (PLAIN | _VARIANTS)[name]
    size = Size(5, 3, 2, 7)
    layer = Recurrent(variant.cell, size.features, size.hidden, seed=0, **variant.options)
    loop = variant.loop(layer)
    x, dy = draw(size)
    results = []
    for module in (layer, loop):
        torch.manual_seed(1)
        results.append(training_step(module, x, dy)())
    assert_within_rounding(results[1], results[0])
    gradients = [{name.removesuffix("_l0"): p.grad for name, p in one.named_parameters()} for one in (layer, loop)]
    assert gradients[0].keys() == gradients[1].keys()
    for parameter, gradient in gradients[0].items():
        assert_within_rounding(gradients[1][parameter], gradient)


def test_a_loop_ends_in_the_state_of_its_last_step():
    layer = Recurrent("lstm", 2, 7, seed=0)
    x, _ = draw(Size(5, 3, 2, 7))
    with torch.no_grad():
        y, (h, c) = LSTMLoop(layer)(x)
        _, state = layer(x)
    assert torch.equal(h, y[-1])
    assert_within_rounding(c, state.c[0])


def test_the_loop_drops_otherwise_than_a_loop_that_drops_nothing():
    layer = Recurrent("lstm", 2, 7, recurrent_dropout=0.2, seed=0)
    x, _ = draw(Size(5, 3, 2, 7))
    torch.manual_seed(1)
    dropped = _VARIANTS["recurrent-dropout LSTM"].loop(layer)(x)[0]
    assert torch.equal(dropped[0], LSTMLoop(layer)(x)[0][0])  # the first step reads no state
    assert (dropped - LSTMLoop(layer)(x)[0]).abs().max() > 1e-3
