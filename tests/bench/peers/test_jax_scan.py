"""The JAX scan that training steps are timed against computes what our layers do."""

import pytest
import torch

from recurra.bench.apart import apart
from recurra.bench.sizes import Size
from recurra.bench.timing import Pace
from recurra.bench.training import beside_jax

pytest.importorskip("jax")


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_scan_has_the_outputs_and_gradients_of_our_layer(kind):
    from recurra.bench.peers.jax_scan import scan_training_step
    from recurra.bench.steps import draw, training_step
    from recurra.bench.training import build

    size = Size(5, 3, 2, 7)
    layer, (x, dy) = build(kind, size), draw(size)
    y = training_step(layer, x, dy)()
    scanned, gradients = scan_training_step(kind, layer.state_dict(), x, dy)()
    torch.testing.assert_close(torch.tensor(scanned.tolist()), y)
    for name, parameter in layer.named_parameters():
        torch.testing.assert_close(torch.tensor(gradients[name].tolist()), parameter.grad)


def test_a_scan_is_timed_in_a_process_of_its_own():
    (record,) = apart(beside_jax, "GRU", Size(3, 2, 1, 5), 1, Pace(0.0, 1, 1))
    assert (record.peer, record.threads) == ("JAX", 1)
