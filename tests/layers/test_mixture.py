"""The mixture density head against torch.distributions, integrals and moments."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, MixtureSameFamily, MultivariateNormal, Normal

from recurra.errors import ArgumentError
from recurra.layers.mixture import MixtureDensity
from recurra.testing import assert_within_rounding

EXACT = {"seed": 0, "dtype": torch.float64}


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_torch(head, raw, *, temperature=1.0):
    """The same mixture by torch.distributions, from the raw outputs as the docstring has them."""
    count, size = head.num_components, head.output_size
    weights = Categorical(logits=raw[..., :count] / temperature)
    means = raw[..., count : count * (1 + size)].unflatten(-1, (count, size))
    deviations = raw[..., count * (1 + size) : count * (1 + 2 * size)].exp().unflatten(-1, (count, size))
    deviations = (deviations + head.min_deviation) * math.sqrt(temperature)
    if size == 1:
        return MixtureSameFamily(weights, Normal(means[..., 0], deviations[..., 0]))
    if size == 2:  # Graves' correlation of a pair
        rho = torch.tanh(raw[..., 5 * count : 6 * count])
        off = rho * deviations.prod(-1)
        first, second = (deviations**2).unbind(-1)
        covariance = torch.stack([first, off, off, second], -1).unflatten(-1, (2, 2))
        return MixtureSameFamily(weights, MultivariateNormal(means, covariance))
    pairs = size * (size - 1) // 2
    factor = torch.eye(size, dtype=raw.dtype).expand(*deviations.shape, size).clone()
    rows, columns = torch.tril_indices(size, size, -1)
    factor[..., rows, columns] = raw[..., -count * pairs :].unflatten(-1, (count, pairs))
    factor = deviations.unsqueeze(-1) * factor / factor.norm(dim=-1, keepdim=True)
    return MixtureSameFamily(weights, MultivariateNormal(means, scale_tril=factor))


@pytest.mark.parametrize("min_deviation", [0.0, 0.1])
def test_the_density_is_that_of_torchs_mixtures(min_deviation):
    single, raw = MixtureDensity(4, 1, 3, min_deviation=min_deviation, **EXACT), draw(5, 2, 9)
    target = draw(5, 2, 1, seed=1)
    assert_within_rounding(single.log_prob(raw, target), by_torch(single, raw).log_prob(target[..., 0]))
    pair, raw = MixtureDensity(4, 2, 3, pen=True, min_deviation=min_deviation, **EXACT), draw(5, 2, 19)
    target = torch.cat([draw(5, 2, 2, seed=1), (draw(5, 2, 1, seed=2) > 0).double()], -1)
    expected = by_torch(pair, raw).log_prob(target[..., :2]) + Bernoulli(logits=raw[..., -1]).log_prob(target[..., 2])
    assert_within_rounding(pair.log_prob(raw, target), expected)
    assert pair.loss(raw, target).item() == pytest.approx(-expected.mean().item(), rel=1e-12)


@pytest.mark.parametrize("size", [3, 4])
def test_the_density_in_space_is_that_of_torchs_mixtures(size):
    head = MixtureDensity(4, size, 3, **EXACT)
    assert head.raw_size == 3 * (1 + 2 * size + size * (size - 1) // 2)
    raw, target = draw(5, 2, head.raw_size), draw(5, 2, size, seed=1)
    assert_within_rounding(head.log_prob(raw, target), by_torch(head, raw).log_prob(target))
    assert torch.autograd.gradcheck(head.log_prob, (raw[0].requires_grad_(), target[0]))


def test_what_is_drawn_in_space_has_the_moments_of_the_component():
    head, raw, count = MixtureDensity(4, 3, 1, min_deviation=0.0, **EXACT), draw(10), 40_000
    drawn = head.sample(raw.expand(count, 10), generator=torch.Generator().manual_seed(0))
    component = by_torch(head, raw).component_distribution
    covariance, errors = component.covariance_matrix[0], component.variance[0] / count
    assert ((drawn.mean(0) - component.mean[0]).abs() < 4 * errors.sqrt()).all()
    bound = 4 * torch.sqrt((covariance**2 + torch.outer(errors, errors) * count**2) / count)
    assert ((torch.cov(drawn.T) - covariance).abs() < bound).all()
    assert (covariance.tril(-1)[covariance.tril(-1) != 0].abs() > bound[0, 0]).any()


def test_the_pen_is_looked_at_where_steps_are():
    head, mask = MixtureDensity(4, 2, 2, pen=True, **EXACT), torch.tensor([[True], [False]])
    target = torch.cat([draw(2, 1, 2), torch.tensor([[[1.0]], [[7.0]]])], -1)
    assert head.loss(draw(2, 1, 13), target, mask).isfinite()
    with pytest.raises(ArgumentError, match=r"^target\[1, 0, 2\] is 7; expected 0 or 1$"):
        head.loss(draw(2, 1, 13), target)


def test_the_density_of_a_pair_sums_to_one():
    head = MixtureDensity(4, 2, 2, **EXACT)
    axis = torch.linspace(-12, 12, 400, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
    total = head.log_prob((0.5 * draw(12)).expand(400, 400, 12), grid).exp().sum() * (axis[1] - axis[0]) ** 2
    assert total.item() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_what_is_drawn_has_the_moments_of_the_mixture(temperature):
    head, raw, count = MixtureDensity(4, 2, 2, pen=True, **EXACT), 0.7 * draw(13), 40_000
    drawn = head.sample(raw.expand(count, 13), temperature=temperature, generator=torch.Generator().manual_seed(0))
    expected = by_torch(head, raw, temperature=temperature)
    error = 4 * (expected.variance / count).sqrt()
    assert ((drawn[:, :2].mean(0) - expected.mean).abs() < error).all()
    log_density = expected.log_prob(drawn[:, :2])  # its mean, minus the entropy, is least where the shape is right
    own = expected.log_prob(expected.sample((count,)))
    assert abs(log_density.mean() - own.mean()) < 4 * math.sqrt(2 / count) * own.std()
    pen = torch.sigmoid(raw[-1] / temperature).item()
    assert drawn[:, 2].mean().item() == pytest.approx(pen, abs=4 * math.sqrt(pen * (1 - pen) / count))


def test_a_correlation_is_drawn_as_it_is_said():
    head = MixtureDensity(4, 2, 1, min_deviation=0.0, **EXACT)
    raw = torch.tensor([0.0, 1.0, -1.0, math.log(0.5), math.log(2.0), math.atanh(-0.8)]).double()
    drawn = head.sample(raw.expand(40_000, 6), generator=torch.Generator().manual_seed(0))
    covariance = torch.cov(drawn.T)
    assert covariance.flatten().tolist() == pytest.approx([0.25, -0.8, -0.8, 4.0], rel=0.04)
    biased = head.sample(raw.expand(40_000, 6), bias=1.0, generator=torch.Generator().manual_seed(0))
    assert_within_rounding(biased - raw[1:3], (drawn - raw[1:3]) / math.e)


def test_bias_prefers_the_heavier_component():
    head = MixtureDensity(4, 1, 2, min_deviation=0.0, **EXACT)
    raw = torch.tensor([1.0, 0.0, 5.0, -5.0, -3.0, -3.0]).double().expand(20_000, 6)
    share = (head.sample(raw, bias=2.0, generator=torch.Generator().manual_seed(0)) > 0).double().mean().item()
    assert share == pytest.approx(1 / (1 + math.exp(-3)), abs=0.007)  # four deviations
    assert head.predict(raw)[0].item() == 5.0
    assert head.mean(raw)[0].item() == pytest.approx(10 / (1 + math.exp(-1)) - 5, rel=1e-12)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_extreme_raw_outputs_give_finite_losses_and_gradients(size):
    head = MixtureDensity(4, size, 3, pen=True)
    for scale in (0.0, 30.0, -30.0):
        raw = torch.full((2, head.raw_size), scale, requires_grad=True)
        loss = head.loss(raw, torch.zeros(2, size + 1))
        loss.backward()
        assert loss.isfinite()
        assert raw.grad.isfinite().all()


def test_a_component_on_a_single_point_keeps_its_least_deviation():
    head = MixtureDensity(4, 1, 1, min_deviation=0.01, **EXACT)
    raw = torch.tensor([0.0, 2.0, -1000.0]).double()
    assert head.mixture(raw).log_deviations.exp().item() == pytest.approx(0.01, rel=1e-12)
    assert head.loss(raw, torch.tensor([2.0]).double()).item() == pytest.approx(math.log(0.01 * math.sqrt(2 * math.pi)))


def test_two_branches_are_learned_where_a_mean_would_lie_between():
    head = MixtureDensity(1, 1, 2, seed=0)
    generator = torch.Generator().manual_seed(0)
    target = torch.where(torch.rand(400, 1, generator=generator) < 0.3, -1.0, 1.0)
    target = target + 0.1 * torch.randn(400, 1, generator=generator)
    features, optimizer = torch.ones(400, 1), torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        head.loss(head(features), target).backward()
        optimizer.step()
    raw = head(features[0]).detach()
    mixture = head.mixture(raw)
    assert sorted(mixture.means.flatten().tolist()) == pytest.approx([-1.0, 1.0], abs=0.03)
    assert sorted(mixture.log_weights.exp().tolist()) == pytest.approx([0.3, 0.7], abs=0.07)
    assert mixture.log_deviations.exp().flatten().tolist() == pytest.approx([0.1, 0.1], abs=0.02)
    assert head.predict(raw).item() == pytest.approx(1.0, abs=0.03)
    assert head.mean(raw).item() == pytest.approx(target.mean().item(), abs=0.03)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: MixtureDensity(4, 0, 2), "output_size is 0; expected an int of at least 1"),
        (lambda: MixtureDensity(4, 2, 0), "num_components is 0"),
        (lambda: MixtureDensity(4, 2, 2, pen=1), "pen is 1; expected True or False"),
        (lambda: MixtureDensity(4, 2, 2, min_deviation=-1), "min_deviation is -1; expected a number of at least 0"),
        (lambda: MixtureDensity(4, 2, 2, min_deviation=True), "min_deviation is True; expected a number"),
        (
            lambda: MixtureDensity(4, 2, 1, pen=True).log_prob(torch.zeros(5, 7), torch.full((5, 3), 0.5)),
            "target[0, 2] is 0.5, one of 5 such values; expected 0 or 1",
        ),
        (
            lambda: MixtureDensity(4, 2, 1, pen=True).loss(torch.zeros(5, 7), torch.zeros(5, 2)),
            "target has shape (5, 2); expected (5, 3), the numbers of each step",
        ),
        (lambda: MixtureDensity(4, 1, 1).mixture(torch.zeros(4)), "raw has shape (4,); expected (..., 3)"),
        (lambda: MixtureDensity(4, 1, 1).sample(torch.zeros(3), bias=-1), "bias is -1; expected a number of at least"),
        (lambda: MixtureDensity(4, 1, 1).sample(torch.zeros(3), temperature=-1), "temperature is -1"),
    ],
)
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert words in str(caught.value)
