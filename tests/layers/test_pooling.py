"""One vector for a sequence: as a plain loop has it, whole, in chunks and step by step."""

import copy
import pickle

import pytest
import torch

from recurra.errors import ArgumentError
from recurra.layers.pooling import AttentionPooling, LastPooling, MaxPooling, MeanPooling, make_pooling
from recurra.testing import assert_within_rounding

NAMES = ("last", "mean", "max", "attention")
LENGTHS = [6, 0, 1, 4]


def make(name, dtype=torch.float64):
    torch.manual_seed(1)
    return make_pooling(name, 3).to(dtype)


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pool_by_loop(pooling, row):
    """The vector of one row (steps, feature), as the papers write it."""
    if not len(row):
        return torch.zeros(row.shape[1], dtype=row.dtype)
    if isinstance(pooling, LastPooling):
        return row[-1]
    if isinstance(pooling, MeanPooling):
        return sum(row) / len(row)
    if isinstance(pooling, MaxPooling):
        return torch.stack([max(column) for column in row.T])
    scores = [pooling.query @ torch.tanh(pooling.weight @ y + pooling.bias) for y in row]
    exponents = [torch.exp(score) for score in scores]
    return sum(e * y for e, y in zip(exponents, row, strict=True)) / sum(exponents)


@pytest.mark.parametrize("name", NAMES)
def test_each_row_is_pooled_over_its_own_steps(name):
    pooling, y = make(name), draw(6, 4, 3)
    expected = torch.stack([pool_by_loop(pooling, y[:length, row]) for row, length in enumerate(LENGTHS)])
    y = y.masked_fill((torch.arange(6)[:, None] >= torch.tensor(LENGTHS)).unsqueeze(-1), torch.nan)
    pooled, _ = pooling(y, lengths=LENGTHS)
    assert_within_rounding(pooled, expected)
    assert not pooled[1].any()


@pytest.mark.parametrize("name", NAMES)
def test_chunks_and_steps_equal_the_whole(name):
    pooling, y = make(name), draw(6, 4, 3)
    whole, state = pooling(y, lengths=LENGTHS)
    first, middle = pooling(y[:2], lengths=[2, 0, 1, 2])
    last, end = pooling(y[2:], middle, lengths=[4, 0, 0, 2])
    assert_within_rounding(last, whole)
    assert_within_rounding(first[2], whole[2])
    for one, other in zip(end, state, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-14, atol=1e-14)
    state = None
    for steps, y_t in enumerate(y, 1):
        pooled, state = pooling.step(y_t, state)
        assert_within_rounding(pooled, pooling(y[:steps])[0])


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_right_and_none_comes_from_padding(name):
    pooling, y = make(name), draw(6, 4, 3).requires_grad_()
    inputs = (y, *pooling.parameters())
    assert torch.autograd.gradcheck(lambda y, *_: pooling(y, lengths=LENGTHS)[0], inputs)
    assert torch.autograd.gradcheck(lambda y, *_: pooling(y[3:], pooling(y[:3])[1])[0], inputs)
    hidden = (torch.arange(6)[:, None] >= torch.tensor(LENGTHS)).unsqueeze(-1)
    spoiled = y.detach().masked_fill(hidden, torch.nan).requires_grad_()
    pooling(spoiled, lengths=LENGTHS)[0].sum().backward()
    assert not spoiled.grad[hidden.expand_as(y)].any()
    assert spoiled.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in pooling.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_empty_rows_gives_zeros_and_gradients_of_zero(name):
    pooling, y = make(name, torch.float32), torch.randn(2, 3, 3, requires_grad=True)
    pooled, _ = pooling(y, lengths=[0, 0, 0])
    pooled.sum().backward()
    assert pooled.tolist() == [[0.0] * 3] * 3
    assert not y.grad.any()


def test_the_last_output_of_each_direction():
    y = draw(5, 3, 4)
    pooled, _ = LastPooling(bidirectional=True)(y, lengths=[5, 2, 0])
    assert torch.equal(pooled[:, :2], torch.stack([y[4, 0, :2], y[1, 1, :2], torch.zeros(2).double()]))
    assert torch.equal(pooled[:, 2:], torch.stack([y[0, 0, 2:], y[0, 1, 2:], torch.zeros(2).double()]))


def test_shares_are_the_weights_of_the_mean():
    pooling, y = AttentionPooling(3, 7, seed=0, dtype=torch.float64), draw(6, 4, 3)
    shares = pooling.weights(y, lengths=LENGTHS)
    assert shares.shape == (6, 4)
    assert_within_rounding(shares.sum(0), torch.tensor([1.0, 0.0, 1.0, 1.0]).double())
    assert not shares[4:, 3].any()
    assert_within_rounding((shares.unsqueeze(-1) * y).sum(0), pooling(y, lengths=LENGTHS)[0])
    assert shares[:, 0].std() > 1e-3


@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_large_scores_neither_overflow_nor_vanish(scale):
    pooling, y = AttentionPooling(1, 1, seed=0), torch.tensor([0.1, 0.9, 0.5]).view(3, 1, 1)
    with torch.no_grad():
        pooling.weight.fill_(1.0)
        pooling.bias.zero_()
        pooling.query.fill_(scale)
    chosen = 0.9 if scale > 0 else 0.1
    assert pooling(y)[0].item() == pytest.approx(chosen, rel=1e-6)
    state = None
    for y_t in y:
        pooled, state = pooling.step(y_t, state)
    assert pooled.item() == pytest.approx(chosen, rel=1e-6)


def test_the_state_of_a_stream_does_not_grow():
    for name in NAMES:
        pooling, sizes = make(name), []
        state = None
        for y_t in draw(9, 2, 3):
            _, state = pooling.step(y_t, state)
            sizes.append(sum(part.numel() for part in state))
        assert len(set(sizes)) == 1


def test_a_pooling_is_seeded_copied_and_pickled():
    pooling, y = AttentionPooling(3, 2, seed=0), draw(4, 2, 3).float()
    for other in (AttentionPooling(3, 2, seed=0), copy.deepcopy(pooling), pickle.loads(pickle.dumps(pooling))):  # noqa: S301 - our own
        assert torch.equal(other(y)[0], pooling(y)[0])
    assert not torch.equal(AttentionPooling(3, 2, seed=1)(y)[0], pooling(y)[0])
    state = pickle.loads(pickle.dumps(pooling(y)[1]))  # noqa: S301 - our own
    assert_within_rounding(pooling(y, state)[0], pooling(torch.cat([y, y]))[0])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: make_pooling("men", 3), "pooling is 'men'; did you mean 'mean'"),
        (lambda: AttentionPooling(0), "feature_size is 0"),
        (lambda: AttentionPooling(3, 0), "attention_size is 0"),
        (lambda: LastPooling(bidirectional=1), "bidirectional is 1; expected True or False"),
        (lambda: MeanPooling()(torch.zeros(3, 2)), "y has shape (3, 2); expected a tensor (time, batch, feature)"),
        (lambda: MeanPooling()(torch.zeros(0, 2, 3)), "with one step at least"),
        (lambda: MeanPooling()([1.0]), "y is list"),
        (lambda: MeanPooling()(torch.zeros(3, 2, 1), lengths=[1]), "lengths has shape (1,), x has batch 2"),
        (lambda: MeanPooling().step(torch.zeros(3)), "y_t has shape (3,); expected one time step, (batch, feature)"),
        (
            lambda: AttentionPooling(4)(torch.zeros(3, 2, 4).double()),
            "y has dtype torch.float64, the weights torch.float32; convert one: y.to(torch.float32)",
        ),
        (lambda: AttentionPooling(4)(torch.zeros(3, 2, 1)), "with 1 features, the pooling's feature_size is 4"),
        (
            lambda: MeanPooling()(torch.zeros(3, 2, 1), MeanPooling()(torch.zeros(3, 4, 1))[1]),
            "state is a State of 4 rows; pass what this pooling returned for the chunk before, of 2 rows as y",
        ),
        (
            lambda: MeanPooling()(torch.zeros(3, 2, 1), MaxPooling()(torch.zeros(3, 2, 1))[1]),
            "state is a State; pass what this pooling returned",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert words in str(caught.value)
