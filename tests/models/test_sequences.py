"""What models of sequences ask of their parts and say of them: directions, heads of whole sequences, explanations."""

import pytest
import torch

from recurra import engine
from recurra.errors import ArgumentError
from recurra.layers import CTC, TCN, Embedding, Linear, Real, Recurrent, Reservoir, Softmax
from recurra.layers.crf import ConditionalRandomField
from recurra.models.seq2seq import Seq2Seq
from recurra.models.seq2vec import Seq2Vec
from recurra.models.vec2seq import Vec2Seq

EXACT = {"seed": 0, "dtype": torch.float64}
LENGTHS = [6, 0, 1, 4]
PLAIN = Recurrent("gru", 5, 4, seed=0)
BOTH = Recurrent("gru", 5, 4, bidirectional=True, seed=0)


def draw(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", [CTC, ConditionalRandomField])
def test_a_head_of_whole_sequences_decides_over_the_steps_that_there_are(kind, batch_first):
    torch.manual_seed(0)
    body = Recurrent("gru", 5, 4, bidirectional=True, batch_first=batch_first, **EXACT)
    model, x = Seq2Seq(Real(5), body, kind(8, 3, batch_first=batch_first, **EXACT)), 3 * draw(6, 4, 5)
    with torch.no_grad():
        model.head.projection.weight.mul_(9)
    spoiled = x.masked_fill((torch.arange(6)[:, None] >= torch.tensor(LENGTHS)).unsqueeze(-1), torch.nan)
    found = model.predict(spoiled.transpose(0, 1) if batch_first else spoiled, lengths=LENGTHS)
    if kind is ConditionalRandomField:
        assert found.shape == ((4, 6) if batch_first else (6, 4))
        rows = found if batch_first else found.T
        assert not rows[torch.arange(6) >= torch.tensor(LENGTHS)[:, None]].any()
        found = [row[:length] for row, length in zip(rows, LENGTHS, strict=True)]
    assert found[1].tolist() == []
    for row, length in enumerate(LENGTHS):
        if length:
            assert found[row].tolist() == model.predict(x[:length, row]).tolist()
    assert sum(map(len, found)) > 4


def test_a_field_of_labels_learns_nothing_from_padding():
    model, lengths = Seq2Seq(Real(5), Recurrent("gru", 5, 4, **EXACT), ConditionalRandomField(4, 3, **EXACT)), [6, 2]
    x, target = draw(6, 2, 5), torch.tensor([[0, 1], [1, 2], [2, 0], [0, 0], [1, 0], [2, 0]])
    alone = [model.loss(x[:length, row], target[:length, row]) * length for row, length in enumerate(lengths)]
    hidden = torch.arange(6)[:, None] >= torch.tensor(lengths)
    given = x.masked_fill(hidden.unsqueeze(-1), torch.nan), target.masked_fill(hidden, -100)
    loss = model.loss(*given, lengths=lengths)
    assert loss.item() == pytest.approx(sum(alone).item() / 8, rel=1e-10)
    loss.backward()
    assert all(one.grad.isfinite().all() and one.grad.any() for one in model.parameters())


def test_a_model_says_what_runs_it():
    with engine("reference"):
        gru = "gru by reference (asked for by name)"
        assert Seq2Seq(Embedding(7, 5), PLAIN, Softmax(4, 7)).explain().splitlines() == [
            "input: Embedding",
            f"body layer 0: {gru}",
            "head: Softmax",
        ]
        said = Seq2Vec(Real(5), BOTH, Linear(8, 1), pooling="attention").explain().splitlines()
        assert said[1].startswith("body layer 0: gru, both directions by reference")
        assert said[2:] == ["pooling: AttentionPooling", "head: Linear"]
        body = Recurrent("gru", 2, 4, 2, seed=0)
        assert Vec2Seq(None, body, Linear(4, 1), vector_size=2, feed="both").explain().splitlines() == [
            "vector: into the first state and every step",
            f"body layer 0: {gru}",
            f"body layer 1: {gru}",
            "head: Linear",
        ]
        assert "body layer 0: leaky" in Seq2Vec(Real(5), Reservoir(5, 20, seed=0), Linear(20, 1)).explain()
    assert "body: TCN by torch" in Seq2Vec(Real(5), TCN(5, 4, 2, seed=0), Linear(4, 1)).explain()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: Seq2Seq(Real(5), BOTH, Linear(8, 1))(torch.zeros(3, 2, 5), BOTH.initial_state(2)),
            "state was passed to a model whose body is bidirectional, so that chunks do not add up to the whole; call",
        ),
        (
            lambda: Seq2Vec(Real(5), BOTH, Linear(8, 1)).read(
                torch.zeros(3, 2, 5), Seq2Vec(Real(5), BOTH, Linear(8, 1)).read(torch.zeros(3, 2, 5))[1]
            ),
            "state was passed to a model whose body is bidirectional",
        ),
        (
            lambda: Seq2Seq(Real(5), PLAIN, CTC(4, 2, batch_first=True)),
            "head CTC has batch_first=True, the body False; build the head with batch_first=False",
        ),
        (
            lambda: Seq2Seq(Real(5), Recurrent("gru", 5, 4, batch_first=True), ConditionalRandomField(4, 2)),
            "head ConditionalRandomField has batch_first=False, the body True; build the head with batch_first=True",
        ),
        (
            lambda: Seq2Vec(Real(5), PLAIN, CTC(4, 2)),
            "head CTC answers whole sequences, Seq2Vec asks for one answer at a time; use another head, or Seq2Seq",
        ),
        (
            lambda: Vec2Seq(Real(5), PLAIN, ConditionalRandomField(4, 2), vector_size=2),
            "head ConditionalRandomField answers whole sequences, Vec2Seq asks for one answer at a time",
        ),
        (
            lambda: Seq2Vec(Real(5), PLAIN, Linear(4, 1, dtype=torch.float64))(torch.zeros(3, 2, 5)),
            "features has dtype torch.float32, the weights torch.float64; convert one: features.to(torch.float64)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert words in str(caught.value)
