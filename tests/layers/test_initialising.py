"""Initial values that a weight norm and every number type can take."""

import pytest
import torch

from recurra.nn import Recurrent


@pytest.mark.parametrize(
    "options", [{"initializer": "identity", "proj_size": 4}, {"initializer": lambda n, g, b: b.zero_()}]
)
def test_rows_of_zeros_stay_finite_under_weight_norm(options):
    layer = Recurrent("lstm", 3, 8, weight_norm=True, **options)
    y, _ = layer(torch.randn(5, 2, 3))
    y.square().sum().backward()
    assert torch.isfinite(y).all()
    assert all(torch.isfinite(parameter.grad).all() for parameter in layer.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_lru_has_finite_gradients_from_the_start(dtype):
    for seed in range(20):
        layer = Recurrent("lru", 2, 64, seed=seed, dtype=dtype)
        layer(torch.randn(3, 1, 2, dtype=dtype))[0].sum().backward()
        assert torch.isfinite(layer.nu_l0.grad).all()
