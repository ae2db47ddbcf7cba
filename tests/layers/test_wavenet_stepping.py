"""Single steps of a WaveNet by its kernel, against those by torch: any sizes, states of both kinds, changed weights."""

import copy
import pickle
import threading

import pytest
import torch
from torch import nn

import recurra
from recurra.compiler.toolchain import find_compiler
from recurra.engines import Choice
from recurra.errors import ArgumentError
from recurra.layers import wavenet, wavenet_stepping
from recurra.layers.pasts import Past, Pasts
from recurra.layers.wavenet import WaveNet
from recurra.layers.wavenet_stepping import choose_engine, step_shortly
from recurra.testing import assert_within_rounding
from recurra.testing.comparing import assert_lawful, assert_raises_argument_error
from recurra.testing.sampling import draw

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")

DILATIONS = (1, 2, 5, 1, 3)
X = draw(14, 3, 2)  # time batch feature
C = draw(14, 3, 4, seed=5)
# input, output, channels, skip_channels, kernel_size, dilations, condition_size, embedding, batch
NETS = {
    "odd": (2, 5, 3, 7, 2, DILATIONS, 0, False, (3,)),
    "three taps": (3, 4, 17, 9, 3, (1, 2, 4, 1), 0, False, (3,)),
    "conditioned": (2, 33, 5, 6, 2, DILATIONS, 4, False, (3,)),
    "conditioned, three taps": (2, 5, 9, 1, 3, (3, 1), 1, False, (1,)),
    "classes": (11, 11, 33, 65, 2, DILATIONS, 0, True, (3,)),
    "classes, conditioned, no batch": (7, 1, 3, 18, 2, (2, 1), 5, True, ()),
    "one layer, no batch": (1, 2, 1, 1, 2, (1,), 0, False, ()),
    "as many rows as it takes": (2, 5, 16, 8, 2, (1, 2), 0, False, (32,)),
}


@pytest.fixture
def shortly(monkeypatch):
    """How many steps went the short way, in a list of one number."""
    count = [0]

    def counted(*arguments):
        found = step_shortly(*arguments)
        count[0] += found is not None
        return found

    monkeypatch.setattr(wavenet, "step_shortly", counted)
    return count


def net_of(dtype=torch.float64, **named):
    sizes = {"channels": 3, "skip_channels": 7, "dilations": DILATIONS, "seed": 0, "dtype": dtype}
    return WaveNet(2, 5, **{**sizes, **named})


def in_steps(net, x, state=None, condition=None, engine="auto"):
    outputs = []
    with torch.no_grad(), recurra.engine(engine):
        for t, x_t in enumerate(x):
            y_t, state = net.step(x_t, state, condition=None if condition is None else condition[t])
            outputs.append(y_t)
    return torch.stack(outputs), state


def assert_same_state(found, expected):
    for one, other in zip(found.parted().layers, expected.parted().layers, strict=True):
        assert_within_rounding(one.joined(), other.joined())


def assert_steps_are_right(net):
    """By torch's operations."""
    x = X[:4].to(net.weight_dilated.dtype)
    y, last = in_steps(net, x, engine="compiled")
    expected, expected_last = in_steps(net, x, engine="torch")
    assert_within_rounding(y, expected)
    assert_same_state(last, expected_last)


@pytest.mark.parametrize("name", NETS)
def test_steps_are_those_of_torch_and_as_accurate_in_both_precisions(name, shortly):
    inputs, outputs, channels, skip, kernel, dilations, told, embedding, batch = NETS[name]
    net = WaveNet(
        inputs,
        outputs,
        channels=channels,
        skip_channels=skip,
        kernel_size=kernel,
        dilations=dilations,
        condition_size=told,
        embedding=embedding,
        seed=1,
        dtype=torch.float64,
    )
    with torch.no_grad():
        for bias in (one for key, one in net.named_parameters() if key.startswith("bias")):
            bias.copy_(draw(*bias.shape, seed=8) * 0.3)
    if embedding:
        x = torch.randint(inputs, (11, *batch), generator=torch.Generator().manual_seed(0))
    else:
        x = draw(11, *batch, inputs)
    condition = draw(11, *batch, told, seed=4) if told else None
    exact, last = in_steps(net, x, None, condition, "torch")
    assert shortly[0] == 0
    y, state = in_steps(net, x, None, condition)
    assert shortly[0] == 11
    assert_within_rounding(y, exact)
    assert_same_state(state, last)
    single = copy.deepcopy(net).float()
    x, condition = x if embedding else x.float(), condition.float() if told else None
    plain, _ = in_steps(single, x, None, condition, "torch")
    kernel_y, _ = in_steps(single, x, None, condition)
    assert kernel_y.dtype == torch.float32 and shortly[0] == 22
    assert_lawful(kernel_y, plain, exact)


def test_nothing_is_left_out_of_what_a_step_writes(monkeypatch):
    def filled(one):
        return torch.full_like(one, torch.nan)

    expected, last = in_steps(net_of(), X, engine="torch")
    monkeypatch.setattr(wavenet_stepping.torch, "empty_like", filled)
    y, state = in_steps(net_of(), X)
    assert_within_rounding(y, expected)
    assert_same_state(state, last)


def test_a_state_keeps_its_meaning_when_steps_go_on_from_it():
    net = net_of()
    _, state = in_steps(net, X[:6])
    kept = state.map(torch.Tensor.clone)
    first, _ = in_steps(net, X[6:], state)
    in_steps(net, -X, state)
    again, _ = in_steps(net, X[6:], state)
    assert torch.equal(first, again)
    assert all(map(torch.equal, state.recent, kept.recent))
    assert all(torch.equal(one.block, other.block) for one, other in zip(state.layers, kept.layers, strict=True))
    with torch.no_grad():
        assert_within_rounding(first, net(X)[0][6:])


@pytest.mark.parametrize("kernel_size", [2, 3])
def test_calls_of_all_kinds_go_on_from_each_other(kernel_size, shortly):
    net = net_of(kernel_size=kernel_size, condition_size=4)
    x, c = draw(40, 3, 2), draw(40, 3, 4, seed=5)
    whole, last = net(x, condition=c)
    state, outputs, begun = None, [], 0
    for kind, size in (
        *(("kernel", 3), ("chunk", 2), ("kernel", 5), ("torch", 4), ("kernel", 1), ("gradients", 2), ("chunk", 7)),
        *(("torch", 1), ("kernel", 12), ("gradients", 3)),
    ):
        here = slice(begun, begun + size)
        if kind == "chunk":
            y, state = net(x[here], state, condition=c[here])
            outputs += y.unbind()
        elif kind == "gradients":
            for t in range(begun, begun + size):
                y_t, state = net.step(x[t], state, condition=c[t])
                outputs.append(y_t)
        else:
            y, state = in_steps(net, x[here], state, c[here], "auto" if kind == "kernel" else "torch")
            outputs += y.unbind()
        begun += size
    assert begun == 40 and shortly[0] == 21
    assert_within_rounding(torch.stack(outputs), whole)
    assert_same_state(state, last)


def test_streams_are_right_beyond_what_gathers_in_a_state(monkeypatch):
    monkeypatch.setattr(wavenet_stepping, "_GATHERED", 4)
    for dilations in (DILATIONS, (1,), (9, 2)):
        net = net_of(dilations=dilations)
        x = draw(31, 3, 2)
        whole, last = net(x)
        y, state = in_steps(net, x)
        assert len(state.recent) == 3
        assert_within_rounding(y, whole)
        assert_same_state(state, last)


def test_a_state_grows_no_further_than_it_must():
    net, state = net_of(dilations=(1, 2)), None
    _, state = in_steps(net, draw(300, 3, 2))
    assert len(state.recent) == 300 % 128
    assert [tuple(past.block.shape) for past in state.layers] == [(1, 3, 3), (2, 3, 3)]
    assert all(past.block.is_contiguous() and not past.recent for past in state.layers)


def change_in_place(net):
    net.weight_hidden.data.mul_(-2)
    net.bias_dilated.data += 1


def train(net):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with torch.enable_grad():
        net(X)[0].square().sum().backward()
    optimizer.step()


def replace(net):
    net.weight_hidden = nn.Parameter(draw(7, 7, seed=8))


def point_elsewhere(net):
    net.weight_skip.data = draw(7, 15, seed=8)


def load(net):
    net.load_state_dict(net_of(seed=4).state_dict())


def load_and_assign(net):
    net.load_state_dict(net_of(seed=4).state_dict(), assign=True)


@pytest.mark.parametrize("change", [change_in_place, train, replace, point_elsewhere, load, load_and_assign])
def test_a_step_reads_the_weights_as_they_are_then(change):
    net = net_of()
    before, _ = in_steps(net, X[:1], engine="compiled")
    change(net)
    assert_steps_are_right(net)
    assert not torch.allclose(in_steps(net, X[:1])[0], before)


@pytest.mark.parametrize("change", [nn.Module.float, lambda net: net.float().double()])
def test_a_step_follows_the_precision_of_the_weights(change):
    net = net_of()
    in_steps(net, X[:1])
    change(net)
    assert_steps_are_right(net)


def test_dilations_may_be_set():
    net = net_of()
    in_steps(net, X[:2])
    net.dilations = (2, 1, 1, 4, 1)
    assert_steps_are_right(net)


def test_weights_that_do_not_lie_row_by_row_are_torchs(shortly):
    net = net_of()
    in_steps(net, X[:1], engine="torch")
    in_steps(net, X[:1])
    assert shortly[0] == 1
    with torch.no_grad():
        net.weight_hidden.data = net.weight_hidden.data.t()  # where it was
        y, _ = net(X[:1])
        found, _ = net.step(X[0])
        assert choose_engine(net) == Choice("torch", "weight_hidden is computed, or of another kind than was built")
    assert shortly[0] == 1
    assert_within_rounding(found, y[0])


def test_x_condition_and_state_may_lie_in_memory_in_any_way(shortly):
    net = net_of(condition_size=4)
    _, state = in_steps(net, X[:3], None, C)
    spread = state.map(lambda part: part.transpose(0, 1).contiguous().transpose(0, 1))
    turned = Pasts(tuple(Past(past.block.flip(1), ()) for past in state.parted().layers))
    x, c = X[3].t().contiguous().t(), C[3].t().contiguous().t()
    before = shortly[0]
    expected, last = net.step(X[3], state, condition=C[3])
    with torch.no_grad():
        for one in (state, spread):
            y, after = net.step(x, one, condition=c)
            assert_within_rounding(y, expected)
            assert_same_state(after, last)
        rows = turned.map(lambda part: part[:, :2])
        y, _ = net.step(X[3].flip(0)[:2], rows, condition=C[3].flip(0)[:2])
    assert_within_rounding(y, expected.flip(0)[:2])
    assert shortly[0] == before + 3


def test_copies_step_by_themselves(shortly):
    net = net_of()
    expected, _ = in_steps(net, X[:2])
    for twin in (copy.deepcopy(net), copy.copy(net), pickle.loads(pickle.dumps(net))):  # noqa: S301 - our own bytes
        assert "_frame" not in twin.__dict__
        assert torch.equal(in_steps(twin, X[:2])[0], expected)
    other = copy.deepcopy(net)
    change_in_place(other)
    assert torch.equal(in_steps(net, X[:2])[0], expected)
    _, state = in_steps(net, X[:5])
    again = pickle.loads(pickle.dumps(state))  # noqa: S301
    assert torch.equal(in_steps(net, X[5:], again)[0], in_steps(net, X[5:], state)[0])
    assert shortly[0] == 2 + 6 + 2 + 5 + 18


def test_threads_step_side_by_side():
    net, results = net_of(), {}
    expected = {sign: in_steps(net, X * sign)[0] for sign in (1, -1)}

    def work(sign):
        results[sign] = [in_steps(net, X * sign)[0] for _ in range(20)]

    threads = [threading.Thread(target=work, args=(sign,)) for sign in (1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for sign, found in results.items():
        assert all(torch.equal(one, expected[sign]) for one in found)


def test_a_default_device_and_inference_mode_change_nothing(shortly):
    net = net_of()
    expected, _ = in_steps(net, X, engine="torch")
    with torch.no_grad(), torch.device("meta"):
        y_t, state = net.step(X[0])
        assert_within_rounding(y_t, expected[0])
    with torch.inference_mode():
        y_t, state = net.step(X[1], state)
        assert_within_rounding(y_t, expected[1])
    assert_within_rounding(in_steps(net, X[2:], state)[0], expected[2:])
    assert shortly[0] == 14


def test_generation_takes_the_short_way(shortly):
    net = WaveNet(11, 11, dilations=(1, 2, 4), embedding=True, condition_size=3, batch_first=True, seed=0)
    prompt, told = torch.tensor([[3, 1, 5], [7, 1, 10]]), draw(2, 12, 3).float()

    def pick(y_t):
        return (y_t.sum(-1).abs() * 1e3).long() % 11

    codes, _ = net.generate(prompt, 10, pick=pick, condition=told)
    assert shortly[0] == 9
    with recurra.engine("torch"):
        expected, _ = net.generate(prompt, 10, pick=pick, condition=told)
    assert shortly[0] == 9
    assert torch.equal(codes, expected) and codes.unique().numel() > 4


def test_a_step_by_torch_is_explained():
    net = net_of()
    sequences = "sequences: by torch (a product for each tap of a layer, over all steps)\nsteps: by "
    assert net.explain() == sequences + "torch (this kernel gives no derivatives: take steps under torch.no_grad())"
    with torch.no_grad():
        assert net.explain() == sequences + "compiled (all layers in one call, for 32 rows at most)"
        with recurra.engine("reference"):
            assert net.explain().endswith("steps: by torch (engine 'reference' is asked for)")
        with torch.autocast("cpu", torch.bfloat16):
            assert choose_engine(net).why.endswith("autocast asks for less")
        assert choose_engine(net_of(torch.bfloat16)).why == "kernels are compiled for float32 and float64"
        assert choose_engine(net.to("meta")).why == "kernels are compiled for the CPU"
        with torch.autograd.forward_ad.dual_level():
            assert choose_engine(net_of()).why == "kernels know no transforms of torch.func and no forward mode"
        normed = nn.utils.parametrizations.weight_norm(net_of(), "weight_output")
        assert choose_engine(normed) == Choice("torch", "weight_output is computed, or of another kind than was built")


def test_without_a_compiler_torch_takes_the_steps(monkeypatch, shortly):
    monkeypatch.setenv("RECURRA_CC", "none")
    net = net_of()
    with torch.no_grad():
        assert choose_engine(net).why == "RECURRA_CC=none turns the compiler off; unset it"
        y, _ = net.step(X[0])
    assert shortly[0] == 0
    assert_within_rounding(y, net(X[:1])[0][0])


def test_many_rows_and_none_are_torchs(shortly):
    net, x = net_of(), draw(1, 33, 2)
    y, _ = in_steps(net, x)
    assert_within_rounding(y, net(x)[0])
    assert in_steps(net, x[:, :0])[0].shape == (1, 0, 5)
    assert shortly[0] == 0


def test_gradients_transforms_and_compilation_go_the_other_way(shortly):
    net = net_of()
    y, state = net.step(X[0])
    assert y.requires_grad
    net.step(X[1], state)[0].sum().backward()
    assert float(net.weight_dilated.grad.abs().sum()) > 0
    with torch.no_grad():
        mapped = torch.func.vmap(lambda x: net.step(x)[0])(X)
        assert_within_rounding(mapped, torch.stack([net.step(x)[0] for x in X.unbind()]))
        assert shortly[0] == 14
        compiled = torch.compile(lambda x: net.step(x)[0], backend="eager", fullgraph=True)
        assert_within_rounding(compiled(X[0]), net.step(X[0])[0])
        assert shortly[0] == 15


def test_an_engine_asked_for_by_name_takes_the_step_or_says_why_not():
    net = net_of()
    words = ["engine 'compiled' cannot take this step of a WaveNet"]
    with recurra.engine("compiled"):
        assert_raises_argument_error([*words, "no derivatives", "'torch'"], net.step, X[0])
        with torch.no_grad():
            assert_raises_argument_error([*words, "32 rows at most, x_t has 33"], net.step, draw(33, 2))
            assert_raises_argument_error(["x_t has shape (14, 3, 2)"], net.step, X)
            assert net.step(X[0])[0].shape == (3, 5)


@torch.no_grad()
def test_wrong_arguments_are_refused_in_words():
    net, told = net_of(), net_of(condition_size=4)
    classes = WaveNet(11, 4, dilations=(1, 2), embedding=True)
    _, state = net.step(X[0])
    assert len(state.recent) == 1
    assert_raises_argument_error(["x holds classes -1 to 2", "0 to 10"], classes.step, torch.tensor([-1, 2]))
    assert_raises_argument_error(["x holds classes 11 to 11"], classes.step, torch.tensor(11))
    assert_raises_argument_error(["x_t is a tensor of torch.int32"], classes.step, torch.tensor([1, 2]).int())
    assert_raises_argument_error(["x_t has dtype torch.float32"], net.step, X[0].float())
    assert_raises_argument_error(["x_t has shape (3, 3) with 3 features"], net.step, draw(3, 3))
    assert_raises_argument_error(["condition was passed"], net.step, X[0], condition=C[0])
    assert_raises_argument_error(["condition is missing"], told.step, X[0])
    assert_raises_argument_error(["condition has shape (2, 4)"], told.step, X[0], condition=C[0, :2])
    assert_raises_argument_error(["state is Tensor"], net.step, X[0], X)
    assert_raises_argument_error(["state.layers[0].block has shape (1, 3, 3)"], net.step, X[0, :2], state)
    assert_raises_argument_error(["state.layers[0] has dtype"], net.step, X[0], state.map(lambda part: part.float()))
    wrong = Pasts(state.layers, (state.recent[0][:, :2],))
    for call, x in ((net.step, X[1]), (net, X[1:])):
        assert_raises_argument_error(["state.recent[0] has shape (5, 2, 3)", "expected (5, 3, 3)"], call, x, wrong)
    with pytest.raises(ArgumentError, match=r"state\.recent\[0\] has shape \(5, 3, 3\) in torch\.float32"):
        net.step(X[1], Pasts(state.layers, (state.recent[0].float(),)))
