"""Contributions of steps: exact where the score is linear, complete along a path, nothing in padding."""

import pytest
import torch

from recurra.errors import ArgumentError
from recurra.layers.attribution import gradient_times_input, integrated_gradients, occlusion
from recurra.nn import GRU, Recurrent

TIME, BATCH, FEATURES = 7, 3, 4
LENGTHS = [7, 0, 4]


def draw(*shape, seed=1, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def every_way(score, x, **options):
    return {
        "gradient": gradient_times_input(score, x, **options),
        "integrated": integrated_gradients(score, x, **options).contributions,
        "occlusion": occlusion(score, x, **options),
    }


def last_output_of(layer, lengths=None):
    """The sum of the last layer's state at each row's end."""
    return lambda x: layer(x, lengths=lengths)[1].h[-1].sum(-1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_way_is_exact_for_a_linear_score(dtype):
    x, w = draw(TIME, BATCH, FEATURES, dtype=dtype), draw(TIME, 1, FEATURES, seed=2, dtype=dtype)
    for way, found in every_way(lambda x: (w * x).sum((0, 2)) + 5, x).items():
        assert found.dtype == dtype
        torch.testing.assert_close(found, (w * x).sum(-1), msg=lambda text, way=way: f"{way}: {text}")


def test_a_baseline_is_what_contributions_are_counted_from():
    x, w, base = draw(TIME, BATCH, FEATURES), draw(TIME, 1, FEATURES, seed=2), draw(FEATURES, seed=3)
    expected = (w * (x - base)).sum(-1)

    def score(x):
        return (w * x).sum((0, 2))

    torch.testing.assert_close(integrated_gradients(score, x, baseline=base).contributions, expected)
    torch.testing.assert_close(occlusion(score, x, baseline=base), expected)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_integrated_gradients_add_up_to_what_the_score_rose_by(cell):
    layer, x = Recurrent(cell, FEATURES, 6, 2, seed=0, dtype=torch.float64), 3 * draw(TIME, BATCH, FEATURES)
    score = last_output_of(layer)
    rise = (score(x) - score(torch.zeros_like(x))).detach()
    found = integrated_gradients(score, x, steps=64)
    torch.testing.assert_close(found.contributions.sum(0), rise, rtol=1e-3, atol=0)
    torch.testing.assert_close(found.gap, found.contributions.sum(0) - rise, rtol=0, atol=1e-12)
    assert found.gap.abs().max() < 1e-6 * integrated_gradients(score, x, steps=2).gap.abs().max()


def test_integrated_gradients_are_those_of_a_fine_sum_of_equal_steps():
    torch.manual_seed(0)
    layer, x, parts = GRU(FEATURES, 5, dtype=torch.float64), draw(TIME, BATCH, FEATURES), 2000

    def score(x):
        return layer(x)[0][-1].square().sum(-1)

    total = torch.zeros_like(x)
    for part in range(parts):
        point = ((part + 0.5) / parts * x).requires_grad_()
        total += torch.autograd.grad(score(point).sum(), point)[0] / parts
    torch.testing.assert_close(integrated_gradients(score, x).contributions, (total * x).sum(-1), rtol=1e-5, atol=1e-9)


def test_a_saturated_score_is_seen_by_integrated_gradients_and_not_by_the_slope():
    x = torch.full((1, 1, 1), 12.0, dtype=torch.float64)

    def score(x):
        return torch.sigmoid(x[0, :, 0])

    assert gradient_times_input(score, x).item() < 1e-4
    assert integrated_gradients(score, x).contributions.item() == pytest.approx(0.5, abs=1e-5)


def test_occlusion_is_the_difference_of_two_calls():
    layer, x = Recurrent("lstm", FEATURES, 5, seed=0, dtype=torch.float64), draw(TIME, BATCH, FEATURES)
    score, blanked = last_output_of(layer), draw(TIME, BATCH, FEATURES)
    blanked[2] = 0
    expected = (score(x) - score(blanked)).detach()
    torch.testing.assert_close(occlusion(score, x)[2], expected, rtol=0, atol=1e-14)


def test_padding_gets_nothing_and_changes_nothing():
    layer = Recurrent("gru", FEATURES, 5, bidirectional=True, seed=0, dtype=torch.float64)
    x = draw(TIME, BATCH, FEATURES)
    past = torch.arange(TIME)[:, None] >= torch.tensor(LENGTHS)
    padded = x.masked_fill(past.unsqueeze(-1), torch.nan)
    for way, found in every_way(last_output_of(layer, LENGTHS), padded, lengths=LENGTHS).items():
        assert torch.equal(found[past], torch.zeros(int(past.sum()), dtype=x.dtype)), way
        for row, length in enumerate(LENGTHS):
            if length:
                alone = every_way(last_output_of(layer), x[:length, row : row + 1])[way]
                torch.testing.assert_close(found[:length, row], alone[:, 0], msg=lambda text, way=way: f"{way}: {text}")
    assert padded.isnan().any()


def test_a_score_that_reads_the_padding_still_gives_it_nothing():
    x = draw(TIME, BATCH, FEATURES)
    past = torch.arange(TIME)[:, None] >= torch.tensor(LENGTHS)
    for way, found in every_way(lambda x: (x + 1).square().sum((0, 2)), x, lengths=torch.tensor(LENGTHS)).items():
        assert not found[past].any(), way
        assert found[~past].all(), way
    assert integrated_gradients(lambda x: (x + 1).square().sum((0, 2)), x, lengths=LENGTHS).gap.abs().max() < 1e-12


@pytest.mark.parametrize("guard", [torch.no_grad, torch.inference_mode])
def test_it_works_where_gradients_are_off(guard):
    layer, x = Recurrent("gru", FEATURES, 5, seed=0, dtype=torch.float64), draw(TIME, BATCH, FEATURES)
    expected = every_way(last_output_of(layer), x)
    with guard():
        for way, found in every_way(last_output_of(layer), x.clone()).items():
            torch.testing.assert_close(found, expected[way], rtol=0, atol=0)


def test_parameters_and_vectors_are_left_alone():
    layer, x = Recurrent("gru", FEATURES, 5, seed=0, dtype=torch.float64), draw(TIME, BATCH, FEATURES)
    x.requires_grad_()
    before = x.detach().clone()
    for found in every_way(last_output_of(layer), x, lengths=LENGTHS).values():
        assert not found.requires_grad
    assert x.grad is None
    assert torch.equal(x, before)
    assert all(parameter.grad is None for parameter in layer.parameters())


def test_one_step_of_one_row():
    x = draw(1, 1, FEATURES)
    for way, found in every_way(lambda x: x.sum((0, 2)), x).items():
        assert found.item() == pytest.approx(x.sum().item()), way


@pytest.mark.parametrize(
    ("x", "score", "message"),
    [
        ([[1.0]], None, "vectors is list; expected a tensor"),
        (torch.ones(2, 3), None, r"vectors has shape \(2, 3\); expected a tensor \(time, batch, feature\)"),
        (torch.ones(0, 2, 3), None, r"vectors has shape \(0, 2, 3\)"),
        (torch.ones(2, 2, 3, dtype=torch.int64), None, "vectors has dtype torch.int64; expected floating"),
        (torch.ones(2, 3, 4), lambda x: x.sum(0), r"score returned a tensor \(3, 4\); .* \(3,\)"),
        (torch.ones(2, 3, 4), lambda x: 1.0, "score returned float"),
    ],
)
def test_what_does_not_fit_is_refused(x, score, message):
    for way in (gradient_times_input, integrated_gradients, occlusion):
        with pytest.raises(ArgumentError, match=message):
            way(score, x)


def test_a_score_without_a_way_back_is_refused_where_gradients_are_needed():
    x, parameter = torch.ones(2, 3, 4), torch.ones(3, requires_grad=True)
    for score in (lambda x: x.detach().sum((0, 2)), lambda x: 2 * parameter):
        for way in (gradient_times_input, integrated_gradients):
            with pytest.raises(ArgumentError, match=r"no gradient leads back from to vectors; .* or use occlusion"):
                way(score, x)
        assert occlusion(score, x).shape == (2, 3)


def test_wrong_options_are_refused():
    x = torch.ones(2, 3, 4)
    with pytest.raises(ArgumentError, match="steps is 0; expected an int of at least 1"):
        integrated_gradients(lambda x: x.sum((0, 2)), x, steps=0)
    with pytest.raises(ArgumentError, match=r"lengths\[1\] is 3; expected 0 to 2"):
        occlusion(lambda x: x.sum((0, 2)), x, lengths=[1, 3, 2])
    with pytest.raises(ArgumentError, match=r"baseline has shape \(5,\); .* broadcasts to \(2, 3, 4\)"):
        occlusion(lambda x: x.sum((0, 2)), x, baseline=torch.ones(5))
