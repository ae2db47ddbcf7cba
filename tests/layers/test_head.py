"""What all heads check: the type of what they read, and shares that are none."""

import pytest
import torch
from torch import nn

from recurra.errors import ArgumentError
from recurra.layers import CTC, Embedding, Linear, MixtureDensity, Quantiles, Sigmoid, Softmax
from recurra.layers.head import check_shares

HEADS = (
    lambda: Softmax(3, 4),
    lambda: Softmax(3, 4, tied=Embedding(4, 3)),
    lambda: Sigmoid(3, 2),
    lambda: Linear(3, 1),
    lambda: Quantiles(3, 1),
    lambda: MixtureDensity(3, 1, 2),
    lambda: CTC(3, 2),
)


@pytest.mark.parametrize("make", HEADS)
def test_features_of_another_type_are_refused_but_under_autocast(make):
    head, features = make(), torch.zeros(2, 3, dtype=torch.float64)
    with pytest.raises(ArgumentError) as caught:
        head(features)
    said = "features has dtype torch.float64, the weights torch.float32; convert one: features.to(torch.float32)"
    assert str(caught.value) == said
    assert head.double()(features).dtype == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        assert make()(features.bfloat16()).shape == (2, head.raw_size)


def test_features_on_another_device_are_refused():
    with pytest.raises(ArgumentError, match=r"features is on meta, the weights on cpu; move one: features\.to"):
        Linear(3, 1)(torch.zeros(2, 3, device="meta"))


def test_labels_may_be_unsure_but_no_more_than_sure():
    head, raw = Sigmoid(3, 2), torch.tensor([[0.3, -1.0], [2.0, 0.0]])
    target, mask = torch.tensor([[0.25, 1.0], [3.0, -1.0]]), torch.tensor([True, False])
    expected = nn.functional.binary_cross_entropy_with_logits(raw[0], target[0])
    assert head.loss(raw, target, mask).item() == pytest.approx(expected.item())
    with pytest.raises(ArgumentError) as caught:
        head.loss(raw, target)
    assert str(caught.value) == "target[1, 0] is 3, one of 2 such values; expected 0 or 1, or a share between"
    with pytest.raises(ArgumentError, match=r"target\[1, 0\] is nan; expected 0 or 1, or a share between"):
        head.loss(raw, torch.tensor([[0.0, 1.0], [torch.nan, 1.0]]))


def test_a_whole_share_is_all_or_nothing():
    assert check_shares("pen", torch.tensor([0.0, 1.0]), whole=True).tolist() == [0.0, 1.0]
    with pytest.raises(ArgumentError, match=r"pen\[1\] is 0.5; expected 0 or 1$"):
        check_shares("pen", torch.tensor([0.0, 0.5]), whole=True)
