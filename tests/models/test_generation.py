"""Models that go on by themselves, answer by answer: streams against whole answers, and what they cannot read."""

import itertools
import math

import pytest
import torch
from torch import nn

from recurra.errors import ArgumentError, DivergedError
from recurra.layers import CTC, Embedding, Linear, MixtureDensity, OneHot, Quantiles, Real, Recurrent, Sigmoid, Softmax
from recurra.models.generation import Answers
from recurra.models.seq2seq import Seq2Seq
from recurra.models.vec2seq import Vec2Seq
from recurra.testing import assert_within_rounding

EXACT = {"seed": 0, "dtype": torch.float64}
HEADS = {
    "codes": (lambda: Embedding(7, 3, **EXACT), lambda: Softmax(5, 7, **EXACT)),
    "one-hot": (lambda: OneHot(3, dtype=torch.float64), lambda: Softmax(5, 3, **EXACT)),
    "numbers": (lambda: Real(3), lambda: Linear(5, 3, activation="tanh", **EXACT)),
    "quantiles": (lambda: Real(3), lambda: Quantiles(5, 3, (0.1, 0.5, 0.9), **EXACT)),
    "labels": (lambda: Real(3), lambda: Sigmoid(5, 3, **EXACT)),
    "strokes": (lambda: Real(3), lambda: MixtureDensity(5, 2, 4, pen=True, **EXACT)),
}


def build(kind, **options):
    layer, head = HEADS[kind]
    return Seq2Seq(layer(), Recurrent("lstm", 3, 5, 2, **{**EXACT, **options}), head())


def draw_prompt(kind, time=4, batch=6):
    generator = torch.Generator().manual_seed(0)
    if kind in ("codes", "one-hot"):
        return torch.randint(0, 3, (time, batch), generator=generator)
    return torch.randn(time, batch, 3, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("temperature", [0, 0.8])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", HEADS)
def test_a_stream_gives_what_generate_gives(kind, batch_first, temperature):
    model, prompt = build(kind, batch_first=batch_first), draw_prompt(kind)
    given = prompt.transpose(0, 1) if batch_first else prompt
    before = torch.get_rng_state()
    whole, end = model.generate(given, 5, temperature=temperature, seed=3)[:2]
    stream = model.stream(given, 5, temperature=temperature, seed=3)
    answers = list(stream)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(torch.stack(answers, int(batch_first)), whole)
    assert all(torch.equal(one, other) for one, other in zip(stream.state, end, strict=True))
    assert list(stream) == []  # it is over, and stays so
    again = model.generate(given, 5, temperature=temperature, seed=3).answers
    assert torch.equal(again, whole)
    other = model.generate(given, 5, temperature=temperature, seed=4).answers
    assert torch.equal(other, whole) == (temperature == 0 or kind == "numbers")


@pytest.mark.parametrize("kind", HEADS)
@torch.no_grad()
def test_answers_are_the_heads_own_and_are_fed_back(kind):
    model, prompt = build(kind), draw_prompt(kind)
    for temperature in (0, 0.8):
        found = model.generate(prompt, 5, temperature=temperature, seed=3).answers
        generator = torch.Generator().manual_seed(3)
        raw, state = model(prompt)
        raw_t, expected = raw[-1], []
        for _ in range(5):
            answer = model.head.sample(raw_t, temperature=temperature, generator=generator)
            expected.append(answer if temperature else model.head.predict(raw_t))
            raw_t, state = model.step(expected[-1], state)
        assert_within_rounding(found.double(), torch.stack(expected).double())


@pytest.mark.parametrize("kind", HEADS)
def test_a_stream_goes_on_from_its_state(kind):
    model, prompt = build(kind), draw_prompt(kind)
    whole = model.generate(prompt, 6, temperature=0).answers
    stream = model.stream(prompt, temperature=0)  # without end
    first = list(itertools.islice(stream, 4))
    rest = model.generate(first[-1].unsqueeze(0), 2, stream.state, temperature=0).answers
    assert_within_rounding(torch.cat([torch.stack(first), rest]).double(), whole.double())
    assert torch.equal(next(stream), rest[0])
    alone = torch.stack(list(model.stream(prompt[:, 1], 6, temperature=0)))
    assert_within_rounding(alone.double(), whole[:, 1].double())


@pytest.mark.parametrize("feed", ["initial", "repeat", "both"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_vector_streams_too(feed, batch_first):
    body = Recurrent("gru", 3 if feed == "initial" else 5, 5, batch_first=batch_first, **EXACT)
    model = Vec2Seq(Embedding(7, 3, **EXACT), body, Softmax(5, 7, **EXACT), vector_size=2, feed=feed, seed=0)
    vectors = torch.randn(6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    options = {"temperature": 0.9, "top_k": 5, "top_p": 0.9, "seed": 1}
    whole, end = model.generate(vectors, 5, **options)[:2]
    stream = model.stream(vectors, 5, **options)
    assert torch.equal(torch.stack(list(stream), int(batch_first)), whole)
    assert whole.shape == ((6, 5) if batch_first else (5, 6))
    assert torch.equal(stream.state.body.h, end.body.h)
    best = model.generate(vectors, 5, temperature=0).answers
    for cut in ({"top_k": 1}, {"top_p": 1e-3}, {"temperature": 1e-30}):
        assert torch.equal(model.generate(vectors, 5, **cut)[0], best)
    assert not torch.equal(whole, best)


def test_it_answers_in_evaluation_mode_and_leaves_every_mode_as_it_was():
    layer, head = HEADS["codes"]
    body = Recurrent("gru", 3, 5, 2, recurrent_dropout=0.5, dropout=0.5, **EXACT)
    model, prompt = Seq2Seq(layer(), body, head(), dropout=0.5), draw_prompt("codes")
    expected = model.eval().generate(prompt, 5, temperature=0).answers
    model.train()
    model.head.eval()
    answers = []
    for answer in model.stream(prompt, 5, temperature=0):
        assert model.training and model.body.training and not model.head.training
        assert torch.is_grad_enabled()
        answers.append(answer)
    assert torch.equal(torch.stack(answers), expected)
    assert not answers[0].requires_grad


def test_draws_without_a_seed_come_from_the_global_generator():
    model, prompt = build("codes"), draw_prompt("codes", batch=50)
    torch.manual_seed(0)
    first, second = model.generate(prompt, 3)[0], model.generate(prompt, 3)[0]
    torch.manual_seed(0)
    assert torch.equal(model.generate(prompt, 3)[0], first)
    assert not torch.equal(first, second)


def test_a_stream_reads_its_prompt_at_once_and_no_more_than_is_asked_for():
    model, calls = build("numbers"), []
    model.body.step = lambda x_t, state: calls.append(x_t) or Recurrent.step(model.body, x_t, state)
    with pytest.raises(ArgumentError, match="x has shape"):
        model.stream(draw_prompt("numbers")[..., :2], 3)
    stream = model.stream(draw_prompt("numbers"), 3)
    assert calls == []
    first = next(stream)
    assert calls == []
    next(stream)
    assert torch.equal(calls[0], first) and len(calls) == 1


@pytest.mark.parametrize("temperature", [0, 1.0])
@pytest.mark.parametrize("kind", HEADS)
def test_a_diverged_model_answers_nothing(kind, temperature):
    model = build(kind)
    with torch.no_grad():
        model.head.projection.weight[0, 0] = torch.nan
    with pytest.raises(DivergedError, match="raw outputs hold NaN; look for NaN in what it read"):
        model.generate(draw_prompt(kind), 3, temperature=temperature)


class Script(nn.Module):
    """A body that says what to answer: rows of codes, one a step, whatever it reads."""

    input_size, output_size = 3, 5

    def __init__(self, rows):
        super().__init__()
        self.rows = torch.tensor(rows)  # batch time

    def forward(self, x, state=None, *, lengths=None):
        y_t, state = self.step(x[-1], state)
        return torch.cat([torch.zeros_like(y_t).expand(len(x) - 1, *y_t.shape), y_t.unsqueeze(0)]), state

    def step(self, x_t, state=None):
        place = 0 if state is None else state
        return nn.functional.one_hot(self.rows[:, place], 5).float(), place + 1


class Logits(Softmax):
    """Features as they are."""

    def __init__(self):
        super().__init__(5, 5)

    def forward(self, features):
        return features


def test_a_row_ends_with_its_end_and_all_is_over_when_each_has():
    model = Seq2Seq(Embedding(5, 3, seed=0), Script([[1, 4, 2, 2, 2], [4, 1, 1, 1, 1], [1, 2, 3, 4, 1]]), Logits())
    prompt = torch.zeros(2, 3, dtype=torch.int64)
    made = model.generate(prompt, 5, temperature=0, end=4)
    assert made.answers.T.tolist() == [[1, 4, 4, 4], [4, 4, 4, 4], [1, 2, 3, 4]]
    assert made.lengths.tolist() == [1, 0, 3]
    each = -math.log1p(4 * math.exp(-1))
    assert made.scores.tolist() == pytest.approx([2 * each, each, 4 * each], rel=1e-5)
    assert made.alignment is None
    stream = model.stream(prompt, temperature=0, end=4)
    assert torch.equal(torch.stack(list(stream)), made.answers)
    assert stream.lengths.tolist() == [1, 0, 3]
    short = model.generate(prompt, 2, temperature=0, end=4)
    assert (short.answers.T.tolist(), short.lengths.tolist()) == ([[1, 4], [4, 4], [1, 2]], [1, 0, 2])
    endless = model.generate(prompt, 5, temperature=0)
    assert endless.answers.T.tolist() == model.body.rows.tolist()
    assert endless.lengths.tolist() == [5, 5, 5]


def test_what_is_written_has_the_probability_that_the_model_gives_it():
    model, prompt = build("codes"), draw_prompt("codes")
    made = model.generate(prompt, 6, seed=0, end=2)
    raw, _ = model(torch.cat([prompt, made.answers[:-1]]))
    each = raw[len(prompt) - 1 :].log_softmax(-1).gather(-1, made.answers.unsqueeze(-1)).squeeze(-1)
    there = torch.arange(len(each)).unsqueeze(1) <= made.lengths
    assert_within_rounding(made.scores, (each * there).sum(0).detach())
    assert len(set(made.lengths.tolist())) > 2
    assert build("numbers").generate(draw_prompt("numbers"), 2).scores is None


def test_bias_makes_strokes_neater():
    model, prompt = build("strokes"), draw_prompt("strokes", batch=500)
    plain = model.generate(prompt, 1, seed=0, bias=0.0).answers
    assert torch.equal(plain, model.generate(prompt, 1, seed=0).answers)
    mixture = model.head.mixture(model(prompt)[0][-1])
    spread = []
    for bias in (0.0, 3.0):
        drawn = model.generate(prompt, 1, seed=0, bias=bias).answers[0, :, None, :2]
        spread.append((drawn - mixture.means).norm(dim=-1).amin(-1).mean().item())  # to the nearest centre
    assert spread[1] < 0.3 * spread[0]
    assert torch.equal(torch.stack(list(model.stream(prompt, 1, seed=0, bias=3.0)))[0, :, None, :2], drawn)


@pytest.mark.parametrize("feed", ["initial", "repeat", "both"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_vector_goes_on_from_its_state(feed, batch_first):
    body = Recurrent("gru", 3 if feed == "initial" else 5, 5, batch_first=batch_first, **EXACT)
    model = Vec2Seq(Embedding(7, 3, **EXACT), body, Softmax(5, 7, **EXACT), vector_size=2, feed=feed, seed=0)
    vectors = torch.randn(6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    axis = int(batch_first)
    whole = model.generate(vectors, 7, temperature=0).answers
    first = model.generate(vectors, 4, temperature=0)
    last = first.answers.select(axis, -1)
    rest = model.generate(vectors, 3, first.state, previous=last, temperature=0)
    assert torch.equal(torch.cat([first.answers, rest.answers], axis), whole)
    assert torch.equal(
        torch.stack(list(model.stream(vectors, 3, first.state, previous=last, temperature=0)), axis), rest[0]
    )
    alone = model.generate(vectors[2], 4, temperature=0)
    more = model.generate(vectors[2], 3, alone.state, previous=alone.answers[-1], temperature=0).answers
    assert torch.equal(more, whole.select(1 - axis, 2)[4:])
    moved = model.generate(9 * vectors, 3, first.state, previous=last, temperature=0).answers
    assert torch.equal(moved, rest.answers) == (feed == "initial")


def test_a_vector_that_reads_no_answers_goes_on_without_them():
    model = Vec2Seq(None, Recurrent("gru", 2, 5, seed=0), Linear(5, 1, seed=0), vector_size=2, feed="repeat")
    vectors = torch.ones(6, 2)
    first = model.generate(vectors, 4)
    rest = model.generate(vectors, 3, first.state)
    assert_within_rounding(torch.cat([first.answers, rest.answers]), model(vectors, steps=7).detach())
    with pytest.raises(
        ArgumentError, match="previous was passed; expected the last answer where a model with an input"
    ):
        model.generate(vectors, 3, first.state, previous=first.answers[-1])


class Scaled(nn.Module):
    """An input that says nothing of what it reads."""

    output_size = 3

    def forward(self, x):
        if x.shape[-1] != 3:
            raise ArgumentError(f"x has {x.shape[-1]} numbers; expected 3")
        return 0.5 * x


class Point(nn.Module):
    """A head without `sample`."""

    raw_size = 3

    def forward(self, features):
        return features[..., :3]


GRU = Recurrent("gru", 3, 5, seed=0)
BOTH = Recurrent("gru", 3, 5, bidirectional=True, seed=0)
VECTOR = Vec2Seq(Real(3), GRU, Linear(5, 3, seed=0), vector_size=2)
PROMPT, TEXT = torch.zeros(4, 2, 3), torch.zeros(4, 2, dtype=torch.int64)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: Seq2Seq(Embedding(4, 3), GRU, Softmax(5, 6)).generate(TEXT, 1),
            "head Softmax answers with 6 classes, the input Embedding reads codes 0 to 3; give it as many",
        ),
        (
            lambda: Seq2Seq(OneHot(3), GRU, Softmax(5, 4)).generate(TEXT, 1),
            "head Softmax answers with 4 classes, the input OneHot reads codes 0 to 2; give it as many",
        ),
        (
            lambda: Seq2Seq(Real(3), GRU, Softmax(5, 3)).generate(PROMPT, 1),
            "head Softmax answers with codes, the input Real reads numbers; use Embedding or OneHot, or a Linear head",
        ),
        (
            lambda: Seq2Seq(Embedding(4, 3), GRU, Linear(5, 2)).generate(TEXT, 1),
            "head Linear answers with numbers, the input Embedding reads codes; use a Softmax head, or Real(2)",
        ),
        (
            lambda: Seq2Seq(Real(3), GRU, Quantiles(5, 1)).generate(PROMPT, 1),
            "head Quantiles answers with 1 number a step, the input Real reads 3; give both as many, or call step",
        ),
        (
            lambda: Seq2Seq(Real(3), GRU, MixtureDensity(5, 2, 4)).generate(PROMPT, 1),
            "head MixtureDensity answers with 2 numbers a step, the input Real reads 3",
        ),
        (
            lambda: Vec2Seq(Real(3), GRU, Sigmoid(5, 2), vector_size=2).generate(torch.zeros(2), 1),
            "head Sigmoid answers with 2 numbers a step, the input Real reads 3",
        ),
        (
            lambda: Seq2Seq(Embedding(9, 3), GRU, CTC(5, 6)).generate(TEXT, 1),
            "head CTC answers with whole sequences, which are no next step; call predict",
        ),
        (
            lambda: Seq2Seq(Real(3), GRU, Point()).generate(PROMPT, 1),
            "head Point has no sample, and gives no answers to go on with; see Head",
        ),
        (
            lambda: Seq2Seq(Scaled(), GRU, Linear(5, 2)).generate(PROMPT, 2),
            "an answer of Linear could not be read as the next step: x has 2 numbers; expected 3",
        ),
        (
            lambda: Seq2Seq(Real(3), BOTH, Linear(10, 3)).stream(PROMPT),
            "body is bidirectional, and cannot read its own answers; build it in one direction",
        ),
        (lambda: build("numbers").stream(PROMPT.double(), 0), "steps is 0; expected an int of at least 1"),
        (lambda: build("numbers").generate(PROMPT.double(), None), "steps is None; expected an int of at least 1"),
        (lambda: build("strokes").stream(PROMPT.double(), 2, top_k=2), "top_k is 2, the head is MixtureDensity; it is"),
        (
            lambda: build("quantiles").stream(PROMPT.double(), 2, top_p=0.5),
            "top_p is 0.5, the head is Quantiles; it is",
        ),
        (lambda: build("quantiles").stream(PROMPT.double(), 2, temperature=-1), "temperature is -1; expected a number"),
        (lambda: build("codes").stream(TEXT, 2, seed=1.5), "seed is 1.5"),
        (lambda: build("codes").stream(TEXT, 2, end=7), "end is 7; expected a class of the head, 0 to 6, or None"),
        (lambda: build("codes").generate(TEXT, 2, end=True), "end is True; expected a class of the head"),
        (
            lambda: build("numbers").generate(PROMPT.double(), 2, end=0),
            "end is 0, the head is Linear; it is for a Softm",
        ),
        (
            lambda: build("codes").generate(TEXT, 2, bias=1.0),
            "bias is 1.0, the head is Softmax; it is for a MixtureDen",
        ),
        (lambda: build("strokes").generate(PROMPT.double(), 2, bias=-1), "bias is -1; expected a number of at least 0"),
        (
            lambda: VECTOR.generate(torch.zeros(4, 2), 1, VECTOR.begin(torch.zeros(4, 2))),
            "previous is None; expected the last answer where a model with an input goes on from a state, and else",
        ),
        (
            lambda: VECTOR.generate(torch.zeros(4, 2), 1, previous=torch.zeros(4, 3)),
            "previous was passed; expected the last answer",
        ),
        (
            lambda: VECTOR.generate(torch.zeros(4, 2), 1, torch.zeros(4), previous=torch.zeros(4, 3)),
            "state is Tensor; pass what begin(vector) or the step before returned",
        ),
        (
            lambda: VECTOR.generate(torch.zeros(3, 2), 1, VECTOR.begin(torch.zeros(4, 2)), previous=torch.zeros(3, 3)),
            "vector has shape (3, 2), that of the state (4, 2); pass as many rows as it has",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(call, words):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert words in str(caught.value)


def test_a_vector_without_an_input_reads_no_answers_of_any_size():
    body = Recurrent("gru", 2, 5, **EXACT)
    model = Vec2Seq(None, body, Softmax(5, 9, **EXACT), vector_size=2, feed="repeat", seed=0)
    stream = model.stream(torch.ones(6, 2, dtype=torch.float64), 4, temperature=0)
    assert isinstance(stream, Answers)
    raw = model(torch.ones(6, 2, dtype=torch.float64), steps=4)
    assert torch.equal(torch.stack(list(stream)), raw.argmax(-1))
