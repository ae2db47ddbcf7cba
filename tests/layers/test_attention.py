"""Attention against its equations written out, row by row and step by step; padding, positions and what is refused."""

import copy
import math
import pickle

import pytest
import torch
from torch import nn

from recurra.errors import ArgumentError
from recurra.layers.attention import AdditiveAttention, DotAttention, GeneralAttention
from recurra.layers.local_attention import LocalAttention
from recurra.layers.multihead import MultiHeadAttention
from recurra.testing import assert_within_rounding

KINDS = {
    "dot": lambda **named: DotAttention(4, 4, **named),
    "dot scaled": lambda **named: DotAttention(4, 4, scale=True, **named),
    "general": lambda **named: GeneralAttention(4, 6, **named),
    "general scaled": lambda **named: GeneralAttention(4, 6, scale=True, **named),
    "additive": lambda **named: AdditiveAttention(4, 6, attention_size=5, **named),
    "local": lambda **named: LocalAttention(4, 6, window=2, **named),
    "local dot": lambda **named: LocalAttention(4, 4, window=2, score="dot", scale=True, **named),
    "monotonic": lambda **named: LocalAttention(4, 6, window=1, predictive=False, **named),
    "multihead": lambda **named: MultiHeadAttention(4, 6, num_heads=2, attention_size=10, **named),
    "multihead without bias": lambda **named: MultiHeadAttention(4, 6, num_heads=4, bias=False, **named),
}
LENGTHS = [5, 0, 1, 3]


def build(kind):
    return KINDS[kind](seed=0, dtype=torch.float64)


def draw(attention, queries=3, time=5, batch=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    query = torch.randn(queries, batch, attention.query_size, generator=generator, dtype=torch.float64)
    memory = torch.randn(time, batch, attention.memory_size, generator=generator, dtype=torch.float64)
    return query, memory


def weigh_by_hand(attention, q, rows, number):
    """Weights of one query over the steps of one row; for several heads, of each."""
    if isinstance(attention, LocalAttention):
        scores = torch.stack([score_by_hand(attention.align, q, m) for m in rows])
        last = len(rows) - 1
        center = float(min(number, last))
        if attention.predictive:
            center = last * (attention.place_energy.weight[0] @ torch.tanh(attention.place.weight @ q)).sigmoid()
        window = attention.window
        inside = [s for s in range(len(rows)) if abs(s - center) <= window]
        total = sum(scores[s].exp() for s in inside)
        weights = torch.zeros(len(rows), dtype=q.dtype)
        for s in inside:
            weights[s] = scores[s].exp() / total
            if attention.predictive:
                weights[s] *= math.exp(-((s - center) ** 2) / (2 * (window / 2) ** 2))
        return weights
    return torch.stack([score_by_hand(attention, q, m) for m in rows]).softmax(0)


def score_by_hand(attention, q, m):
    if isinstance(attention, AdditiveAttention):
        return attention.energy.weight[0] @ torch.tanh(attention.query.weight @ q + attention.key.weight @ m)
    key = attention.key.weight @ m if isinstance(attention, GeneralAttention) else m
    return q @ key / (2 if attention.scale else 1)  # the root of 4 features


def attend_by_hand(attention, query, memory, lengths):
    weights = torch.zeros(len(query), len(lengths), len(memory), dtype=query.dtype)
    context = torch.zeros(len(query), len(lengths), memory.shape[2], dtype=query.dtype)
    for row, length in enumerate(lengths):
        for number in range(len(query)) if length else ():
            weights[number, row, :length] = weigh_by_hand(attention, query[number, row], memory[:length, row], number)
            context[number, row] = weights[number, row] @ memory[:, row]
    return context, weights


@pytest.mark.parametrize("lengths", [LENGTHS, None])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if "multihead" not in kind])
@torch.no_grad()
def test_each_kind_computes_its_equations(kind, lengths):
    attention = build(kind)
    query, memory = draw(attention)
    context, weights = attention(3 * query, memory, lengths=lengths)
    expected, expected_weights = attend_by_hand(attention, 3 * query, memory, lengths or [5] * 4)
    assert_within_rounding(weights, expected_weights)
    assert_within_rounding(context, expected)


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("lengths", [[5, 2, 1, 3], None])
def test_several_heads_are_those_of_torch(lengths, need_weights):
    ours = MultiHeadAttention(6, 8, num_heads=3, seed=0, dtype=torch.float64)
    theirs = nn.MultiheadAttention(6, 3, kdim=8, vdim=8, dtype=torch.float64)
    theirs.out_proj = nn.Linear(6, 8, dtype=torch.float64)
    with torch.no_grad():
        for name in ("query", "key", "value"):
            getattr(theirs, f"{name[0]}_proj_weight").copy_(getattr(ours, name).weight)
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
        theirs.out_proj.load_state_dict(ours.output.state_dict())
    query, memory = draw(ours)
    padding = None if lengths is None else torch.arange(5) >= torch.tensor(lengths)[:, None]
    expected, expected_weights = theirs(query, memory, memory, key_padding_mask=padding, need_weights=True)
    context, weights = ours(query, memory, lengths=lengths, need_weights=need_weights)
    assert_within_rounding(context, expected)
    if need_weights:
        assert_within_rounding(weights, expected_weights.transpose(0, 1))
    else:
        assert weights is None


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_padding_may_hold_anything_and_gets_neither_weight_nor_gradient(kind, need_weights):
    attention = build(kind)
    query, memory = draw(attention)
    past = torch.arange(5)[:, None] >= torch.tensor(LENGTHS)
    spoilt = memory.masked_fill(past.unsqueeze(-1), math.nan).requires_grad_()
    query.requires_grad_()
    context, weights = attention(query, spoilt, lengths=LENGTHS, need_weights=need_weights)
    expected, _ = attention(query, memory, lengths=LENGTHS)
    assert_within_rounding(context, expected)
    assert (context[:, 1] == 0).all()  # of a row without steps
    if weights is not None:
        assert (weights[past.T.expand_as(weights)] == 0).all()
    leaves = [query, spoilt, *attention.parameters()]
    gradients = torch.autograd.grad(context.square().sum(), leaves)
    for gradient, reference in zip(gradients, torch.autograd.grad(expected.square().sum(), leaves[:1]), strict=False):
        assert_within_rounding(gradient, reference)
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert (gradients[1][past] == 0).all()
    assert (gradients[1][~past].abs().amax(-1) > 0).double().mean() > 0.6  # a window leaves some out


@pytest.mark.parametrize("kind", KINDS)
def test_a_padded_batch_equals_its_rows_alone(kind):
    attention = build(kind)
    query, memory = draw(attention)
    context, weights = attention(query, memory, lengths=LENGTHS)
    for row, length in enumerate(LENGTHS):
        if length:
            alone, alone_weights = attention(query[:, row : row + 1], memory[:length, row : row + 1])
            assert_within_rounding(context[:, row : row + 1], alone)
            assert_within_rounding(weights[:, row : row + 1, :length], alone_weights)


@pytest.mark.parametrize("kind", KINDS)
def test_query_by_query_equals_all_at_once(kind):
    attention = build(kind)
    query, memory = draw(attention, queries=7)
    context, weights = attention(query, memory, lengths=LENGTHS)
    prepared = attention.prepare(memory, LENGTHS)
    steps = [attention.attend(q_t, prepared, position=t) for t, q_t in enumerate(query)]
    assert_within_rounding(torch.stack([step[0] for step in steps]), context)
    assert_within_rounding(torch.stack([step[1] for step in steps]), weights)
    later, _ = attention.attend(query[4:], prepared, position=torch.full((4,), 4))
    assert_within_rounding(later, context[4:])


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_a_prepared_memory_can_be_picked(kind):
    attention = build(kind)
    query, memory = draw(attention)
    rows = torch.tensor([3, 0, 0])
    picked, weights = attention.attend(query[:, rows], attention.prepare(memory, LENGTHS).select(rows))
    whole, whole_weights = attention(query, memory, lengths=LENGTHS)
    assert_within_rounding(picked, whole[:, rows])
    assert_within_rounding(weights, whole_weights[:, rows])


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_right(kind):
    attention = build(kind)
    query, memory = draw(attention, queries=2, time=3, batch=2)
    names = [name for name, _ in attention.named_parameters()]

    def call(query, memory, *values):
        return torch.func.functional_call(
            attention, dict(zip(names, values, strict=True)), (query, memory), {"lengths": [3, 0]}
        )

    leaves = [leaf.requires_grad_() for leaf in (query, memory)] + list(attention.parameters())
    assert torch.autograd.gradcheck(call, leaves)


def test_a_window_stays_at_the_end_of_a_short_memory_and_holds_what_it_says():
    attention = LocalAttention(2, 2, window=1, predictive=False, score="dot")
    _, weights = attention(torch.zeros(6, 1, 2), torch.ones(4, 1, 2), lengths=[3])
    third = 1 / 3
    expected = torch.tensor([[0.5, 0.5, 0, 0], [third, third, third, 0], *[[0, 0.5, 0.5, 0]] * 4], dtype=weights.dtype)
    assert_within_rounding(weights[:, 0], expected)


def test_one_step_and_one_row():
    attention = GeneralAttention(2, 3, seed=0)
    memory = torch.randn(1, 1, 3)
    context, weights = attention(torch.randn(1, 1, 2), memory)
    assert_within_rounding(context, memory)
    assert weights.tolist() == [[[1.0]]]


def test_a_dot_product_of_wide_vectors_does_not_overflow_the_softmax():
    attention = DotAttention(4, 4)
    context, weights = attention(torch.full((1, 1, 4), 1e4), torch.full((3, 1, 4), 1e4), lengths=[2])
    assert weights[0, 0].tolist() == [0.5, 0.5, 0.0]
    assert context.isfinite().all()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("dot", "dot scaled")])
def test_a_seed_gives_the_same_weights_and_leaves_the_global_generator_alone(kind):
    before = torch.get_rng_state()
    one, other, third = KINDS[kind](seed=5), KINDS[kind](seed=5), KINDS[kind](seed=6)
    assert torch.equal(torch.get_rng_state(), before)
    for name, parameter in one.named_parameters():
        assert torch.equal(parameter, other.get_parameter(name))
        assert not torch.equal(parameter, third.get_parameter(name))
        bound = 1 / math.sqrt(one.get_parameter(name.replace("bias", "weight")).shape[1])
        assert parameter.abs().max() <= bound
    values = [parameter.flatten()[0].item() for parameter in one.parameters()]
    assert len(set(values)) == len(values)  # no two parts draw the same
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.zero_()
    one.reset_parameters()
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_copies_keep_what_they_compute(kind):
    attention = KINDS[kind](seed=0)
    query, memory = (part.float() for part in draw(attention))
    with torch.no_grad():
        expected, _ = attention(query, memory, lengths=LENGTHS)
        loaded = KINDS[kind](seed=1)
        loaded.load_state_dict(attention.state_dict(), strict=True)
        for twin in (copy.deepcopy(attention), pickle.loads(pickle.dumps(attention)), loaded):  # noqa: S301
            assert torch.equal(twin(query, memory, lengths=LENGTHS)[0], expected)
        exact, _ = attention.double()(query.double(), memory.double(), lengths=LENGTHS)
        assert (exact - expected).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: DotAttention(4, 8), r"query_size is 4, memory_size 8; .*use GeneralAttention"),
        (lambda: GeneralAttention(0, 8), "query_size is 0; expected an int of at least 1"),
        (lambda: GeneralAttention(2, 8, scale=1), "scale is 1; expected True or False"),
        (lambda: GeneralAttention(2, 8, seed=-1), "seed is -1"),
        (lambda: AdditiveAttention(2, 8, attention_size=0), "attention_size is 0"),
        (lambda: GeneralAttention(2, 8, dtype=torch.int64), r"dtype is torch.int64"),
        (lambda: DotAttention(8, 8, dtype=torch.int64), r"dtype is torch.int64"),
        (lambda: LocalAttention(2, 8, window=0), "window is 0; expected an int of at least 1"),
        (lambda: LocalAttention(2, 8, window=1, score="genral"), "score is 'genral'; did you mean 'general'"),
        (lambda: MultiHeadAttention(6, 8, num_heads=4), r"num_heads is 4, query_size 6; .*as 8"),
    ],
)
def test_wrong_sizes_are_refused(build, message):
    with pytest.raises(ArgumentError, match=message):
        build()


def test_wrong_calls_are_refused():
    attention, query, memory = GeneralAttention(2, 3), torch.zeros(4, 5, 2), torch.zeros(6, 5, 3)
    with pytest.raises(ArgumentError, match=r"query has shape \(4, 5, 3\) with 3 features, query_size is 2"):
        attention(torch.zeros(4, 5, 3), memory)
    with pytest.raises(ArgumentError, match=r"memory has shape \(6, 3\); expected \(time, batch, memory_size\)"):
        attention(query, memory[:, 0])
    with pytest.raises(ArgumentError, match="query has batch 4, the memory 5"):
        attention(query[:, :4], memory)
    with pytest.raises(ArgumentError, match="memory is list"):
        attention(query, [1.0])
    with pytest.raises(ArgumentError, match=r"query has dtype torch.float64, the memory torch.float32"):
        attention(query.double(), memory)
    with pytest.raises(ArgumentError, match=r"memory has dtype torch.float64, the weights torch.float32; convert one"):
        attention(query, memory.double())
    with pytest.raises(ArgumentError, match=r"lengths\[1\] is 7; expected 0 to 6, the time steps of memory"):
        attention(query, memory, lengths=[1, 7, 1, 1, 1])
    local, memory = LocalAttention(2, 3, window=1, predictive=False), torch.zeros(6, 5, 3)
    for position, came in (
        (torch.tensor([0, 1]), r"\(2,\) of torch.int64"),
        (torch.zeros(5), r"\(5,\) of torch.float32"),
        ("a", "'a'"),
        (-1, "-1"),
    ):
        with pytest.raises(
            ArgumentError, match=rf"position is {came}; expected the queries .* or a tensor \(5,\) of int"
        ):
            local(query, memory, position=position)
