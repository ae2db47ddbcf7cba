"""The mu-law: known values, round trips within half a class, and what is refused."""

import math

import pytest
import torch

from recurra.layers.mulaw import mu_law_decode, mu_law_encode
from recurra.testing.comparing import assert_raises_argument_error

SAMPLES = torch.linspace(-1, 1, 20001, dtype=torch.float64)


def test_the_curve_is_that_of_the_formula():
    for x in (-1.0, -0.3, -1e-4, 0.0, 1e-4, 0.25, 1.0):
        bent = math.copysign(math.log(1 + 255 * abs(x)) / math.log(256), x)
        code = math.floor((bent + 1) / 2 * 255 + 0.5)
        assert mu_law_encode(torch.tensor(x, dtype=torch.float64)) == code
    for code in (0, 1, 127, 128, 200, 255):
        bent = 2 * code / 255 - 1
        x = math.copysign((256 ** abs(bent) - 1) / 255, bent)
        assert float(mu_law_decode(torch.tensor(code))) == pytest.approx(x, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("classes", [2, 3, 16, 256, 1024, 65536])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_class_comes_back(classes, dtype):
    codes = torch.arange(classes)
    assert torch.equal(mu_law_encode(mu_law_decode(codes, classes).to(dtype), classes), codes)


@pytest.mark.parametrize("classes", [2, 16, 256, 1024])
def test_a_sample_comes_back_within_half_a_class(classes):
    """On the bent axis a class is 2/mu wide: half of it is a factor (1 + mu)^(1/mu) of 1/mu + |x|."""
    mu = classes - 1
    back = mu_law_decode(mu_law_encode(SAMPLES, classes), classes).double()
    allowed = (SAMPLES.abs() + 1 / mu) * (classes ** (1 / mu) - 1)
    assert bool(((back - SAMPLES).abs() <= allowed * (1 + 1e-4)).all())
    assert float(back.min()) == -1 and float(back.max()) == 1


def test_codes_rise_with_samples_and_reach_both_ends():
    codes = mu_law_encode(SAMPLES)
    assert codes.dtype == torch.int64
    assert bool((codes.diff() >= 0).all()) and codes.unique().numel() == 256
    assert (int(codes[0]), int(codes[-1])) == (0, 255)
    assert torch.equal(mu_law_encode(SAMPLES.float().view(3, -1)), mu_law_encode(SAMPLES.float()).view(3, -1))
    assert mu_law_encode(torch.tensor([0.5], dtype=torch.float16)) == mu_law_encode(torch.tensor([0.5]))
    assert mu_law_encode(torch.empty(0)).shape == mu_law_decode(torch.empty(0, dtype=torch.int64)).shape == (0,)


def test_what_is_no_sample_or_class_is_refused_in_words():
    assert_raises_argument_error(["x[1] is nan", "one of 1 samples"], mu_law_encode, torch.tensor([0.0, math.nan]))
    assert_raises_argument_error(["x[0] is inf", "x.clamp(-1, 1)"], mu_law_encode, torch.tensor([math.inf, 2.0]))
    assert_raises_argument_error(["x[1, 0] is -1.5"], mu_law_encode, torch.tensor([[1.0], [-1.5]]))
    assert_raises_argument_error(["x is a tensor of torch.int16", "/ 32768"], mu_law_encode, torch.ones(2).short())
    assert_raises_argument_error(["x is list"], mu_law_encode, [0.1])
    assert_raises_argument_error(["classes is 1", "2 at least"], mu_law_encode, SAMPLES, 1)
    assert_raises_argument_error(["classes is 256.0"], mu_law_encode, SAMPLES, 256.0)
    assert_raises_argument_error(["codes holds -1 to 3", "0 to 255"], mu_law_decode, torch.tensor([-1, 3]))
    assert_raises_argument_error(["codes holds 0 to 16", "0 to 15"], mu_law_decode, torch.tensor([0, 16]), 16)
    assert_raises_argument_error(["codes is a tensor of torch.float32"], mu_law_decode, torch.ones(2))
