"""Causal convolutions against torch.nn.Conv1d and a loop by hand, whole, in chunks and step by step."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from recurra.errors import ArgumentError
from recurra.layers.causal import CausalConvolution
from recurra.layers.pasts import Past
from recurra.testing import assert_within_rounding
from recurra.testing.comparing import assert_raises_argument_error
from recurra.testing.sampling import draw

SHAPES = [(1, 1), (2, 1), (2, 4), (3, 2), (4, 3)]  # kernel_size, dilation


def layer_of(kernel_size=3, dilation=2, **named):
    return CausalConvolution(
        2, 5, kernel_size=kernel_size, dilation=dilation, **{"seed": 0, "dtype": torch.float64, **named}
    )


def by_hand(x, weight, bias, dilation):
    """One output at a time; before the first step all is 0."""
    outputs = []
    for t in range(len(x)):
        y = bias.expand(x.shape[1], -1).clone()
        for k in range(weight.shape[2]):
            place = t - (weight.shape[2] - 1 - k) * dilation
            if place >= 0:
                y = y + x[place] @ weight[:, :, k].T
        outputs.append(y)
    return torch.stack(outputs)


def in_steps(layer, x, state=None):
    outputs = []
    for x_t in x:
        y_t, state = layer.step(x_t, state)
        outputs.append(y_t)
    return torch.stack(outputs), state


@pytest.mark.parametrize(("kernel_size", "dilation"), SHAPES)
@pytest.mark.parametrize("time", [1, 3, 11])
def test_a_loop_by_hand_gives_the_same_outputs_and_gradients(kernel_size, dilation, time):
    layer, x = layer_of(kernel_size, dilation), draw(time, 3, 2).requires_grad_()
    expected = by_hand(x, layer.weight, layer.bias, dilation)
    y, _ = layer(x)
    assert_within_rounding(y, expected)
    leaves = [x, layer.weight, layer.bias]
    for found, wanted in zip(
        torch.autograd.grad((y * y.cos()).sum(), leaves),
        torch.autograd.grad((expected * expected.cos()).sum(), leaves),
        strict=True,
    ):
        assert_within_rounding(found, wanted)


@pytest.mark.parametrize(("kernel_size", "dilation"), SHAPES)
def test_torchs_convolution_has_the_same_parameters_and_results(kernel_size, dilation):
    layer = CausalConvolution(2, 5, kernel_size=kernel_size, dilation=dilation, seed=4)
    torch.manual_seed(4)
    theirs = nn.Conv1d(2, 5, kernel_size, dilation=dilation)
    assert {name: one.shape for name, one in layer.named_parameters()} == {
        name: one.shape for name, one in theirs.named_parameters()
    }
    for name, one in theirs.named_parameters():
        assert_within_rounding(getattr(layer, name), one)  # drawn alike
    theirs.load_state_dict(layer.state_dict())
    x = draw(9, 3, 2).float()
    padded = torch.cat([torch.zeros(layer.remembered, 3, 2), x]).permute(1, 2, 0)
    assert_within_rounding(layer(x)[0], theirs(padded).permute(2, 0, 1))


@pytest.mark.parametrize(("kernel_size", "dilation"), SHAPES)
@pytest.mark.parametrize("sizes", [(7, 6), (1, 12), (5, 1, 1, 6), (12, 1)])
def test_whole_chunks_and_steps_are_equal(kernel_size, dilation, sizes):
    layer, x = layer_of(kernel_size, dilation), draw(13, 3, 2)
    whole, last = layer(x)
    state, outputs = None, []
    for chunk in x.split(sizes):
        y, state = layer(chunk, state)
        outputs.append(y)
    assert_within_rounding(torch.cat(outputs), whole)
    steps, end = in_steps(layer, x)
    assert_within_rounding(steps, whole)
    # From steps to a chunk and back to steps.
    first, state = in_steps(layer, x[:4])
    middle, state = layer(x[4:6], state)
    rest, after = in_steps(layer, x[6:], state)
    assert_within_rounding(torch.cat([first, middle, rest]), whole)
    for past in (end, after, state if len(sizes) == 0 else last):
        assert torch.equal(past.joined(), last.joined())


def test_a_state_that_was_passed_on_is_as_it_was():
    """Two streams go on from one state; neither sees what the other read."""
    layer, x = layer_of(), draw(9, 1, 2)
    _, state = in_steps(layer, x[:5])
    kept = state.joined().clone()
    one, _ = in_steps(layer, x[5:], state)
    other, _ = in_steps(layer, -x[5:], state)
    again, _ = in_steps(layer, x[5:], state)
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert torch.equal(state.joined(), kept)


def test_a_step_holds_no_more_than_the_past_and_copies_no_block():
    layer, past = layer_of(2, 100), None
    blocks = []
    for x_t in draw(250, 1, 2):
        _, past = layer.step(x_t, past)
        assert len(past.recent) < 100 and past.block.shape == (100, 1, 2)
        blocks.append(past.block.data_ptr())
    assert [place for place in range(1, 250) if blocks[place] != blocks[place - 1]] == [99, 199]
    _, past = layer(draw(1000, 1, 2))
    assert past.block.untyped_storage().nbytes() == 100 * 2 * 8  # not a view of the whole sequence


def test_padding_reaches_no_result_and_no_gradient():
    layer, x, lengths = layer_of(), draw(7, 4, 2), [7, 0, 3, 1]
    poisoned = x.clone()
    for row, length in enumerate(lengths):
        poisoned[length:, row] = float("nan")
    poisoned.requires_grad_()
    start = layer(draw(5, 4, 2, seed=8))[1]
    y, last = layer(poisoned, start, lengths=lengths)
    gradients = torch.autograd.grad(y.square().sum(), [poisoned, *layer.parameters()])
    weights = [torch.zeros_like(parameter) for parameter in layer.parameters()]
    for row, length in enumerate(lengths):
        assert not y[length:, row].any() and not gradients[0][length:, row].any()
        begun = start.map(lambda part, row=row: part[:, row : row + 1])
        if not length:
            assert torch.equal(last.block[:, row], start.block[:, row])
            continue
        alone, past = layer(x[:length, row : row + 1], begun)
        assert_within_rounding(y[:length, row], alone[:, 0])
        assert torch.equal(last.block[:, row], past.block[:, 0])
        found = torch.autograd.grad(alone.square().sum(), list(layer.parameters()))
        weights = [one + other for one, other in zip(weights, found, strict=True)]
    for found, expected in zip(gradients[1:], weights, strict=True):
        assert_within_rounding(found, expected)


def test_forms_of_x_give_the_same():
    layer, first, x = layer_of(), layer_of(batch_first=True), draw(6, 3, 2)
    expected, last = layer(x, lengths=[6, 2, 4])
    y, past = first(x.transpose(0, 1), lengths=[6, 2, 4])
    assert torch.equal(y.transpose(0, 1), expected) and torch.equal(past.block, last.block)
    packed, past = layer(pack_padded_sequence(x, torch.tensor([6, 2, 4]), enforce_sorted=False))
    assert torch.equal(pad_packed_sequence(packed)[0], expected) and torch.equal(past.block, last.block)
    alone, past = layer(x[:, 0])
    assert alone.shape == (6, 5) and past.block.shape == (4, 2)
    assert_within_rounding(alone, expected[:, 0])
    steps, past = in_steps(layer, x[:, 0])
    assert_within_rounding(steps, expected[:, 0])
    on, _ = layer(x[:, 1], past)
    assert_within_rounding(on, in_steps(layer, x[:, 1], past)[0])


@pytest.mark.parametrize("weight_norm", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_derivatives_are_right(weight_norm, bias):
    layer = layer_of(2, 2, weight_norm=weight_norm, bias=bias)
    names, values = zip(*layer.named_parameters(), strict=True)
    assert ("magnitude" in names, "bias" in names) == (weight_norm, bias)

    def results(x, block, *values):
        given = dict(zip(names, values, strict=True))
        y, last = torch.func.functional_call(layer, given, (x, Past(block)), {"lengths": [3, 1]})
        y_t, after = torch.func.functional_call(
            _Stepping(layer), {f"layer.{n}": v for n, v in given.items()}, (x[0], last)
        )
        return y, last.block, y_t, after.joined()

    leaves = (draw(3, 2, 2).requires_grad_(), draw(2, 2, 2, seed=3).requires_grad_(), *values)
    assert torch.autograd.gradcheck(results, leaves)
    assert torch.autograd.gradgradcheck(results, leaves, fast_mode=True)


class _Stepping(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x_t, state):
        return self.layer.step(x_t, state)


def test_normed_weights_have_the_magnitude_for_length_and_begin_as_they_were_drawn():
    plain, normed, x = layer_of(), layer_of(weight_norm=True), draw(6, 2, 2)
    assert_within_rounding(normed(x)[0], plain(x)[0])
    with torch.no_grad():
        normed.weight.mul_(7)
    assert_within_rounding(normed(x)[0], plain(x)[0])
    with torch.no_grad():
        normed.magnitude.mul_(2)
    assert_within_rounding(normed(x)[0] - normed.bias, 2 * (plain(x)[0] - plain.bias))
    assert_within_rounding(in_steps(normed, x)[0], normed(x)[0])


def test_copies_types_and_seeds():
    layer, x = layer_of(seed=3), draw(6, 2, 2)
    expected, past = layer(x)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):  # noqa: S301 - our own bytes
        assert torch.equal(twin(x)[0], expected)
    carried = pickle.loads(pickle.dumps(layer.step(x[0], past.detach())[1]))  # noqa: S301 - our own bytes
    assert torch.equal(carried.joined()[-1], x[0])
    single = copy.deepcopy(layer).float()
    assert single(x.float())[0].dtype == torch.float32
    assert_within_rounding(single(x.float())[0], expected.float())
    torch.manual_seed(3)
    assert torch.equal(layer_of(seed=None).weight, layer.weight)
    before = torch.get_rng_state()
    layer_of(seed=9)
    assert torch.equal(torch.get_rng_state(), before)
    assert not past.detach().block.requires_grad and not layer(x.requires_grad_())[1].detach().block.requires_grad


def test_wrong_arguments_are_refused_in_words():
    layer, x = layer_of(), draw(6, 3, 2)
    for words, arguments in (
        (["kernel_size is 0", "at least 1"], {"kernel_size": 0}),
        (["dilation is True"], {"dilation": True}),
        (["bias is 1", "True or False"], {"bias": 1}),
        (["weight_norm is None"], {"weight_norm": None}),
        (["seed is -1"], {"seed": -1}),
        (["dtype is torch.int64"], {"dtype": torch.int64}),
    ):
        assert_raises_argument_error(words, CausalConvolution, 2, 3, **arguments)
    assert_raises_argument_error(["x has shape (6, 3, 3)", "input_size is 2"], layer, draw(6, 3, 3))
    assert_raises_argument_error(["x has dtype torch.float32"], layer, x.float())
    assert_raises_argument_error(["no time step"], layer, x[:0])
    assert_raises_argument_error(["lengths[1] is 9", "0 to 6"], layer, x, lengths=[1, 9, 0])
    assert_raises_argument_error(["x_t has shape (6, 3, 2)", "one time step"], layer.step, x)
    assert_raises_argument_error(["state is Tensor", "Past that the last call returned"], layer, x, x)
    _, past = layer(x)
    assert_raises_argument_error(["state.block has shape (4, 3, 2)", "expected (4, 2, 2)"], layer, x[:, :2], past)
    assert_raises_argument_error(["state has dtype torch.float32"], layer, x, past.map(lambda part: part.float()))
    with pytest.raises(ArgumentError, match=r"state.recent\[-1\] has shape \(1, 2\); expected \(3, 2\)"):
        layer.step(x[0], Past(past.block, (x[0, :1],)))


def test_its_repr_says_what_an_output_depends_on():
    assert repr(layer_of(bias=False)) == (
        "CausalConvolution(2, 5, kernel_size=3, dilation=2, bias=False, receptive_field=5)"
    )
    x = draw(20, 1, 2).requires_grad_()
    y, _ = layer_of()(x)
    (gradient,) = torch.autograd.grad(y[-1].sum(), x)
    assert gradient.abs().sum((1, 2)).nonzero().flatten().tolist() == [15, 17, 19]
