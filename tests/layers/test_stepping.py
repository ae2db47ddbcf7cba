"""The short way of one step gives what the long way does: results, states, errors."""

import threading

import pytest
import torch

import recurra
from recurra.cells import State, list_cells
from recurra.compiler.toolchain import find_compiler
from recurra.errors import ArgumentError
from recurra.layers.stepping import Stepper
from recurra.nn import GRU, LSTM, Recurrent
from recurra.testing import assert_within_rounding

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")


def draw(*shape, seed=3, dtype=torch.float64):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)


def make_layer(cell="lstm", **options):
    return Recurrent(cell, 2, 5, **{"seed": 0, "dtype": torch.float64, **options}).eval()


@pytest.fixture
def shortly(counting):
    """How many steps went the short way."""
    return counting(Stepper)


@torch.no_grad()
def assert_steps_are_right(layer, state=None, x=None):
    """By the equations one by one."""
    x = draw(4, 3, 2, dtype=layer.state_dict()[next(iter(layer.state_dict()))].dtype) if x is None else x
    expected = state
    for x_t in x:
        y_t, state = layer.step(x_t, state)
        with recurra.engine("reference"):
            expected_y, expected = layer.step(x_t, expected)
        assert_within_rounding(y_t, expected_y, "y")
        for name, field, other in zip(layer.cell.states, state, expected, strict=True):
            pairs = zip(field, other, strict=True) if isinstance(field, tuple) else [(field, other)]
            for part, expected_part in pairs:
                assert_within_rounding(part, expected_part, name)
    return state


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("cell", list_cells())
def test_every_cell_steps_as_its_equations_say(cell, dtype):
    layer = make_layer(cell, num_layers=2, dtype=dtype)
    with torch.no_grad():
        _, start = layer(draw(3, 3, 2, seed=9, dtype=dtype))
    assert_steps_are_right(layer, start)
    assert_steps_are_right(layer)


@pytest.mark.parametrize("options", [{}, {"num_layers": 3}, {"bias": False}], ids=str)
def test_plain_layers_go_the_short_way(options, shortly):
    layer = make_layer(**options)
    assert_steps_are_right(layer)
    assert_steps_are_right(layer, x=draw(4, 2))
    assert_steps_are_right(layer, x=draw(4, 0, 2))
    assert_steps_are_right(layer, x=draw(4, 9, 2))
    assert shortly[0] == 16


@pytest.mark.parametrize("options", [{"proj_size": 3}, {"proj_size": 2, "num_layers": 2}], ids=str)
def test_a_projected_output_is_projected_and_nothing_is_written_past_it(options):
    layer = make_layer(**options)
    for rows in (3, 1, 9):
        state = assert_steps_are_right(layer, x=draw(4, rows, 2))
        assert state.h.shape[-1] == options["proj_size"]


OTHERS = [
    {"layer_norm": True},
    {"weight_norm": True},
    {"zoneout": 0.2},
    {"zoneout": {"h": 0.0, "c": 0.3}},
    {"num_layers": 2, "residual": True},
    {"dilation": 2},
    {"hidden_size": (4, 3), "num_layers": 2},
    {"learn_initial_state": True},
]


@pytest.mark.parametrize("options", OTHERS, ids=str)
def test_options_that_act_on_a_step_act(options):
    layer = Recurrent("lstm", 2, **{"hidden_size": 5, "seed": 0, "dtype": torch.float64, **options}).eval()
    if options.get("learn_initial_state"):
        with torch.no_grad():
            layer.initial_h_l0.fill_(0.7)
    assert_steps_are_right(layer)


@pytest.mark.parametrize("name", ["recurrent_dropout", "input_dropout", "weight_dropout"])
def test_what_is_dropped_in_training_is_dropped_in_steps_too(name):
    layer, x = make_layer(**{name: 0.5}), draw(3, 2)
    with torch.no_grad():
        _, state = layer.step(x)
        assert torch.equal(layer.step(x, state)[0], layer.step(x, state)[0])
        layer.train()
        assert any(not torch.equal(layer.step(x, state)[0], layer.step(x, state)[0]) for _ in range(8))
        setattr(layer, name, 0.0)
        assert torch.equal(layer.step(x, state)[0], layer.step(x, state)[0])


def test_a_state_that_is_passed_in_is_never_modified_and_results_share_nothing():
    layer = make_layer(num_layers=2)
    x, start = draw(3, 2), State(h=draw(2, 3, 5), c=draw(2, 3, 5, seed=4))
    kept, given = start.map(torch.clone), x.clone()
    with torch.no_grad():
        first = layer.step(x, start)
        again = layer.step(x, start)
    assert all(map(torch.equal, start, kept))
    assert torch.equal(x, given)
    tensors = [x, *start, first[0], *first[1], again[0], *again[1]]
    places = [one.untyped_storage().data_ptr() for one in tensors]
    assert len(set(places)) == len(places)
    first[0].fill_(9)
    first[1].h.fill_(9)
    assert not (again[0] == 9).any() and not (again[1].h == 9).any()
    with torch.no_grad():
        repeated = layer.step(x, start)
    assert torch.equal(repeated[0], again[0])


def test_zeros_are_the_beginning_and_are_never_handed_out():
    layer, x = make_layer("gru"), draw(3, 2)
    with torch.no_grad():
        _, state = layer.step(x)
        state.h.fill_(5)
        y, _ = layer.step(x)
        with recurra.engine("reference"):
            expected, _ = layer.step(x)
    assert_within_rounding(y, expected)


X = draw(3, 2)
REFUSED = [
    (lambda layer: layer.step(draw(3, 3)), "x_t has shape (3, 3) with 3 features, the layer's input_size is 2"),
    (lambda layer: layer.step(draw(1, 3, 2)), "x_t has shape (1, 3, 2); expected one time step"),
    (lambda layer: layer.step(X.float()), "x_t has dtype torch.float32, the weights torch.float64"),
    (lambda layer: layer.step(X.long()), "x_t has dtype torch.int64"),
    (lambda layer: layer.step(X.numpy()), "x_t is ndarray; expected a tensor"),
    (lambda layer: layer.step(None), "x_t is NoneType; expected a tensor"),
    (lambda layer: layer.step(X, draw(1, 3, 5)), "state is a Tensor; cell 'lstm' has h, c"),
    (lambda layer: layer.step(X, State(h=draw(1, 3, 5))), "cell 'lstm' has h, c"),
    (lambda layer: layer.step(X, State(c=draw(1, 3, 5), h=draw(1, 3, 5))), "state is a tuple of c, h"),
    (
        lambda layer: layer.step(X, State(h=draw(1, 4, 5), c=draw(1, 3, 5))),
        "state.h has shape (1, 4, 5); expected (1, 3, 5)",
    ),
    (
        lambda layer: layer.step(X, State(h=draw(1, 3, 5), c=draw(2, 3, 5))),
        "state.c has shape (2, 3, 5); expected (1, 3, 5)",
    ),
    (lambda layer: layer.step(X, State(h=draw(1, 3, 5).float(), c=draw(1, 3, 5))), "state.h has dtype torch.float32"),
    (
        lambda layer: layer.step(X[0], State(h=draw(1, 3, 5), c=draw(1, 3, 5))),
        "state.h has shape (1, 3, 5); expected (1, 5)",
    ),
    (lambda layer: layer.step(X, gaps=torch.ones(3)), "gaps was passed; cell 'lstm' reads no time gaps"),
]


@pytest.mark.parametrize(("call", "words"), REFUSED)
@pytest.mark.parametrize("stepped", [False, True], ids=["at first", "after a step"])
def test_wrong_use_is_refused_in_the_same_words(call, words, stepped):
    layer = make_layer()
    with torch.no_grad():
        if stepped:
            layer.step(X)
        with pytest.raises(ArgumentError) as caught:
            call(layer)
    assert words in str(caught.value)


def test_a_bidirectional_layer_has_no_steps():
    with torch.no_grad(), pytest.raises(ArgumentError, match="step was called on a bidirectional layer"):
        make_layer(bidirectional=True).step(X)


def test_a_step_is_differentiated_where_that_is_asked_for(shortly):
    layer, x = make_layer("gru"), X.clone().requires_grad_()
    y, state = layer.step(x)
    y, _ = layer.step(x, state)
    with recurra.engine("reference"):
        expected, state = layer.step(x)
        expected, _ = layer.step(x, state)
    found = torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])
    for one, other in zip(found, torch.autograd.grad(expected.square().sum(), [x, *layer.parameters()]), strict=True):
        assert_within_rounding(one, other)
    assert shortly[0] == 0
    with torch.no_grad():
        assert layer.step(x)[0].grad_fn is None
    assert shortly[0] == 1


def test_the_engine_that_was_asked_for_takes_the_step(shortly):
    layer = make_layer()
    with torch.no_grad():
        for name in ("reference", "torch"):
            with recurra.engine(name):
                layer.step(X)
        assert shortly[0] == 0
        for name in ("auto", "compiled"):
            with recurra.engine(name):
                layer.step(X)
        assert shortly[0] == 2
        layer.float()
        with torch.autocast("cpu", torch.bfloat16):
            layer.step(X.float())
        assert shortly[0] == 2


def test_x_and_state_may_lie_in_memory_in_any_way():
    layer = make_layer()
    state = State(h=draw(1, 5, 3).transpose(1, 2), c=draw(1, 1, 5).expand(1, 3, 5))
    for x in (draw(2, 3).t(), draw(1, 2).expand(3, 2), draw(3, 4)[:, ::2], draw(3, 4)[:, 1:3]):
        with torch.no_grad():
            y, last = layer.step(x, state)
            expected, final = layer.step(x.clone().contiguous(), state.map(lambda part: part.clone().contiguous()))
        assert_within_rounding(y, expected)
        assert_within_rounding(last.c, final.c)


def test_drop_ins_step_in_torchs_form():
    for ours, theirs in ((LSTM, torch.nn.LSTM), (GRU, torch.nn.GRU)):
        layer, other = ours(2, 5, 2, dtype=torch.float64), theirs(2, 5, 2).double()
        layer.load_state_dict(other.state_dict())
        x, state = draw(4, 3, 2), None
        with torch.no_grad():
            expected, _ = other(x)
            for x_t, expected_t in zip(x, expected, strict=True):
                y_t, state = layer.step(x_t, state)
                assert_within_rounding(y_t, expected_t)
        assert isinstance(state, tuple if ours is LSTM else torch.Tensor)


def test_threads_step_one_layer_at_once():
    layer = make_layer(num_layers=2)
    inputs = [draw(50, rows, 2, seed=rows) for rows in (1, 2, 3, 4)]

    @torch.no_grad()
    def run(x):
        outputs, state = [], None
        for x_t in x:
            y_t, state = layer.step(x_t, state)
            outputs.append(y_t)
        return torch.stack(outputs)

    alone, found = [run(x) for x in inputs], [None] * 4

    def work(place):
        found[place] = run(inputs[place])

    workers = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(map(torch.equal, found, alone))


@pytest.mark.parametrize("cell", ["cfc", "lstm"])
def test_gaps_and_noise_go_the_long_way(cell, shortly):
    layer = make_layer(cell, recurrent_dropout=0.5)
    noise = layer.draw_noise(3)
    named = {"noise": noise, "gaps": torch.tensor([0.5, 1, 2], dtype=torch.float64) if cell == "cfc" else None}
    with torch.no_grad():
        y, _ = layer.step(X, **named)
        with recurra.engine("reference"):
            assert_within_rounding(y, layer.step(X, **named)[0])
    assert shortly[0] == 0


def test_another_default_device_changes_nothing_of_a_layer_on_the_cpu():
    layer, x = make_layer(), draw(4, 3, 2)
    with torch.no_grad():
        whole, _ = layer(x)
        with torch.device("meta"):
            y, _ = layer(x)
            y_0, _ = layer.step(x[0])
    assert torch.equal(y, whole)
    assert_within_rounding(y_0, whole[0])
