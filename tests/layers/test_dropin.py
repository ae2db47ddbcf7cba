"""The drop-ins against torch.nn: constructors, weights, results, gradients, files and refusals.

`test_recurrent` holds `Recurrent` itself against torch.nn.
"""

import copy
import inspect
import io
import pickle
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import recurra
from recurra.errors import ArgumentError
from recurra.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from recurra.testing import assert_within_rounding

LAYERS = {LSTM: nn.LSTM, GRU: nn.GRU, RNN: nn.RNN}
CELLS = {LSTMCell: nn.LSTMCell, GRUCell: nn.GRUCell, RNNCell: nn.RNNCell}
ENGINES = ("auto", "torch", "reference")


def pair(ours, *places, **named):
    """Ours and torch's, built alike from the same seed, in float64."""
    named = {"dtype": torch.float64, **named}
    built = []
    for kind in (ours, (LAYERS | CELLS)[ours]):
        torch.manual_seed(7)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="dropout")  # with one layer, both tell of it in their own words
            built.append(kind(*places, **named))
    return built


def flat(value):
    """All tensors of a result, in order."""
    if isinstance(value, PackedSequence):
        return [value.data]
    return [value] if isinstance(value, torch.Tensor) else [part for each in value for part in flat(each)]


def results(layer, x, hx, leaves):
    """Outputs, final states and the gradients of a weighted sum of them; what is drawn is drawn from one seed."""
    torch.manual_seed(3)
    found = flat(layer(x) if hx is None else layer(x, hx))
    loss = sum((part * torch.linspace(-1, 1, part.numel(), dtype=part.dtype).view_as(part)).sum() for part in found)
    return [*found, *torch.autograd.grad(loss, [*leaves, *layer.parameters()], retain_graph=True)]


def assert_same(ours, theirs, x, hx, leaves):
    found, expected = results(ours, x, hx, leaves), results(theirs, x, hx, leaves)
    assert len(found) == len(expected)
    for index, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert_within_rounding(one, other, f"result {index}")


def draw_arguments(data, kind, form):
    """Those of torch's constructor behind the sizes.

    torch draws dropout for what is packed; we draw it for the padded batch, the same as for every other form of it.
    """
    layers = data.draw(st.integers(1, 3))
    arguments = {name: data.draw(st.booleans()) for name in ("bias", "batch_first", "bidirectional")}
    chances = [0.0, 1.0] if form.startswith("packed") else [0.0, 0.3, 1.0]
    arguments["dropout"] = data.draw(st.sampled_from(chances)) if layers > 1 else 0.0
    if kind is RNN:
        arguments["nonlinearity"] = data.draw(st.sampled_from(["tanh", "relu"]))
    return layers, arguments


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_layers_compute_what_torch_computes(data):
    kind, engine = data.draw(st.sampled_from(list(LAYERS))), data.draw(st.sampled_from(ENGINES))
    time, batch, features, hidden = (data.draw(st.integers(1, top)) for top in (7, 4, 4, 8))
    form = data.draw(st.sampled_from(["batched", "unbatched", "packed", "packed in order"]))
    layers, arguments = draw_arguments(data, kind, form)
    proj_size = data.draw(st.integers(0, hidden - 1)) if kind is LSTM else 0
    ours, theirs = pair(kind, features, hidden, layers, **arguments, **({"proj_size": proj_size} if proj_size else {}))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))

    def leaf(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)

    rows = () if form == "unbatched" else (batch,)
    x = leaf(*((batch, time) if rows and ours.batch_first else (time, *rows)), features)
    leaves, given_x = [x], x
    if form.startswith("packed"):
        lengths = sorted(data.draw(st.lists(st.integers(1, time), min_size=batch, max_size=batch)), reverse=True)
        lengths = lengths if form == "packed in order" else lengths[::-1]
        given_x = pack_padded_sequence(x, lengths, ours.batch_first, enforce_sorted=form == "packed in order")
    hx = None
    if data.draw(st.booleans()):
        stacked = layers * (1 + ours.bidirectional)
        h_0 = leaf(stacked, *rows, proj_size or hidden)
        hx = (h_0, leaf(stacked, *rows, hidden)) if kind is LSTM else h_0
        leaves += flat(hx)
    with recurra.engine(engine):
        assert_same(ours, theirs, given_x, hx, leaves)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_single_cells_compute_what_torch_computes(data):
    kind, engine = data.draw(st.sampled_from(list(CELLS))), data.draw(st.sampled_from(ENGINES))
    features, hidden = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 8))
    named = {"bias": data.draw(st.booleans())}
    if kind is RNNCell:
        named["nonlinearity"] = data.draw(st.sampled_from(["tanh", "relu"]))
    ours, theirs = pair(kind, features, hidden, **named)
    rows = data.draw(st.sampled_from([(), (1,), (5,)]))
    leaves = [torch.randn(*rows, size, dtype=torch.float64, requires_grad=True) for size in (features, hidden, hidden)]
    x, *states = leaves
    given_state = data.draw(st.booleans())
    hx = (tuple(states) if kind is LSTMCell else states[0]) if given_state else None
    leaves = [x, *flat(hx)] if given_state else [x]
    with recurra.engine(engine):
        assert_same(ours, theirs, x, hx, leaves)


@pytest.mark.parametrize("kind", [*LAYERS, *CELLS])
def test_constructors_take_torchs_arguments_by_place_and_by_name(kind):
    """torch hides its layers' signatures behind *args: what follows is written down in its documentation."""
    documented = {
        LSTM: "num_layers bias batch_first dropout bidirectional proj_size device dtype",
        GRU: "num_layers bias batch_first dropout bidirectional device dtype",
        RNN: "num_layers nonlinearity bias batch_first dropout bidirectional device dtype",
        LSTMCell: "bias device dtype",
        GRUCell: "bias device dtype",
        RNNCell: "bias nonlinearity device dtype",
    }
    values = {
        "num_layers": 2,
        "nonlinearity": "relu",
        "bias": False,
        "batch_first": True,
        "dropout": 0.25,
        "bidirectional": True,
        "proj_size": 2,
        "device": "cpu",
        "dtype": torch.float64,
    }
    names = documented[kind].split()
    parameters = inspect.signature(kind).parameters.values()
    assert ["input_size", "hidden_size", *names] == [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    theirs = (LAYERS | CELLS)[kind]
    if kind in CELLS:
        assert list(inspect.signature(theirs).parameters) == ["input_size", "hidden_size", *names]
    places, made = [values[name] for name in names], {"device": "cpu", "dtype": torch.float64}
    torch.manual_seed(0)
    expected = theirs(3, 5, *places[:-2], **made)  # torch's own GRU and RNN take these two for proj_size by place
    for built in (
        lambda: kind(3, 5, *places),
        lambda: kind(3, 5, **{name: values[name] for name in names}),
    ):
        torch.manual_seed(0)
        found = built()
        for name in set(names) - {"device", "dtype"}:
            assert getattr(found, name) == getattr(expected, name) == values[name]
        assert list(found.state_dict()) == list(expected.state_dict())
        for name, weight in expected.state_dict().items():
            assert torch.equal(found.state_dict()[name], weight)


@pytest.mark.parametrize("kind", LAYERS)
def test_torchs_own_attributes(kind):
    named = {"nonlinearity": "relu"} if kind is RNN else {}
    ours, theirs = pair(kind, 3, 5, 2, bidirectional=True, **named)
    assert ours.mode == theirs.mode
    assert getattr(ours, "nonlinearity", None) == (theirs.nonlinearity if kind is RNN else None)
    assert ours.flatten_parameters() is theirs.flatten_parameters() is None
    assert len(ours.all_weights) == len(theirs.all_weights) == 4
    for found, expected in zip(ours.all_weights, theirs.all_weights, strict=True):
        assert all(map(torch.equal, found, expected))
    assert ours.all_weights[3][1] is ours.weight_hh_l1_reverse


@pytest.mark.parametrize("kind", LAYERS)
def test_options_beyond_torchs_keep_its_forms(kind):
    layer = kind(3, 5, 2, layer_norm=True, zoneout=0.1, recurrent_dropout=0.2)
    y, last = layer(torch.randn(4, 2, 3), lengths=[4, 0])
    assert y.shape == (4, 2, 5)
    assert [part.shape for part in flat(last)] == [(2, 2, 5)] * (2 if kind is LSTM else 1)
    assert isinstance(last, tuple) == (kind is LSTM)
    layer.eval()
    x = torch.randn(4, 2, 3)
    y, last = layer(x)
    hx, steps = None, []
    for x_t in x:
        y_t, hx = layer.step(x_t, hx)
        steps.append(y_t)
    assert_within_rounding(torch.stack(steps), y)
    for found, expected in zip(flat(hx), flat(last), strict=True):
        assert_within_rounding(found, expected)
    assert torch.equal(layer(input=x, hx=last)[0], layer(x, last)[0])


@pytest.mark.parametrize("kind", LAYERS)
def test_weights_go_through_a_file_both_ways_and_keep_results(kind):
    ours, theirs = pair(kind, 3, 5, 2, bidirectional=True)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1)
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    assert not torch.equal(ours(x)[0], theirs(x)[0])
    for source, target in ((theirs, ours), (ours, pair(kind, 3, 5, 2, bidirectional=True)[1])):
        file = io.BytesIO()
        torch.save(source.state_dict(), file)
        file.seek(0)
        target.load_state_dict(torch.load(file, weights_only=True), strict=True)
        assert_within_rounding(target(x)[0], source(x)[0])
    with pytest.raises(RuntimeError, match="size mismatch for weight_ih_l0"):
        ours.load_state_dict(pair(kind, 4, 5, 2, bidirectional=True)[1].state_dict())


class Model(nn.Module):
    """A drop-in inside other modules."""

    def __init__(self, layer):
        super().__init__()
        self.body = nn.ModuleDict({"layer": layer})
        self.head = nn.Linear(5, 1)

    def forward(self, x):
        return self.head(self.body["layer"](x)[0])


@pytest.mark.parametrize("kind", LAYERS)
def test_inside_containers_copies_pickles_and_types(kind):
    ours, theirs = (Model(layer) for layer in pair(kind, 3, 5))
    theirs.head.load_state_dict(ours.head.state_dict())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    x = torch.randn(4, 2, 3)
    for model in (ours.float(), copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):  # noqa: S301 - written just now
        assert_within_rounding(model(x), theirs.float()(x))
    assert_within_rounding(ours.to(torch.float64)(x.double()), theirs.to(torch.float64)(x.double()))
    assert ours.to(torch.bfloat16).body["layer"].weight_hh_l0.dtype == torch.bfloat16
    assert ours.eval().body["layer"].training is False
    with torch.device("meta"):
        assert kind(3, 5).weight_ih_l0.is_meta
    empty = kind(3, 5).to_empty(device="cpu")
    empty.reset_parameters()
    assert float(empty.weight_hh_l0.detach().abs().max()) <= 5**-0.5


H = torch.zeros(2, 4, 5)
X = torch.zeros(3, 4, 3)


@pytest.mark.parametrize(
    ("kind", "x", "hx", "words"),
    [
        (LSTM, torch.zeros(3, 4, 2), None, ["input has", "(3, 4, 2)", "2 features", "input_size is 3"]),
        (GRU, torch.zeros(3), None, ["input has", "(3,)", "(time, batch, feature)"]),
        (RNN, torch.zeros(1, 3, 4, 3), None, ["input has", "(1, 3, 4, 3)", "(time, batch, feature)"]),
        (GRU, X.double(), None, ["input has", "torch.float64", "torch.float32", ".to("]),
        (LSTM, X, H, ["hx", "Tensor", "(h_0, c_0)"]),
        (LSTM, X, (H,), ["hx is a tuple of 1", "(h_0, c_0)", "omit"]),
        (LSTM, X, (H, H[:1]), ["c_0 of hx", "(1, 4, 5)", "(2, 4, 5)", "omit"]),
        (LSTM, X, (H[:, :3], H), ["h_0 of hx", "(2, 3, 5)", "(2, 4, 5)", "omit"]),
        (LSTM, X, (H[..., :2], H), ["h_0 of hx", "(2, 4, 2)", "(2, 4, 5)", "omit"]),
        (GRU, X, (H, H), ["hx", "tuple of 2", "h_0 itself"]),
        (GRU, X, H[0], ["h_0 of hx", "(4, 5)", "(2, 4, 5)", "omit"]),
        (RNN, X, H.double(), ["h_0 of hx", "torch.float64", "torch.float32", ".to("]),
        (RNN, X[:, 0], H, ["h_0 of hx", "(2, 4, 5)", "(2, 5)", "omit"]),
    ],
)
def test_what_torch_refuses_is_refused_in_words(kind, x, hx, words):
    ours, theirs = pair(kind, 3, 5, 2, dtype=torch.float32)
    with pytest.raises((RuntimeError, ValueError, TypeError, AttributeError, IndexError)):
        theirs(x, hx)
    with pytest.raises(ArgumentError) as caught:
        ours(x, hx)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "x", "hx", "words"),
    [
        (GRUCell, torch.zeros(4, 2), None, ["input has", "(4, 2)", "2 features", "input_size is 3"]),
        (RNNCell, torch.zeros(1, 4, 3), None, ["input has", "(1, 4, 3)", "(batch, feature)"]),
        (LSTMCell, torch.zeros(4, 3), torch.zeros(4, 5), ["hx", "Tensor", "(h, c)"]),
        (LSTMCell, torch.zeros(4, 3), (torch.zeros(4, 5), torch.zeros(3, 5)), ["c of hx", "(3, 5)", "(4, 5)", "omit"]),
        (GRUCell, torch.zeros(4, 3), torch.zeros(4, 6), ["h of hx", "(4, 6)", "(4, 5)", "omit"]),
        (RNNCell, torch.zeros(3), torch.zeros(1, 5), ["h of hx", "(1, 5)", "(5,)", "omit"]),
        (RNNCell, torch.zeros(4, 3), torch.zeros(4, 5).double(), ["h of hx", "torch.float64", "torch.float32"]),
    ],
)
def test_what_torchs_cells_refuse_is_refused_in_words(kind, x, hx, words):
    ours, theirs = pair(kind, 3, 5, dtype=torch.float32)
    with pytest.raises((RuntimeError, ValueError, TypeError)):
        theirs(x, hx)
    with pytest.raises(ArgumentError) as caught:
        ours(x, hx)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"dropout": 1.5}, ["dropout", "1.5", "0 to 1"]),
        ({"num_layers": 0}, ["num_layers", "0", "at least 1"]),
        ({"hidden_size": 0}, ["hidden_size", "0", "at least 1"]),
        ({"bias": 1}, ["bias", "1", "True or False"]),
        ({"dtype": torch.int64}, ["dtype", "torch.int64", "floating"]),
        ({"proj_size": 5}, ["proj_size", "5", "smaller"]),
        ({"proj_size": -1}, ["proj_size", "-1", "at least 1"]),
    ],
)
def test_constructor_arguments_that_make_no_sense(arguments, words):
    with pytest.raises(ArgumentError) as caught:
        LSTM(**{"input_size": 3, "hidden_size": 5, **arguments})
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("kind", [RNN, RNNCell])
def test_an_unknown_nonlinearity(kind):
    with pytest.raises(ArgumentError, match="nonlinearity 'rulu' is unknown; did you mean 'relu'"):
        kind(3, 5, nonlinearity="rulu")


@pytest.mark.parametrize("kind", LAYERS)
def test_dropout_with_one_layer_is_told_of_as_torch_tells(kind):
    with pytest.warns(UserWarning, match="num_layers"):
        LAYERS[kind](3, 5, dropout=0.5)
    with pytest.warns(recurra.errors.Notice, match="dropout=0.5 acts between layers"):
        layer = kind(3, 5, dropout=0.5)
    x = torch.randn(4, 2, 3)
    assert torch.equal(layer(x)[0], layer(x)[0])
