"""What each option of a layer computes, against the same written out by hand."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import recurra
from recurra.cells import list_cells
from recurra.compiler.toolchain import find_compiler
from recurra.errors import ArgumentError, Notice
from recurra.nn import GRU, LSTM, Recurrent
from recurra.testing import assert_within_rounding
from recurra.testing.options import OPTIONS

X = torch.randn(6, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def build(cell="lstm", hidden=5, layers=1, **options):
    return Recurrent(cell, 3, hidden, layers, seed=1, dtype=torch.float64, **options)


def by_hand(layer, x, step, width=5):
    """Outputs of step(x_t, h) from zeros."""
    h, outputs = torch.zeros(x.shape[1], width, dtype=x.dtype), []
    for x_t in x:
        h = step(x_t, h)
        outputs.append(h)
    return torch.stack(outputs)


def elman(layer, suffix="l0"):
    weights = [getattr(layer, f"{name}_{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    return lambda x_t, h: torch.tanh(x_t @ weights[0].T + weights[2] + h @ weights[1].T + weights[3])


def test_each_dropout_is_one_mask_for_all_steps():
    layer = build("elman", input_dropout=0.4, recurrent_dropout=0.5, weight_dropout=0.3)
    torch.manual_seed(0)
    noise = layer.draw_noise(4)
    inputs, states, weights = noise.inputs[0], noise.states[0], noise.weights[0]
    assert (inputs.shape, states.shape, weights.shape) == ((4, 3), (4, 5), (5, 5))
    assert set(inputs.unique().tolist()) == {0, 1 / 0.6}
    assert set(states.unique().tolist()) == {0, 2}
    assert len(weights.unique()) == 2 and 0 in weights
    w, u, b, c = (getattr(layer, f"{name}_l0") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    expected = by_hand(
        layer, X, lambda x_t, h: torch.tanh((x_t * inputs) @ w.T + b + (h * states) @ (u * weights).T + c)
    )
    torch.manual_seed(0)
    assert_within_rounding(layer(X)[0], expected)
    assert_within_rounding(layer(X, noise=noise)[0], expected)
    assert not torch.allclose(layer(X)[0], expected)  # the next call drops others
    assert_within_rounding(layer.eval()(X, noise=noise)[0], expected)  # as drawn by a caller, in evaluation too
    assert_within_rounding(layer(X)[0], by_hand(layer, X, elman(layer)))


def test_what_the_equations_read_of_the_output_itself_is_not_dropped():
    """z * h_(t-1) keeps all of h: a dropped unit is forgotten by the others, not by itself."""
    layer = build("gru", recurrent_dropout=1.0)
    r, z, n = (layer.weight_ih_l0.chunk(3), layer.bias_ih_l0.chunk(3), layer.bias_hh_l0.chunk(3))

    def step(x_t, h):
        first, second = ((x_t @ r[gate].T + z[gate] + n[gate]).sigmoid() for gate in (0, 1))
        return (1 - second) * torch.tanh(x_t @ r[2].T + z[2] + first * n[2]) + second * h

    assert_within_rounding(layer(X)[0], by_hand(layer, X, step))


@pytest.mark.parametrize("cell", ["lstm", "gru", "resetbeforegru", "cfc"])
def test_noise_that_is_passed_on_makes_chunks_and_steps_equal_the_whole(cell):
    layer = build(cell, layers=2, input_dropout=0.4, recurrent_dropout=0.4, weight_dropout=0.4)
    noise = layer.draw_noise(4)
    whole, last = layer(X, noise=noise)
    first, state = layer(X[:2], noise=noise)
    second, state = layer(X[2:], state, noise=noise)
    assert_within_rounding(torch.cat([first, second]), whole)
    assert_within_rounding(state.h, last.h)
    state, steps = None, []
    for x_t in X:
        y_t, state = layer.step(x_t, state, noise=noise)
        steps.append(y_t)
    assert_within_rounding(torch.stack(steps), whole)


@pytest.mark.parametrize("options", [{"input_dropout": 0.5}, {"weight_dropout": 0.5}, {"dropout": 0.5}])
@pytest.mark.parametrize("cell", ["lstm", "gru", "elman", "elman-relu"])
def test_every_engine_drops_the_same(cell, options):
    layer, found = build(cell, layers=2, bidirectional=True, **options), []
    for name in ("auto", "torch", "reference"):
        torch.manual_seed(3)
        with recurra.engine(name):
            found.append(layer(X, lengths=[6, 0, 3, 5])[0])
    assert_within_rounding(found[0], found[2])
    assert_within_rounding(found[1], found[2])
    assert not torch.allclose(found[0], layer.eval()(X, lengths=[6, 0, 3, 5])[0])


def test_noise_of_another_batch_is_refused():
    layer = build("lstm", recurrent_dropout=0.4)
    with pytest.raises(
        ArgumentError, match=r"noise.states has a mask of shape \(3, 5\); expected \(4, 5\); .*draw_noise\(4\)"
    ):
        layer(X, noise=layer.draw_noise(3))
    with pytest.raises(ArgumentError, match="noise is float"):
        layer.eval()(X, noise=0.5)
    with pytest.raises(ArgumentError, match=r"noise.inputs has 2 masks, the layer 1"):
        layer(X, noise=build("lstm", layers=2).draw_noise(4))


def test_settings_may_be_changed_on_the_layer():
    layer = build("gru", layers=2)
    layer.dropout, layer.zoneout = 1.0, {"h": 0.5}
    torch.manual_seed(0)
    assert torch.equal(layer(X + 1)[0], layer(X)[0]) is False
    with recurra.engine("torch"), pytest.raises(ArgumentError, match="know no zoneout"):
        layer.explain()
    layer.zoneout, layer.checkpoint = 0.0, 2
    with recurra.engine("torch"):
        assert "gru by torch" in layer.explain()
    assert torch.equal(layer(X + 1)[0], layer(X)[0])  # nothing passes from the first layer to the second
    with pytest.raises(ArgumentError, match=r"zoneout is 2.0"):
        layer.zoneout = 2.0
    assert layer.zoneout == 0.0


@pytest.mark.parametrize(
    "name", ["cell", "hidden_size", "bidirectional", "layer_norm", "dilation", "proj_size", "bias"]
)
def test_what_parameters_were_made_by_is_fixed(name):
    layer = build("gru")
    before = repr(layer)
    with pytest.raises(ArgumentError, match=f"{name} is what the layer's parameters were made by; build another"):
        setattr(layer, name, True)
    assert repr(layer) == before


def test_a_setting_that_means_nothing_for_the_cell_is_refused_on_a_built_layer_too():
    with pytest.raises(ArgumentError, match="does not fit cell 'slstm'"):
        build("slstm").zoneout = 0.5
    with pytest.raises(ArgumentError, match="does not fit cell 'mingru'"):
        build("mingru").recurrent_dropout = 0.5
    with pytest.raises(ArgumentError, match="residual adds"):
        build("gru", [4, 5], 2).residual = True


def test_dropouts_are_unbiased():
    layer = build("elman", hidden=40, input_dropout=0.3, recurrent_dropout=0.2, weight_dropout=0.1)
    torch.manual_seed(0)
    noise = layer.draw_noise(2000)
    for (mask,), spread in zip(noise, (0.66, 0.5, 0.34), strict=True):  # sqrt(p / (1 - p)) of a single factor
        assert abs(mask.mean() - 1) < 4 * spread / mask.numel() ** 0.5


def test_zoneout_keeps_units_at_random_in_training_and_a_share_of_each_in_evaluation():
    layer = build("lstm", zoneout={"c": 0.5, "h": 0.1}).eval()
    plain = LSTM(3, 5, seed=1, dtype=torch.float64)
    h, c = torch.zeros(1, 4, 5, dtype=X.dtype), torch.zeros(1, 4, 5, dtype=X.dtype)
    for x_t, y_t in zip(X, layer(X)[0], strict=True):
        _, (new_h, new_c) = plain(x_t[None], (h, c))
        h, c = 0.1 * h + 0.9 * new_h, 0.5 * c + 0.5 * new_c
        assert_within_rounding(y_t, h[0])
    torch.manual_seed(0)
    y, _ = build("elman", zoneout=0.5).train()(X.expand(6, 4, 3).repeat(1, 500, 1))
    stayed = (y[1:] == y[:-1]).double().mean()
    assert abs(stayed - 0.5) < 0.02
    never, always = build("elman", zoneout={"h": 0.0}), build("elman", zoneout=1.0)
    assert_within_rounding(never(X)[0], by_hand(never, X, elman(never)))
    assert not always(X)[0].any() and not always.eval()(X)[0].any()


def test_layer_norm_normalises_each_gate_of_each_projection():
    layer = build("elman", layer_norm=True)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn_like(parameter) / 10)
    w, u, b, c = (getattr(layer, f"{name}_l0") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    gains = layer.gain_ih_l0, layer.gain_hh_l0

    def step(x_t, h):
        return torch.tanh(F.layer_norm(x_t @ w.T, (5,), gains[0], b) + F.layer_norm(h @ u.T, (5,), gains[1], c))

    assert_within_rounding(layer(X)[0], by_hand(layer, X, step))
    lstm = build("lstm", layer_norm=True)
    shown = (X[0] @ lstm.weight_ih_l0.T).unflatten(1, (4, 5))
    i, _, g, o = (F.layer_norm(shown, (5,)) + lstm.bias_ih_l0.view(4, 5) + lstm.bias_hh_l0.view(4, 5)).unbind(1)
    assert_within_rounding(lstm(X)[0][0], o.sigmoid() * torch.tanh(i.sigmoid() * g.tanh()))


def test_weight_norm_begins_as_it_is_and_is_that_of_torch():
    layer, plain = build("gru", weight_norm=True), build("gru")
    assert_within_rounding(layer(X)[0], plain(X)[0])
    theirs = nn.GRU(3, 5, dtype=torch.float64)
    theirs.load_state_dict(plain.state_dict())
    for name in ("weight_ih_l0", "weight_hh_l0"):
        nn.utils.parametrizations.weight_norm(theirs, name)
    layer(X)[0].square().sum().backward()
    theirs(X)[0].square().sum().backward()
    scale, direction = (
        theirs.parametrizations.weight_hh_l0.original0.grad,
        theirs.parametrizations.weight_hh_l0.original1.grad,
    )
    assert_within_rounding(layer.magnitude_hh_l0.grad, scale[:, 0])
    assert_within_rounding(layer.weight_hh_l0.grad, direction)


def test_residual_adds_the_input_of_every_layer_but_the_first():
    layer = build("gru", layers=3, residual=True, bidirectional=True)
    plain = build("gru", layers=3, bidirectional=True)
    x = X
    for index in range(3):
        one = Recurrent("gru", x.shape[2], 5, bidirectional=True, dtype=torch.float64)
        one.load_state_dict(
            {
                name.replace(f"_l{index}", "_l0"): value
                for name, value in plain.state_dict().items()
                if f"_l{index}" in name
            }
        )
        y, _ = one(x)
        x = y + x if index else y
    assert_within_rounding(layer(X)[0], x)
    with pytest.raises(ArgumentError, match=r"residual .* \[5, 6\] features layer by layer"):
        build("gru", [5, 6], 2, residual=True)
    with pytest.warns(Notice, match="residual=True acts between layers, and num_layers is 1"):
        build("gru", residual=True)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_layers_of_different_widths_are_single_layers_on_top_of_each_other(bidirectional):
    layer = build("lstm", [4, 7, 2], 3, bidirectional=bidirectional)
    y, state = layer(X, lengths=[6, 0, 2, 5])
    assert [tuple(part.shape) for part in state.c] == [(1 + bidirectional, 4, width) for width in (4, 7, 2)]
    x = X
    for index, width in enumerate((4, 7, 2)):
        one = Recurrent("lstm", x.shape[2], width, bidirectional=bidirectional, dtype=torch.float64)
        one.load_state_dict(
            {
                name.replace(f"_l{index}", "_l0"): value
                for name, value in layer.state_dict().items()
                if f"_l{index}" in name
            }
        )
        x, last = one(x, lengths=[6, 0, 2, 5])
        assert_within_rounding(state.h[index], last.h)
    assert_within_rounding(y, x)
    if not bidirectional:
        middle = layer(X[:2])[1].detach()
        assert_within_rounding(layer(X[2:], middle)[0], layer(X)[0][2:])
    with pytest.raises(ArgumentError, match="the layers differ in width: pass a tuple of 3 tensors"):
        layer(X, (torch.zeros(3, 4, 4), torch.zeros(3, 4, 4)))
    with pytest.raises(ArgumentError, match=r"state.h\[1\] has shape"):
        layer(X, (state.h[:1] * 3, state.c))
    with pytest.raises(ArgumentError, match=r"hidden_size is \[4, 7\], num_layers is 3; pass one int, or one for each"):
        build("lstm", [4, 7], 3)


@pytest.mark.parametrize(("cell", "state"), [("lstm", "c"), ("gru", "h"), ("mingru", "h")])
def test_a_dilated_layer_is_several_sequences_side_by_side(cell, state):
    layer, plain = build(cell, dilation=3), build(cell)
    y, last = layer(X)
    for slot in range(3):
        expected, final = plain(X[slot::3])
        assert_within_rounding(y[slot::3], expected)
        assert_within_rounding(getattr(last, state)[slot], getattr(final, state)[0])
    longer, rolled = layer(torch.cat([X, X[:1]]))  # 7 steps: the oldest slot is the second one
    assert_within_rounding(getattr(rolled, state)[0], getattr(last, state)[1])
    assert_within_rounding(rolled[0][2], longer[6])


def test_dilations_may_double_from_layer_to_layer():
    layer = build("gru", layers=3, dilation=[1, 2, 4])
    y, state = layer(X)
    assert state.h.shape == (7, 4, 5)
    chunks, carried = [], None
    for chunk in X.split([1, 3, 2]):
        part, carried = layer(chunk, carried)
        chunks.append(part)
    assert_within_rounding(torch.cat(chunks), y)
    with pytest.raises(ArgumentError, match="each layer's slots of its dilation"):
        layer(X, (torch.zeros(3, 4, 5, dtype=X.dtype),))


def test_a_projection_is_that_of_torch_for_lstm_and_shortens_the_output_of_others():
    layer = build("lstm", layers=2, proj_size=2, bidirectional=True)
    theirs = nn.LSTM(3, 5, 2, proj_size=2, bidirectional=True, dtype=torch.float64)
    theirs.load_state_dict(layer.state_dict(), strict=True)
    for name in ("auto", "torch", "reference"):
        with recurra.engine(name):
            y, state = layer(X)
        expected, (h, c) = theirs(X)
        for found, wanted in ((y, expected), (state.h, h), (state.c, c)):
            assert_within_rounding(found, wanted)
    projected = build("elman", proj_size=2)
    w, u, b, c, r = (
        getattr(projected, f"{n}_l0") for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    )
    expected = by_hand(layer, X, lambda x_t, h: torch.tanh(x_t @ w.T + b + h @ u.T + c) @ r.T, width=2)
    assert_within_rounding(projected(X)[0], expected)


def test_a_learned_initial_state_begins_as_zeros_and_is_learned():
    layer, plain = build("lstm", layers=2, learn_initial_state=True), build("lstm", layers=2)
    assert_within_rounding(layer(X)[0], plain(X)[0])
    with torch.no_grad():
        layer.initial_h_l0.fill_(0.5)
        layer.initial_c_l1.fill_(-0.3)
    start = layer.initial_state(4)
    assert (start.h[0] == 0.5).all() and (start.c[1] == -0.3).all() and not start.h[1].any()
    assert_within_rounding(layer(X)[0], plain(X, start)[0])
    assert_within_rounding(layer(X[:, 0])[0], plain(X, start)[0][:, 0])
    resets = torch.zeros(6, 4, dtype=torch.bool)
    resets[3] = True
    y, _ = layer(X, plain.initial_state(4), resets=resets)
    assert_within_rounding(y[3:], layer(X[3:])[0])
    y.sum().backward()
    assert layer.initial_h_l0.grad.abs().sum() > 0


@pytest.mark.parametrize(("cell", "gate"), [("lstm", "f"), ("gru", "z"), ("cifg", "f"), ("slstm", "f"), ("qrnn", "f")])
def test_a_forget_bias_is_that_of_the_gate_that_keeps(cell, gate):
    layer, plain = build(cell, forget_bias=2.5, layers=2, bidirectional=True), build(cell, layers=2, bidirectional=True)
    for name, value in layer.named_parameters():
        usual = dict(plain.named_parameters())[name]
        if not name.startswith("bias"):
            assert torch.equal(value, usual)
            continue
        for other, block, before in zip(layer.cell.gates, value.split(5), usual.split(5), strict=True):
            expected = before if other != gate else torch.full_like(before, 2.5 if name.startswith("bias_ih") else 0)
            assert torch.equal(block, expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_orthogonal_identity_and_glorot(dtype):
    layer = Recurrent("lstm", 3, 5, initializer="orthogonal", seed=0, dtype=dtype)
    for block in layer.weight_hh_l0.double().split(5):
        assert (block @ block.T - torch.eye(5, dtype=torch.float64)).abs().max() < 4 * torch.finfo(dtype).eps
    assert not layer.bias_ih_l0.any() and not layer.bias_hh_l0.any()
    assert layer.weight_ih_l0.abs().max() <= math.sqrt(6 / 8)
    identity = Recurrent("elman-relu", 3, 5, initializer="identity", seed=0, dtype=dtype)
    assert torch.equal(identity.weight_hh_l0, torch.eye(5, dtype=dtype))
    glorot = Recurrent("gru", 3, 5, initializer="glorot", seed=0, dtype=dtype)
    assert 0.3 < glorot.weight_hh_l0.abs().max() <= math.sqrt(6 / 10)


def test_an_initializer_of_ones_own_is_given_every_gate():
    seen = []

    def fill(name, gate, block):
        seen.append((name, gate, tuple(block.shape)))
        block.fill_(len(seen))

    layer = Recurrent("resetbeforegru", 2, 3, initializer=fill)
    expected = itertools.product(
        [("weight_ih_l0", (3, 2)), ("weight_hh_l0", (3, 3)), ("bias_ih_l0", (3,)), ("bias_hh_l0", (3,))], "rzn"
    )
    assert seen == [(name, gate, shape) for (name, shape), gate in expected]
    assert layer.weight_hh_l0[:, 0].tolist() == [4] * 3 + [5] * 3 + [6] * 3


@pytest.mark.parametrize("checkpoint", [True, 1, 4, 6, 100])
@pytest.mark.parametrize("cell", ["lstm", "cifg"])
def test_checkpointed_backpropagation_is_the_same(cell, checkpoint):
    options = {"bidirectional": True, "layers": 2, "input_dropout": 0.3, "zoneout": 0.2 if cell == "cifg" else 0.0}
    found = []
    for segments in (False, checkpoint):
        layer = build(cell, checkpoint=segments, **options)
        torch.manual_seed(0)
        y, state = layer(X, lengths=[6, 1, 0, 4])
        (y.square().sum() + state.c.sum()).backward()
        found.append([y, *[parameter.grad for parameter in layer.parameters()]])
    for one, other in zip(*found, strict=True):
        assert_within_rounding(one, other)


def test_checkpointing_keeps_less():
    kept = {}
    for checkpoint in (False, True):
        layer, sizes = build("cifg", checkpoint=checkpoint), []
        x = X.repeat(20, 1, 1)

        def pack(tensor, sizes=sizes):
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            layer(x)
        kept[checkpoint] = sum(sizes)
    assert kept[True] < kept[False] / 5


def test_gaps_are_read_by_the_cell_that_reads_them():
    layer = build("cfc")
    gaps = torch.rand(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3
    assert_within_rounding(layer(X, gaps=torch.ones(6, 4))[0], layer(X)[0])
    y, _ = layer(X, gaps=gaps)
    assert not torch.allclose(y, layer(X)[0])
    first, carried = layer(X[:2], gaps=gaps[:2])
    assert_within_rounding(torch.cat([first, layer(X[2:], carried, gaps=gaps[2:])[0]]), y)
    y_t, _ = layer.step(X[2], carried, gaps=gaps[2])
    assert_within_rounding(y_t, y[2])
    first_batched = Recurrent("cfc", 3, 5, seed=1, dtype=torch.float64, batch_first=True)
    assert_within_rounding(first_batched(X.transpose(0, 1), gaps=gaps.T)[0].transpose(0, 1), y)
    with pytest.raises(
        ArgumentError, match=r"gaps has shape \(4, 6\); expected one value per row and step of x, \(6, 4\)"
    ):
        layer(X, gaps=gaps.T)
    with pytest.raises(ArgumentError, match="gaps"):
        layer.step(X[2], carried, gaps=gaps[2, :3])
    with pytest.raises(ArgumentError, match="gaps is float"):
        layer.step(X[2], carried, gaps=1.5)
    with pytest.raises(ArgumentError, match="cell 'lstm' reads no time gaps, 'cfc' does"):
        build("lstm")(X, gaps=gaps)


def test_in_reverse_a_gap_is_the_one_on_the_other_side():
    """And 1 before the first step that is taken, at each row's own end."""
    layer, lengths = build("cfc", bidirectional=True), [6, 3, 1, 0]
    gaps = torch.rand(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3
    y, _ = layer(X, gaps=gaps, lengths=lengths)
    single = build("cfc")
    single.load_state_dict(
        {n.removesuffix("_reverse"): p for n, p in layer.state_dict().items() if n.endswith("_reverse")}
    )
    for row, length in enumerate(lengths[:3]):
        turned = torch.cat([torch.ones(1, dtype=torch.float64), gaps[1:length, row].flip(0)])
        expected, _ = single(X[:length, row].flip(0), gaps=turned)
        assert_within_rounding(y[:length, row, 5:], expected.flip(0))


def test_a_dilated_layer_takes_no_gaps():
    """They would add up over steps of earlier calls, which a state does not know."""
    with pytest.raises(ArgumentError, match=r"gaps was passed to a layer with dilation=2; pass them with dilation=1"):
        build("cfc", dilation=2)(X, gaps=torch.ones(6, 4))


@pytest.mark.parametrize("both", [False, True])
def test_gaps_in_the_padding_or_before_a_reset_reach_nothing(both):
    layer, lengths = build("cfc", bidirectional=both), [6, 3, 1, 0]
    gaps = torch.rand(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3
    found = []
    for dirt in (1.0, torch.nan):
        layer.zero_grad()
        padded = torch.where(torch.arange(6)[:, None] < torch.tensor(lengths), gaps, dirt)
        y, _ = layer(X, gaps=padded, lengths=lengths)
        y.square().sum().backward()
        found.append([y, *[parameter.grad for parameter in layer.parameters()]])
    for clean, dirty in zip(*found, strict=True):
        assert_within_rounding(dirty, clean)
    resets = torch.zeros(6, 4, dtype=torch.bool)
    resets[2] = True
    whole, _ = layer(X, gaps=gaps, resets=resets)
    assert_within_rounding(whole, torch.cat([layer(X[:2], gaps=gaps[:2])[0], layer(X[2:], gaps=gaps[2:])[0]]))


@pytest.mark.parametrize(
    ("cell", "options", "words"),
    [
        ("mingru", {"recurrent_dropout": 0.1}, "no recurrent product to thin out"),
        ("lru", {"recurrent_dropout": 0.1}, "no recurrent product to thin out"),
        ("sru", {"weight_dropout": 0.1}, "no recurrent weights"),
        ("mgu", {"forget_bias": 1.0}, "no gate that keeps"),
        ("elman", {"forget_bias": 0.0}, "no gate that keeps"),
        ("gru", {"proj_size": 2}, "read the output unit by unit"),
        ("jordan", {"proj_size": 2}, "read the output unit by unit"),
        ("qrnn", {"proj_size": 2}, "no recurrent product that would read"),
        ("slstm", {"zoneout": 0.1}, "share"),
        ("lru", {"layer_norm": True}, "one complex number"),
        ("slstm", {"learn_initial_state": True}, "n must stay above 0"),
    ],
)
def test_an_option_that_means_nothing_for_the_cell_is_refused_by_name(cell, options, words):
    ((name, value),) = options.items()
    with pytest.raises(ArgumentError, match=f"{name}={value} does not fit cell '{cell}': .*{words}"):
        build(cell, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"recurrent_dropout": 1.7}, "recurrent_dropout is 1.7; expected a probability"),
        ({"input_dropout": "a"}, "input_dropout is 'a'"),
        ({"weight_dropout": -0.1}, "weight_dropout is -0.1"),
        ({"zoneout": {"k": 0.1}}, "zoneout names the state 'k'; there are: 'h', 'c'"),
        ({"zoneout": {"c": 2}}, r"zoneout\['c'\] is 2"),
        ({"zoneout": True}, "zoneout is True"),
        ({"layer_norm": 1}, "layer_norm is 1; expected True or False"),
        ({"weight_norm": None}, "weight_norm is None"),
        ({"initializer": "orthogonl"}, "did you mean 'orthogonal'"),
        ({"initializer": None}, "initializer None is unknown"),
        ({"forget_bias": "1"}, "forget_bias is '1'; expected a number"),
        ({"forget_bias": 1.0, "bias": False}, "forget_bias is 1.0 and bias is False"),
        ({"proj_size": 5}, "proj_size is 5, hidden_size 5; it must be smaller"),
        ({"proj_size": -1}, "proj_size is -1"),
        ({"dilation": 0}, "dilation is 0"),
        ({"dilation": [1, 2]}, r"dilation is \[1, 2\], num_layers is 1"),
        ({"dilation": 1.5}, "dilation is 1.5"),
        ({"checkpoint": 0}, "checkpoint is 0; expected True, False, or the steps"),
        ({"checkpoint": "yes"}, "checkpoint is 'yes'"),
        ({"hidden": 1, "layer_norm": True}, "layer_norm with hidden_size 1"),
        ({"hidden": [5, 0], "layers": 2}, r"hidden_size\[1\] is 0"),
        ({"hidden": "five"}, "hidden_size is 'five'"),
    ],
)
def test_a_wrong_option_is_refused(options, words):
    with pytest.raises(ArgumentError, match=words):
        build("lstm", **options)


@pytest.mark.parametrize("resets", [torch.zeros(6, 4), torch.zeros(4, 6, dtype=torch.bool), [[True]]])
def test_resets_that_do_not_fit(resets):
    with pytest.raises(ArgumentError, match="resets"):
        build("lstm")(X, resets=resets)


@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_no_option_costs_the_compiled_kernels(options):
    for line in build("lstm", layers=2, **options).explain().splitlines():
        assert "lstm by compiled (the fastest that computes lstm; training keeps" in line


def test_the_engine_that_an_option_costs_is_named_with_its_reason(monkeypatch):
    monkeypatch.setenv("RECURRA_CC", "none")
    assert "by torch" in build("lstm", recurrent_dropout=0.5).eval().explain()
    assert "torch's kernels know no recurrent dropout" in build("lstm", recurrent_dropout=0.5).explain()
    said = build("gru", zoneout=0.1, layer_norm=True).explain()
    without = "compiled: RECURRA_CC=none turns the compiler off; unset it"
    lacking = "torch: torch's kernels know no layer normalisation and no zoneout"
    assert said.startswith(f"layer 0: gru by reference ({without}; {lacking}; scan: ")


def test_to_explain_draws_nothing():
    layer = build("lstm", weight_dropout=0.5, recurrent_dropout=0.5, input_dropout=0.5)
    before = torch.random.get_rng_state()
    layer.explain()
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_drop_ins_take_the_options_too():
    layer = GRU(3, 5, 1, True, True, zoneout=0.3, layer_norm=True, dilation=2)
    assert repr(layer) == "GRU(3, 5, batch_first=True, zoneout=0.3, layer_norm=True, dilation=2)"
    with pytest.raises(TypeError, match="zonout"):
        GRU(3, 5, zonout=0.3)


@pytest.mark.parametrize("cell", list_cells())
def test_watched_states_are_those_of_a_call(cell):
    layer = build(cell, layers=2, bidirectional=True)
    y, last = layer(X, lengths=[6, 2, 0, 3])
    seen, final, states = layer.watch(X, lengths=[6, 2, 0, 3])
    assert_within_rounding(seen, y)
    assert_within_rounding(final[0], last[0])
    assert [len(steps) for steps in states] == [6] * 4
    assert_within_rounding(torch.stack([state[0] for state in states[2]])[:, 0], y[:, 0, :5])
    assert_within_rounding(states[3][0][-1], last[-1][3])


@pytest.mark.parametrize("check", [torch.autograd.gradcheck, torch.autograd.gradgradcheck])
@pytest.mark.parametrize("cell", ["lstm", "resetbeforegru"])
def test_derivatives_of_layers_of_different_widths(cell, check):
    layer = Recurrent(cell, 2, [3, 2], 2, bidirectional=True, seed=0, dtype=torch.float64)
    names = [name for name, _ in layer.named_parameters()]

    def results(x, *weights):
        y, last = torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x,), {"lengths": [3, 1]})
        return (y, *last[0])

    x = X[:3, :2, :2].clone().requires_grad_()
    with recurra.engine("reference"):
        assert check(results, (x, *layer.parameters()), fast_mode=True)
