"""The conditional random field equals a sum over all sequences written out, and nothing behind a row's end matters."""

import copy
import itertools
import pickle

import pytest
import torch

from recurra.errors import ArgumentError
from recurra.layers import Embedding, Recurrent, Softmax
from recurra.layers.crf import Allowed, ConditionalRandomField
from recurra.models import Seq2Seq

EXACT = {"seed": 0, "dtype": torch.float64}
LENGTHS = [4, 2, 0, 1, 3]
MASK = torch.arange(4)[:, None] < torch.tensor(LENGTHS)
# Nothing after itself but class 1, class 2 only after 1, no beginning with 2, no end with 0.
CONSTRAINTS = Allowed(
    torch.tensor([[False, True, False], [True, True, True], [True, True, False]]),
    torch.tensor([True, True, False]),
    torch.tensor([False, True, True]),
)


def head_of(constraints=None, *, batch_first=False, dtype=torch.float64):
    """A head over 3 classes with scores that are not the initial zeros."""
    head = ConditionalRandomField(6, 3, batch_first=batch_first, constraints=constraints, **EXACT)
    generator = torch.Generator().manual_seed(1)
    for parameter in (head.transitions, head.starts, head.ends):
        parameter.data.normal_(generator=generator)
    return head.to(dtype)


def raw_of(batch=5):
    return 2 * torch.randn(4, batch, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def all_scores(head, raw, constraints=None):
    """The score of every sequence of one row, raw (time, 3), that is allowed."""
    scores = {}
    for path in itertools.product(range(3), repeat=len(raw)):
        pairs = list(itertools.pairwise(path))
        if constraints is not None and not (
            constraints.starts[path[0]]
            and constraints.ends[path[-1]]
            and all(constraints.transitions[pair] for pair in pairs)
        ):
            continue
        score = head.starts[path[0]] + head.ends[path[-1]] + sum(raw[t, label] for t, label in enumerate(path))
        scores[path] = score + sum(head.transitions[pair] for pair in pairs)
    return scores


def probabilities(head, raw, constraints=None):
    scores = all_scores(head, raw, constraints)
    return dict(zip(scores, torch.stack(list(scores.values())).softmax(0), strict=True))


@pytest.mark.parametrize("constraints", [None, CONSTRAINTS], ids=["free", "constrained"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_the_loss_is_that_of_all_sequences_written_out(constraints, batch_first):
    head, raw = head_of(constraints, batch_first=batch_first), raw_of()
    target = torch.tensor([[1, 0, 7, 1, 0], [2, 1, 7, 7, 1], [0, 7, 7, 7, 2], [1, 7, 7, 7, 7]])
    total = sum(
        -probabilities(head, raw[:length, row], constraints)[tuple(target[:length, row].tolist())].log()
        for row, length in enumerate(LENGTHS)
        if length
    )
    raw[~MASK] = torch.nan
    given = (raw.transpose(0, 1), target.T, MASK.T) if batch_first else (raw, target, MASK)
    assert head.loss(*given).item() == pytest.approx(total.item() / sum(LENGTHS), rel=1e-12)


@pytest.mark.parametrize("constraints", [None, CONSTRAINTS], ids=["free", "constrained"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_the_best_sequence_and_the_marginals_are_those_of_all_written_out(constraints, batch_first):
    head, raw = head_of(constraints, batch_first=batch_first), raw_of()
    best, expected = torch.zeros(4, 5, dtype=torch.int64), torch.zeros(4, 5, 3, dtype=torch.float64)
    for row, length in enumerate(LENGTHS):
        if length:
            each = probabilities(head, raw[:length, row], constraints)
            best[:length, row] = torch.tensor(max(each, key=each.get))
            for path, probability in each.items():
                expected[range(length), row, list(path)] += probability.detach()
    raw[~MASK] = torch.nan
    if batch_first:
        raw, best, expected = (part.transpose(0, 1) for part in (raw, best, expected))
    assert torch.equal(head.predict(raw, lengths=LENGTHS), best)
    torch.testing.assert_close(head.marginals(raw, lengths=LENGTHS), expected, rtol=1e-12, atol=1e-14)
    assert len(best.unique()) > 1


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_sequences_are_drawn_as_often_as_they_are_likely(temperature):
    head, count = head_of(CONSTRAINTS), 20_000
    raw = raw_of(1)[:3]
    scores = all_scores(head, raw[:, 0], CONSTRAINTS)
    expected = (torch.stack(list(scores.values())) / temperature).softmax(0)
    drawn = head.sample(raw.expand(-1, count, -1), temperature=temperature, generator=torch.Generator().manual_seed(0))
    paths, counts = drawn.unique(dim=1, return_counts=True)
    found = {tuple(path.tolist()): number / count for path, number in zip(paths.T, counts, strict=True)}
    assert set(found) <= set(scores)
    for path, probability in zip(scores, expected, strict=True):
        assert found.get(path, 0.0) == pytest.approx(probability.item(), abs=4 * (0.25 / count) ** 0.5)
    assert torch.equal(head.sample(raw, temperature=0), head.predict(raw))


def test_draws_stop_at_a_rows_end_and_are_those_of_the_row_alone():
    head, raw = head_of(), 50 * raw_of()  # so sure that nothing is left to chance
    drawn = head.sample(raw.masked_fill(~MASK.unsqueeze(-1), torch.nan), lengths=LENGTHS)
    for row, length in enumerate(LENGTHS):
        assert not drawn[length:, row].any()
        if length:
            assert torch.equal(drawn[:length, row], head.predict(raw[:length, row]))


def test_gradients_are_right_and_none_comes_from_padding():
    head, target = head_of(CONSTRAINTS), torch.tensor([[1, 0, 0, 1, 0], [2, 1, 0, 0, 1], [0] * 4 + [2], [1] + [0] * 4])
    raw = raw_of().requires_grad_()
    scores = (head.transitions, head.starts, head.ends)
    assert torch.autograd.gradcheck(lambda raw, *_: head.loss(raw, target, MASK), (raw, *scores))
    assert torch.autograd.gradcheck(lambda raw, *_: head.loss(raw, target % 1 + 1), (raw, *scores))
    head.loss(raw, target, MASK).backward()
    assert not raw.grad[~MASK].any()
    assert not head.transitions.grad[~CONSTRAINTS.transitions].any()
    free = raw_of().requires_grad_()
    head_of().loss(free, target, MASK).backward()
    assert not free.grad[~MASK].any()
    assert free.grad[MASK].all()


def test_the_gradient_of_raw_is_what_is_believed_less_what_is_true():
    head, raw, target = head_of(), raw_of().requires_grad_(), torch.randint(3, (4, 5))
    head.loss(raw, target).backward()
    truth = torch.nn.functional.one_hot(target, 3)
    torch.testing.assert_close(raw.grad * 20, head.marginals(raw) - truth, rtol=1e-11, atol=1e-13)


def test_before_training_it_decides_as_softmax():
    head, softmax = ConditionalRandomField(6, 5, **EXACT), Softmax(6, 5, **EXACT)
    features, target = torch.randn(4, 5, 6, dtype=torch.float64), torch.randint(5, (4, 5))
    raw = head(features)
    assert torch.equal(raw, softmax(features))
    assert head.loss(raw, target, MASK).item() == pytest.approx(softmax.loss(raw, target, MASK).item(), rel=1e-12)
    assert torch.equal(head.predict(raw), softmax.predict(raw))
    torch.testing.assert_close(head.marginals(raw), raw.softmax(-1), rtol=1e-12, atol=0)


def test_a_row_without_a_batch_is_a_batch_of_one():
    head, raw, target = head_of(batch_first=True), raw_of(1)[:, 0], torch.tensor([0, 2, 1, 1])
    assert head.loss(raw, target) == head.loss(raw.unsqueeze(0), target.unsqueeze(0))
    assert torch.equal(head.predict(raw), head.predict(raw.unsqueeze(0))[0])
    assert torch.equal(head.marginals(raw, lengths=[3]), head.marginals(raw.unsqueeze(0), lengths=[3])[0])


def test_no_step_at_all_costs_nothing():
    head, raw = head_of(), raw_of(2).requires_grad_()
    nothing = torch.zeros(4, 2, dtype=torch.bool)
    loss = head.loss(raw, torch.zeros(4, 2, dtype=torch.int64), nothing)
    loss.backward()
    assert loss.item() == 0
    assert not raw.grad.any()
    assert not head.marginals(raw, lengths=[0, 0]).any()


def test_long_sure_sequences_do_not_drown_in_their_own_scores_in_float32():
    head = head_of(dtype=torch.float32)
    target = torch.randint(3, (2000, 2), generator=torch.Generator().manual_seed(0))
    raw = 20 * torch.nn.functional.one_hot(target, 3).float() + 100
    loss = head.loss(raw, target).item()
    exact = head_of().loss(raw.double(), target).item()
    assert 0 < exact < 1e-6  # the scores sum to 240,000 a row, to 0.02
    assert loss == pytest.approx(exact, abs=1e-6)


def test_half_precision_is_computed_with_in_float32():
    head, raw = head_of(CONSTRAINTS, dtype=torch.bfloat16), raw_of().bfloat16()
    target = torch.tensor([[1, 0, 0, 1, 0], [2, 1, 1, 1, 1], [0, 0, 2, 2, 2], [1, 1, 1, 1, 1]])
    assert head.loss(raw, target).dtype == torch.float32
    wide = copy.deepcopy(head).float()
    assert head.loss(raw, target).item() == pytest.approx(wide.loss(raw.float(), target).item(), rel=1e-6)
    assert torch.equal(head.predict(raw), wide.predict(raw.float()))


def test_what_is_forbidden_is_never_said_however_sure_the_features_are():
    head = ConditionalRandomField(6, 3, constraints=CONSTRAINTS, **EXACT)
    raw = torch.zeros(6, 1, 3, dtype=torch.float64)
    raw[..., 2] = 1e6
    assert head.predict(raw).flatten().tolist() == [1, 2, 1, 2, 1, 2]
    raw[-1, 0] = torch.tensor([1e9, 0, 0])
    assert head.predict(raw).flatten().tolist()[-1] != 0
    assert head.marginals(raw)[-1, 0, 0] == 0


def test_it_learns_which_label_follows_which():
    """Features that say nothing of the label: only the order is left to learn."""
    head = ConditionalRandomField(1, 3, seed=0)
    target = (torch.arange(12)[:, None] + torch.arange(3)) % 3  # 0 1 2 0 1 2 ...
    optimizer = torch.optim.Adam(head.parameters(), lr=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        loss = head.loss(head(torch.zeros(12, 3, 1)), target)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.12  # log 3 for the first of twelve steps, nothing for the others: 0.092
    raw = head(torch.zeros(12, 1, 1)).detach()
    raw[4, 0, 2] += 5
    assert head.predict(raw).flatten().tolist() == [1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0]


def test_it_is_a_head_of_seq2seq():
    body = Recurrent("gru", 4, 6, bidirectional=True, **EXACT)
    model = Seq2Seq(Embedding(9, 4, **EXACT), body, ConditionalRandomField(12, 3, **EXACT))
    words, tags = torch.randint(9, (4, 5)), torch.randint(3, (4, 5))
    loss = model.loss(words, tags, lengths=LENGTHS)
    loss.backward()
    rows = [model.loss(words[:n, row], tags[:n, row]) * n for row, n in enumerate(LENGTHS) if n]
    assert loss.item() == pytest.approx(sum(rows).item() / sum(LENGTHS), rel=1e-12)
    assert all(parameter.grad is not None for parameter in model.parameters())
    said = model.predict(words, lengths=LENGTHS)
    for row, length in enumerate(LENGTHS):
        assert length == 0 or torch.equal(said[:length, row], model.predict(words[:length, row]))


def test_copies_and_stored_weights_are_the_same_head():
    head, raw = head_of(CONSTRAINTS), raw_of()
    other = ConditionalRandomField(6, 3, constraints=CONSTRAINTS, dtype=torch.float64)
    other.load_state_dict(head.state_dict())
    for twin in (copy.deepcopy(head), pickle.loads(pickle.dumps(head)), other):  # noqa: S301
        assert torch.equal(twin.marginals(raw), head.marginals(raw))
    assert set(head.state_dict()) == {"projection.weight", "projection.bias", "transitions", "starts", "ends"}
    head.reset_parameters()
    assert torch.equal(head.projection.weight, ConditionalRandomField(6, 3, **EXACT).projection.weight)
    assert not head.transitions.any()


RAW = torch.zeros(4, 2, 3)
TARGET = torch.ones(4, 2, dtype=torch.int64)
CONSTRAINED = ConditionalRandomField(2, 3, constraints=CONSTRAINTS)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ConditionalRandomField(2, 0), "num_classes is 0"),
        (lambda: ConditionalRandomField(2, 3, batch_first=1), "batch_first is 1; expected True or False"),
        (
            lambda: ConditionalRandomField(2, 3, constraints=torch.ones(3, 3)),
            "constraints is (3, 3) of torch.float32; expected a boolean tensor (3, 3), True for allowed",
        ),
        (
            lambda: ConditionalRandomField(2, 3, constraints=CONSTRAINTS._replace(ends=torch.ones(2).bool())),
            "constraints.ends is (2,) of torch.bool; expected a boolean tensor (3,)",
        ),
        (lambda: ConditionalRandomField(2, 3, constraints=(1, 2)), "constraints has 2 parts"),
        (
            lambda: ConditionalRandomField(2, 3, constraints=torch.ones(3, 3, dtype=torch.bool).triu(1)),
            "constraints allow no sequence of 4 steps; allow some transition, start or end",
        ),
        (lambda: CONSTRAINED.loss(torch.zeros(3), TARGET), "raw has shape (3,); expected (time, batch, raw_size)"),
        (lambda: CONSTRAINED.loss(RAW[:0], TARGET[:0]), "raw has shape (0, 2, 3); expected (time, batch, raw_size)"),
        (lambda: CONSTRAINED.loss(RAW[..., :2], TARGET), "raw has shape (4, 2, 2); expected (..., 3)"),
        (lambda: CONSTRAINED.loss(RAW, TARGET.T), "target has shape (2, 4); expected (4, 2), one code each"),
        (lambda: CONSTRAINED.loss(RAW, TARGET + 2), "target[0, 0] is 3, one of 8 out of range; expected 0 to 2"),
        (
            lambda: CONSTRAINED.loss(RAW, TARGET, torch.tensor([[1, 1], [0, 1], [1, 1], [1, 1]]).bool()),
            "mask has a step behind a False in row 0",
        ),
        (
            lambda: CONSTRAINED.loss(RAW, torch.tensor([[1, 1], [1, 2], [1, 2], [1, 1]])),
            "target 2 is followed by 2 at step 1 of row 1, which the constraints forbid; mend the labels",
        ),
        (lambda: CONSTRAINED.loss(RAW, TARGET * 0), "target 0 is followed by 0 at step 0 of row 0"),
        (
            lambda: CONSTRAINED.loss(RAW, torch.tensor([[1, 2], [1, 1], [1, 1], [1, 1]])),
            "target 2 begins a sequence at step 0 of row 1",
        ),
        (
            lambda: CONSTRAINED.loss(
                RAW,
                torch.tensor([[1, 1], [1, 0], [1, 0], [1, 0]]),
                torch.tensor([[1, 1], [1, 1], [1, 0], [1, 0]]).bool(),
            ),
            "target 0 ends a sequence at step 1 of row 1",
        ),
        (lambda: CONSTRAINED.predict(RAW, lengths=[5, 1]), "lengths[0] is 5"),
        (lambda: CONSTRAINED.sample(RAW, temperature=-1), "temperature is -1"),
    ],
)
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert words in str(caught.value)
