"""What is drawn from logits, against its distribution, and what is cut off."""

import math

import pytest
import torch

from recurra.errors import ArgumentError
from recurra.layers.sampling import check_sampling, draw_classes, restrict


def test_draws_follow_the_models_distribution():
    raw = torch.tensor([2.0, 1.0, 0.0, -1.0]).expand(20_000, 4)
    generator = torch.Generator().manual_seed(0)
    for temperature in (0.5, 1.0, 2.0):
        drawn = draw_classes(raw, temperature=temperature, generator=generator).bincount(minlength=4) / 20_000
        expected = (raw[0] / temperature).softmax(-1)
        error = (expected * (1 - expected) / 20_000).sqrt()  # of one share
        assert ((drawn - expected).abs() < 4 * error).all()


def test_top_k_and_top_p_cut_what_they_say():
    shares = torch.tensor([[0.1, 0.4, 0.2, 0.3], [0.25, 0.25, 0.25, 0.25]])
    raw = shares.log()
    for named, expected in (
        ({"top_k": 2}, [0, 4 / 7, 0, 3 / 7]),
        ({"top_p": 0.39}, [0, 1, 0, 0]),
        ({"top_p": 0.41}, [0, 4 / 7, 0, 3 / 7]),
        ({"top_p": 0.71}, [0, 4 / 9, 2 / 9, 3 / 9]),
        ({"top_p": 1.0}, [0.1, 0.4, 0.2, 0.3]),
        ({"top_k": 3, "top_p": 0.5}, [0, 4 / 7, 0, 3 / 7]),  # of the three, 4/9 and 3/9 reach it
        ({"top_k": 4}, [0.1, 0.4, 0.2, 0.3]),
        ({"temperature": 0.5, "top_k": 2}, [0, 16 / 25, 0, 9 / 25]),
    ):
        found = restrict(raw, **named).softmax(-1)
        torch.testing.assert_close(found[0], torch.tensor(expected, dtype=torch.float32), rtol=0, atol=1e-6)
    ties = restrict(raw, top_k=1).softmax(-1)[1]
    assert ties.tolist() == [1.0, 0.0, 0.0, 0.0]  # one is kept, and the one that is chosen greedily


def test_a_cut_off_class_is_never_drawn():
    raw = torch.randn(500, 30, generator=torch.Generator().manual_seed(0))
    drawn = draw_classes(raw, top_k=3, generator=torch.Generator().manual_seed(1))
    assert (raw.topk(3).indices == drawn[:, None]).any(1).all()
    assert (drawn != raw.argmax(-1)).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("temperature", [0, 1e-6, 1e-40, 1e-300])
def test_a_temperature_near_0_is_the_best_guess(temperature, dtype):
    raw = 50 * torch.randn(500, 30, generator=torch.Generator().manual_seed(0)).to(dtype)
    before = torch.get_rng_state()
    drawn = draw_classes(raw, temperature=temperature, generator=torch.Generator().manual_seed(1))
    assert torch.equal(drawn, raw.argmax(-1))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("temperature", [0, 0.7])
def test_any_leading_axes_and_none(temperature):
    raw = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))
    drawn = draw_classes(raw, temperature=temperature, top_k=1)
    assert torch.equal(drawn, raw.argmax(-1))
    assert draw_classes(raw[2, 1], temperature=temperature, top_k=1).shape == ()
    assert draw_classes(raw[:0], temperature=temperature).shape == (0, 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((-0.1, None, None), "temperature is -0.1; expected a number of at least 0, 0 for the best guess"),
        ((math.inf, None, None), "temperature is inf"),
        ((True, None, None), "temperature is True"),
        (("1", None, None), "temperature is '1'"),
        ((1.0, 0, None), "top_k is 0; expected an int of at least 1"),
        ((1.0, 6, None), "top_k is 6, there are 5 classes; expected at most so many"),
        ((1.0, 2.0, None), "top_k is 2.0"),
        ((1.0, None, 0.0), "top_p is 0.0; expected a probability above 0, up to 1, or None for all classes"),
        ((1.0, None, 1.1), "top_p is 1.1"),
        ((1.0, None, True), "top_p is True"),
    ],
)
def test_wrong_options_are_refused(options, words):
    check_sampling(0, 5, 1.0, 5)
    with pytest.raises(ArgumentError) as caught:
        check_sampling(*options, 5)
    assert str(caught.value).startswith(words)
