"""Losses against values worked out by hand; what was not observed costs nothing."""

import pytest
import torch

from recurra.errors import ArgumentError
from recurra.training.losses import make_loss

NAN = float("nan")


def test_pinball_by_hand():
    loss = make_loss("quantile", quantiles=(0.1, 0.5))
    output = torch.tensor([[[1.0, 2.0]]])  # truth 3: errors 2 and 1
    assert loss(output, torch.tensor([[3.0]])).item() == pytest.approx((2 * 0.1 * 2 + 2 * 0.5 * 1) / 2)
    assert loss(output, torch.tensor([[0.0]])).item() == pytest.approx((2 * 0.9 * 1 + 2 * 0.5 * 2) / 2)


def test_the_minimiser_of_pinball_is_the_quantile():
    values = torch.arange(1.0, 101.0)
    loss = make_loss("quantile", quantiles=(0.9,))
    costs = [loss(q.reshape(1, 1, 1).expand(100, 1, 1), values.reshape(100, 1)).item() for q in values]
    assert 89 <= values[int(torch.tensor(costs).argmin())] <= 91


@pytest.mark.parametrize(("name", "expected"), [("mae", 2.0), ("mse", 5.0), ("huber", (2.5 + 0.5) / 2)])
def test_point_losses_by_hand(name, expected):
    output = torch.tensor([[[0.0], [1.0]]])
    assert make_loss(name)(output, torch.tensor([[3.0, 2.0]])).item() == pytest.approx(expected)


@pytest.mark.parametrize("name", ["mae", "mse", "huber", "quantile"])
def test_unobserved_steps_change_neither_value_nor_gradient(name):
    loss = make_loss(name, quantiles=(0.5,))
    output = torch.tensor([[[0.5], [9.0]]], requires_grad=True)
    value = loss(output, torch.tensor([[2.0, NAN]]))
    value.backward()
    alone = loss(torch.tensor([[[0.5]]]), torch.tensor([[2.0]]))
    assert value.item() == alone.item()
    assert output.grad[0, 1, 0] == 0
    assert output.grad[0, 0, 0] < 0


def test_a_misspelt_loss_is_named():
    with pytest.raises(ArgumentError, match="did you mean 'huber'"):
        make_loss("hubr")
