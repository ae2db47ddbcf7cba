"""The shapes sequence to vector, vector to sequence, sequence to sequence: whole, in chunks, step by step, padded."""

import copy
import pickle

import pytest
import torch
from torch import nn

from recurra.cells import State
from recurra.errors import ArgumentError
from recurra.layers import Recurrent
from recurra.layers.ctc import CTC
from recurra.layers.heads import Linear, Sigmoid, Softmax
from recurra.layers.inputs import Embedding, OneHot, Real
from recurra.layers.mixture import MixtureDensity
from recurra.layers.pooling import AttentionPooling
from recurra.layers.quantiles import Quantiles
from recurra.models.seq2seq import Seq2Seq, shift
from recurra.models.seq2vec import Seq2Vec
from recurra.models.vec2seq import Vec2Seq
from recurra.testing import assert_within_rounding

EXACT = {"seed": 0, "dtype": torch.float64}
LENGTHS = [6, 0, 1, 4]
POOLINGS = ("last", "mean", "max", "attention")


class Delay(nn.Module):
    """A body that is no recurrence: the last two steps, weighted; its state is the step before."""

    input_size = output_size = 5

    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([0.7, -0.4], dtype=torch.float64))

    def forward(self, x, state=None, *, lengths=None):
        before = torch.zeros_like(x[0]) if state is None else state
        steps = torch.arange(len(x))[:, None]
        held = torch.full((x.shape[1],), len(x)) if lengths is None else torch.as_tensor(lengths)
        joined = torch.cat([before.unsqueeze(0), x])
        y = self.weights[0] * x + self.weights[1] * joined[:-1]
        return y * (steps < held).unsqueeze(-1), joined[held, torch.arange(x.shape[1])]

    def step(self, x_t, state=None):
        y, state = self(x_t.unsqueeze(0), state)
        return y[0], state


def make_body(kind, input_size=5, **options):
    torch.manual_seed(2)
    if kind == "delay":
        return Delay()
    return Recurrent(kind, input_size, 5, 2, **{**EXACT, **options})


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def spoil(x, lengths=LENGTHS):
    """x (time, batch, ...) with nonsense behind each row's end."""
    hidden = torch.arange(len(x))[:, None] >= torch.tensor(lengths)
    x = x.clone()
    x[hidden] = torch.nan if x.is_floating_point() else -100
    return x


def codes(*shape, count=7):
    return torch.randint(0, count, shape, generator=torch.Generator().manual_seed(0))


# Sequence to vector


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("kind", ["lstm", "gru", "delay"])
def test_seq2vec_whole_chunks_and_steps_are_one(kind, pooling):
    model = Seq2Vec(Real(5), make_body(kind), Linear(5, 3, **EXACT), pooling=pooling)
    x = draw(6, 4, 5)
    whole = model(x, lengths=LENGTHS)
    _, state = model.read(x[:3], lengths=[3, 0, 1, 3])
    assert_within_rounding(model.read(x[3:], state, lengths=[3, 0, 0, 1])[0], whole)
    state = None
    for steps, x_t in enumerate(x, 1):
        raw, state = model.step(x_t, state)
        assert_within_rounding(raw, model(x[:steps]))


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"batch_first": True, "bidirectional": True}])
def test_seq2vec_reads_a_padded_row_as_it_would_alone(pooling, options):
    body = make_body("gru", **options)
    model = Seq2Vec(Embedding(7, 5, **EXACT), body, Softmax(body.output_size, 3, **EXACT), pooling=pooling)
    assert next(model.parameters()).dtype == torch.float64
    x = codes(6, 4)
    order = (lambda one: one.T) if body.batch_first else (lambda one: one)
    raw = model(order(spoil(x)), lengths=LENGTHS)
    for row, length in enumerate(LENGTHS):
        if length:
            assert_within_rounding(raw[row], model(x[:length, row]))  # without a batch
            assert_within_rounding(raw[row], model(order(x[:length, row : row + 1]))[0])
    assert_within_rounding(raw[1], model.head(torch.zeros(body.output_size).double()))


def test_seq2vec_takes_the_last_state_of_each_direction():
    body = make_body("gru", bidirectional=True)
    model = Seq2Vec(Real(5), body, Linear(10, 10, **EXACT))
    x = draw(6, 4, 5)
    _, state = body(x, lengths=LENGTHS)
    expected = model.head(torch.cat([state.h[2], state.h[3]], -1))
    assert_within_rounding(model(x, lengths=LENGTHS), expected)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_seq2vec_gradients_are_finite_beside_empty_rows(pooling):
    model = Seq2Vec(Real(5), make_body("lstm"), Linear(5, 1, **EXACT), pooling=pooling)
    x = spoil(draw(6, 4, 5)).requires_grad_()
    model.loss(x, draw(4, 1), lengths=LENGTHS).backward()
    assert x.grad.isfinite().all()
    assert x.grad[0, 0].all()
    assert not x.grad[4:, 3].any()
    assert all(one.grad.isfinite().all() for one in model.parameters())


def test_seq2vec_gradcheck():
    model = Seq2Vec(Real(5), make_body("gru"), Quantiles(5, 1, **EXACT), pooling="attention")
    target = draw(2, 1)
    assert torch.autograd.gradcheck(
        lambda x: model.loss(x, target, lengths=[3, 2]), draw(3, 2, 5).requires_grad_(), fast_mode=True
    )


def test_seq2vec_takes_a_pooling_that_is_built():
    pooling = AttentionPooling(5, 3, **EXACT)
    model = Seq2Vec(Real(5), make_body("lstm"), Sigmoid(5, 2, **EXACT), pooling=pooling)
    assert model.pooling is pooling
    assert model.predict(draw(6, 4, 5)).shape == (4, 2)


# Sequence to sequence

ANSWERS = {
    "codes": lambda: (Embedding(7, 5, **EXACT), Softmax(5, 7, **EXACT), codes(6, 4)),
    "one-hot": lambda: (OneHot(5, dtype=torch.float64), Softmax(5, 5, **EXACT), codes(6, 4, count=5)),
    "numbers": lambda: (Real(5), Linear(5, 5, **EXACT), draw(6, 4, 5)),
    "quantiles": lambda: (Real(5), Quantiles(5, 5, **EXACT), draw(6, 4, 5)),
    "labels": lambda: (Real(5), Sigmoid(5, 5, **EXACT), draw(6, 4, 5).sign().clamp(min=0)),
}


@pytest.mark.parametrize("kind", ["lstm", "delay"])
@pytest.mark.parametrize("answers", ANSWERS)
def test_seq2seq_whole_chunks_and_steps_are_one(answers, kind):
    layer, head, x = ANSWERS[answers]()
    model = Seq2Seq(layer, make_body(kind), head)
    whole, end = model(x)
    first, state = model(x[:2])
    last, state = model(x[2:], state)
    assert_within_rounding(torch.cat([first, last]), whole)
    state = None
    for x_t, expected in zip(x, whole, strict=True):
        raw_t, state = model.step(x_t, state)
        assert_within_rounding(raw_t, expected)
    for one, other in zip(state, end, strict=True):
        assert_within_rounding(one, other)


@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"batch_first": True}])
def test_seq2seq_reads_a_padded_row_as_it_would_alone(options):
    body = make_body("lstm", **options)
    model = Seq2Seq(Embedding(7, 5, **EXACT), body, Softmax(body.output_size, 4, **EXACT))
    x, target = codes(6, 4), codes(6, 4, count=4)
    order = (lambda one: one.transpose(0, 1)) if body.batch_first else (lambda one: one)
    raw, state = model(order(spoil(x)), lengths=LENGTHS)
    losses = []
    for row, length in enumerate(LENGTHS):
        if not length:
            continue
        alone, last = model(x[:length, row])
        assert_within_rounding(order(raw)[:length, row], alone)
        assert_within_rounding(state.c[:, row], last.c)
        losses.append(model.loss(x[:length, row], target[:length, row]) * length)
    loss = model.loss(order(spoil(x)), order(spoil(target)), lengths=LENGTHS)
    assert loss.item() == pytest.approx(sum(losses).item() / sum(LENGTHS), rel=1e-12)


def test_seq2seq_learns_nothing_from_padding():
    model, lengths = Seq2Seq(Embedding(7, 5, **EXACT), make_body("gru"), Softmax(5, 7, **EXACT)), [6, 2]
    x, target = codes(6, 2), codes(6, 2)
    gradients = []
    for given, truth in ((x, target), (spoil(x, lengths), spoil(target, lengths))):
        model.zero_grad()
        model.loss(given, truth, lengths=lengths).backward()
        gradients.append([one.grad.clone() for one in model.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert_within_rounding(one, other)
    assert gradients[0][0].any()


def test_seq2seq_with_labels_without_times():
    model = Seq2Seq(Real(5), make_body("lstm", batch_first=True), CTC(5, 3, batch_first=True, **EXACT))
    x, target = draw(2, 6, 5), torch.tensor([[1, 2], [3, 0]])
    alone = [model.loss(x[:1], target[:1]), model.loss(x[1:, :2], target[1:])]
    loss = model.loss(spoil(x.transpose(0, 1), [6, 2]).transpose(0, 1), target, lengths=[6, 2])
    assert loss.item() == pytest.approx(sum(alone).item() / 2, rel=1e-10)
    assert [type(row.tolist()) for row in model.predict(x)] == [list, list]


@pytest.mark.parametrize("answers", ANSWERS)
def test_seq2seq_generates_what_its_steps_give(answers):
    layer, head, x = ANSWERS[answers]()
    model = Seq2Seq(layer, make_body("gru"), head)
    more, state = model.generate(x, 5, temperature=0)[:2]
    read = torch.cat([x, more[:-1]])
    raw, expected = model(read)
    assert_within_rounding(more.double(), head.predict(raw[len(x) - 1 :]).detach().double())
    assert_within_rounding(state.h, expected.h.detach())
    few, state = model.generate(x, 2, temperature=0)[:2]
    rest = model.generate(few[-1:], 3, state, temperature=0).answers
    assert_within_rounding(torch.cat([few, rest]).double(), more.double())
    alone = model.generate(x[:, 2], 5, temperature=0).answers
    assert_within_rounding(alone.double(), more[:, 2].double())


@pytest.mark.parametrize("batch_first", [False, True])
def test_seq2seq_goes_on_where_each_row_ends(batch_first):
    model = Seq2Seq(Real(5), make_body("gru", batch_first=batch_first), Linear(5, 5, **EXACT))
    order = (lambda one: one.transpose(0, 1)) if batch_first else (lambda one: one)
    x, lengths = draw(6, 3, 5), [6, 2, 5]
    more = order(model.generate(order(spoil(x, lengths)), 4, lengths=lengths)[0])
    assert more.shape == (4, 3, 5)
    for row, length in enumerate(lengths):
        assert_within_rounding(more[:, row], model.generate(x[:length, row], 4)[0])
        assert_within_rounding(more[:, row], model.generate(x[:, row], 4, lengths=[length])[0])


def test_seq2seq_draws_from_the_seed_alone():
    model = Seq2Seq(Embedding(7, 5, **EXACT), make_body("gru"), Softmax(5, 7, **EXACT))
    x = codes(3, 50)
    before = torch.get_rng_state()
    draws = [model.generate(x, 4, seed=seed)[0] for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(model.generate(x, 4, top_k=1)[0], model.generate(x, 4, temperature=0)[0])
    assert not draws[0].requires_grad
    likeliest = model(x)[0][-1].topk(3).indices
    drawn = model.generate(x, 1, top_k=3, seed=0, temperature=9.0)[0][0]
    assert (likeliest == drawn[:, None]).any(-1).all()
    assert set(model.generate(x, 1, seed=0, temperature=9.0)[0][0].tolist()) == set(range(7))
    best = model.generate(x, 4, temperature=0)[0]
    assert torch.equal(model.generate(x, 4, top_p=1e-3)[0], best)
    assert torch.equal(model.generate(x, 4, temperature=0, top_k=3, top_p=0.9)[0], best)


def test_strokes_are_generated_with_their_pens():
    model = Seq2Seq(Real(3), make_body("lstm", input_size=3), MixtureDensity(5, 2, 4, pen=True, **EXACT))
    strokes = model.generate(draw(1, 8, 3), 20, seed=0).answers
    assert strokes.shape == (20, 8, 3)
    assert sorted(set(strokes[..., 2].flatten().tolist())) == [0.0, 1.0]
    assert model.loss(strokes[:-1], strokes[1:]).isfinite()


def test_a_text_is_shifted_by_one():
    x = codes(5, 3)
    before, after, lengths = shift(x, [5, 1, 0])
    assert torch.equal(before[1:], after[:-1])
    assert (before.shape, lengths.tolist()) == ((4, 3), [4, 0, 0])
    flipped = shift(x.T, [5, 1, 0], batch_first=True)
    assert torch.equal(flipped[1].T, after)
    assert flipped[2].tolist() == [4, 0, 0]
    assert shift(x, [5, 5, 5])[2].tolist() == [4, 4, 4]
    assert shift(x)[2] is None
    with pytest.raises(ArgumentError, match="expected a tensor of two time steps at least on axis 0"):
        shift(x[:1])


# Vector to sequence

FEEDS = ("initial", "repeat", "both")


def make_vec2seq(feed, kind="gru", *, layer=None, head=None, **options):
    layer = layer or Real(5)
    more = 3 if feed != "initial" else 0
    body = Recurrent(kind, layer.output_size + more, 5, 2, **{**EXACT, **options})
    return Vec2Seq(layer, body, head or Linear(5, 5, **EXACT), vector_size=3, feed=feed, seed=0)


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_vec2seq_is_what_its_equations_say(kind, feed):
    model = make_vec2seq(feed, kind)
    with torch.no_grad():
        model.start += draw(5, seed=5)
    z, y = draw(4, 3), draw(6, 4, 5)
    state = None
    if feed != "repeat":
        values = torch.tanh(z @ model.initial.weight.T + model.initial.bias)
        fields = [field.view(4, 2, 5).transpose(0, 1) for field in values.split(10, 1)]  # layer batch unit
        state = model.body.cell.by_state(fields)
    expected = []
    for t in range(6):
        v_t = model.start.expand(4, 5) if t == 0 else y[t - 1]
        h_t, state = model.body.step(v_t if feed == "initial" else torch.cat([v_t, z], -1), state)
        expected.append(model.head(h_t))
    assert_within_rounding(model(z, y), torch.stack(expected))
    state, previous = model.begin(z), None
    for t in range(6):
        raw_t, state = model.step(previous, state)
        assert_within_rounding(raw_t, expected[t])
        previous = y[t]


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("options", [{}, {"batch_first": True}, {"dilation": [1, 3]}])
def test_vec2seq_rows_are_alone_and_padding_is_nothing(feed, options):
    model = make_vec2seq(feed, layer=Embedding(7, 5, **EXACT), head=Softmax(5, 7, **EXACT), **options)
    order = (lambda one: one.transpose(0, 1)) if options.get("batch_first") else (lambda one: one)
    z, y = draw(4, 3), codes(6, 4)
    raw = order(model(z, order(spoil(y)), lengths=LENGTHS))
    losses = 0.0
    for row, length in enumerate(LENGTHS):
        if length:
            assert_within_rounding(raw[:length, row], model(z[row], y[:length, row]))
            losses += model.loss(z[row], y[:length, row]).item() * length
    loss = model.loss(z, order(spoil(y)), lengths=LENGTHS).item()
    assert loss == pytest.approx(losses / sum(LENGTHS), rel=1e-12)


@pytest.mark.parametrize("feed", FEEDS)
def test_vec2seq_generates_what_it_reads(feed):
    model, z = make_vec2seq(feed), draw(4, 3)
    made, state = model.generate(z, 6, temperature=0)[:2]
    assert_within_rounding(made, model(z, made).detach())
    assert_within_rounding(model.generate(z[1], 6, temperature=0)[0], made[:, 1])
    assert_within_rounding(model.step(made[-1], state)[0].detach(), model.generate(z, 7, temperature=0)[0][-1])


def test_vec2seq_where_layers_differ_in_width():
    body = Recurrent("lstm", 5, [4, 6], 2, **EXACT)
    model = Vec2Seq(Real(5), body, Linear(6, 5, **EXACT), vector_size=3)
    z = draw(4, 3).requires_grad_()
    state = model.begin(z)
    assert [part.shape for part in state.body.c] == [(1, 4, 4), (1, 4, 6)]
    gradient = torch.autograd.grad(model(z, draw(6, 4, 5)).sum(), model.initial.weight)[0]
    assert gradient.any(-1).all()  # every unit of every field and layer


def test_vec2seq_fills_the_output_alone_where_other_fields_are_no_free_numbers():
    model, z = make_vec2seq("initial", "slstm"), draw(4, 3)
    state, zeros = model.begin(z).body, model.body.initial_state(4)
    assert state.h.all()
    assert all(torch.equal(one, other) for one, other in zip(state[1:], zeros[1:], strict=True))
    assert [part.shape for part in model.begin(z[0]).body] == [(2, 5)] * len(zeros)
    made = model.generate(z, 6, temperature=0).answers
    assert_within_rounding(made, model(z, made).detach())


@pytest.mark.parametrize("feed", ["repeat", "both"])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "batch_first": True}])
def test_vec2seq_that_reads_no_answers(feed, options):
    body = Recurrent("gru", 3, 5, **EXACT, **options)
    model = Vec2Seq(None, body, Linear(body.output_size, 2, **EXACT), vector_size=3, feed=feed, seed=0)
    z = draw(4, 3)
    raw = model(z, steps=6)
    repeated = z.unsqueeze(1).expand(4, 6, 3) if body.batch_first else z.expand(6, 4, 3)
    assert_within_rounding(raw, model.head(body(repeated, model.begin(z).body)[0]))
    target = torch.zeros_like(raw)
    assert model.loss(z, target).item() == pytest.approx((raw**2).mean().item(), rel=1e-12)
    if not body.bidirectional:
        assert_within_rounding(model.generate(z, 6)[0], raw.detach())
        assert_within_rounding(model.generate(z[0], 6)[0], raw[:, 0].detach())


def test_vec2seq_with_a_body_that_is_no_recurrence():
    class Wide(Delay):
        input_size = 8
        output_size = 8

    model = Vec2Seq(Real(5), Wide(), Linear(8, 5, **EXACT), vector_size=3, feed="repeat")
    z = draw(4, 3)
    made = model.generate(z, 6).answers
    assert_within_rounding(made, model(z, made).detach())
    with pytest.raises(ArgumentError, match="Delay has no initial_state"):
        Vec2Seq(Real(5), Delay(), Linear(5, 5, **EXACT), vector_size=3)


@pytest.mark.parametrize("feed", FEEDS)
def test_vec2seq_gradients(feed):
    model = make_vec2seq(feed, "lstm")
    y = draw(3, 2, 5)
    assert torch.autograd.gradcheck(
        lambda z: model.loss(z, y, lengths=[3, 2]), draw(2, 3).requires_grad_(), fast_mode=True
    )
    model.loss(draw(2, 3), y).backward()
    assert all(parameter.grad.any() for parameter in model.parameters())


def test_vec2seq_draws_its_map_from_the_seed():
    one, other = make_vec2seq("initial"), make_vec2seq("initial")
    assert torch.equal(one.initial.weight, other.initial.weight)
    state = Vec2Seq(Real(5), make_body("gru"), Linear(5, 5, **EXACT), vector_size=3, seed=1)
    assert not torch.equal(one.initial.weight, state.initial.weight)


# All of them


def make_all():
    body = Recurrent("lstm", 5, 5, seed=0)
    yield (
        Seq2Vec(Real(5), copy.deepcopy(body), Linear(5, 5, seed=0), pooling="attention", dropout=0.5),
        lambda m, x: m(x),
    )
    yield Seq2Seq(Real(5), copy.deepcopy(body), Linear(5, 5, seed=0), dropout=0.5), lambda m, x: m(x)[0]
    yield (
        Vec2Seq(Real(5), copy.deepcopy(body), Linear(5, 5, seed=0), vector_size=5, dropout=0.5),
        lambda m, x: m(x[0], x),
    )


@pytest.mark.parametrize("place", range(3))
def test_a_model_is_copied_saved_pickled_and_converted(place):
    model, call = list(make_all())[place]
    x = torch.randn(4, 2, 5)
    model.eval()
    expected = call(model, x)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301 - our own
        assert_within_rounding(call(other, x), expected)
    fresh = list(make_all())[place][0].eval()
    for parameter in fresh.parameters():
        nn.init.zeros_(parameter)
    fresh.load_state_dict(model.state_dict(), strict=True)
    assert_within_rounding(call(fresh, x), expected)
    with torch.no_grad():
        assert_within_rounding(call(model, x), expected.detach())
    wide = call(model.double(), x.double())
    assert wide.dtype == torch.float64
    torch.testing.assert_close(wide.float(), expected, rtol=1e-5, atol=1e-6)
    assert not torch.equal(call(model.train(), x.double()), wide)  # dropout


@pytest.mark.parametrize("place", range(3))
def test_one_step_and_one_row(place):
    model, call = list(make_all())[place]
    x = torch.randn(1, 1, 5)
    assert call(model.eval(), x).shape == ((1, 5) if place == 0 else (1, 1, 5))
    assert call(model, x[:, :0]).shape == ((0, 5) if place == 0 else (1, 0, 5))


def test_a_tied_model_trains_one_table():
    table = Embedding(7, 5, seed=0)
    model = Seq2Seq(table, Recurrent("gru", 5, 5, seed=0), Softmax(5, 7, tied=table))
    other = pickle.loads(pickle.dumps(copy.deepcopy(model)))  # noqa: S301 - our own
    assert other.head.tied is other.input
    other.load_state_dict(model.state_dict(), strict=True)
    x, target, _ = shift(codes(6, 4))
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
    before = other.loss(x, target)
    before.backward()
    optimizer.step()
    assert other.loss(x, target) < before


GRU = Recurrent("gru", 5, 4, seed=0)
TEXT = Seq2Seq(Embedding(7, 5), GRU, Softmax(4, 7))
WAVE = Vec2Seq(Real(5), GRU, Linear(4, 5), vector_size=3)
PLAIN = Vec2Seq(None, Recurrent("gru", 3, 4), Linear(4, 1), vector_size=3, feed="repeat")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Seq2Seq(Embedding, GRU, Linear(4, 1)), "input is the class Embedding, not built; expected a module"),
        (
            lambda: Seq2Seq(nn.Embedding(7, 5), GRU, Linear(4, 1)),
            "input is a Embedding of torch; expected a module wi",
        ),
        (
            lambda: Seq2Seq(Real(5), nn.GRU(5, 4), Linear(4, 1)),
            "body is a GRU of torch; expected a module with output_size",
        ),
        (
            lambda: Seq2Seq(Real(5), GRU, nn.Linear(4, 1)),
            "head is a Linear of torch; expected a module with raw_size",
        ),
        (lambda: Seq2Seq(None, GRU, Linear(4, 1)), "input is None; expected a module"),
        (
            lambda: Seq2Seq(Real(2), GRU, Linear(4, 1)),
            "body reads 5 features, input gives 2; build the body with input_",
        ),
        (
            lambda: Seq2Vec(Real(5), GRU, Linear(5, 1)),
            "head reads 5 features, body gives 4; build the head with input_s",
        ),
        (lambda: Seq2Vec(Real(5), GRU, Linear(4, 1), pooling="sum"), "pooling is 'sum'; there are: 'last', 'mean'"),
        (lambda: Seq2Vec(Real(5), GRU, Linear(4, 1), dropout=2), "dropout is 2"),
        (
            lambda: Vec2Seq(Real(5), GRU, Linear(4, 5), vector_size=3, feed="both"),
            "body reads 5 features, input gives 5 and the vector 3; build the body with input_size=8",
        ),
        (
            lambda: Vec2Seq(None, GRU, Linear(4, 5), vector_size=3),
            "feed is 'initial' and input None, which leaves the bo",
        ),
        (lambda: Vec2Seq(Real(5), GRU, Linear(4, 5), vector_size=3, feed="all"), "feed is 'all'; expected 'initial'"),
        (lambda: Vec2Seq(Real(5), GRU, Linear(4, 5), vector_size=0), "vector_size is 0"),
        (
            lambda: Vec2Seq(Real(5), Recurrent("gru", 5, 4, bidirectional=True), Linear(8, 5), vector_size=3),
            "body is bidirectional, and cannot read its own answers",
        ),
        (lambda: TEXT(torch.tensor([[1], [9]])), "x[1, 0] is 9; expected 0 to 6"),
        (lambda: TEXT(torch.ones(2, 1)), "x has dtype torch.float32; expected codes"),
        (lambda: TEXT(codes(3, 2), lengths=[4, 1]), "lengths[0] is 4; expected 0 to 3"),
        (lambda: TEXT(codes(3, 2), State(c=1)), "state is a tuple of c"),
        (lambda: TEXT.step(codes(3, 2, 2)), "x_t has shape (3, 2, 2, 5)"),
        (lambda: TEXT.generate(codes(3, 2), 0), "steps is 0"),
        (lambda: TEXT.generate(codes(3, 2), 2, lengths=[3, 0]), "lengths[1] is 0; a prompt needs one step at least"),
        (lambda: TEXT.generate(codes(3, 2), 2, top_k=8), "top_k is 8, there are 7 classes"),
        (lambda: TEXT.generate(codes(3, 2), 2, top_p=0), "top_p is 0; expected a probability above 0, up to 1, or"),
        (lambda: TEXT.generate(codes(3, 2), 2, seed=-1), "seed is -1"),
        (lambda: TEXT.generate(codes(3, 2), 2, temperature=-1.0), "temperature is -1.0"),
        (
            lambda: Seq2Seq(Real(5), GRU, Linear(4, 2)).generate(torch.zeros(3, 5), 2),
            "head Linear answers with 2 numbers a step, the input Real reads 5; give both as many, or call step",
        ),
        (
            lambda: Seq2Seq(Real(5), GRU, CTC(4, 2)).generate(torch.zeros(3, 1, 5), 2),
            "head CTC answers with whole sequences, which are no next step; call predict",
        ),
        (lambda: shift([1, 2]), "x is list; expected a tensor of two time steps at least on axis 0"),
        (
            lambda: Seq2Vec(Real(5), GRU, Linear(4, 2)).step(torch.zeros(2, 5), torch.zeros(2)),
            "state is Tensor; pass what the call before returned, or omit it",
        ),
        (
            lambda: WAVE.step(None, torch.zeros(2)),
            "state is Tensor; pass what begin(vector) or the step before returned",
        ),
        (lambda: WAVE.generate(torch.zeros(3), 2, top_k=3), "top_k is 3, the head is Linear; it is for a Softmax head"),
        (lambda: WAVE.generate(torch.zeros(3), 2, top_p=0.5), "top_p is 0.5, the head is Linear; it is for a Softmax"),
        (lambda: WAVE.generate(torch.zeros(3), 2, temperature=-1.0), "temperature is -1.0; expected a number of at le"),
        (lambda: WAVE(torch.zeros(2)), "vector has shape (2,); expected (batch, 3), or (3,)"),
        (lambda: WAVE(torch.zeros(3)), "a model with an input takes targets, and no steps; or call generate"),
        (lambda: WAVE(torch.zeros(4, 3), steps=2), "a model with an input takes targets, and no steps"),
        (
            lambda: WAVE(torch.zeros(4, 3).double(), torch.zeros(6, 4, 5).double()),
            "vector has dtype torch.float64, the weights torch.float32; convert one: vector.to(torch.float32)",
        ),
        (
            lambda: PLAIN.generate(torch.zeros(4, 3).double(), 2),
            "vector has dtype torch.float64, the weights torch.float32",
        ),
        (lambda: PLAIN.loss(torch.zeros(4, 3), 3), "targets is int; expected (time, batch) codes or so many numbers"),
        (lambda: PLAIN.loss(3, torch.zeros(6, 4, 1)), "vector is int; expected (batch, 3), or (3,)"),
        (lambda: PLAIN(torch.zeros(4, 3)), "a model without an input takes steps, how many, and no targets"),
        (lambda: PLAIN(torch.zeros(4, 3), steps=0), "steps is 0"),
        (lambda: PLAIN.step(torch.zeros(4, 1), PLAIN.begin(torch.zeros(4, 3))), "previous was passed; a model without"),
        (lambda: WAVE(torch.zeros(4, 3), torch.zeros(6, 2, 5)), "vector has 4 rows, targets 2; pass as many of both"),
        (
            lambda: WAVE(torch.zeros(4, 3), torch.zeros(0, 4, 5)),
            "targets has shape (0, 4, 5); expected (time, batch) co",
        ),
        (lambda: WAVE(torch.zeros(4, 3), [1.0]), "targets is list"),
    ],
)
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert words in str(caught.value)
