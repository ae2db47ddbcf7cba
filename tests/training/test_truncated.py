"""Chunks of a stream give the state of whole sequences, and their gradient where k2 covers them."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from recurra.cells import Cell, State, sigmoid, tanh
from recurra.data import SequenceStream
from recurra.errors import ArgumentError, DivergedError, Notice
from recurra.layers import GRU, LSTM, Recurrent
from recurra.testing import assert_within_rounding
from recurra.training import RunFolder, TrainingSettings, TruncatedLoss, train

FEATURES, HIDDEN = 2, 5


class Tracking(Cell):
    """A cell with two states and a vector, as a user would write one."""

    gates = ("f", "n")
    states = ("h", "m")
    vectors = {"p": None}  # noqa: RUF012

    def step(self, x, u, s, p):
        f = sigmoid(x.f + u.f + p.p * s.m)
        m = f * s.m + (1 - f) * tanh(x.n + u.n)
        return State(h=tanh(m), m=m)


CELLS = ["lstm", "gru", Tracking]


class Net(nn.Module):
    """Two recurrent layers and a head; its state is a tuple of theirs."""

    def __init__(self, cell, **options):
        super().__init__()
        self.below = Recurrent(cell, FEATURES, HIDDEN, seed=0, dtype=torch.float64, **options)
        self.above = Recurrent(cell, HIDDEN, HIDDEN - 1, seed=1, dtype=torch.float64, learn_initial_state=True)
        self.head = nn.Linear(HIDDEN - 1, 1, dtype=torch.float64)

    def forward(self, x, state=None, resets=None):
        below, above = state or (None, None)
        x, below = self.below(x, below, resets=resets)
        x, above = self.above(x, above, resets=resets)
        return self.head(x), (below, above)


def sequences(*lengths):
    generator = np.random.default_rng(sum(lengths))
    x = [generator.normal(size=(length, FEATURES)) for length in lengths]
    targets = [generator.normal(size=(length, 1)) for length in lengths]
    return x, targets


def stream_of(lengths, batch_size):
    x, targets = sequences(*lengths)
    return SequenceStream(x, batch_size, targets=targets)


def net(cell, **options):
    torch.manual_seed(3)
    return Net(cell, **options)


def gradients(module):
    return torch.cat([parameter.grad.flatten() for parameter in module.parameters()])


def summed_over_chunks(module, stream, k1, k2):
    """The gradient of the sum over all steps, from one epoch of chunks with the same weights."""
    summed = TruncatedLoss(module, stream, partial(F.mse_loss, reduction="sum"), k1=k1, k2=k2)
    module.zero_grad()
    for step in range(summed.steps_per_epoch):
        summed(step).backward()
    return gradients(module)


def of_whole_sequences(module, lengths):
    """The gradient of the same sum by full backpropagation, each sequence by itself."""
    module.zero_grad()
    for x, target in zip(*sequences(*lengths), strict=True):
        y, _ = module(torch.from_numpy(x)[:, None])
        F.mse_loss(y[:, 0], torch.from_numpy(target), reduction="sum").backward()
    return gradients(module)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("lengths", [(13, 13, 13), (23, 4, 9, 1, 7, 12), (10, 17)])
@pytest.mark.parametrize("k1", [1, 4, 100])
def test_chunks_give_the_gradient_of_whole_sequences_where_k2_covers_them(cell, lengths, k1):
    module, stream = net(cell), stream_of(lengths, min(3, len(lengths)))
    whole = of_whole_sequences(module, lengths)
    k2 = max(k1, len(stream))
    assert_within_rounding(summed_over_chunks(module, stream, k1, k2), whole, "the gradient in chunks")
    if k1 < len(stream):
        short = summed_over_chunks(module, stream, k1, k1)
        assert (short - whole).norm() > 0.01 * whole.norm()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("k1", "k2"), [(1, 1), (1, 4), (3, 3), (3, 4), (3, 5), (3, 6), (3, 8), (5, 7)])
def test_gradients_go_exactly_k2_steps_back(cell, k1, k2):
    """The oracle: one sequence step by step, the state cut off from its history k2 steps before each chunk's end."""
    time = 14
    module, stream = net(cell), stream_of((time,), 1)
    found = summed_over_chunks(module, stream, k1, k2)
    module.zero_grad()
    x, target = (torch.from_numpy(part[0])[:, None] for part in sequences(time))
    for start in range(0, time, k1):
        stop = min(start + k1, time)
        begin, state = max(0, stop - k2), None
        with torch.no_grad():
            for t in range(begin):
                _, state = module(x[t : t + 1], state)
        for t in range(begin, stop):
            y, state = module(x[t : t + 1], state)
            if t >= start:
                F.mse_loss(y, target[t : t + 1], reduction="sum").backward(retain_graph=True)
    assert_within_rounding(found, gradients(module), "the truncated gradient")


@pytest.mark.parametrize("k1", [1, 4, 7])
@pytest.mark.parametrize("further", [0, 3, 9])
@pytest.mark.parametrize("lengths", [(20, 16), (20, 9, 7, 4)])
def test_the_state_is_carried_on_each_row_and_begins_anew_with_each_sequence_and_epoch(k1, further, lengths):
    module, stream = net("lstm"), stream_of(lengths, 2)
    shown, expected = [], []

    def seen(y, target):
        shown.append(torch.cat([y, target], -1).detach())
        return F.mse_loss(y, target)

    truncated = TruncatedLoss(module, stream, seen, k1=k1, k2=k1 + further)
    assert truncated.steps_per_epoch == -(-20 // k1)
    for x, target in zip(*sequences(*lengths), strict=True):
        y, _ = module(torch.from_numpy(x)[:, None])
        expected.append(torch.cat([y[:, 0], torch.from_numpy(target)], -1).detach())
    expected = torch.cat(expected)
    for epoch in range(2):
        shown.clear()
        for step in range(truncated.steps_per_epoch):
            truncated(epoch * truncated.steps_per_epoch + step)
        found = torch.cat(shown)
        assert_within_rounding(found[found[:, 1].argsort()], expected[expected[:, 1].argsort()], "outputs by target")


def test_the_loss_is_the_mean_over_the_steps_that_rows_have():
    module, stream = net("gru"), stream_of((9, 5), 2)
    truncated = TruncatedLoss(module, stream, F.mse_loss, k1=4)
    values = [truncated(step).item() for step in range(3)]
    each = []
    for x, target in zip(*sequences(9, 5), strict=True):
        each.append((module(torch.from_numpy(x)[:, None])[0][:, 0] - torch.from_numpy(target)).square()[:, 0])
    for found, (start, stop) in zip(values, ((0, 4), (4, 8), (8, 9)), strict=True):
        assert found == pytest.approx(torch.cat([row[start:stop] for row in each]).mean().item(), rel=1e-12)


def test_resets_are_passed_only_where_some_rows_begin_anew():
    passed = []

    class Spy(Recurrent):
        def forward(self, x, state=None, *, resets=None):
            passed.append((state is None, resets is not None))
            return super().forward(x, state, resets=resets)

    module = Spy("gru", FEATURES, 1, seed=0, dtype=torch.float64)
    for lengths, expected in {
        (8, 8, 8, 8): [(True, False), (False, False)] * 2,  # rows begin anew together, where a chunk begins
        (8, 9, 8, 7): [(True, False), (False, False), (False, True), (False, False)],
    }.items():
        passed.clear()
        truncated = TruncatedLoss(module, stream_of(lengths, 2), F.mse_loss, k1=4)
        for step in range(4):
            truncated(step)
        assert passed == expected


@pytest.mark.parametrize("layer", [LSTM, GRU, nn.LSTM, nn.GRU])
def test_layers_in_torchs_form_carry_their_tensors(layer):
    torch.manual_seed(0)
    module = layer(FEATURES, 1, dtype=torch.float64)
    x, target = (torch.from_numpy(part[0])[:, None] for part in sequences(12))
    whole, _ = module(x)
    truncated = TruncatedLoss(module, stream_of((12,), 1), F.mse_loss, k1=5, k2=7)
    values = [truncated(step).item() for step in range(3)]
    for value, part in zip(values, (whole - target).square().split(5), strict=True):
        assert value == pytest.approx(part.mean().item(), rel=1e-12)
    names = {"state"} if "GRU" in layer.__name__ else {"state.0", "state.1"}
    assert truncated.state_dict().keys() == names | {"due"}


def test_tokens_go_through_an_embedding_and_cross_entropy():
    class Language(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.layer = nn.Embedding(7, 4), Recurrent("gru", 4, 7, seed=0)

        def forward(self, x, state):
            return self.layer(self.embedding(x), state)

    torch.manual_seed(0)
    text = np.arange(50, dtype=np.uint8) % 7
    stream = SequenceStream([text[:-1]], 3, targets=[text[1:]])
    truncated = TruncatedLoss(Language(), stream, F.cross_entropy, k1=6)
    assert truncated(0).item() == pytest.approx(np.log(7), abs=0.3)


def test_layers_of_different_widths_carry_a_tuple_in_each_field():
    module = Recurrent("lstm", FEATURES, (3, 1), 2, seed=0, dtype=torch.float64)
    truncated = TruncatedLoss(module, stream_of((9,), 1), F.mse_loss, k1=3)
    truncated(0)
    carried = truncated.state_dict()
    assert set(carried) == {"due", "state.0:h.0", "state.0:h.1", "state.1:c.0", "state.1:c.1"}
    expected = truncated(1)
    shuffled = dict(sorted(carried.items(), reverse=True))
    again = TruncatedLoss(module, stream_of((9,), 1), F.mse_loss, k1=3)
    again.load_state_dict(shuffled)
    assert torch.equal(again(1), expected)


@pytest.mark.parametrize(("k1", "k2"), [(4, 4), (4, 9)])
def test_stopped_anywhere_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path, k1, k2):
    settings = TrainingSettings(steps=17, checkpoint_every=3, batch_size=2)
    noisy = {"recurrent_dropout": 0.3, "zoneout": 0.1}  # so that the random state matters too

    def problem(**options):
        module = net("lstm", **options, **noisy)
        return module, TruncatedLoss(module, stream_of((19, 13, 4), 2), F.mse_loss, k1=k1, k2=k2)

    def run(name):
        return RunFolder.create(tmp_path / name, {"task": "test"})

    class KilledError(Exception):
        pass

    module, loss = problem()
    whole, cut = run("whole"), run("cut")
    train(module, loss, settings, stage=whole.stage("fit"))
    for stop_at in (2, 4, 8, 13, 14):  # an epoch has 5 steps

        def kill(record, stop_at=stop_at):
            if record.step == stop_at:
                raise KilledError

        part, part_loss = problem()
        with pytest.raises(KilledError):
            train(part, part_loss, settings, stage=cut.stage("fit"), on_step=kill)
    part, part_loss = problem()
    train(part, part_loss, settings, stage=cut.stage("fit"))
    for (name, found), expected in zip(part.state_dict().items(), module.state_dict().values(), strict=True):
        assert torch.equal(found, expected), name
    assert cut.metrics() == whole.metrics()
    assert loss.state_dict().keys() == part_loss.state_dict().keys()
    assert all(map(torch.equal, loss.state_dict().values(), part_loss.state_dict().values()))


def test_a_diverging_step_is_kept_with_the_state_before_it(tmp_path):
    module, stream = net("lstm"), stream_of((40,), 1)
    calls = []

    def spoilt(y, target):
        calls.append(None)
        return F.mse_loss(y, target) * (float("nan") if len(calls) == 4 else 1.0)

    run = RunFolder.create(tmp_path / "run", {})
    settings = TrainingSettings(steps=6)
    with pytest.raises(DivergedError, match="at step 4"):
        train(module, TruncatedLoss(module, stream, spoilt, k1=4), settings, stage=run.stage("fit"))
    carried = run.stage("fit").latest().tensors
    assert carried["carried.due"].item() == 3
    module, whole = net("lstm"), RunFolder.create(tmp_path / "whole", {})
    train(module, TruncatedLoss(module, stream, F.mse_loss, k1=4), settings, stage=whole.stage("fit"))
    module = net("lstm")
    train(module, TruncatedLoss(module, stream, F.mse_loss, k1=4), settings, stage=run.stage("fit"))
    assert run.metrics() == whole.metrics()


class WithHead(Recurrent):
    """A layer whose units are read as one number."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.head = nn.Linear(self.output_size, 1)

    def forward(self, x, state=None, *, resets=None):
        y, state = super().forward(x, state, resets=resets)
        return self.head(y), state


def test_it_learns_to_echo_across_chunks():
    """The value of 3 steps ago, which chunks of 2 steps never hold together with its echo."""
    bits = np.random.default_rng(0).integers(0, 2, size=(4000, 1)).astype(np.float32)
    stream = SequenceStream([bits], 16, targets=[np.roll(bits, 3)])

    def final_loss(k2):
        torch.manual_seed(0)
        module = WithHead("gru", 1, 16, seed=0)
        loss = TruncatedLoss(module, stream, F.binary_cross_entropy_with_logits, k1=2, k2=k2)
        settings = TrainingSettings(steps=600, learning_rate=0.02)
        losses = []
        train(module, loss, settings, on_step=lambda record: losses.append(record.loss))
        return np.mean(losses[-50:])

    assert final_loss(5) < 0.1
    assert final_loss(2) > 0.6  # the entropy of a bit is 0.693


def test_training_steps_out_of_order_are_refused():
    truncated = TruncatedLoss(net("gru"), stream_of((20,), 1), F.mse_loss, k1=4)
    truncated(0)
    with pytest.raises(ArgumentError, match="training step 2 was asked for, the state carried is that of step 1"):
        truncated(2)
    truncated(1)
    truncated(0)  # an epoch may always begin
    truncated.load_state_dict({})
    with pytest.raises(ArgumentError, match="training step 1 was asked for, the state carried is that of step 0"):
        truncated(1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"k1": 0}, "k1 is 0; expected an int of at least 1"),
        ({"k1": 2.5}, "k1 is 2.5; expected an int"),
        ({"k1": True}, "k1 is True; expected an int"),
        ({"k1": 4, "k2": 0}, "k2 is 0; expected an int"),
        ({"k1": 4, "k2": 3}, "k2 is 3, k1 is 4; .* pass k2 >= 4"),
        ({"k1": 4, "stream": SequenceStream([np.zeros((9, FEATURES))], 1)}, "the stream has no targets; pass"),
        ({"k1": 4, "model": Recurrent("gru", FEATURES, 1, batch_first=True)}, "the model has batch_first=True"),
        ({"k1": 4, "model": Recurrent("gru", FEATURES, 1, bidirectional=True)}, "the model has bidirectional=True"),
        (
            {"k1": 4, "model": nn.GRU(FEATURES, 1), "stream": stream_of((4, 4), 1)},
            "GRU takes no resets, and .* at least as many rows",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, words):
    given = {"model": net("gru"), "stream": stream_of((9,), 1), "loss": F.mse_loss} | arguments
    with pytest.raises(ArgumentError, match=words):
        TruncatedLoss(**given)


@pytest.mark.parametrize(
    ("answer", "loss", "words"),
    [
        (lambda y: y, F.mse_loss, r"the model returned Tensor; expected \(y, state\)"),
        (lambda y: (y[0], y[-1]), F.mse_loss, r"y of shape \(1, 1\) from x of shape \(4, 1, 1\); expected"),
        (lambda y: (y, {"h": y[-1]}), F.mse_loss, "the model's state is dict; expected a tensor, a State, or a tuple"),
        (lambda y: (y, (y[-1], None)), F.mse_loss, r"the model's state\.1 is NoneType"),
        (lambda y: (y, y[-1]), partial(F.mse_loss, reduction="none"), r"the loss is a tensor of shape \(4, 1\)"),
        (lambda y: (y, y[-1]), lambda y, target: 0.5, "the loss is float; expected one number"),
    ],
)
def test_models_and_losses_that_answer_otherwise_are_refused(answer, loss, words):
    class Linear(nn.Linear):
        def forward(self, x, state=None):
            return answer(super().forward(x))

    stream = SequenceStream([np.zeros((9, 1))], 1, targets=[np.zeros((9, 1))])
    truncated = TruncatedLoss(Linear(1, 1), stream, loss, k1=4)
    with pytest.raises(ArgumentError, match=words):
        truncated(0)


def test_what_would_train_wrongly_without_a_word_is_told():
    x, targets = sequences(40)
    stream = SequenceStream(x, 2, targets=targets)

    class Inner(nn.Module):
        def __init__(self, **options):
            super().__init__()
            self.layer = LSTM(FEATURES, HIDDEN, dtype=torch.float64, **options)

        def forward(self, x, state=None):
            y, state = self.layer(x, state)
            return y[..., 0], state

    with pytest.raises(ArgumentError, match="the model's layer is bidirectional"):
        TruncatedLoss(Inner(bidirectional=True), stream, F.mse_loss, k1=5)
    with pytest.warns(Notice, match="the model's layer has batch_first=True"):
        TruncatedLoss(Inner(batch_first=True), stream, F.mse_loss, k1=5)
    with pytest.raises(ArgumentError, match=r"give both the same, as by y.squeeze"):
        TruncatedLoss(Inner(), stream, F.mse_loss, k1=5)(0)
    with pytest.raises(ArgumentError, match=r"stream is Tensor; pass recurra.data.SequenceStream"):
        TruncatedLoss(Inner(), torch.zeros(3), F.mse_loss, k1=5)
    with pytest.raises(ArgumentError, match="model is NoneType"):
        TruncatedLoss(None, stream, F.mse_loss, k1=5)
    flat = SequenceStream(x, 2, targets=[target[:, 0] for target in targets])
    loss = TruncatedLoss(Inner(), flat, F.mse_loss, k1=5)
    with pytest.raises(ArgumentError, match="no weight of the module got a gradient"):
        train(nn.Linear(2, 2), loss, TrainingSettings(steps=3))
