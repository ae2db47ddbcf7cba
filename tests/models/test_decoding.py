"""Writing sequences: greedy, drawn and by beam search, against every sequence there is and against distributions."""

import itertools
import math

import pytest
import torch
from torch import nn

from recurra.errors import ArgumentError, DivergedError
from recurra.layers import CTC, Embedding, Linear, MixtureDensity, OneHot, Quantiles, Real, Softmax
from recurra.models.beam import Penalties
from recurra.models.encoder_decoder import EncoderDecoder
from recurra.testing import assert_within_rounding

BEGIN, LENGTHS = 0, [5, 2, 4, 1, 3, 0]


def build(classes=4, attention="general", scale=1.0, seed=0, **named):
    """A model that was never taught, sure enough of itself for sequences of very different probability."""
    generator = torch.Generator().manual_seed(seed)
    source, target, head = Embedding(6, 5), Embedding(classes, 5), nn.Linear(8, classes)
    head.raw_size = classes
    model = EncoderDecoder(
        source, target, head, hidden_size=8, attention=attention, seed=seed, dropout=0.5, **named
    ).double()
    with torch.no_grad():
        for parameter in model.parameters():
            drawn = torch.empty(parameter.shape, dtype=torch.float64).normal_(generator=generator)
            parameter.copy_(scale * drawn)
        head.bias.zero_()
    return model


def draw_source(batch=6, seed=0):
    return torch.randint(6, (5, batch), generator=torch.Generator().manual_seed(seed))


def score(model, source, length, tokens, penalties):
    """s(Y) of one row written out, by teacher forcing."""
    model.eval()
    inputs = torch.tensor([BEGIN, *tokens[:-1]]).unsqueeze(1)
    decoded = model(source.unsqueeze(1), inputs, source_lengths=[length])
    log_p = decoded.raw.log_softmax(-1)[:, 0]
    total = sum(float(log_p[t, token]) for t, token in enumerate(tokens))
    ranked = total / ((5 + len(tokens)) ** penalties.length / 6**penalties.length)
    if penalties.coverage:
        seen = decoded.alignment[:, 0, :length].sum(0)
        ranked += penalties.coverage * sum(math.log(min(max(float(one), 1e-3), 1.0)) for one in seen)
    return ranked


def every_sequence(classes, end, max_length):
    """All that end within max_length."""
    others = [token for token in range(classes) if token != end]
    for inner in range(max_length):
        for tokens in itertools.product(others, repeat=inner):
            yield [*tokens, end]


def cut(found, row, end):
    """The tokens of a row with its end token, if it ended."""
    length, tokens = int(found.lengths[row]), found.answers[:, row].tolist()
    assert all(token == end for token in tokens[length:])
    return tokens[:length] + ([end] if length < len(tokens) and tokens[length] == end else [])


@pytest.mark.parametrize("penalties", [Penalties(0.0, 0.0), Penalties(0.6, 0.0), Penalties(1.0, 0.7)])
@pytest.mark.parametrize("input_feeding", [False, True])
@torch.no_grad()
def test_a_wide_beam_finds_the_best_of_all_sequences(input_feeding, penalties):
    model, source, end, longest = build(3, input_feeding=input_feeding), draw_source(), 2, 4
    found = model.generate(
        source,
        source_lengths=LENGTHS,
        begin=BEGIN,
        end=end,
        max_length=longest,
        method="beam",
        beam_size=31,  # 16 open ones and 15 that ended
        length_penalty=penalties.length,
        coverage_penalty=penalties.coverage,
    )
    winners = []
    for row, length in enumerate(LENGTHS):
        ranked = {
            tuple(tokens): score(model, source[:, row], length, tokens, penalties)
            for tokens in every_sequence(3, end, longest)
        }
        winners.append(max(ranked, key=ranked.get))
        assert cut(found, row, end) == list(winners[-1])
        assert found.scores[row] == pytest.approx(ranked[winners[-1]], rel=1e-12)
    assert len(set(winners)) > 1


@torch.no_grad()
def test_the_length_penalty_decides_between_short_and_long():
    model, source = build(3), draw_source(40)
    lengths = [
        model.generate(
            source, begin=0, end=2, max_length=6, method="beam", beam_size=40, length_penalty=penalty
        ).lengths.double()
        for penalty in (0.0, 1.0, 5.0)
    ]
    assert lengths[0].mean() < lengths[1].mean() < lengths[2].mean()


@pytest.mark.parametrize("attention", ["general", "local", "multihead", None])
@pytest.mark.parametrize("end", [3, None])
@torch.no_grad()
def test_a_beam_of_one_is_greedy(attention, end):
    model, source = build(attention=attention), draw_source(50)
    named = {"begin": BEGIN, "end": end, "max_length": 7}
    greedy = model.generate(source, **named)
    beam = model.generate(source, **named, method="beam", beam_size=1, length_penalty=0.0)
    one_of_one = model.generate(source, **named, method="sample", top_k=1, seed=3)
    for other in (beam, one_of_one):
        assert torch.equal(greedy.answers, other.answers)
        assert torch.equal(greedy.lengths, other.lengths)
        assert_within_rounding(other.scores, greedy.scores)
        if attention is not None:
            assert_within_rounding(other.alignment, greedy.alignment)
    if end is None:
        assert greedy.answers.shape == (7, 50)
        assert (greedy.lengths == 7).all()
    else:
        assert len(set(greedy.lengths.tolist())) > 1
        assert (greedy.answers[-1] != end).any() or len(greedy.answers) < 7


@pytest.mark.parametrize("method", ["greedy", "sample", "beam"])
@torch.no_grad()
def test_scores_and_alignment_are_those_of_teacher_forcing(method):
    model, source, end = build(5), draw_source(), 4
    found = model.generate(source, source_lengths=LENGTHS, begin=BEGIN, end=end, max_length=6, method=method, seed=0)
    penalties = Penalties(0.6 if method == "beam" else 0.0, 0.0)
    for row, length in enumerate(LENGTHS):
        tokens = cut(found, row, end)
        expected = score(model, source[:, row], length, tokens, penalties)
        assert found.scores[row] == pytest.approx(expected, rel=1e-12)
        inputs = torch.tensor([BEGIN, *tokens[:-1]]).unsqueeze(1)
        aligned = model(source[:, [row]], inputs, source_lengths=[length]).alignment
        assert_within_rounding(found.alignment[: len(tokens), [row]], aligned)
        assert (found.alignment[len(tokens) :, row] == 0).all()


@pytest.mark.parametrize("method", ["greedy", "beam"])
@torch.no_grad()
def test_a_batch_writes_what_its_rows_write_alone(method):
    model, source, end = build(), draw_source(), 3
    named = {"begin": BEGIN, "end": end, "max_length": 8, "method": method}
    named |= {"beam_size": 3} if method == "beam" else {}
    found = model.generate(source, source_lengths=LENGTHS, **named)
    for row, length in enumerate(LENGTHS):
        if length:
            alone = model.generate(source[:length, [row]], **named)
            assert cut(found, row, end) == cut(alone, 0, end)
            assert_within_rounding(found.scores[[row]], alone.scores)


@pytest.mark.parametrize("attention", ["general", None])
@torch.no_grad()
def test_rows_whose_search_is_over_cost_no_more_steps(attention):
    model, source = build(5, attention=attention), draw_source(40)
    sizes = []
    model.decoder.head.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    named = {"begin": BEGIN, "end": 4, "max_length": 12, "method": "beam", "beam_size": 3, "length_penalty": 0.0}
    found = model.generate(source, **named)
    assert sizes[0] == 120
    assert 0 < sizes[-1] < 100
    assert all(before >= after for before, after in itertools.pairwise(sizes))
    ends = set(found.lengths.tolist())
    assert len(ends) > 3 and 12 in ends
    for row in range(40):
        alone = model.generate(source[:, [row]], **named)
        assert cut(found, row, 4) == cut(alone, 0, 4)
        assert_within_rounding(found.scores[[row]], alone.scores)
        if attention is not None:
            assert_within_rounding(found.alignment[: len(alone.answers), [row]], alone.alignment)
            assert (found.alignment[len(alone.answers) :, row] == 0).all()
        if found.lengths[row] == 12:
            assert_within_rounding(found.state.recurrent.h[:, [row]], alone.state.recurrent.h)


@torch.no_grad()
def test_a_wider_beam_finds_what_greedy_misses():
    model, source = build(6), draw_source(300)
    named = {"begin": 0, "end": 5, "max_length": 8}
    greedy = model.generate(source, **named)
    beam = model.generate(source, **named, method="beam", beam_size=8, length_penalty=0.0)
    ended = greedy.lengths < 8  # others were cut off, and count only where none ended
    assert ended.sum() > 20
    assert (beam.scores[ended] >= greedy.scores[ended] - 1e-9).double().mean() > 0.95
    assert (beam.scores[ended] > greedy.scores[ended] + 1e-3).any()


@torch.no_grad()
def test_what_is_cut_off_counts_only_where_nothing_ended():
    model = build(3)
    model.decoder.head.bias.copy_(torch.tensor([0.0, 0.0, -1e4]))  # never ends
    found = model.generate(draw_source(), begin=0, end=2, max_length=4, method="beam", beam_size=2)
    assert (found.lengths == 4).all()
    assert found.answers.shape == (4, 6)
    assert (found.answers != 2).all()
    model.decoder.head.bias[2] = 1e4  # ends at once
    found = model.generate(draw_source(), begin=0, end=2, max_length=4, method="beam", beam_size=2)
    assert found.lengths.tolist() == [0] * 6
    assert found.answers.tolist() == [[2] * 6]


@pytest.mark.parametrize("end", [3, None])
@torch.no_grad()
def test_no_temperature_is_greedy_whatever_is_cut_off(end):
    model, source = build(), draw_source(50)
    named = {"begin": BEGIN, "end": end, "max_length": 7}
    greedy = model.generate(source, **named)
    state = torch.get_rng_state()
    for options in (
        {"method": "sample", "temperature": 0},
        {"method": "sample", "temperature": 0.0, "top_k": 2, "top_p": 0.3, "seed": 5},
        {"method": "sample", "temperature": 1e-30, "seed": 5},
        {"method": "greedy", "temperature": 0},
    ):
        found = model.generate(source, **named, **options)
        assert torch.equal(found.answers, greedy.answers)
        assert torch.equal(found.scores, greedy.scores)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(model.generate(source, **named, method="sample", seed=5).answers, greedy.answers)


@torch.no_grad()
def test_a_seed_gives_the_same_draws_and_none_takes_the_global_generator():
    model, source = build(5, scale=0.3), draw_source(30)
    named = {"begin": 0, "end": 4, "max_length": 9, "method": "sample"}
    before = torch.get_rng_state()
    one, two = (model.generate(source, **named, seed=7).answers for _ in range(2))
    assert torch.equal(one, two)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.generate(source, **named, seed=8).answers.tolist() != one.tolist()
    torch.manual_seed(0)
    first = model.generate(source, **named).answers.tolist()
    assert model.generate(source, **named).answers.tolist() != first
    torch.manual_seed(0)
    assert model.generate(source, **named).answers.tolist() == first


def test_it_writes_in_evaluation_mode_and_leaves_every_mode_as_it_was():
    model, source = build(), draw_source()
    model.train()
    model.decoder.attention.eval()
    one, two = (model.generate(source, begin=0, end=3, max_length=5) for _ in range(2))
    assert torch.equal(one.scores, two.scores)  # nothing was dropped
    assert not one.scores.requires_grad
    assert model.training and model.encoder.training and not model.decoder.attention.training
    with pytest.raises(ArgumentError, match=r"source\[0, 0\] is 10\d, one of 30 out of range; expected 0 to 5"):
        model.generate(source + 100, begin=0, end=3, max_length=5)
    assert model.training and not model.decoder.attention.training


@torch.no_grad()
def test_one_row_and_one_token():
    model = build()
    found = model.generate(draw_source(1), begin=0, end=3, max_length=1, method="beam")
    assert found.answers.shape == (1, 1)
    assert found.alignment.shape == (1, 1, 5)


@pytest.mark.parametrize("options", [{}, {"method": "sample", "seed": 1}, {"method": "beam", "beam_size": 3}])
@pytest.mark.parametrize("batch_first", [False, True])
@torch.no_grad()
def test_a_source_without_a_batch_is_written_for_as_a_batch_of_one(batch_first, options):
    model = build(batch_first=batch_first)
    named = {"begin": BEGIN, "end": 3, "max_length": 7, **options}
    for row in range(6):
        source = draw_source()[:, row]
        alone = model.generate(source, **named)
        found = model.generate(source.unsqueeze(1 - batch_first), **named)
        assert torch.equal(alone.answers, found.answers.flatten())
        assert alone.lengths.dim() == alone.scores.dim() == 0
        assert (alone.lengths, alone.scores) == (found.lengths[0], found.scores[0])
        assert torch.equal(alone.alignment, found.alignment.squeeze(1 - batch_first))


@pytest.mark.parametrize("method", ["greedy", "beam"])
@torch.no_grad()
def test_the_state_has_read_all_answers_but_the_last(method):
    model, source = build(input_feeding=True), draw_source()
    found = model.generate(source, begin=BEGIN, end=None, max_length=5, method=method)
    read = torch.cat([torch.full((1, 6), BEGIN), found.answers[:-1]])
    expected = model.eval().decode(read, model.encode(source)).state
    assert_within_rounding(found.state.fed, expected.fed)
    assert_within_rounding(found.state.recurrent.h, expected.recurrent.h)
    assert found.state.position.tolist() == [5] * 6


@pytest.mark.parametrize("options", [{}, {"method": "sample", "seed": 4, "temperature": 0.7, "top_p": 0.9}])
@torch.no_grad()
def test_a_stream_gives_what_is_generated_answer_by_answer(options):
    model, source = build(), draw_source()
    model.train()
    named = {"source_lengths": LENGTHS, "begin": BEGIN, "end": 3, "max_length": 9, **options}
    found = model.generate(source, **named)
    stream, answers, looked = model.stream(source, **named), [], []
    for answer in stream:
        assert model.training and model.encoder.training
        answers.append(answer)
        looked.append(stream.alignment)
    assert torch.equal(torch.stack(answers), found.answers)
    assert torch.equal(torch.stack(looked), found.alignment)
    assert torch.equal(stream.state.recurrent.h, found.state.recurrent.h)
    assert list(stream) == []
    alone = model.stream(source[:, 0], begin=BEGIN, end=3, max_length=9)
    assert [int(code) for code in alone] == model.generate(source[:, 0], begin=0, end=3, max_length=9).answers.tolist()
    assert alone.alignment.shape == (5,)


@torch.no_grad()
def test_a_stream_may_be_without_end():
    stream = build().stream(draw_source(), begin=BEGIN, end=None)
    assert len([next(stream) for _ in range(40)]) == 40
    with pytest.raises(ArgumentError, match="method is 'beam'; there are: 'greedy', 'sample'"):
        build().stream(draw_source(), begin=BEGIN, end=None, method="beam")


HEADS = {
    "linear": lambda: Linear(8, 2, seed=0),
    "quantiles": lambda: Quantiles(8, 2, (0.1, 0.5, 0.9), seed=0),
    "mixture": lambda: MixtureDensity(8, 1, 3, pen=True, seed=0),
}


@pytest.mark.parametrize("head", HEADS)
@torch.no_grad()
def test_numbers_are_written_too(head):
    model = EncoderDecoder(Real(3), Real(2), HEADS[head](), hidden_size=8, seed=0)
    source, begin = torch.randn(5, 4, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0.3, -1.0])
    found = model.generate(source, source_lengths=[5, 0, 2, 3], begin=begin, end=None, max_length=6)
    memory, state, answer, expected = model.encode(source, source_lengths=[5, 0, 2, 3]), None, begin.expand(4, 2), []
    for _ in range(6):
        raw, state, _ = model.step(answer, state, memory)
        answer = model.decoder.head.predict(raw)
        expected.append(answer)
    assert_within_rounding(found.answers, torch.stack(expected))
    assert found.lengths.tolist() == [6] * 4
    assert found.scores is None
    assert found.alignment.shape == (6, 4, 5)
    one, two, other = (
        model.generate(source, begin=begin.expand(4, 2), end=None, max_length=6, method="sample", seed=seed).answers
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, two)
    assert torch.equal(one, other) == (head == "linear")
    best = model.generate(source, begin=begin, end=None, max_length=6, method="sample", temperature=0)
    assert torch.equal(best.answers, model.generate(source, begin=begin, end=None, max_length=6).answers)
    alone = model.generate(source[:, 0], begin=begin, end=None, max_length=6)
    assert_within_rounding(alone.answers, found.answers[:, 0])
    stream = model.stream(source, begin=begin, end=None, max_length=6)
    assert torch.equal(torch.stack(list(stream)), best.answers)


def test_what_a_head_does_not_answer_is_refused():
    numbers = {"begin": torch.zeros(2), "end": None, "max_length": 4}
    model, source = EncoderDecoder(Real(2), Real(2), Linear(8, 2), hidden_size=8), torch.zeros(5, 3, 2)
    for changes, message in (
        ({"begin": 0}, r"begin is 0; expected a tensor of numbers, \(2,\) for all rows, or \(3, 2\)"),
        ({"begin": torch.zeros(3)}, r"begin has shape \(3,\); expected a tensor of numbers, \(2,\)"),
        ({"begin": torch.zeros(2, dtype=torch.int64)}, r"begin has dtype torch.int64; expected floating-point numbers"),
        ({"end": 1}, "end is 1, the head answers with numbers; it is for tokens: pass None"),
        ({"method": "sample", "top_k": 2}, "top_k is 2, the head answers with numbers"),
        ({"method": "beam"}, "method is 'beam', the head answers with numbers; .* 'greedy' or 'sample'"),
    ):
        with pytest.raises(ArgumentError, match=message):
            model.generate(source, **{**numbers, **changes})
    words, tokens = torch.zeros(5, 3, dtype=torch.int64), {"begin": 0, "end": 1, "max_length": 4}
    for target, head, message in (
        (Embedding(9, 4), Linear(8, 2), "head Linear answers with numbers, the target Embedding reads codes"),
        (OneHot(9), Quantiles(8, 2), r"head Quantiles answers with numbers, .* use a Softmax head, or Real\(2\)"),
        (Real(2), Softmax(8, 9), "head Softmax answers with codes, the target Real reads numbers"),
        (Real(3), Linear(8, 2), "head Linear answers with 2 numbers a step, the target Real reads 3"),
    ):
        with pytest.raises(ArgumentError, match=message):
            EncoderDecoder(Embedding(9, 4), target, head, hidden_size=8).generate(words, **tokens)
    with pytest.raises(ArgumentError, match="head CTC answers whole sequences, a decoder step by step"):
        EncoderDecoder(Embedding(9, 4), Embedding(9, 4), CTC(8, 8), hidden_size=8)
    model = EncoderDecoder(Embedding(9, 4), Embedding(9, 4), Softmax(8, 9), hidden_size=8)
    with pytest.raises(ArgumentError, match="begin is 99; expected the int of a token of the target, 0 to 8"):
        model.generate(words, begin=99, end=1, max_length=3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@torch.no_grad()
def test_steps_that_no_token_looked_at_cost_the_same_in_every_type(dtype):
    ranked = Penalties(0.0, 0.5).rank(
        torch.zeros(1, dtype=dtype), torch.ones(1), torch.tensor([0.0, 1e-9, 0.5, 2.0], dtype=dtype), None
    )
    assert ranked.item() == pytest.approx(0.5 * (2 * math.log(1e-3) + math.log(0.5)), rel=1e-6)


@pytest.mark.parametrize("method", ["greedy", "sample", "beam"])
def test_a_diverged_model_writes_nothing(method):
    model = build()
    with torch.no_grad():
        model.decoder.head.weight[2, 0] = math.nan
    with pytest.raises(DivergedError, match="raw outputs hold NaN"):
        model.generate(draw_source(), begin=0, end=3, max_length=5, method=method)


def test_wrong_arguments_are_refused():
    model, source = build(), draw_source()
    usual = {"begin": 0, "end": 3, "max_length": 5}
    for changes, message in (
        ({"begin": -1}, "begin is -1; expected the int of a token of the target"),
        ({"end": 4}, "end is 4; expected the int of a token that the head puts out, 0 to 3, or None"),
        ({"max_length": 0}, "max_length is 0; expected an int of at least 1"),
        ({"method": "beem"}, "method is 'beem'; did you mean 'beam'"),
        ({"method": "sample", "temperature": -1}, "temperature is -1; expected a number of at least 0, 0 for the best"),
        ({"method": "sample", "top_k": 5}, "top_k is 5, there are 4 classes; expected at most so many"),
        ({"method": "beam", "temperature": 0}, "temperature is 0, .* method 'beam', which draws nothing"),
        ({"temperature": 0, "top_p": 0.5}, r"top_p 0\.5 and method 'greedy', which draws nothing"),
        ({"method": "sample", "top_k": 0}, "top_k is 0"),
        ({"method": "sample", "top_p": 0.0}, r"top_p is 0\.0"),
        ({"top_k": 3}, "top_k 3, .* method 'greedy', which draws nothing"),
        ({"method": "beam", "temperature": 2.0}, r"temperature is 2\.0, .* method 'beam'"),
        ({"method": "beam", "beam_size": 0}, "beam_size is 0"),
        ({"beam_size": 3}, "beam_size is 3, .* method 'greedy', which keeps one sequence; leave them out, or use"),
        ({"method": "sample", "length_penalty": 1.0}, r"length_penalty 1\.0, .* method 'sample', which keeps one"),
        ({"begin": 99}, "begin is 99; expected the int of a token of the target, 0 to 3"),
        ({"begin": torch.zeros(2)}, r"begin is tensor.*; expected the int of a token of the target"),
        ({"method": "beam", "length_penalty": -1}, "length_penalty is -1; expected a number of at least 0"),
        ({"method": "beam", "coverage_penalty": "x"}, "coverage_penalty is 'x'"),
        ({"method": "sample", "seed": 0.5}, r"seed is 0\.5"),
        ({"source_lengths": [1, 2]}, r"source_lengths has shape \(2,\), source has batch 6"),
    ):
        with pytest.raises(ArgumentError, match=message):
            model.generate(source, **{**usual, **changes})
    with pytest.raises(ArgumentError, match=r"coverage_penalty is 0\.2 and attention None"):
        build(attention=None).generate(source, **usual, method="beam", coverage_penalty=0.2)
