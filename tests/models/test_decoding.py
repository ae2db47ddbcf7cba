"""Writing sequences: greedy, drawn and by beam search, against every sequence there is and against distributions."""

import itertools
import math

import pytest
import torch
from torch import nn

from recurra.errors import ArgumentError, DivergedError
from recurra.models.beam import Penalties
from recurra.models.encoder_decoder import EncoderDecoder
from recurra.models.sampling import draw_tokens, restrict
from recurra.testing import assert_within_rounding

BEGIN, LENGTHS = 0, [5, 2, 4, 1, 3, 0]


def build(classes=4, attention="general", scale=1.0, seed=0, **named):
    """A model that was never taught, sure enough of itself for sequences of very different probability."""
    generator = torch.Generator().manual_seed(seed)
    source, target, head = nn.Embedding(6, 5), nn.Embedding(classes, 5), nn.Linear(8, classes)
    source.output_size = target.output_size = 5
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
        ranked += penalties.coverage * sum(math.log(min(float(one), 1.0)) for one in seen)
    return ranked


def every_sequence(classes, end, max_length):
    """All that end within max_length."""
    others = [token for token in range(classes) if token != end]
    for inner in range(max_length):
        for tokens in itertools.product(others, repeat=inner):
            yield [*tokens, end]


def cut(found, row, end):
    """The tokens of a row with its end token, if it ended."""
    length, tokens = int(found.lengths[row]), found.tokens[:, row].tolist()
    assert all(token == end for token in tokens[length:])
    return tokens[:length] + ([end] if length < len(tokens) and tokens[length] == end else [])


@pytest.mark.parametrize("penalties", [Penalties(0.0, 0.0), Penalties(0.6, 0.0), Penalties(1.0, 0.7)])
@pytest.mark.parametrize("input_feeding", [False, True])
@torch.no_grad()
def test_a_wide_beam_finds_the_best_of_all_sequences(input_feeding, penalties):
    model, source, end, longest = build(3, input_feeding=input_feeding), draw_source(), 2, 4
    found = model.generate(
        source,
        lengths=LENGTHS,
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
        assert torch.equal(greedy.tokens, other.tokens)
        assert torch.equal(greedy.lengths, other.lengths)
        assert_within_rounding(other.scores, greedy.scores)
        if attention is not None:
            assert_within_rounding(other.alignment, greedy.alignment)
    if end is None:
        assert greedy.tokens.shape == (7, 50)
        assert (greedy.lengths == 7).all()
    else:
        assert len(set(greedy.lengths.tolist())) > 1
        assert (greedy.tokens[-1] != end).any() or len(greedy.tokens) < 7


@pytest.mark.parametrize("method", ["greedy", "sample", "beam"])
@torch.no_grad()
def test_scores_and_alignment_are_those_of_teacher_forcing(method):
    model, source, end = build(5), draw_source(), 4
    found = model.generate(source, lengths=LENGTHS, begin=BEGIN, end=end, max_length=6, method=method, seed=0)
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
    named = {"begin": BEGIN, "end": end, "max_length": 8, "method": method, "beam_size": 3}
    found = model.generate(source, lengths=LENGTHS, **named)
    for row, length in enumerate(LENGTHS):
        if length:
            alone = model.generate(source[:length, [row]], **named)
            assert cut(found, row, end) == cut(alone, 0, end)
            assert_within_rounding(found.scores[[row]], alone.scores)


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
    assert found.tokens.shape == (4, 6)
    assert (found.tokens != 2).all()
    model.decoder.head.bias[2] = 1e4  # ends at once
    found = model.generate(draw_source(), begin=0, end=2, max_length=4, method="beam", beam_size=2)
    assert found.lengths.tolist() == [0] * 6
    assert found.tokens.tolist() == [[2] * 6]


def test_draws_follow_the_models_distribution():
    raw = torch.tensor([2.0, 1.0, 0.0, -1.0]).expand(20_000, 4)
    generator = torch.Generator().manual_seed(0)
    for temperature in (0.5, 1.0, 2.0):
        drawn = draw_tokens(raw, temperature=temperature, generator=generator).bincount(minlength=4) / 20_000
        expected = (raw[0] / temperature).softmax(-1)
        error = (expected * (1 - expected) / 20_000).sqrt()  # of one share
        assert ((drawn - expected).abs() < 4 * error).all()


def test_top_k_and_top_p_cut_what_they_say():
    shares = torch.tensor([[0.1, 0.4, 0.2, 0.3], [0.25, 0.25, 0.25, 0.25]])
    raw = shares.log()
    for named, expected in (
        ({"top_k": 2}, [0, 4 / 7, 0, 3 / 7]),
        ({"top_p": 0.39}, [0, 1, 0, 0]),
        ({"top_p": 0.41}, [0, 4 / 7, 0, 3 / 7]),
        ({"top_p": 0.71}, [0, 4 / 9, 2 / 9, 3 / 9]),
        ({"top_p": 1.0}, [0.1, 0.4, 0.2, 0.3]),
        ({"top_k": 3, "top_p": 0.5}, [0, 4 / 7, 0, 3 / 7]),  # of the three, 4/9 and 3/9 reach it
        ({"top_k": 9}, [0.1, 0.4, 0.2, 0.3]),
        ({"temperature": 0.5, "top_k": 2}, [0, 16 / 25, 0, 9 / 25]),
    ):
        found = restrict(raw, **named).softmax(-1)
        torch.testing.assert_close(found[0], torch.tensor(expected, dtype=torch.float32), rtol=0, atol=1e-6)
    ties = restrict(raw, top_k=1).softmax(-1)[1]
    assert ties.tolist() == [1.0, 0.0, 0.0, 0.0]  # one is kept, and the one that is chosen greedily


def test_a_cut_off_token_is_never_drawn():
    raw = torch.randn(500, 30, generator=torch.Generator().manual_seed(0))
    tokens = draw_tokens(raw, top_k=3, generator=torch.Generator().manual_seed(1))
    assert (raw.topk(3).indices == tokens[:, None]).any(1).all()
    assert (tokens != raw.argmax(-1)).any()


@torch.no_grad()
def test_a_seed_gives_the_same_draws_and_none_takes_the_global_generator():
    model, source = build(5, scale=0.3), draw_source(30)
    named = {"begin": 0, "end": 4, "max_length": 9, "method": "sample"}
    before = torch.get_rng_state()
    one, two = (model.generate(source, **named, seed=7).tokens for _ in range(2))
    assert torch.equal(one, two)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.generate(source, **named, seed=8).tokens.tolist() != one.tolist()
    torch.manual_seed(0)
    first = model.generate(source, **named).tokens.tolist()
    assert model.generate(source, **named).tokens.tolist() != first
    torch.manual_seed(0)
    assert model.generate(source, **named).tokens.tolist() == first


def test_it_writes_in_evaluation_mode_and_leaves_every_mode_as_it_was():
    model, source = build(), draw_source()
    model.train()
    model.decoder.attention.eval()
    one, two = (model.generate(source, begin=0, end=3, max_length=5) for _ in range(2))
    assert torch.equal(one.scores, two.scores)  # nothing was dropped
    assert not one.scores.requires_grad
    assert model.training and model.encoder.training and not model.decoder.attention.training
    with pytest.raises(IndexError):
        model.generate(source + 100, begin=0, end=3, max_length=5)
    assert model.training and not model.decoder.attention.training


@torch.no_grad()
def test_one_row_one_token_and_no_rows():
    model = build()
    found = model.generate(draw_source(1), begin=0, end=3, max_length=1, method="beam")
    assert found.tokens.shape == (1, 1)
    assert found.alignment.shape == (1, 1, 5)


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
        ({"method": "sample", "temperature": 0}, "temperature is 0; expected a number above 0; .*'greedy'"),
        ({"method": "sample", "top_k": 0}, "top_k is 0"),
        ({"method": "sample", "top_p": 0.0}, r"top_p is 0\.0"),
        ({"top_k": 3}, "top_k 3, .* method 'greedy', which draws nothing"),
        ({"method": "beam", "temperature": 2.0}, r"temperature is 2\.0, .* method 'beam'"),
        ({"method": "beam", "beam_size": 0}, "beam_size is 0"),
        ({"method": "beam", "length_penalty": -1}, "length_penalty is -1; expected a number of at least 0"),
        ({"method": "beam", "coverage_penalty": "x"}, "coverage_penalty is 'x'"),
        ({"method": "sample", "seed": 0.5}, r"seed is 0\.5"),
        ({"lengths": [1, 2]}, r"source_lengths has shape \(2,\), source has batch 6"),
    ):
        with pytest.raises(ArgumentError, match=message):
            model.generate(source, **{**usual, **changes})
    with pytest.raises(ArgumentError, match=r"coverage_penalty is 0\.2 and attention None"):
        build(attention=None).generate(source, **usual, method="beam", coverage_penalty=0.2)
