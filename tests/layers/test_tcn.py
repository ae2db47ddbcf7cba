"""The temporal convolutional network against its equations by hand, whole, in chunks and step by step."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from recurra.layers.pasts import Past, Pasts
from recurra.layers.tcn import TCN
from recurra.testing import assert_within_rounding
from recurra.testing.comparing import assert_raises_argument_error
from recurra.testing.sampling import draw

X = draw(15, 3, 2)  # time batch feature
NETS = {
    "plain": {},
    "one width": {"hidden_size": 2},
    "kernel of 2": {"kernel_size": 2, "dilations": [3, 1, 4]},
    "normed": {"weight_norm": True},
}


def net_of(**named):
    named = {"hidden_size": [3, 3, 5], "seed": 0, "dtype": torch.float64, **named}
    widths = named.pop("hidden_size")
    net = TCN(2, widths, 3, **named)
    with torch.no_grad():  # magnitudes that say something
        for name, parameter in net.named_parameters():
            if "magnitude" in name:
                parameter.mul_(1.3)
    return net


def by_hand(net, x):
    """Whole sequences by torch's convolution, behind zeros on the left."""

    def convolve(x, layer):
        weight = layer.weight
        if layer.weight_norm:
            weight = torch._weight_norm(weight, layer.magnitude[:, None, None], 0)
        return F.conv1d(F.pad(x, (layer.remembered, 0)), weight, layer.bias, dilation=layer.dilation)

    y = x.permute(1, 2, 0)
    for block in net.blocks:
        inner = convolve(convolve(y, block.first).relu(), block.second).relu()
        y = (inner + (y if block.residual is None else convolve(y, block.residual))).relu()
    return y.permute(2, 0, 1)


def in_steps(net, x, state=None):
    outputs = []
    for x_t in x:
        y_t, state = net.step(x_t, state)
        outputs.append(y_t)
    return torch.stack(outputs), state


def assert_same_state(found, expected):
    for one, other in zip(found.layers, expected.layers, strict=True):
        assert_within_rounding(one.joined(), other.joined())


@pytest.mark.parametrize("name", NETS)
def test_torchs_convolutions_give_the_same_outputs_and_gradients(name):
    net, x = net_of(**NETS[name]), X.clone().requires_grad_()
    y, _ = net(x)
    expected = by_hand(net, x)
    assert_within_rounding(y, expected)
    leaves = [x, *net.parameters()]
    for found, wanted in zip(
        torch.autograd.grad((y * y.cos()).sum(), leaves),
        torch.autograd.grad((expected * expected.cos()).sum(), leaves),
        strict=True,
    ):
        assert_within_rounding(found, wanted)


@pytest.mark.parametrize("sizes", [(1, 6, 1, 7), (14, 1), (3, 12)])
@pytest.mark.parametrize("name", NETS)
def test_whole_chunks_and_steps_are_equal(name, sizes):
    net = net_of(**NETS[name])
    whole, last = net(X)
    state, outputs = None, []
    for chunk in X.split(sizes):
        y, state = net(chunk, state)
        outputs.append(y)
    assert_within_rounding(torch.cat(outputs), whole)
    assert_same_state(state, last)
    steps, state = in_steps(net, X)
    assert_within_rounding(steps, whole)
    assert_same_state(state, last)
    _, state = in_steps(net, X[:5])
    assert_within_rounding(net(X[5:], state)[0], whole[5:])


def test_padding_reaches_no_result_and_no_gradient():
    net, x, lengths = net_of(), X.clone(), [15, 0, 4]
    for row, length in enumerate(lengths):
        x[length:, row] = float("nan")
    x.requires_grad_()
    start = net(draw(6, 3, 2, seed=9))[1].detach()
    y, last = net(x, start, lengths=lengths)
    gradient, *weights = torch.autograd.grad(y.square().sum(), [x, *net.parameters()])
    assert all(bool(one.isfinite().all()) for one in weights)
    assert not y[:, 1].any() and not gradient[:, 1].any() and not y[4:, 2].any() and not gradient[4:, 2].any()
    for row, length in ((0, 15), (2, 4)):
        alone, end = net(X[:length, row : row + 1], start.map(lambda part, row=row: part[:, row : row + 1]))
        assert_within_rounding(y[:length, row], alone[:, 0])
        for found, wanted in zip(last.layers, end.layers, strict=True):
            assert_within_rounding(found.block[:, row], wanted.block[:, 0])
    for found, wanted in zip(last.layers, start.layers, strict=True):
        assert torch.equal(found.block[:, 1], wanted.block[:, 1])


def test_forms_of_x_give_the_same():
    net, first, lengths = net_of(), net_of(batch_first=True), [15, 2, 6]
    expected, last = net(X, lengths=lengths)
    y, state = first(X.transpose(0, 1), lengths=lengths)
    assert_within_rounding(y.transpose(0, 1), expected)
    assert_same_state(state, last)
    packed, _ = net(pack_padded_sequence(X, torch.tensor(lengths), enforce_sorted=False))
    assert_within_rounding(pad_packed_sequence(packed)[0], expected)
    nobody, state = net(X[:, :0])
    assert nobody.shape == (15, 0, 5) and net.step(X[0, :0], state)[0].shape == (0, 5)
    alone, state = first(X[:, 0])
    assert alone.shape == (15, 5) and state.layers[0].block.shape == (2, 2)
    assert_within_rounding(alone, expected[:, 0])
    assert_within_rounding(in_steps(net, X[:, 0])[0], expected[:, 0])


def test_nothing_looks_ahead_and_nothing_beyond_the_receptive_field_is_seen():
    # All relus open, so that every path shows: no weight is below 0.
    net, x = net_of(), draw(40, 1, 2).abs().requires_grad_()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.abs_()
    assert net.receptive_field == 1 + 2 * 2 * (1 + 2 + 4) == 29
    y, _ = net(x)
    (gradient,) = torch.autograd.grad(y[35].sum(), x)
    assert gradient.abs().sum((1, 2)).nonzero().flatten().tolist() == list(range(7, 36))
    assert repr(net).startswith("TCN(\n  2, [3, 3, 5], 3, kernel_size=3, receptive_field=29\n")
    said = repr(TCN(1, [4, 4], kernel_size=2, dropout=0.5, weight_norm=True, batch_first=True))
    assert "1, [4, 4], kernel_size=2, dropout=0.5, weight_norm=True, batch_first=True, receptive_field=7\n" in said


def test_whole_features_are_dropped_in_training_only():
    net, plain = net_of(hidden_size=2, dropout=0.5), net_of(hidden_size=2)
    assert_within_rounding(net.eval()(X)[0], plain(X)[0])
    net.train()
    torch.manual_seed(0)
    _, state = net(X.abs() + 1)
    second = state.layers[1].block  # what the second convolution read: dropped features of the first
    reached = net.eval()(X.abs() + 1)[1].layers[1].block
    for row in range(3):
        for feature in range(2):
            kept, full = second[:, row, feature], reached[:, row, feature]
            assert not kept.any() or torch.allclose(kept, 2 * full)
    assert not second.any(0).all()
    net.train()
    _, state = in_steps(net, (X[:1].abs() + 1).expand(12, -1, -1))
    dropped = torch.stack([torch.zeros_like(X[0]), *state.layers[3].recent]).eq(0)
    assert dropped.shape[0] == 1 and len(state.layers[3].block) == 4  # three rounds of four
    assert len({tuple(one.flatten().tolist()) for one in state.layers[3].block.eq(0)}) > 1  # drawn at each step


def test_derivatives_are_right():
    net = TCN(1, [2, 1], kernel_size=2, weight_norm=True, seed=1, dtype=torch.float64)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.abs_().add_(0.1)  # away from the corner of relu
    names, values = zip(*net.named_parameters(), strict=True)

    def results(x, *given):
        pasts, weights = given[:4], given[4:]
        options = {"lengths": [3, 1]}
        start = Pasts(tuple(Past(past) for past in pasts))
        y, last = torch.func.functional_call(net, dict(zip(names, weights, strict=True)), (x, start), options)
        return y, *(past.block for past in last.layers)

    shapes = [(3, 2, 1), (1, 2, 1), (1, 2, 2), (2, 2, 2), (2, 2, 1)]
    leaves = [draw(*shape, seed=place).abs().requires_grad_() for place, shape in enumerate(shapes)]
    assert torch.autograd.gradcheck(results, (*leaves, *values))
    assert torch.autograd.gradgradcheck(results, (*leaves, *values), fast_mode=True)


def test_copies_types_and_seeds():
    net = net_of(seed=3, weight_norm=False)
    expected, _ = net(X)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):  # noqa: S301 - our own bytes
        assert torch.equal(twin(X)[0], expected)
    with torch.no_grad():
        single, _ = copy.deepcopy(net).float()(X.float())
        assert_within_rounding(single, expected.float())
    torch.manual_seed(3)
    for one, other in zip(net.parameters(), net_of(seed=None).parameters(), strict=True):
        assert torch.equal(one, other)
    before = torch.get_rng_state()
    net_of(seed=9)
    assert torch.equal(torch.get_rng_state(), before)
    drawn = net.blocks[1].second.weight.detach().clone()
    assert not torch.equal(drawn, net.blocks[1].first.weight)
    with torch.no_grad():
        net.blocks[1].second.weight.zero_()
    net.reset_parameters()
    assert torch.equal(net.blocks[1].second.weight, drawn)
    other = net_of(seed=5)
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(X)[0], expected)
    assert net.output_size == 5


def test_it_learns_to_copy_what_lies_far_back():
    torch.manual_seed(0)
    net, head = TCN(1, 16, 4, kernel_size=2, seed=0), nn.Linear(16, 1)
    optimizer = torch.optim.Adam([*net.parameters(), *head.parameters()], lr=0.01)
    for _ in range(200):
        x = torch.rand(50, 16, 1)
        loss = (head(net(x)[0])[20:] - x[:-20]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.01  # the variance of x is 1/12


def test_wrong_arguments_are_refused_in_words():
    for words, arguments, named in (
        (["hidden_size is 8", "num_layers was left out"], (2, 8), {}),
        (["hidden_size is []"], (2, []), {}),
        (["hidden_size is [8, 8]", "num_layers is 3"], (2, [8, 8], 3), {}),
        (["hidden_size[1] is 0"], (2, [8, 0]), {}),
        (["num_layers is 0"], (2, 8, 0), {}),
        (["input_size is 0"], (0, 8, 2), {}),
        (["dilations is [1]", "num_layers is 2"], (2, 8, 2), {"dilations": [1]}),
        (["dilations is 2", "one int for each block"], (2, 8, 2), {"dilations": 2}),
        (["kernel_size is None"], (2, 8, 2), {"kernel_size": None}),
        (["dropout is 1.5", "probability"], (2, 8, 2), {"dropout": 1.5}),
        (["weight_norm is 1"], (2, 8, 2), {"weight_norm": 1}),
        (["seed is -1"], (2, 8, 2), {"seed": -1}),
    ):
        assert_raises_argument_error(words, TCN, *arguments, **named)
    net = net_of()
    assert_raises_argument_error(["x has shape (15, 3, 3)", "input_size is 2"], net, draw(15, 3, 3))
    assert_raises_argument_error(["x_t has shape (15, 3, 2)"], net.step, X)
    assert_raises_argument_error(["lengths[2] is 16"], net, X, lengths=[1, 2, 16])
    _, state = net(X)
    assert_raises_argument_error(["state is Past;", "Pasts of 6 convolutions"], net, X, state.layers[0])
    assert_raises_argument_error(["state is Pasts of 1"], net.step, X[0], Pasts(state.layers[:1]))
    assert_raises_argument_error(["state.layers[0].block has shape (2, 3, 2)", "(2, 1, 2)"], net, X[:, :1], state)
