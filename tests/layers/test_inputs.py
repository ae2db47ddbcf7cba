"""Codes and numbers become features; what is no code is refused by name and place."""

import copy
import pickle

import pytest
import torch
from torch import nn

from recurra.errors import ArgumentError
from recurra.layers.heads import Softmax
from recurra.layers.inputs import Embedding, OneHot, Real, blank_padding, check_codes
from recurra.layers.lengths import mask_of_lengths


@pytest.mark.parametrize("shape", [(), (3,), (4, 3), (0, 3), (2, 4, 3)])
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_a_code_becomes_its_row_of_the_table(shape, dtype):
    codes = torch.randint(0, 7, shape).to(dtype)
    table = Embedding(7, 5, seed=0)
    assert torch.equal(table(codes), table.weight[codes.long()])
    assert torch.equal(OneHot(7)(codes), torch.eye(7)[codes.long()])


def test_the_seed_draws_what_torch_draws():
    torch.manual_seed(4)
    expected = nn.Embedding(6, 3).weight
    assert torch.equal(Embedding(6, 3, seed=4).weight, expected)
    assert not torch.equal(Embedding(6, 3, seed=5).weight, expected)
    torch.manual_seed(4)
    assert torch.equal(Embedding(6, 3).weight, expected)


def test_padding_is_zero_and_learns_nothing_but_by_a_tied_head():
    table = Embedding(4, 3, padding=2, seed=0)
    codes = torch.tensor([0, 2, 3])
    vectors = table(codes)
    assert not vectors[1].any()
    assert vectors[0].all()
    vectors.sum().backward()
    assert table.weight.grad[:, 0].tolist() == [1.0, 0.0, 0.0, 1.0]
    table.zero_grad()
    Softmax(3, 4, tied=table, scale=1.0)(torch.ones(3)).sum().backward()
    assert table.weight.grad[2].tolist() == [1.0, 1.0, 1.0]
    with torch.no_grad():
        table.weight += 1
    assert not table(codes)[1].any()


def test_a_dropped_word_is_dropped_at_all_its_places():
    table = Embedding(1000, 2, dropout=0.3, seed=0)
    codes = torch.arange(1000).repeat(3, 1)
    torch.manual_seed(0)
    factor = table(codes) / table.weight[codes]
    dropped = factor[0, :, 0] == 0
    assert torch.equal(dropped.expand(3, 2, -1), factor.transpose(1, 2) == 0)
    torch.testing.assert_close(factor[:, ~dropped], torch.full((3, int((~dropped).sum()), 2), 1 / 0.7))
    assert dropped.double().mean().item() == pytest.approx(0.3, abs=0.05)  # three deviations of 0.0145
    assert not torch.equal(table(codes), table(codes))
    assert torch.equal(table.eval()(codes), table.weight[codes])


def test_gradients_of_vectors():
    table = Embedding(4, 3, padding=1, seed=0, dtype=torch.float64)
    codes = torch.tensor([[0, 1], [3, 3]])
    assert torch.autograd.gradcheck(
        lambda weight: torch.func.functional_call(table, {"weight": weight}, codes),
        (table.weight.detach().clone().requires_grad_(),),
    )


@pytest.mark.parametrize("layer", [Embedding(5, 3, padding=0, dropout=0.1, seed=0), OneHot(5), Real(5)])
def test_an_input_is_copied_pickled_and_converted(layer):
    x = torch.randn(4, 2, 5) if isinstance(layer, Real) else torch.randint(0, 5, (4, 2))
    layer = copy.deepcopy(layer).eval()
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):  # noqa: S301 - our own
        assert torch.equal(other(x), layer(x))
        assert other.output_size == layer(x).shape[-1]
    if not isinstance(layer, Real):
        assert layer.double()(x).dtype == torch.float64


def test_one_hot_has_nothing_to_save():
    assert not OneHot(3).state_dict()
    assert OneHot(3, dtype=torch.float64)(torch.tensor(1)).tolist() == [0.0, 1.0, 0.0]
    assert OneHot(3, dtype=torch.float64)(torch.tensor(1)).dtype == torch.float64


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Embedding(0, 3), "num_embeddings is 0; expected an int of at least 1"),
        (lambda: Embedding(3, 2.0), "embedding_size is 2.0"),
        (lambda: Embedding(3, 2, padding=3), "padding is 3; expected a code from 0 to 2, or None"),
        (lambda: Embedding(3, 2, padding=-1), "padding is -1"),
        (lambda: Embedding(3, 2, dropout=1.5), "dropout is 1.5; expected a probability"),
        (lambda: Embedding(3, 2, dtype=torch.int64), "dtype is torch.int64"),
        (lambda: Embedding(3, 2, seed=-1), "seed is -1"),
        (lambda: OneHot(True), "num_classes is True"),
        (lambda: Real(None), "input_size is None"),
    ],
)
def test_an_input_that_cannot_be_built(make, words):
    with pytest.raises(ArgumentError) as caught:
        make()
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.tensor([[0, 1], [4, -1]]), "x[1, 0] is 4, one of 2 out of range; expected 0 to 3; map what is unknown"),
        (torch.tensor([0, -1]), "x[1] is -1; expected 0 to 3"),
        (torch.tensor(9), "x[] is 9; expected 0 to 3"),
        (torch.tensor([1.0]), "x has dtype torch.float32; expected codes, which are integers: x.long()"),
        (torch.tensor([True]), "x has dtype torch.bool"),
        ([1, 2], "x is list; expected a tensor of codes"),
    ],
)
@pytest.mark.parametrize("layer", [Embedding(4, 2), OneHot(4)])
def test_codes_that_there_are_not(layer, x, words):
    with pytest.raises(ArgumentError) as caught:
        layer(x)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("layer", "x", "words"),
    [
        (
            Real(1),
            torch.zeros(5, 3),
            "x has shape (5, 3); the last axis must have input_size, 1 numbers; a single series",
        ),
        (Real(2), torch.zeros(5, 3), "x has shape (5, 3); the last axis must have input_size, 2 numbers"),
        (Real(2), torch.zeros(5, 2, dtype=torch.int64), "x has dtype torch.int64; expected floating-point numbers"),
        (Real(2), torch.tensor(1.0), "x has shape ()"),
        (Real(2), [[1.0, 2.0]], "x is list"),
    ],
)
def test_numbers_that_do_not_fit(layer, x, words):
    with pytest.raises(ArgumentError) as caught:
        layer(x)
    assert words in str(caught.value)


def test_codes_are_looked_at_where_the_mask_says():
    codes = torch.tensor([1, -100, 2])
    assert check_codes("target", codes, 2, first=1, mask=torch.tensor([True, False, True])).tolist() == [1, -100, 2]
    with pytest.raises(ArgumentError, match=r"target\[1\] is -100; expected 1 to 2"):
        check_codes("target", codes, 2, first=1)


@pytest.mark.parametrize("batch_first", [False, True])
def test_padding_is_blanked_in_either_order(batch_first):
    numbers, codes = torch.full((4, 3, 2), torch.nan), torch.full((4, 3), -100)
    x, c = (numbers.transpose(0, 1), codes.T) if batch_first else (numbers, codes)
    spelt = c.unsqueeze(-1).expand(-1, -1, 5)  # rows of codes, as of words with their letters
    for blanked in (
        blank_padding(x, [4, 0, 2], batch_first=batch_first)[..., 0].isnan(),
        (blank_padding(spelt, [4, 0, 2], batch_first=batch_first) != 0).all(-1),
        (blank_padding(spelt, [4, 0, 2], batch_first=batch_first) != 0).any(-1),
        blank_padding(c, [4, 0, 2], batch_first=batch_first) != 0,
    ):
        steps = blanked.T if batch_first else blanked
        assert steps.sum(0).tolist() == [4, 0, 2]
        assert steps[:2, 2].all()
    assert blank_padding(x, None, batch_first=batch_first) is x
    assert blank_padding(x, [4, 4, 4], batch_first=batch_first) is x
    assert blank_padding(torch.ones(4, 2), [3], batch_first=batch_first).sum(1).tolist() == [2, 2, 2, 0]


def test_lengths_become_a_mask():
    cpu = torch.device("cpu")
    mask = mask_of_lengths([3, 0, 1], shape=(3, 3), batch_first=False, device=cpu)
    assert mask.int().tolist() == [[1, 0, 1], [1, 0, 0], [1, 0, 0]]
    assert torch.equal(mask_of_lengths([3, 0, 1], shape=(3, 3), batch_first=True, device=cpu), mask.T)
    assert mask_of_lengths([1], shape=(2,), batch_first=True, device=cpu).tolist() == [True, False]
    assert mask_of_lengths([3, 3], shape=(3, 2), batch_first=False, device=cpu) is None
    with pytest.raises(ArgumentError, match=r"lengths\[1\] is 4; expected 0 to 3"):
        mask_of_lengths([3, 4], shape=(3, 2), batch_first=False, device=cpu)
