"""Recurrences over images against loops written by hand, and against the dense layer."""

import pytest
import torch
from torch.nn import functional as F

import recurra
from recurra.cells import State
from recurra.engines import available
from recurra.errors import ArgumentError
from recurra.nn import ConvGRU, ConvLSTM, ConvRecurrent, Recurrent
from recurra.testing import assert_within_rounding
from recurra.testing.sampling import draw

CELLS = ("lstm", "gru")
X = draw(4, 3, 2, 5, 6)  # time batch channel height width


def layer_of(cell, **named):
    return ConvRecurrent(cell, 2, 3, **{"kernel_size": 3, "seed": 0, "dtype": torch.float64, **named})


def convolve(x, weight, bias):
    """Of one to three axes, with zeros around."""
    convolution = (F.conv1d, F.conv2d, F.conv3d)[x.dim() - 3]
    return convolution(x, weight, bias, padding=tuple(size // 2 for size in weight.shape[2:]))


def lstm_step(x, h, c, weights):
    """Shi et al. 2015 without peepholes, gate by gate."""
    w, u, b, d = (weight.split(3) for weight in weights)

    def gate(index):
        return convolve(x, w[index], b[index]) + convolve(h, u[index], d[index])

    i, f, o = (torch.sigmoid(gate(index)) for index in (0, 1, 3))
    c = f * c + i * torch.tanh(gate(2))
    return o * torch.tanh(c), c


def gru_step(x, h, c, weights):
    """Ballas et al. 2016, with the reset after the recurrent convolution as in `gru`."""
    w, u, b, d = (weight.split(3) for weight in weights)
    r, z = (torch.sigmoid(convolve(x, w[index], b[index]) + convolve(h, u[index], d[index])) for index in (0, 1))
    n = torch.tanh(convolve(x, w[2], b[2]) + r * convolve(h, u[2], d[2]))
    return (1 - z) * n + z * h, c


STEPS = {"lstm": lstm_step, "gru": gru_step}


def by_hand(cell, layer, x, state, suffix="_l0"):
    """Outputs of every step, and the last state, in one direction."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    weights = [getattr(layer, name + suffix) for name in names]
    h, c = state[0][0], state[-1][0]
    outputs = []
    for x_t in x:
        h, c = STEPS[cell](x_t, h, c, weights)
        outputs.append(h)
    return torch.stack(outputs), [h, c][: len(state)]


def gradients(y, last, leaves):
    loss = (y * y.cos()).sum() + sum(part.sin().sum() for part in last)
    return torch.autograd.grad(loss, leaves)


@pytest.mark.parametrize("kernel_size", [1, 3, (3, 5), [3, 5], (3,), (5, 3, 1)])
@pytest.mark.parametrize("cell", CELLS)
def test_a_loop_by_hand_gives_the_same_outputs_states_and_gradients(cell, kernel_size):
    layer = layer_of(cell, kernel_size=kernel_size)
    space = (5, 6, 4)[: len(kernel_size) if isinstance(kernel_size, tuple | list) else 2]
    x = draw(4, 3, 2, *space).requires_grad_()
    names = layer.cell.states
    state = State(**{name: draw(1, 3, 3, *space, seed=9 + i).requires_grad_() for i, name in enumerate(names)})
    y, last = layer(x, state)
    expected, final = by_hand(cell, layer, x, state)
    assert_within_rounding(y, expected)
    for found, wanted in zip(last, final, strict=True):
        assert_within_rounding(found[0], wanted)
    leaves = [x, *state, *layer.parameters()]
    for found, wanted in zip(gradients(y, last, leaves), gradients(expected, final, leaves), strict=True):
        assert_within_rounding(found, wanted)


@pytest.mark.parametrize("cell", CELLS)
def test_both_directions_by_hand(cell):
    layer = layer_of(cell, bidirectional=True)
    zeros = [torch.zeros(1, 3, 3, 5, 6, dtype=torch.float64)] * len(layer.cell.states)
    y, last = layer(X)
    forward, end = by_hand(cell, layer, X, zeros)
    backward, begin = by_hand(cell, layer, X.flip(0), zeros, "_l0_reverse")
    assert_within_rounding(y, torch.cat([forward, backward.flip(0)], 2))
    for found, one, other in zip(last, end, begin, strict=True):
        assert_within_rounding(found, torch.stack([one, other]))


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("cell", ["lstm", "peepholelstm", "resetbeforegru", "elman-relu", "mingru"])
def test_one_place_and_a_kernel_of_one_are_the_dense_layer(cell, axes):
    named = {"bidirectional": True, "seed": 0, "dtype": torch.float64}
    dense, ones = Recurrent(cell, 2, 3, 2, **named), [1] * axes
    layer = ConvRecurrent(cell, 2, 3, 2, kernel_size=(1,) * axes, **named)
    layer.load_state_dict(
        {name: weight.view(layer.state_dict()[name].shape) for name, weight in dense.state_dict().items()}
    )
    x = draw(4, 3, 2)
    for lengths in (None, [4, 0, 2]):
        y, last = layer(x.view(*x.shape, *ones), lengths=lengths)
        expected, final = dense(x, lengths=lengths)
        assert_within_rounding(y.view(expected.shape), expected)
        for found, wanted in zip(last, final, strict=True):
            assert_within_rounding(found.view(wanted.shape), wanted)


def test_initial_weights_are_the_dense_layers_too():
    """Drawn in the same order from the same seed, within 1/sqrt(channels)."""
    dense = Recurrent("gru", 2, 3, seed=5)
    assert torch.equal(ConvGRU(2, 3, kernel_size=1, seed=5).weight_hh_l0.flatten(1), dense.weight_hh_l0)
    wide = ConvLSTM(2, 16, kernel_size=5, seed=5).weight_hh_l0.detach()
    assert wide.shape == (64, 16, 5, 5)
    assert 0.24 < float(wide.abs().max()) <= 0.25
    orthogonal = ConvGRU(2, 3, kernel_size=3, initializer="orthogonal", seed=5).weight_hh_l0[:3].flatten(1)
    assert_within_rounding(orthogonal @ orthogonal.T, torch.eye(3))


@pytest.mark.parametrize("cell", CELLS)
def test_derivatives_are_right(cell):
    layer = ConvRecurrent(cell, 1, 2, kernel_size=3, bidirectional=True, seed=0, dtype=torch.float64)
    x = draw(3, 2, 1, 2, 3).requires_grad_()
    names, values = zip(*layer.named_parameters(), strict=True)

    def results(x, *values):
        y, last = torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,), {"lengths": [3, 1]})
        return (y, *last)

    assert torch.autograd.gradcheck(results, (x, *values))
    assert torch.autograd.gradgradcheck(results, (x, *values), fast_mode=True)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", [*CELLS, "resetbeforegru"])
def test_rows_of_any_length_equal_single_sequences(cell, bidirectional):
    layer = ConvRecurrent(cell, 2, 3, 2, kernel_size=3, bidirectional=bidirectional, seed=0, dtype=torch.float64)
    lengths = [4, 0, 2]
    x = X.clone()
    x[2:, 2] = torch.nan
    x[:, 1] = torch.inf
    y, last = layer(x, lengths=lengths)
    for row, length in enumerate(lengths):
        assert not y[length:, row].any()
        if length:
            expected, final = layer(X[:length, row])  # without a batch
            assert_within_rounding(y[:length, row], expected)
            for found, wanted in zip(last, final, strict=True):
                assert_within_rounding(found[:, row], wanted)
        else:
            assert not any(part[:, row].any() for part in last)


def test_batch_first_and_no_batch():
    layer, first = layer_of("lstm"), layer_of("lstm", batch_first=True)
    y, last = layer(X)
    found, final = first(X.transpose(0, 1))
    assert_within_rounding(found, y.transpose(0, 1))
    assert_within_rounding(final.c, last.c)
    for one in (layer, first):
        alone, state = one(X[:, 1])
        assert (alone.shape, state.c.shape) == ((4, 3, 5, 6), (1, 3, 5, 6))
        assert_within_rounding(alone, y[:, 1])
        assert_within_rounding(state.c, last.c[:, 1])


OPTIONS = {
    "recurrent dropout": {"recurrent_dropout": 0.4},
    "weight dropout": {"weight_dropout": 0.4, "input_dropout": 0.3},
    "zoneout": {"zoneout": 0.3},
    "layer norm": {"layer_norm": True},
    "weight norm": {"weight_norm": True},
    "dilation": {"dilation": (1, 2)},
    "learned start": {"learn_initial_state": True},
    "residual": {"residual": True},
    "unlike widths": {"hidden_size": (3, 4)},
    "no bias": {"bias": False},
    "checkpoint": {"checkpoint": 2},
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_whole_equals_chunks_equals_steps_under_options(cell, option):
    """In evaluation; and in training with the same noise, which is drawn for whole channels."""
    named = {"hidden_size": 3, "num_layers": 2, "kernel_size": 3, "seed": 0, "dtype": torch.float64, **OPTIONS[option]}
    layer = ConvRecurrent(cell, 2, **named)
    for training in (True, False) if option != "zoneout" else (False,):
        layer.train(training)
        noise = layer.draw_noise(3)
        whole, last = layer(X, noise=noise)
        first, state = layer(X[:3], noise=noise)
        second, state = layer(X[3:], state, noise=noise)
        assert_within_rounding(torch.cat([first, second]), whole)
        steps, stepped = [], None
        for x_t in X:
            y_t, stepped = layer.step(x_t, stepped, noise=noise)
            steps.append(y_t)
        assert_within_rounding(torch.stack(steps), whole)
        for end in (state, stepped):
            for found, wanted in zip(end, last, strict=True):
                pairs = zip(found, wanted, strict=True) if isinstance(wanted, tuple) else [(found, wanted)]
                for one, other in pairs:
                    assert_within_rounding(one, other)


def test_dropped_are_whole_channels():
    layer = layer_of("lstm", recurrent_dropout=0.5, input_dropout=0.5)
    noise = layer.draw_noise(64)
    assert noise.inputs[0].shape == (64, 2, 1, 1)
    assert noise.states[0].shape == (64, 3, 1, 1)
    assert set(noise.states[0].unique().tolist()) == {0, 2}


def test_layer_norm_is_over_a_gates_channels_at_each_place():
    layer = layer_of("elman-tanh", layer_norm=True)
    assert layer.gain_ih_l0.shape == (3,)
    x = X[:1]
    product = F.conv2d(x[0], layer.weight_ih_l0, padding=1)
    normal = F.layer_norm(product.movedim(1, -1), (3,)).movedim(-1, 1)
    bias = (layer.bias_ih_l0 + layer.bias_hh_l0)[:, None, None]  # the recurrent product of zeros is normalised to zeros
    assert_within_rounding(layer(x)[0][0], torch.tanh(normal + bias))


def test_a_place_sees_its_neighbourhood_and_no_more():
    """A kernel of 3 in one layer reaches one place a step by its input, and one more for every step that passed."""
    layer, x = layer_of("lstm"), X.clone().requires_grad_()
    y, _ = layer(x)
    [seen] = torch.autograd.grad(y[2, 0, :, 2, 2].sum(), x)
    reached = seen[:, 0].abs().sum(1) > 0  # time height width
    places = torch.zeros(4, 5, 6, dtype=torch.bool)
    for step, radius in ((0, 3), (1, 2), (2, 1)):
        places[step, max(0, 2 - radius) : 3 + radius, max(0, 2 - radius) : 3 + radius] = True
    assert torch.equal(reached, places)
    assert not seen[:, 1:].any()


def test_only_the_reference_runs_it_and_says_why():
    layer = layer_of("lstm")
    known = {
        "compiled": "kernels are compiled for products, not for convolutions",
        "torch": "torch's kernels know no convolution",
        "scan": "a recurrent product reads the output of the step before, which mixes its units",
    }
    why = "; ".join(f"{engine}: {words}" for engine, words in known.items())
    assert layer.explain() == f"layer 0: lstm by reference ({why})"
    assert available(layer.cell, frozenset({"convolution"})) == ("reference",)
    for engine, words in known.items():
        with recurra.engine(engine), pytest.raises(ArgumentError, match=f"{words}; ask for one of"):
            layer(X)


def test_short_names_are_the_long_one():
    for short, cell in ((ConvLSTM, "lstm"), (ConvGRU, "gru")):
        long = ConvRecurrent(cell, 2, 3, 2, kernel_size=(3, 1), seed=4)
        brief = short(2, 3, 2, kernel_size=(3, 1), seed=4)
        assert torch.equal(brief(X.float())[0], long(X.float())[0])
    assert repr(ConvLSTM(2, 3)) == "ConvLSTM(2, 3, kernel_size=3)"


LAYER = ConvLSTM(2, 3)
STILL = torch.zeros(4, 3, 2, 5, 6)
H = torch.zeros(1, 3, 3, 5, 6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kernel_size": 4}, ["kernel_size is 4", "odd", "middle"]),
        ({"kernel_size": (3, 2)}, ["kernel_size is (3, 2)", "odd"]),
        ({"kernel_size": 0}, ["kernel_size", "0", "at least 1"]),
        ({"kernel_size": 3.0}, ["kernel_size", "3.0", "int"]),
        ({"kernel_size": ()}, ["kernel_size is ()", "tuple of 1 to 3"]),
        ({"kernel_size": (3, 3, 3, 3)}, ["kernel_size is (3, 3, 3, 3)", "tuple of 1 to 3"]),
        ({"kernel_size": [3, "3"]}, ["kernel_size is '3'", "int"]),
        ({"proj_size": 2}, ["proj_size", "convolutional", "leave it out"]),
        ({"hidden_size": 0}, ["hidden_size", "0"]),
    ],
)
def test_constructor_arguments_that_do_not_fit(arguments, words):
    with pytest.raises(ArgumentError) as caught:
        ConvRecurrent("lstm", 2, **{"hidden_size": 3, **arguments})
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: LAYER(STILL[0, 0]), ["x has shape (2, 5, 6)", "(time, batch, feature, height, width)"]),
        (lambda: LAYER(STILL[None]), ["x has shape (1, 4, 3, 2, 5, 6)", "(time, feature, height, width)"]),
        (lambda: LAYER(STILL[:, :, :1]), ["1 features", "input_size is 2", "axis -3"]),
        (lambda: LAYER(STILL[:0]), ["no time step"]),
        (lambda: LAYER(STILL, (H, H[..., :5])), ["state.c", "(1, 3, 3, 5, 5)", "(1, 3, 3, 5, 6)"]),
        (lambda: LAYER(STILL, lengths=[5, 1, 1]), ["lengths[0] is 5", "0 to 4"]),
        (lambda: LAYER.step(STILL), ["x_t has shape (4, 3, 2, 5, 6)", "(batch, feature, height, width)"]),
        (lambda: ConvGRU(2, 3, bidirectional=True).step(STILL[0]), ["step", "bidirectional"]),
        (
            lambda: ConvGRU(2, 3, kernel_size=(3,))(STILL),
            ["x has shape (4, 3, 2, 5, 6)", "(time, batch, feature, length)"],
        ),
    ],
)
def test_calls_that_do_not_fit(call, words):
    with pytest.raises(ArgumentError) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("check", [torch.autograd.gradcheck, torch.autograd.gradgradcheck])
@pytest.mark.parametrize(
    "options",
    [
        {"recurrent_dropout": 0.4, "input_dropout": 0.3, "weight_dropout": 0.3},
        {"zoneout": {"h": 0.3}},
        {"layer_norm": True, "weight_norm": True},
        {"learn_initial_state": True, "residual": True},
        {"dilation": 2, "checkpoint": 1},
    ],
    ids=lambda options: ", ".join(options),
)
def test_derivatives_with_options(options, check):
    layer = ConvRecurrent("lstm", 2, 3, 2, kernel_size=(3,), seed=0, dtype=torch.float64, **options)
    names = [name for name, _ in layer.named_parameters()]

    def results(x, *weights):
        torch.manual_seed(5)  # what is dropped must be the same each time
        y, last = torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x,), {"lengths": [3, 1]})
        return (y, *last)

    x = torch.randn(3, 2, 2, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    with torch.random.fork_rng(devices=[]):
        assert check(results, (x, *layer.parameters()), fast_mode=True)
