"""A dense net on windows: its equations by a loop, whole, in chunks and step by step, padded, and as a body."""

import copy
import pickle

import pytest
import torch
from torch import nn

from recurra.errors import ArgumentError
from recurra.layers import DenseWindow, Linear, Real
from recurra.models.seq2seq import Seq2Seq
from recurra.models.seq2vec import Seq2Vec
from recurra.models.vec2seq import Vec2Seq
from recurra.testing import assert_within_rounding

EXACT = {"seed": 0, "dtype": torch.float64}
LENGTHS = [6, 0, 1, 4]


def draw(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def run_by_loop(net, x):
    """y of x (time, batch, feature): every window by itself."""
    before = torch.cat([x.new_zeros(net.window - 1, *x.shape[1:]), x])
    outputs = []
    for t in range(len(x)):
        z = torch.einsum("kbi,hik->bh", before[t : t + net.window], net.first.weight) + net.first.bias
        z = z.relu()
        for layer in net.others:
            z = (z @ layer.weight.T + layer.bias).relu()
        outputs.append(z)
    return torch.stack(outputs)


@pytest.mark.parametrize(("window", "num_layers"), [(4, 1), (4, 3), (1, 2), (9, 1)])
def test_whole_chunks_and_steps_are_what_a_loop_makes(window, num_layers):
    net, x = DenseWindow(3, 5, window=window, num_layers=num_layers, **EXACT), draw(6, 4, 3)
    expected = run_by_loop(net, x)
    y, end = net(x)
    assert_within_rounding(y, expected)
    first, state = net(x[:2])
    last, state = net(x[2:], state)
    assert_within_rounding(torch.cat([first, last]), expected)
    assert torch.equal(state.joined(), end.joined())
    state = None
    for x_t, y_t in zip(x, expected, strict=True):
        found, state = net.step(x_t, state)
        assert_within_rounding(found, y_t)
    assert_within_rounding(net(x[:, 2])[0], expected[:, 2])  # without a batch
    assert expected.any(-1).all()


@pytest.mark.parametrize("batch_first", [False, True])
def test_a_padded_row_is_read_as_it_would_be_alone(batch_first):
    net, x = DenseWindow(3, 5, window=3, num_layers=2, batch_first=batch_first, **EXACT), draw(6, 4, 3)
    padding = torch.arange(6)[:, None] >= torch.tensor(LENGTHS)
    given = x.masked_fill(padding.unsqueeze(-1), torch.nan)
    given = (given.transpose(0, 1) if batch_first else given).requires_grad_()
    y, state = net(given, lengths=LENGTHS)
    steps = y.transpose(0, 1) if batch_first else y
    assert not steps[padding].any()
    for row, length in enumerate(LENGTHS):
        if length:
            alone, last = net(x[:length, row])
            assert_within_rounding(steps[:length, row], alone)
            assert_within_rounding(state.block[:, row], last.block)
    y.sum().backward()
    assert given.grad.isfinite().all()


@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_vector_of_a_window_is_that_of_its_last_step(batch_first, pooling):
    net, x = DenseWindow(3, 5, window=3, num_layers=2, batch_first=batch_first, **EXACT), draw(6, 4, 3)
    model = Seq2Vec(Real(3), net, Linear(5, 2, **EXACT), pooling=pooling)
    order = (lambda one: one.transpose(0, 1)) if batch_first else (lambda one: one)
    y = order(net(order(x), lengths=LENGTHS)[0])
    expected = torch.stack(
        [
            (y[length - 1, row] if pooling == "last" else y[:length, row].mean(0))
            if length
            else torch.zeros(5).double()
            for row, length in enumerate(LENGTHS)
        ]
    )
    assert_within_rounding(model(order(x), lengths=LENGTHS), model.head(expected))
    _, state = model.read(order(x[:2]), lengths=[2, 0, 1, 2])
    assert_within_rounding(model.read(order(x[2:]), state, lengths=[4, 0, 0, 2])[0], model.head(expected))
    assert_within_rounding(model(x[:4, 3]), model.head(expected[3]))  # without a batch
    assert_within_rounding(model(order(x[:4, 3:])), model.head(expected[3:]))
    if pooling == "last":
        last, state = net.last(order(x), lengths=LENGTHS)
        assert_within_rounding(last, expected)
        assert torch.equal(state.block, net(order(x), lengths=LENGTHS)[1].block)


def test_it_is_a_dense_net_on_the_window_as_torch_has_it():
    net, x = DenseWindow(1, 8, window=50, num_layers=2, **EXACT), draw(50, 4, 1)
    dense = nn.Sequential(nn.Linear(50, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU()).double()
    dense.load_state_dict(
        {"0.weight": net.first.weight.squeeze(1), "0.bias": net.first.bias}
        | {f"2.{name}": value for name, value in net.others[0].state_dict().items()}
    )
    model = Seq2Vec(Real(1), net, Linear(8, 1, **EXACT))
    assert_within_rounding(model(x), model.head(dense(x.squeeze(-1).T)))
    bound = 1 / 50**0.5
    assert 0.9 * bound < net.first.weight.abs().max().item() <= bound


def test_it_is_a_body_for_each_shape():
    x = draw(6, 4, 3)
    tagger = Seq2Seq(Real(3), DenseWindow(3, 5, window=3, **EXACT), Linear(5, 3, **EXACT))
    more = tagger.generate(x, 4).answers
    assert_within_rounding(more, tagger(torch.cat([x, more[:-1]]))[0][-4:].detach())
    writer = Vec2Seq(Real(3), DenseWindow(5, 5, window=3, **EXACT), Linear(5, 3, **EXACT), vector_size=2, feed="repeat")
    z = draw(4, 2)
    made = writer.generate(z, 6).answers
    assert_within_rounding(made, writer(z, made).detach())
    assert tagger.explain() == "input: Real\nbody: DenseWindow by torch\nhead: Linear"


def test_gradients():
    net = DenseWindow(2, 3, window=2, num_layers=2, **EXACT)
    assert torch.autograd.gradcheck(lambda x: net(x, lengths=[3, 2])[0], draw(3, 2, 2).requires_grad_(), fast_mode=True)


def test_it_is_seeded_copied_pickled_and_drops_in_training_alone():
    net, x = DenseWindow(3, 50, window=4, num_layers=2, dropout=0.5, seed=0), draw(6, 4, 3).float()
    net.eval()
    expected = net(x)[0]
    before = torch.get_rng_state()
    again = DenseWindow(3, 50, window=4, num_layers=2, seed=0)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(again(x)[0], expected)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):  # noqa: S301 - our own
        assert torch.equal(other(x)[0], expected)
    assert not torch.equal(DenseWindow(3, 50, window=4, num_layers=2, seed=1)(x)[0], expected)
    zeros = (net.train()(x)[0] == 0).float().mean() - (expected == 0).float().mean()
    assert zeros > 0.15
    assert repr(net).startswith("DenseWindow(\n  3, 50, window=4, num_layers=2, dropout=0.5\n")
    assert net.double()(x.double())[0].dtype == torch.float64
    assert net.receptive_field == 4


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: DenseWindow(1, 2, window=0), "window is 0; expected an int of at least 1"),
        (lambda: DenseWindow(0, 2, window=1), "input_size is 0"),
        (lambda: DenseWindow(1, 2.0, window=1), "hidden_size is 2.0"),
        (lambda: DenseWindow(1, 2, window=1, num_layers=0), "num_layers is 0"),
        (lambda: DenseWindow(1, 2, window=1, dropout=2), "dropout is 2"),
        (lambda: DenseWindow(1, 2, window=1, batch_first=0), "batch_first is 0; expected True or False"),
        (lambda: DenseWindow(1, 2, window=1, dtype=torch.int64), "dtype is torch.int64"),
        (lambda: DenseWindow(1, 2, window=3)(torch.zeros(4, 2, 2)), "x has shape (4, 2, 2) with 2 features"),
        (
            lambda: DenseWindow(1, 2, window=3)(torch.zeros(4, 2, 1), torch.zeros(2)),
            "state is Tensor; pass the Past that the last call returned, or omit it",
        ),
        (lambda: DenseWindow(1, 2, window=3).step(torch.zeros(4, 2, 1)), "x_t has shape (4, 2, 1); expected one time"),
    ],
)
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert words in str(caught.value)
