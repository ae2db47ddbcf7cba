"""What dropout draws: shares, factors, and numbers that have nothing to do with each other."""

import pytest
import torch

from recurra.layers.noise import Dropout, draw_mask, drop

SHAPE = (200, 501)  # no multiple of the four that are drawn from one number


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_the_share_and_the_factor_are_those_of_the_probability(probability, dtype):
    torch.manual_seed(0)
    mask = draw_mask(probability, SHAPE, torch.zeros(1, dtype=dtype))
    assert (mask.shape, mask.dtype) == (SHAPE, dtype)
    dropped = (mask == 0).double().mean().item()
    assert dropped == pytest.approx(probability, abs=4 * (probability * (1 - probability) / mask.numel()) ** 0.5)
    assert set(mask.unique().tolist()) == {0.0, torch.tensor(1 / (1 - probability), dtype=dtype).item()}


def test_neighbours_are_dropped_independently():
    torch.manual_seed(0)
    dropped = (draw_mask(0.3, SHAPE, torch.zeros(1)) == 0).double().flatten()
    for lag in (1, 2, 3, 4, SHAPE[1]):
        both = (dropped[:-lag] * dropped[lag:]).mean().item()
        assert both == pytest.approx(0.09, abs=0.004)


def test_nothing_is_dropped_at_0_and_all_at_1():
    assert draw_mask(0.0, SHAPE, torch.zeros(1)) is None
    assert draw_mask(1.0, SHAPE, torch.zeros(1)).tolist() == torch.zeros(SHAPE).tolist()


def test_what_is_dropped_has_no_gradient_and_the_rest_its_factor():
    torch.manual_seed(0)
    x = torch.randn(50, 7, requires_grad=True)
    y = drop(x, 0.4, training=True)
    y.sum().backward()
    torch.testing.assert_close(y, x * x.grad)
    assert set(x.grad.unique().tolist()) == {0.0, torch.tensor(1 / 0.6).item()}


def test_nothing_is_dropped_but_in_training():
    x = torch.randn(5, 3)
    layer = Dropout(0.5)
    assert layer.eval()(x) is x
    assert drop(x, 0.5, training=False) is x
    assert (layer.train()(x) == 0).any()
