"""Gradients through time against what linear algebra and torch's autograd say they are."""

import copy
import math

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from recurra.cells import Cell, State, list_cells, sigmoid
from recurra.errors import ArgumentError
from recurra.layers.gradients import LARGEST_STATE, measure_gradients
from recurra.nn import GRU, LSTM, ConvLSTM, Recurrent
from recurra.testing import assert_within_rounding


def draw(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def scaled_rotation(scale, hidden=6, **options):
    """A linear recurrence whose Jacobian is `scale` times an orthogonal matrix at every step, in every recurrence."""
    layer = Recurrent(
        "elman-linear", 2, hidden, initializer="orthogonal", seed=0, **{"dtype": torch.float64, **options}
    )
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.startswith("weight_hh"):
                parameter *= scale
    return layer


@pytest.mark.parametrize("scale", [0.5, 0.97, 1.0, 1.2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_scaled_rotation_scales_the_gradient_at_every_step(scale, bidirectional):
    flows = measure_gradients(scaled_rotation(scale, bidirectional=bidirectional), draw(12, 5, 2))
    assert [(flow.layer, flow.direction) for flow in flows] == [(0, 0), (0, 1)][: 1 + bidirectional]
    for flow in flows:
        assert flow.norms == pytest.approx([scale**lag for lag in range(12)], rel=1e-12)
        assert flow.by_field == {"h": pytest.approx(flow.norms)}
        assert [radius.value for radius in flow.radii] == pytest.approx([scale] * 16, rel=1e-12)
        assert sorted({radius.lag for radius in flow.radii}) == [0, 1, 3, 4, 6, 7, 9, 10]


def test_rows_are_aligned_by_their_own_ends():
    layer, lengths = scaled_rotation(0.5, bidirectional=True), [9, 0, 4, 6]
    x = draw(11, 4, 2).masked_fill((torch.arange(11)[:, None] >= torch.tensor(lengths))[..., None], torch.nan)
    for flow in measure_gradients(layer, x, lengths=lengths):
        assert flow.norms == pytest.approx([0.5**lag for lag in range(9)], rel=1e-12)
        assert flow.rows == 3


def test_lengths_that_say_nothing_change_nothing():
    layer, x = Recurrent("lstm", 2, 5, 2, bidirectional=True, seed=0, dtype=torch.float64), draw(7, 3, 2)
    whole = measure_gradients(layer, x)
    padded = measure_gradients(layer, torch.cat([x, draw(4, 3, 2)]), lengths=[7, 7, 7])
    for one, other in zip(whole, padded, strict=True):
        assert one.norms == pytest.approx(other.norms, rel=1e-9)
        for field in ("h", "c"):
            assert one.by_field[field] == pytest.approx(other.by_field[field], rel=1e-9)
        assert [radius.value for radius in one.radii] == pytest.approx([r.value for r in other.radii], rel=1e-9)


def test_every_form_of_a_batch_gives_the_same():
    layer = GRU(2, 5, 2, dtype=torch.float64)
    first = GRU(2, 5, 2, batch_first=True, dtype=torch.float64)
    first.load_state_dict(layer.state_dict())
    rows = [draw(8, 2), draw(5, 2, seed=2), draw(3, 2, seed=3)]
    padded = torch.nn.utils.rnn.pad_sequence(rows)
    expected = measure_gradients(layer, padded, lengths=[8, 5, 3], loss=lambda y: y.square().sum())
    found = {
        "batch first": measure_gradients(
            first, padded.transpose(0, 1), lengths=[8, 5, 3], loss=lambda y: y.square().sum()
        ),
        "packed": measure_gradients(layer, pack_sequence(rows), loss=lambda y: y.data.square().sum()),
        "nested": measure_gradients(
            layer, torch.nested.nested_tensor(rows, layout=torch.jagged), loss=lambda y: y.values().square().sum()
        ),
    }
    for form, flows in found.items():
        for one, other in zip(flows, expected, strict=True):
            assert one.norms == pytest.approx(other.norms, rel=1e-9), form
            assert one.by_loss == pytest.approx(other.by_loss, rel=1e-9), form
    alone = measure_gradients(layer, rows[0])[0]
    assert alone.norms == pytest.approx(measure_gradients(layer, rows[0].unsqueeze(1))[0].norms)


def test_the_norms_are_those_of_products_of_jacobians():
    """dL/ds_t = J' ... J' (p, 0) for an LSTM, with Jacobians of `step` by torch's own differentiation."""
    layer, x, hidden = Recurrent("lstm", 2, 4, seed=0, dtype=torch.float64), draw(6, 1, 2), 4

    def step(joined, t):
        state = State(h=joined[:hidden].view(1, 1, -1), c=joined[hidden:].view(1, 1, -1))
        _, after = layer.step(x[t], state)
        return torch.cat([after.h.flatten(), after.c.flatten()])

    joined, jacobians = torch.zeros(2 * hidden, dtype=torch.float64), []
    for t in range(len(x)):
        jacobians.append(torch.autograd.functional.jacobian(lambda s, t=t: step(s, t), joined))
        joined = step(joined, t).detach()
    (flow,) = measure_gradients(layer, x)
    direction = torch.randn(1, hidden, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gradient = torch.cat([(direction / direction.norm()).flatten(), torch.zeros(hidden, dtype=torch.float64)])
    for lag, jacobian in enumerate(reversed(jacobians)):
        assert flow.norms[lag] == pytest.approx(gradient.norm().item(), rel=1e-9)
        assert flow.by_field["h"][lag] == pytest.approx(gradient[:hidden].norm().item(), rel=1e-9)
        assert flow.by_field["c"][lag] == pytest.approx(gradient[hidden:].norm().item(), rel=1e-9, abs=1e-300)
        gradient = jacobian.T @ gradient
    radii = {len(x) - 1 - t: torch.linalg.eigvals(jacobians[t]).abs().max().item() for t in range(1, len(x))}
    assert {radius.lag: pytest.approx(radius.value, rel=1e-9) for radius in flow.radii} == radii


def test_a_loss_is_measured_beside_and_changes_nothing_else():
    layer, x, seen = scaled_rotation(0.5), draw(5, 3, 2), []

    def last_and_first(y):
        seen.append((tuple(y.shape), y.dtype))
        return 2 * y[-1, 0, 0] + 8 * y[0, 0, 0]

    (flow,), (plain,) = measure_gradients(layer, x, loss=last_and_first), measure_gradients(layer, x)
    assert flow.norms == plain.norms
    assert plain.by_loss is None
    rows = math.sqrt(3)  # of which the loss asks one
    assert flow.by_loss[:4] == pytest.approx([2 * 0.5**lag / rows for lag in range(4)], rel=1e-12)
    turn = torch.linalg.matrix_power(layer.weight_hh_l0.T, 4)[:, 0]
    expected = 2 * turn + 8 * torch.eye(6, dtype=torch.float64)[0]
    assert flow.by_loss[4] == pytest.approx(expected.norm().item() / rows, rel=1e-12)
    assert seen == [((5, 3, 6), torch.float64)]


def test_a_loss_sees_the_dtype_of_the_layer():
    layer, head = Recurrent("gru", 2, 4, seed=0), torch.nn.Linear(4, 1)
    (flow,) = measure_gradients(layer, draw(5, 3, 2).float(), loss=lambda y: head(y[-1]).sum())
    assert flow.by_loss[0] == pytest.approx(head.weight.norm().item(), rel=1e-6)
    assert head.weight.grad is None


def test_a_given_state_is_where_the_rows_begin():
    """A tanh saturated by its state lets no gradient back; from zeros it does."""
    layer = Recurrent("elman", 2, 4, initializer="identity", seed=0, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_hh_l0.mul_(20)
    x, far = torch.zeros(3, 2, 2, dtype=torch.float64), State(h=torch.ones(1, 2, 4, dtype=torch.float64))
    assert measure_gradients(layer, x)[0].norms[2] == pytest.approx(400)
    assert measure_gradients(layer, x, state=far)[0].norms[2] < 1e-20
    assert measure_gradients(layer, x[:, 0], state=far.map(lambda part: part[:, 0]))[0].norms[2] < 1e-20


def test_float32_layers_are_measured_beyond_the_range_of_float32():
    for scale in (0.01, 100):
        layer = scaled_rotation(scale, dtype=torch.float32)
        (flow,) = measure_gradients(layer, draw(31, 2, 2).float())
        assert flow.norms[30] == pytest.approx(scale**30, rel=1e-4)


def test_the_layer_its_gradients_and_the_random_state_stay_as_they_are():
    layer = LSTM(2, 4, 2, dropout=0.3, recurrent_dropout=0.3, zoneout=0.1)
    layer.weight_ih_l0.requires_grad_(False)
    layer.weight_hh_l0.grad = torch.full_like(layer.weight_hh_l0, 7.0)
    before, x = copy.deepcopy(layer.state_dict()), draw(6, 3, 2).float().requires_grad_()
    random = torch.get_rng_state()
    with torch.no_grad():
        flows = measure_gradients(layer, x)
    assert torch.equal(torch.get_rng_state(), random)
    assert flows == measure_gradients(layer, x)  # noise from a fixed seed
    assert layer.training
    assert x.grad is None
    assert not layer.weight_ih_l0.requires_grad
    assert torch.equal(layer.weight_hh_l0.grad, torch.full_like(layer.weight_hh_l0, 7.0))
    assert all(parameter.grad is None for name, parameter in layer.named_parameters() if name != "weight_hh_l0")
    assert all(torch.equal(layer.state_dict()[name], value) for name, value in before.items())
    assert flows != measure_gradients(layer.eval(), x)


@pytest.mark.parametrize("cell", list_cells())
def test_every_cell_can_be_measured(cell):
    """In a bidirectional stack, and rows that are cut short are rows of their own."""
    layer, x = Recurrent(cell, 2, 3, 2, bidirectional=True, seed=0, dtype=torch.float64), draw(6, 2, 2)
    flows = measure_gradients(layer, x, lengths=[6, 0])
    alone = measure_gradients(layer, x[:, :1])
    assert len(flows) == 4
    for flow, other in zip(flows, alone, strict=True):
        assert len(flow.norms) == 6
        assert all(map(math.isfinite, [*flow.norms, *(radius.value for radius in flow.radii)]))
        assert flow.norms == pytest.approx(other.norms, rel=1e-9)
        assert len(flow.radii) == 5
    assert flows[2].norms[0] == pytest.approx(1)  # the top layer is asked for directly


class Counting(Cell):
    """A state that no parameter reaches."""

    gates = ("n",)
    states = ("h", "steps")

    def step(self, x, u, s):
        return State(h=sigmoid(x.n + u.n), steps=s.steps + 1)


def test_a_field_without_a_graph_has_no_gradient():
    (flow,) = measure_gradients(Recurrent(Counting, 2, 3, seed=0, dtype=torch.float64), draw(4, 2, 2))
    assert flow.by_field["steps"] == (0, 0, 0, 0)
    assert flow.norms == flow.by_field["h"]
    assert [radius.value for radius in flow.radii] == pytest.approx([1] * 6)


def test_a_large_state_has_no_radii():
    layer = ConvLSTM(1, 2, kernel_size=3, seed=0, dtype=torch.float64)
    (small,) = measure_gradients(layer, draw(3, 2, 1, 4, 4))
    (large,) = measure_gradients(layer, draw(3, 2, 1, 12, 12))
    assert (small.state_size, len(small.radii)) == (64, 4)
    assert (large.state_size, large.radii) == (576, ())
    assert large.state_size > LARGEST_STATE


def test_watched_states_are_nodes_that_carry_the_outputs_gradient():
    """With lengths too, or dL/dh_t would miss what step t itself is asked for."""
    layer, x = Recurrent("lstm", 2, 3, seed=0, dtype=torch.float64), draw(4, 2, 2)
    for lengths in (None, [4, 2]):
        y, _, (states,) = layer.watch(x, lengths=lengths)
        _, c = states[1]
        (shallow,) = torch.autograd.grad(y[1].sum(), [states[1].h], retain_graph=True)
        assert_within_rounding(shallow, torch.ones(2, 3, dtype=torch.float64))
        (none,) = torch.autograd.grad(y[1].sum(), [c], allow_unused=True, materialize_grads=True)
        assert not none.any()  # c_1 made h_1; as a state it acts from step 2 on


@pytest.mark.parametrize(
    ("layer", "x", "named", "words"),
    [
        (torch.nn.LSTM(2, 3), draw(4, 2, 2).float(), {}, r"layer is LSTM; expected a recurrent layer of recurra\.nn"),
        (LSTM(2, 3), draw(1, 2, 2).float(), {}, r"batch has 2 rows of at most 1 time steps; expected .* 2 or more"),
        (LSTM(2, 3), draw(4, 2, 2).float(), {"lengths": [1, 0]}, r"at most 1 time steps"),
        (LSTM(2, 3), draw(4, 0, 2).float(), {}, r"batch has 0 rows"),
        (LSTM(2, 3), draw(4, 2, 2), {}, r"x has dtype torch\.float64, the weights torch\.float32"),
        (LSTM(2, 3), [1.0], {}, r"x is list"),
        (LSTM(2, 3, dilation=2), draw(4, 2, 2).float(), {}, r"a dilated layer, .* use dilation=1"),
        (LSTM(2, 3), draw(4, 2, 2).float(), {"state": (torch.zeros(1),)}, r"hx is a tuple of 1"),
        (LSTM(2, 3), draw(4, 2, 2).float(), {"loss": lambda y: y}, r"loss returned a tensor \(4, 2, 3\); .* scalar"),
        (LSTM(2, 3), draw(4, 2, 2).float(), {"loss": lambda y: 3.0}, r"loss returned float; expected a scalar"),
        (LSTM(2, 3), draw(4, 2, 2).float(), {"loss": lambda y: y.detach().sum()}, r"no gradient leads back from"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_words(layer, x, named, words):
    with pytest.raises(ArgumentError, match=words):
        measure_gradients(layer, x, **named)
