"""Heads against what their equations say, computed otherwise: losses, best guesses and what is drawn."""

import copy
import itertools
import math
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from recurra.errors import ArgumentError
from recurra.layers.ctc import CTC
from recurra.layers.heads import Linear, Sigmoid, Softmax
from recurra.layers.inputs import Embedding
from recurra.layers.mixture import MixtureDensity
from recurra.layers.quantiles import Quantiles, pinball
from recurra.testing import assert_within_rounding
from recurra.training.losses import pinball as forecasters_pinball

EXACT = {"seed": 0, "dtype": torch.float64}
MASK = torch.tensor([[True, True, False], [True, False, False], [True, True, True], [False, False, True]])
HEADS = {
    "softmax": (Softmax(6, 5, **EXACT), lambda: torch.randint(0, 5, (4, 3))),
    "smoothed": (Softmax(6, 5, label_smoothing=0.2, **EXACT), lambda: torch.randint(0, 5, (4, 3))),
    "tied": (Softmax(6, 5, tied=Embedding(5, 6, **EXACT)), lambda: torch.randint(0, 5, (4, 3))),
    "tied-mapped": (Softmax(6, 5, tied=Embedding(5, 2, **EXACT), seed=0), lambda: torch.randint(0, 5, (4, 3))),
    "sigmoid": (Sigmoid(6, 2, **EXACT), lambda: torch.rand(4, 3, 2).round().double()),
    "squared": (Linear(6, 2, **EXACT), lambda: torch.randn(4, 3, 2).double()),
    "absolute": (Linear(6, 2, error="absolute", **EXACT), lambda: torch.randn(4, 3, 2).double()),
    "huber": (
        Linear(6, 1, activation="tanh", error="huber", delta=0.5, **EXACT),
        lambda: torch.randn(4, 3, 1).double(),
    ),
    "quantiles": (Quantiles(6, 2, (0.1, 0.4, 0.8), **EXACT), lambda: torch.randn(4, 3, 2).double()),
    "mixture-1": (MixtureDensity(6, 1, 3, **EXACT), lambda: torch.randn(4, 3, 1).double()),
    "mixture-2": (MixtureDensity(6, 2, 3, pen=True, **EXACT), lambda: torch.rand(4, 3, 3).round().double()),
}


@pytest.fixture(params=HEADS)
def case(request):
    """A head, features (4, 3, 6) and a target."""
    head, target = HEADS[request.param]
    torch.manual_seed(0)
    return copy.deepcopy(head), torch.randn(4, 3, 6, dtype=torch.float64), target()


def test_raw_outputs_are_those_of_a_product(case):
    head, features, _ = case
    raw = head(features)
    assert raw.shape == (4, 3, head.raw_size)
    if (
        head.projection is not None
        and not getattr(head, "tied", None)
        and getattr(head, "activation", "linear") == "linear"
    ):
        assert_within_rounding(raw, features @ head.projection.weight.T + head.projection.bias)
    for place in itertools.product(range(4), range(3)):
        assert_within_rounding(head(features[place]), raw[place])


def test_the_loss_is_the_mean_over_what_the_mask_keeps(case):
    head, features, target = case
    raw = head(features)
    singly = torch.tensor([[head.loss(raw[t, b], target[t, b]).item() for b in range(3)] for t in range(4)])
    assert head.loss(raw, target).item() == pytest.approx(singly.mean().item(), rel=1e-6)
    assert head.loss(raw, target, MASK).item() == pytest.approx(singly[MASK].mean().item(), rel=1e-6)
    assert singly.std() > 1e-3


def test_what_the_mask_hides_reaches_neither_loss_nor_gradient(case):
    head, features, target = case
    expected = head.loss(head(features), target, MASK)
    spoiled = target.clone()
    spoiled[~MASK] = -100 if target.dtype == torch.int64 else math.nan
    raw = head(features).detach().requires_grad_()
    loss = head.loss(raw, spoiled, MASK)
    loss.backward()
    assert loss.item() == expected.item()
    assert not raw.grad[~MASK].any()
    assert raw.grad[MASK].any(-1).all()
    nothing = head.loss(raw, spoiled, torch.zeros_like(MASK))
    assert nothing.item() == 0
    assert not torch.autograd.grad(nothing, raw)[0].isnan().any()


def test_gradients_of_the_loss(case):
    head, features, target = case
    raw = head(features).detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda raw: head.loss(raw, target, MASK), raw)


def test_no_temperature_draws_the_best_guess_and_a_seed_repeats_a_draw(case):
    head, features, target = case
    raw = head(features)
    assert torch.equal(head.sample(raw, temperature=0), head.predict(raw))
    assert head.predict(raw).shape == target.shape
    draws = [head.sample(raw, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert draws[0].shape == target.shape
    assert torch.equal(draws[0], draws[1])
    assert torch.equal(draws[0], draws[2]) == isinstance(head, Linear)
    assert head.sample(raw[0, 0]).shape == target[0, 0].shape
    assert head.loss(raw, draws[0]).isfinite()


def test_a_head_is_copied_pickled_and_converted(case):
    head, features, _ = case
    for other in (copy.deepcopy(head), pickle.loads(pickle.dumps(head))):  # noqa: S301 - our own
        assert torch.equal(other(features), head(features))
    raw = head.float()(features.float())
    assert raw.dtype == torch.float32
    assert head.sample(raw).shape == head.predict(raw).shape


def test_a_seed_draws_what_torch_draws():
    torch.manual_seed(7)
    expected = nn.Linear(4, 3)
    head = Softmax(4, 3, seed=7)
    assert torch.equal(head.projection.weight, expected.weight)
    assert torch.equal(head.projection.bias, expected.bias)
    assert not torch.equal(Softmax(4, 3, seed=8).projection.bias, expected.bias)


def test_softmax_by_hand():
    head, raw = Softmax(2, 3), torch.tensor([1.0, 2.0, 0.5]).double()
    share = torch.exp(raw) / torch.exp(raw).sum()
    assert head.loss(raw, torch.tensor(2)).item() == pytest.approx(-math.log(share[2]), rel=1e-12)
    smooth = Softmax(2, 3, label_smoothing=0.3).loss(raw, torch.tensor(2)).item()
    assert smooth == pytest.approx(-0.7 * math.log(share[2]) - 0.1 * sum(map(math.log, share.tolist())), rel=1e-12)
    assert head.predict(raw).item() == 1


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_softmax_draws_by_its_probabilities(temperature):
    head, raw = Softmax(2, 3), torch.tensor([1.0, 2.0, 0.5])
    count = 20_000
    drawn = head.sample(raw.expand(count, 3), temperature=temperature, generator=torch.Generator().manual_seed(0))
    expected = (raw / temperature).softmax(-1)
    deviation = (expected * (1 - expected) / count).sqrt()
    assert ((drawn.bincount(minlength=3) / count - expected).abs() < 4 * deviation).all()


def test_only_the_likeliest_are_drawn():
    head, raw = Softmax(2, 4), torch.tensor([[0.0, 3.0, 1.0, 2.9], [9.0, 3.0, 1.0, 2.0]]).expand(200, 2, 4)

    def draw(**options):
        return head.sample(raw, temperature=5.0, generator=torch.Generator().manual_seed(0), **options)

    assert set(draw()[:, 0].tolist()) == {0, 1, 2, 3}
    assert set(draw(top_k=2)[:, 0].tolist()) == {1, 3}
    assert set(draw(top_p=0.5)[:, 0].tolist()) == {1, 3}  # shares at this temperature: 0.18, 0.32, 0.22, 0.32
    assert set(draw(top_p=0.7)[:, 0].tolist()) == {1, 2, 3}
    assert torch.equal(draw(top_k=4, top_p=1.0), draw())
    assert torch.equal(draw(top_k=1), head.predict(raw))


def test_a_tied_head_shares_and_trains_the_table():
    table = Embedding(5, 3, **EXACT)
    head, features = Softmax(3, 5, tied=table), torch.randn(2, 3).double()
    assert_within_rounding(head(features), features @ table.weight.T / math.sqrt(3))
    model = copy.deepcopy(nn.ModuleList([table, head]))
    assert model[1].tied is model[0]
    assert len(list(model.parameters())) == 2  # the table once, and the bias
    model[1].loss(model[1](features), torch.tensor([0, 4])).backward()
    assert model[0].weight.grad.any(-1).all()
    mapped = Softmax(4, 5, tied=table, seed=0)
    features = torch.randn(2, 4).double()
    expected = features @ mapped.projection.weight.T @ table.weight.T
    assert_within_rounding(mapped(features), expected / math.sqrt(3))
    assert_within_rounding(Softmax(4, 5, tied=table, scale=1.0, seed=0)(features), expected)
    plain = Softmax(4, 5, scale=0.3, **EXACT)
    assert_within_rounding(plain(features), 0.3 * features @ plain.projection.weight.T + plain.projection.bias)
    assert pickle.loads(pickle.dumps(mapped))(features).tolist() == mapped(features).tolist()  # noqa: S301 - our own


def test_sigmoid_by_hand():
    raw, target = torch.tensor([1.0, -2.0]).double(), torch.tensor([1.0, 1.0]).double()
    expected = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(2))) / 2
    assert Sigmoid(3, 2).loss(raw, target).item() == pytest.approx(expected, rel=1e-12)
    assert Sigmoid(3, 2).loss(raw, torch.tensor([True, True])).item() == pytest.approx(expected, rel=1e-12)
    drawn = Sigmoid(3, 2).sample(raw.expand(20_000, 2), generator=torch.Generator().manual_seed(0)).mean(0)
    assert drawn.tolist() == pytest.approx([0.7311, 0.1192], abs=0.013)  # four deviations


@pytest.mark.parametrize("activation", ["linear", "tanh", "sigmoid", "relu", "softplus"])
def test_linear_puts_its_activation_behind_the_product(activation):
    head, features = Linear(3, 2, activation=activation, **EXACT), torch.randn(5, 3).double()
    product = (features @ head.projection.weight.T + head.projection.bias).detach().numpy()
    functions = {
        "linear": lambda z: z,
        "tanh": np.tanh,
        "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
        "relu": lambda z: np.maximum(z, 0),
        "softplus": lambda z: np.log1p(np.exp(z)),
    }
    assert_within_rounding(head(features).detach(), torch.from_numpy(functions[activation](product)))


@pytest.mark.parametrize(
    ("error", "expected"),
    [("squared", (0.09 + 9.0) / 2), ("absolute", (0.3 + 3.0) / 2), ("huber", (0.045 + 0.5 * (3.0 - 0.25)) / 2)],
)
def test_errors_of_numbers_by_hand(error, expected):
    head = Linear(3, 2, error=error, delta=0.5)
    loss = head.loss(torch.ones(2, dtype=torch.float64), torch.tensor([1.3, -2.0], dtype=torch.float64))
    assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_quantiles_never_cross_whatever_the_raw_outputs():
    head = Quantiles(3, 2, (0.05, 0.3, 0.5, 0.9))
    raw = 50 * torch.randn(1000, 8, generator=torch.Generator().manual_seed(0))
    quantiles = head.quantiles(raw)
    assert quantiles.shape == (1000, 2, 4)
    assert (quantiles.diff(dim=-1) >= 0).all()
    assert_within_rounding(quantiles[..., 1] - quantiles[..., 0], F.softplus(raw.view(1000, 2, 4)[..., 1]))


def test_the_quantiles_loss_is_the_forecasters():
    head, levels = (
        Quantiles(3, 1, (0.1, 0.5, 0.9), dtype=torch.float64),
        torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64),
    )
    raw, target = torch.randn(2, 7, 3).double(), torch.randn(2, 7, 1).double()
    expected = forecasters_pinball(head.quantiles(raw)[:, :, 0], target[..., 0], quantiles=levels)
    assert head.loss(raw, target).item() == pytest.approx(expected.item(), rel=1e-12)
    assert pinball(torch.tensor([3.0, -1.0]), torch.tensor([0.1, 0.1])).tolist() == pytest.approx([0.6, 1.8])


def test_the_least_pinball_loss_is_that_of_the_quantiles():
    values = torch.randn(2000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    head = Quantiles(1, 1, (0.1, 0.5, 0.9), dtype=torch.float64)
    raw = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([raw], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        head.loss(raw.expand(2000, 3), values).backward()
        optimizer.step()
    expected = values.flatten().quantile(torch.tensor([0.1, 0.5, 0.9]).double())
    assert (head.quantiles(raw.detach())[0] - expected).abs().max() < 0.05


def test_values_are_drawn_between_the_quantiles():
    head = Quantiles(1, 1, (0.25, 0.5, 0.75))
    raw = torch.tensor([1.0, math.log(math.e - 1), math.log(math.e**3 - 1)])  # quantiles 1, 2, 5
    drawn = head.sample(raw.expand(20_000, 3), generator=torch.Generator().manual_seed(0))
    assert (drawn.min().item(), drawn.max().item()) == pytest.approx((1.0, 5.0), abs=1e-4)
    for value, share in ((1.001, 0.25), (1.5, 0.375), (2.0, 0.5), (3.5, 0.625), (4.999, 0.75)):
        assert (drawn < value).double().mean().item() == pytest.approx(share, abs=0.014)  # four deviations
    wide = head.sample(raw.expand(20_000, 3), temperature=2.0, generator=torch.Generator().manual_seed(0))
    assert_within_rounding(wide - 2, 2 * (drawn - 2))


@pytest.mark.parametrize(
    ("levels", "median"), [((0.4, 0.6), 1.5), ((0.1, 0.2), 2.0), ((0.7, 0.9), 1.0), ((0.3,), 1.0), ((0.25, 0.75), 1.5)]
)
def test_a_median_between_or_beside_the_levels(levels, median):
    raw = torch.tensor([1.0, math.log(math.e - 1)])[: len(levels)]  # quantiles 1, 2
    assert Quantiles(1, 1, levels).predict(raw).item() == pytest.approx(median, rel=1e-6)


def all_paths(raw, target):
    """-log of the probability of all paths that read as the target: one by one."""
    shares, total = raw.softmax(-1), 0.0
    for path in itertools.product(range(raw.shape[1]), repeat=len(raw)):
        if [label for label, _ in itertools.groupby(path) if label] == target:
            total += math.prod(shares[t, label].item() for t, label in enumerate(path))
    return -math.log(total)


@pytest.mark.parametrize("batch_first", [False, True])
def test_ctc_sums_over_all_paths(batch_first):
    head = CTC(2, 2, batch_first=batch_first)
    raw = torch.randn(5, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    target, lengths = torch.tensor([[1, 2, 0], [1, 1, 2], [2, 0, 0]]), [4, 5, 1]
    mask = torch.arange(5)[:, None] < torch.tensor(lengths)
    rows = [
        all_paths(raw[:length, row], [label for label in target[row].tolist() if label])
        for row, length in enumerate(lengths)
    ]
    expected = (rows[0] / 2 + rows[1] / 3 + rows[2]) / 3
    given, kept = (raw.transpose(0, 1), mask.T) if batch_first else (raw, mask)
    assert head.loss(given, target, kept).item() == pytest.approx(expected, rel=1e-10)
    beyond = target.masked_fill(target == 0, -7)
    assert head.loss(given, beyond, kept, target_lengths=[2, 3, 1]).item() == pytest.approx(expected, rel=1e-10)


def test_ctc_gradients_are_right_and_none_comes_from_padding():
    head, target = CTC(2, 3, **EXACT), torch.tensor([[1, 3], [2, 0], [0, 0]])
    raw = torch.randn(4, 3, 4, dtype=torch.float64, requires_grad=True)
    mask = torch.arange(4)[:, None] < torch.tensor([4, 2, 0])
    assert torch.autograd.gradcheck(lambda raw: head.loss(raw, target, mask), raw)
    head.loss(raw, target, mask).backward()
    assert not raw.grad[~mask].any()
    assert raw.grad[mask].any(-1).all()


def test_ctc_reads_the_likeliest_path():
    head, path = CTC(2, 3), torch.tensor([[1, 1, 0, 1, 2, 2], [0, 0, 3, 3, 0, 3]])
    raw = 9 * F.one_hot(path, 4).float()  # batch time raw
    assert [row.tolist() for row in head.predict(raw.transpose(0, 1))] == [[1, 1, 2], [3, 3]]
    assert [row.tolist() for row in CTC(2, 3, batch_first=True).predict(raw, lengths=[4, 0])] == [[1, 1], []]
    assert head.predict(raw[1]).tolist() == [3, 3]
    assert [row.tolist() for row in head.sample(raw.transpose(0, 1), temperature=0.1)] == [[1, 1, 2], [3, 3]]
    assert [row.tolist() for row in head.sample(raw.transpose(0, 1), temperature=0)] == [[1, 1, 2], [3, 3]]


RAW = torch.zeros(4, 3, 5)
LEGAL = torch.zeros(4, 3, dtype=torch.int64)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Softmax(2, 0), "num_classes is 0"),
        (lambda: Softmax(2, 3, label_smoothing=1), "label_smoothing is 1; expected a share from 0 to below 1"),
        (lambda: Softmax(2, 3, tied=Embedding(4, 2)), "tied has 4 codes, num_classes is 3"),
        (lambda: Softmax(2, 3, tied=nn.Embedding(3, 2)), "tied is Embedding; expected the Embedding whose table"),
        (lambda: Softmax(2, 3, seed="a"), "seed is 'a'"),
        (lambda: Softmax(2, 3, scale=0), "scale is 0; expected a number above 0, or None"),
        (lambda: Quantiles(2, 1, 0.5), "levels is 0.5; expected probabilities between 0 and 1, as (0.1, 0.5, 0.9)"),
        (lambda: Sigmoid(2, -1), "num_labels is -1"),
        (lambda: Linear(2, 1, activation="tanh2"), "activation is 'tanh2'; did you mean 'tanh'?"),
        (lambda: Linear(2, 1, error="square"), "error is 'square'; did you mean 'squared'?"),
        (lambda: Linear(2, 1, error="huber", delta=0), "delta is 0; expected a number above 0"),
        (lambda: Quantiles(2, 1, ()), "levels is (); expected probabilities"),
        (lambda: Quantiles(2, 1, (10, 90)), "levels is (10, 90); expected probabilities between 0 and 1"),
        (lambda: Quantiles(2, 1, (0.5, 0.1)), "levels is (0.5, 0.1); expected them to rise: (0.1, 0.5)"),
        (lambda: Softmax(2, 5)(torch.zeros(4, 3)), "features has shape (4, 3); the last axis must have the head's inp"),
        (lambda: Softmax(2, 5)([1]), "features is list"),
        (lambda: Softmax(2, 5).loss(RAW[..., :4], LEGAL), "raw has shape (4, 3, 4); expected (..., 5)"),
        (lambda: Softmax(2, 5).loss(RAW, LEGAL[:3]), "target has shape (3, 3); expected (4, 3), one code each"),
        (lambda: Softmax(2, 5).loss(RAW, LEGAL + 5), "target[0, 0] is 5, one of 12 out of range; expected 0 to 4"),
        (lambda: Softmax(2, 5).loss(RAW, LEGAL.float()), "target has dtype torch.float32; expected codes"),
        (lambda: Softmax(2, 5).loss(RAW, LEGAL, LEGAL), "mask is (4, 3) of torch.int64; expected a boolean tensor (4"),
        (
            lambda: Softmax(2, 5).sample(RAW, temperature=-1),
            "temperature is -1; expected a number of at least 0, 0 for th",
        ),
        (lambda: Softmax(2, 5).sample(RAW, top_k=6), "top_k is 6, there are 5 classes; expected at most so many"),
        (lambda: Softmax(2, 5).sample(RAW, top_k=0), "top_k is 0; expected an int of at least 1"),
        (
            lambda: Softmax(2, 5).sample(RAW, top_p=1.5),
            "top_p is 1.5; expected a probability above 0, up to 1, or None",
        ),
        (
            lambda: Quantiles(2, 5, [0.5]).sample(RAW[..., :4], temperature=0),
            "raw has shape (4, 3, 4); expected (..., 5)",
        ),
        (lambda: Linear(2, 1).sample(RAW[..., :1], temperature=math.nan), "temperature is nan"),
        (
            lambda: Linear(2, 1).loss(RAW[..., :1], RAW[..., 0]),
            "target has shape (4, 3); expected (4, 3, 1), the numbers of each step; give it a last axis: target.unsque",
        ),
        (lambda: Linear(2, 5).loss(RAW, RAW.long()), "target has dtype torch.int64; expected numbers as raw"),
        (lambda: CTC(2, 4).loss(RAW[0], LEGAL), "raw has shape (3, 5); expected (time, batch, raw_size)"),
        (lambda: CTC(2, 4).loss(RAW, LEGAL), "target has shape (4, 3); expected labels (3, longest target)"),
        (
            lambda: CTC(2, 4).loss(RAW, LEGAL.T, target_lengths=[5, 1, 1]),
            "target_lengths[0] is 5; expected 0 to 4, the time steps of target; mend the length, or pad target to",
        ),
        (lambda: CTC(2, 4).predict(RAW, lengths=[1]), "lengths has shape (1,), raw has batch 3; pass one length per"),
        (lambda: CTC(2, 4).loss(RAW, LEGAL.T + 5), "target[0, 0] is 5, one of 12 out of range; expected 1 to 4"),
        (
            lambda: CTC(2, 4).loss(RAW, torch.tensor([[1, 0, 0], [2, 2, 2], [0, 0, 0]])),
            "row 1 has 4 steps, its target of 3 labels needs 5, one a label and one between two that are the same",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert words in str(caught.value)
