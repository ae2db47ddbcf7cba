"""WaveNet against its equations by hand, whole, in chunks and step by step; conditions, classes and generation."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import recurra
from recurra.errors import ArgumentError
from recurra.layers.pasts import Past, Pasts
from recurra.layers.wavenet import WaveNet
from recurra.testing import assert_within_rounding
from recurra.testing.comparing import assert_raises_argument_error
from recurra.testing.sampling import draw

DILATIONS = (1, 2, 4, 1, 3)
X = draw(15, 3, 2)  # time batch feature
CONDITIONS = {"none": None, "global": draw(3, 4, seed=5), "per step": draw(15, 3, 4, seed=6)}


def net_of(condition=None, **named):
    sizes = {"channels": 3, "skip_channels": 7, "kernel_size": 2, "dilations": DILATIONS}
    if condition is not None:
        sizes["condition_size"] = condition.shape[-1]
    return WaveNet(2, 5, **{**sizes, "seed": 0, "dtype": torch.float64, **named})


def at(condition, t):
    """What the steps from t on (a slice), or the step t, are conditioned on."""
    return condition[t] if condition is not None and condition.dim() == 3 else condition


def by_hand(net, x, condition=None):
    """Step by step and tap by tap, as the paper has it; all inputs are kept."""
    channels, kernel = net.channels, net.kernel_size
    inputs, outputs = [[] for _ in net.dilations], []
    for t in range(len(x)):
        h = net.weight_input[x[t]] if net.embedding else x[t] @ net.weight_input.T + net.bias_input
        total = net.bias_skip
        for layer, dilation in enumerate(net.dilations):
            inputs[layer].append(h)
            gates = net.bias_dilated[layer].expand(len(h), -1)
            for k in range(kernel):
                place = t - (kernel - 1 - k) * dilation
                if place >= 0:
                    tap = net.weight_dilated[layer][:, k * channels : (k + 1) * channels]
                    gates = gates + inputs[layer][place] @ tap.T
            if condition is not None:
                gates = gates + at(condition, t) @ net.weight_condition[layer].T
            z = torch.tanh(gates[:, :channels]) * torch.sigmoid(gates[:, channels:])
            total = total + z @ net.weight_skip[:, layer * channels : (layer + 1) * channels].T
            if layer + 1 < len(net.dilations):
                h = h + z @ net.weight_residual[layer].T
        hidden = torch.relu(torch.relu(total) @ net.weight_hidden.T + net.bias_hidden)
        outputs.append(hidden @ net.weight_output.T + net.bias_output)
    return torch.stack(outputs)


def in_steps(net, x, state=None, condition=None):
    outputs = []
    for t, x_t in enumerate(x):
        y_t, state = net.step(x_t, state, condition=at(condition, t))
        outputs.append(y_t)
    return torch.stack(outputs), state


def assert_same_state(found, expected):
    for one, other in zip(found.parted().layers, expected.parted().layers, strict=True):
        assert_within_rounding(one.joined(), other.joined())


@pytest.mark.parametrize("kernel_size", [2, 3])
@pytest.mark.parametrize("name", CONDITIONS)
def test_a_loop_by_hand_gives_the_same_outputs_and_gradients(name, kernel_size):
    condition = CONDITIONS[name]
    net, x = net_of(condition, kernel_size=kernel_size), X.clone().requires_grad_()
    y, _ = net(x, condition=condition)
    expected = by_hand(net, x, condition)
    assert_within_rounding(y, expected)
    leaves = [x, *net.parameters()]
    for found, wanted in zip(
        torch.autograd.grad((y * y.cos()).sum(), leaves),
        torch.autograd.grad((expected * expected.cos()).sum(), leaves),
        strict=True,
    ):
        assert_within_rounding(found, wanted)


@pytest.mark.parametrize(("engine", "gradients"), [("auto", True), ("auto", False), ("torch", False)])
@pytest.mark.parametrize("kernel_size", [2, 3])
@pytest.mark.parametrize("name", CONDITIONS)
def test_whole_chunks_and_steps_are_equal(name, kernel_size, engine, gradients):
    condition = CONDITIONS[name]
    net = net_of(condition, kernel_size=kernel_size)
    with torch.set_grad_enabled(gradients), recurra.engine(engine):
        whole, last = net(X, condition=condition)
        state, outputs, begun = None, [], 0
        for size in (1, 6, 1, 7):
            here = slice(begun, begun + size)
            y, state = net(X[here], state, condition=at(condition, here))
            outputs.append(y)
            begun += size
        assert_within_rounding(torch.cat(outputs), whole)
        assert_same_state(state, last)
        steps, state = in_steps(net, X, None, condition)
        assert_within_rounding(steps, whole)
        assert_same_state(state, last)
        _, state = in_steps(net, X[:5], None, condition)
        y, _ = net(X[5:], state, condition=at(condition, slice(5, None)))
        assert_within_rounding(y, whole[5:])


def test_a_step_gives_the_gradients_of_the_whole():
    net, x = net_of(), X.clone().requires_grad_()
    leaves = [x, *net.parameters()]
    y, _ = net(x)
    steps, _ = in_steps(net, x)
    for found, wanted in zip(
        torch.autograd.grad(steps.square().sum(), leaves), torch.autograd.grad(y.square().sum(), leaves), strict=True
    ):
        assert_within_rounding(found, wanted)


@pytest.mark.parametrize("name", CONDITIONS)
def test_padding_reaches_no_result_and_no_gradient(name):
    condition, lengths = CONDITIONS[name], [15, 0, 4]
    net, x = net_of(condition), X.clone()
    poisoned = condition.clone() if name == "per step" else condition
    for row, length in enumerate(lengths):
        x[length:, row] = float("nan")
        if name == "per step":
            poisoned[length:, row] = float("nan")
    x.requires_grad_()
    _, start = net(draw(6, 3, 2, seed=9), condition=at(condition, slice(6)))
    y, last = net(x, start.detach(), lengths=lengths, condition=poisoned)
    gradient, *weights = torch.autograd.grad(y.square().sum(), [x, *net.parameters()])
    assert all(bool(one.isfinite().all()) for one in weights)
    assert not y[:, 1].any() and not gradient[:, 1].any() and not y[4:, 2].any() and not gradient[4:, 2].any()
    for row, length in ((0, 15), (2, 4)):
        told = None if condition is None else condition[..., row : row + 1, :]
        begun = start.map(lambda part, row=row: part[:, row : row + 1])
        alone, end = net(X[:length, row : row + 1], begun, condition=at(told, slice(length)))
        assert_within_rounding(y[:length, row], alone[:, 0])
        for found, wanted in zip(last.layers, end.layers, strict=True):
            assert_within_rounding(found.block[:, row], wanted.block[:, 0])
    for found, wanted in zip(last.layers, start.layers, strict=True):
        assert torch.equal(found.block[:, 1], wanted.block[:, 1])


def test_forms_of_x_give_the_same():
    condition, lengths = CONDITIONS["per step"], [15, 2, 6]
    net, first = net_of(condition), net_of(condition, batch_first=True)
    expected, last = net(X, lengths=lengths, condition=condition)
    y, state = first(X.transpose(0, 1), lengths=lengths, condition=condition.transpose(0, 1))
    assert_within_rounding(y.transpose(0, 1), expected)
    assert_same_state(state, last)
    packed, _ = net(pack_padded_sequence(X, torch.tensor(lengths), enforce_sorted=False), condition=condition)
    assert_within_rounding(pad_packed_sequence(packed)[0], expected)
    nobody, state = net(X[:, :0], condition=condition[:, :0])
    assert nobody.shape == (15, 0, 5) and net.step(X[0, :0], state, condition=condition[0, :0])[0].shape == (0, 5)
    alone, state = first(X[:, 0], condition=condition[:, 0])
    assert alone.shape == (15, 5) and state.layers[2].block.shape == (4, 3)
    assert_within_rounding(alone, expected[:, 0])
    outputs, state = [], None
    for x_t, c_t in zip(X[:, 0], condition[:, 0], strict=True):
        y_t, state = net.step(x_t, state, condition=c_t)
        outputs.append(y_t)
    steps = torch.stack(outputs)
    assert_within_rounding(steps, expected[:, 0])


def test_classes_are_rows_of_a_table():
    net = WaveNet(11, 4, channels=3, skip_channels=5, dilations=(1, 2), embedding=True, seed=0, dtype=torch.float64)
    codes = torch.randint(11, (9, 3), generator=torch.Generator().manual_seed(0))
    expected, _ = net(codes)
    assert_within_rounding(expected, by_hand(net, codes))
    assert_within_rounding(in_steps(net, codes)[0], expected)
    alone, _ = net(codes[:, 1])
    assert_within_rounding(alone, expected[:, 1])
    assert_within_rounding(in_steps(net, codes[:, 1])[0], expected[:, 1])
    padded = codes.clone()
    padded[4:, 2] = -100  # what is not there is no class
    y, _ = net(padded, lengths=[9, 9, 4])
    assert_within_rounding(y[:4], expected[:4])
    assert not y[4:, 2].any()


def test_nothing_looks_ahead_and_nothing_beyond_the_receptive_field_is_seen():
    net, x = net_of(), draw(30, 1, 2).requires_grad_()
    assert net.receptive_field == 1 + sum(DILATIONS) == 12
    assert "receptive_field=12" in repr(net) and "dilations=(1, 2, 4, 1, 3)" in repr(net)
    y, _ = net(x)
    (gradient,) = torch.autograd.grad(y[20].square().sum(), x)
    seen = gradient.abs().sum((1, 2)).nonzero().flatten().tolist()
    assert seen == list(range(9, 21))
    window, _ = net(x[9:21])
    assert_within_rounding(window[-1], y[20])


def test_generation_is_steps_whose_outputs_are_picked():
    net = WaveNet(
        11, 11, channels=4, skip_channels=6, dilations=(1, 2, 4), embedding=True, condition_size=3, seed=2
    ).double()
    prompt, told = torch.tensor([[3, 7], [1, 1], [5, 10]]), draw(12, 2, 3)

    def pick(y_t):
        return (y_t.sum(-1).abs() * 1e4).long() % 11  # as good as chance, and the same every time

    for condition in (told[0], told):
        codes, state = net.generate(prompt, 10, pick=pick, condition=condition)
        assert codes.shape == (10, 2) and codes.unique().numel() > 5
        read = torch.cat([prompt, codes[:-1]])
        y, last = net(read, condition=condition)
        assert torch.equal(pick(y[2:]), codes)
        assert_same_state(state, last)
    first, state = net.generate(prompt, 4, pick=pick, condition=told[0])
    more, _ = net.generate(first[-1:], 6, pick=pick, state=state, condition=told[0])
    assert torch.equal(torch.cat([first, more]), net.generate(prompt, 10, pick=pick, condition=told[0])[0])
    net.batch_first = True
    turned, _ = net.generate(prompt.T, 10, pick=pick, condition=told.transpose(0, 1))
    assert torch.equal(turned.T, codes)
    alone, _ = net.generate(prompt[:, 1], 10, pick=pick, condition=told[:, 1])
    assert torch.equal(alone, codes[:, 1])


def test_numbers_are_generated_too():
    net = net_of()
    x, _ = net.generate(X[:4], 3, pick=lambda y_t: y_t[:, :2])
    y, _ = net(torch.cat([X[:4], x[:2]]))
    assert_within_rounding(x, y[3:, :, :2])
    assert not x.requires_grad


def test_derivatives_are_right():
    condition = draw(3, 2, 2, seed=4).requires_grad_()
    sizes = {"channels": 2, "skip_channels": 3, "dilations": (1, 2), "condition_size": 2}
    net = WaveNet(1, 2, **sizes, seed=1, dtype=torch.float64)
    with torch.no_grad():  # away from the corner of relu
        net.bias_skip.fill_(3)
        net.bias_hidden.fill_(5)
    names, values = zip(*net.named_parameters(), strict=True)

    def results(x, condition, one, two, *values):
        given = dict(zip(names, values, strict=True))
        start = Pasts((Past(one), Past(two)))
        options = {"lengths": [3, 1], "condition": condition}
        y, last = torch.func.functional_call(net, given, (x, start), options)
        return y, *(past.block for past in last.layers)

    leaves = (draw(3, 2, 1), condition, draw(1, 2, 2, seed=2), draw(2, 2, 2, seed=3))
    leaves = tuple(leaf.detach().requires_grad_() for leaf in leaves)
    assert torch.autograd.gradcheck(results, (*leaves, *values))
    assert torch.autograd.gradgradcheck(results, (*leaves, *values), fast_mode=True)


class _Stepping(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x_t):
        return self.net.step(x_t)[0]


@pytest.mark.parametrize("engine", ["auto", "torch"])
def test_steps_follow_whatever_changes_the_weights(engine):
    """What steps keep of the weights is never older than they are."""
    net, other = net_of(), net_of(seed=1)
    with torch.no_grad(), recurra.engine(engine):
        y_t, _ = net.step(X[0])
        net.weight_residual.mul_(3)
        net.weight_dilated.data = net.weight_dilated.data * 2
        assert_within_rounding(net.step(X[0])[0], net(X[:1])[0][0])
        assert not torch.allclose(net.step(X[0])[0], y_t)
        net.load_state_dict(other.state_dict())
        assert_within_rounding(net.step(X[0])[0], other(X[:1])[0][0])
        for twin in (copy.deepcopy(net), copy.copy(net), pickle.loads(pickle.dumps(net))):  # noqa: S301 - our own bytes
            assert "_kept" not in twin.__dict__
            assert_within_rounding(twin.step(X[0])[0], net.step(X[0])[0])
        weights = {f"net.{name}": value * 2 for name, value in net.named_parameters()}
        doubled = torch.func.functional_call(_Stepping(net), weights, (X[0],))
        for parameter in other.parameters():
            parameter.mul_(2)
        assert_within_rounding(doubled, other.step(X[0])[0])
        nn.utils.parametrizations.weight_norm(net, "weight_output")
        net.parametrizations.weight_output.original0.mul_(5)
        assert_within_rounding(net.step(X[0])[0], net(X[:1])[0][0])
        single = copy.deepcopy(other).float()
        single.step(X[0].float())
        assert_within_rounding(single.double().step(X[0])[0], other.float().double()(X[:1])[0][0])
        batched = {name: torch.stack([value, value * 2]) for name, value in other.named_parameters()}

        def step_with(given):
            return torch.func.functional_call(
                _Stepping(other), {f"net.{name}": v for name, v in given.items()}, (X[0],)
            )

        mapped = torch.func.vmap(step_with)(batched)
        assert_within_rounding(mapped[0], other.step(X[0])[0])


def test_seeds_and_initial_values():
    net = net_of(seed=3)
    torch.manual_seed(3)
    for one, other in zip(net.parameters(), net_of(seed=None).parameters(), strict=True):
        assert torch.equal(one, other)
    bound = (3 / (2 * 3)) ** 0.5
    assert 0.9 * bound < float(net.weight_dilated.detach().abs().max()) <= bound
    assert not any(one.any() for name, one in net.named_parameters() if name.startswith("bias"))
    before = torch.get_rng_state()
    table = WaveNet(4000, 2, embedding=True, seed=0).weight_input
    assert torch.equal(torch.get_rng_state(), before)
    assert float(table.detach().std()) == pytest.approx(1, abs=0.02)


def test_it_learns_a_series_that_needs_its_past():
    """A class that was drawn 6 steps ago: nothing else tells it."""
    torch.manual_seed(0)
    net = WaveNet(4, 4, channels=8, skip_channels=16, dilations=(1, 2, 4), embedding=True, seed=0)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(150):
        codes = torch.randint(4, (40, 8))
        y, _ = net(codes)
        loss = nn.functional.cross_entropy(y[6:].flatten(0, 1), codes[:-6].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.1  # chance is ln 4 = 1.39


def test_wrong_arguments_are_refused_in_words():
    for words, arguments in (
        (["channels is 0"], {"channels": 0}),
        (["kernel_size is 1", "2 at least"], {"kernel_size": 1}),
        (["dilations is ()", "one int for each layer"], {"dilations": ()}),
        (["dilations is 4"], {"dilations": 4}),
        (["dilations[1] is 0"], {"dilations": (1, 0)}),
        (["condition_size is -1"], {"condition_size": -1}),
        (["embedding is 256", "True or False"], {"embedding": 256}),
        (["seed is 0.5"], {"seed": 0.5}),
        (["dtype is torch.int64"], {"dtype": torch.int64}),
    ):
        assert_raises_argument_error(words, net_of, **arguments)
    net, told = net_of(), net_of(CONDITIONS["global"])
    assert_raises_argument_error(["x has shape (15, 3, 3)", "input_size is 2"], net, draw(15, 3, 3))
    assert_raises_argument_error(["x_t has shape (15, 3, 2)", "one time step"], net.step, X)
    assert_raises_argument_error(["lengths has shape (2,)"], net, X, lengths=[1, 2])
    assert_raises_argument_error(["condition was passed", "condition_size=0"], net, X, condition=X)
    assert_raises_argument_error(["condition is missing", "(3, 4) or (15, 3, 4)"], told, X)
    assert_raises_argument_error(["condition has shape (3, 5)"], told, X, condition=draw(3, 5))
    assert_raises_argument_error(
        ["condition has shape (15, 3, 4)", "expected (3, 4)"], told.step, X[0], condition=draw(15, 3, 4)
    )
    assert_raises_argument_error(["condition is torch.float32"], told, X, condition=CONDITIONS["global"].float())
    _, state = net(X)
    assert_raises_argument_error(["state is Tensor", "Pasts of 5 layers"], net, X, X)
    assert_raises_argument_error(["state is Pasts of 2 layers"], net.step, X[0], Pasts(state.layers[:2]))
    assert_raises_argument_error(["state.layers[0].block has shape (1, 3, 3)", "(1, 2, 3)"], net.step, X[0, :2], state)
    swapped = Pasts((state.layers[1], state.layers[0], *state.layers[2:]))
    assert_raises_argument_error(["state.layers[0].block has shape (2, 3, 3)"], net.step, X[0], swapped)
    assert_raises_argument_error(["state.layers[0] is tuple"], net.step, X[0], Pasts((tuple(state.layers[0]),) * 5))
    assert_raises_argument_error(["state.layers[0] has dtype"], net.step, X[0], state.map(lambda part: part.float()))


def test_wrong_classes_and_prompts_are_refused_in_words():
    net = WaveNet(11, 4, dilations=(1, 2), embedding=True)
    codes = torch.tensor([[1, 2]])
    assert_raises_argument_error(["x holds classes 1 to 11", "0 to 10"], net, torch.tensor([[1, 11]]))
    assert_raises_argument_error(["x holds classes -1 to 2"], net.step, torch.tensor([-1, 2]))
    assert_raises_argument_error(["x is a tensor of torch.float32", "int64"], net, codes.float())
    assert_raises_argument_error(["x has shape (1, 2, 1)", "(time, batch)"], net, codes.unsqueeze(2))
    assert_raises_argument_error(["x_t has shape (1, 2)", "(batch,) or ()"], net.step, codes)
    assert_raises_argument_error(["no time step"], net, codes[:0])
    assert_raises_argument_error(["steps is 0"], net.generate, codes, 0, pick=lambda y_t: y_t.argmax(-1))
    assert_raises_argument_error(["prompt is list"], net.generate, [1], 2, pick=lambda y_t: y_t.argmax(-1))
    with pytest.raises(ArgumentError, match="x_t has shape"):
        net.generate(codes, 2, pick=lambda y_t: y_t.argmax(-1, keepdim=True))
    told = net_of(CONDITIONS["per step"])
    with pytest.raises(ArgumentError, match="condition has 15 steps; expected 16: 14 of the prompt, and 2 for all"):
        told.generate(X[:14], 3, pick=lambda y_t: y_t[:, :2], condition=CONDITIONS["per step"])


@pytest.mark.parametrize("name", CONDITIONS)
def test_function_transforms_and_compilation_give_the_same(name):
    condition = CONDITIONS[name]
    net = net_of(condition)
    expected, _ = net(X, condition=condition)
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    assert_within_rounding(compiled(X, condition=condition)[0], expected)
    mapped = torch.func.vmap(lambda x: net(x, condition=condition)[0])(torch.stack([X, -X]))
    assert_within_rounding(mapped[0], expected)
    assert_within_rounding(mapped[1], net(-X, condition=condition)[0])
