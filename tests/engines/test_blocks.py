"""The blocked scan: the same as a loop, for any length, direction and matrix; derivatives too."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.engines import blocks
from recurra.engines.blocks import scan, states_before
from recurra.testing import assert_within_rounding

PLACES = {
    "one": ((0, 0),),
    "two apart": ((0, 0), (1, 1)),
    "a triangle": ((0, 0), (1, 0), (1, 1)),
    "full": ((0, 0), (0, 1), (1, 0), (1, 1)),
    "a ring of three": ((1, 0), (2, 1), (0, 2)),
    "nothing": (),
}
FIELDS = {"one": 1, "a ring of three": 3, "nothing": 1}


def draw(*shape, seed):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def loop(matrix, offsets, start, *, reverse):
    time, state = len(offsets[0]), list(start)
    after = [None] * time
    for t in reversed(range(time)) if reverse else range(time):
        before = state
        state = [offset[t] for offset in offsets]
        for (row, column), part in matrix.items():
            state[row] = state[row] + part[t if len(part) > 1 else 0] * before[column]
        after[t] = state
    return [torch.stack(field) for field in zip(*after, strict=True)], state


def differentiated(call, matrix, offsets, start, *, twice):
    """Results and gradients, by one number that depends on all of them; second ones of the gradients likewise."""
    leaves = [*matrix.values(), *offsets, *start]
    states, last = call(matrix, offsets, start)
    loss = sum((part.sin() * part).sum() for part in (*states, *last))
    named = {"allow_unused": True, "materialize_grads": True}
    first = torch.autograd.grad(loss, leaves, create_graph=twice, **named)
    second = torch.autograd.grad(sum(part.square().sum() for part in first), leaves, **named) if twice else ()
    return [*states, *last, *first, *second]


def nudge(matrix, offsets, start, *, seed):
    """The same numbers, each up to a unit in the last place off: what a loop makes of them, rounding explains too.

    Second derivatives by a matrix that is the same at every step are sums that cancel: a unit changes them by far more
    than a unit.
    """
    generator = torch.Generator().manual_seed(seed)

    def near(part):
        off = 2 * torch.rand(part.shape, dtype=part.dtype, generator=generator) - 1
        return (part.detach() * (1 + torch.finfo(part.dtype).eps * off)).requires_grad_()

    return {place: near(part) for place, part in matrix.items()}, [near(o) for o in offsets], [near(s) for s in start]


@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_every_result_and_derivative_is_that_of_a_loop(data):
    kind = data.draw(st.sampled_from(list(PLACES)))
    time = data.draw(st.sampled_from([1, 2, 32, 33, 65, 66, 73, 1200]))
    reverse, seed = data.draw(st.booleans()), data.draw(st.integers(0, 99))
    fields = FIELDS.get(kind, 2)
    constant = [data.draw(st.booleans()) for _ in PLACES[kind]]
    matrix = {
        place: (draw(1 if same else time, 2, 3, seed=seed + i).tanh() / fields).requires_grad_()
        for i, (place, same) in enumerate(zip(PLACES[kind], constant, strict=True))
    }
    offsets = [draw(time, 2, 3, seed=seed + 20 + i).requires_grad_() for i in range(fields)]
    start = [draw(2, 3, seed=seed + 30 + i).requires_grad_() for i in range(fields)]
    twice = time < 70

    def by_loop(*given):
        return differentiated(lambda *given: loop(*given, reverse=reverse), *given, twice=twice)

    expected = by_loop(matrix, offsets, start)
    nudged = by_loop(*nudge(matrix, offsets, start, seed=seed + 40))
    for watched in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(blocks, "is_watched", lambda watched=watched: watched)
            found = differentiated(lambda *given: scan(*given, reverse=reverse), matrix, offsets, start, twice=twice)
        for one, other, near in zip(found, expected, nudged, strict=True):
            if (one - other).abs().max() > (near - other).abs().max():
                assert_within_rounding(one, other, f"{kind}, {time} steps, reverse {reverse}, watched {watched}")


def test_wide_steps_take_no_blocks_and_are_the_same():
    matrix, offsets, start = (
        {(0, 0): draw(60, 70, 60, seed=0).sigmoid()},
        [draw(60, 70, 60, seed=1)],
        [draw(70, 60, seed=2)],
    )
    assert start[0].numel() > blocks._WIDE
    (wide,), (last,) = scan(matrix, offsets, start)
    (narrow,), _ = scan({(0, 0): matrix[0, 0][:, :, :7]}, [offsets[0][:, :, :7]], [start[0][:, :7]])
    assert_within_rounding(wide[:, :, :7], narrow)
    assert torch.equal(last, wide[-1])


@pytest.mark.parametrize("reverse", [False, True])
def test_a_matrix_may_be_0_and_its_product_too_large(reverse):
    """0 cuts; and a state of 0 stays 0 where the product of a block's matrices is no number any more."""
    factors = torch.full((1000, 1), 1e13, dtype=torch.float64)
    factors[[30, 45]] = 0
    offsets = torch.zeros_like(factors)
    offsets[[30, 990]] = 1
    if reverse:
        factors, offsets = factors.flip(0), offsets.flip(0)
    (states,), (last,) = scan({(0, 0): factors}, [offsets], [torch.zeros(1).double()], reverse=reverse)
    states = states.flip(0) if reverse else states
    assert states[[29, 30, 31, 44]].flatten().tolist() == pytest.approx([0, 1, 1e13, 1e182])
    assert states[[45, 46, 989, 990]].flatten().tolist() == [0, 0, 0, 1]
    assert last.item() == pytest.approx(1e117)


def test_a_hundred_thousand_steps_are_as_accurate_as_a_loop():
    matrix, offsets = {(0, 0): 1 - draw(100_000, 3, seed=0).sigmoid() / 1000}, [draw(100_000, 3, seed=1)]
    start = [draw(3, seed=2)]
    (exact,), _ = loop(matrix, offsets, start, reverse=False)
    single = {place: part.float() for place, part in matrix.items()}
    (found,), _ = scan(single, [offsets[0].float()], [start[0].float()])
    (plain,), _ = loop(single, [offsets[0].float()], [start[0].float()], reverse=False)
    assert (found - exact).abs().max() <= 2 * (plain - exact).abs().max()
    assert exact.abs().max() > 10


def test_a_sequence_takes_few_operations_one_after_the_other():
    def count(time):
        matrix, offsets = {(0, 0): torch.rand(time, 4)}, [torch.rand(time, 4)]
        with torch.profiler.profile() as profile:
            scan(matrix, offsets, [torch.zeros(4)])
        return sum(event.name in ("aten::addcmul", "aten::mul") for event in profile.events())

    assert count(33) == 33
    assert count(33**2) <= 150
    assert count(33**3) <= 250
    assert count(10_000) <= 300


def test_the_states_before_are_the_ones_after_moved_by_a_step():
    after, start = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([9.0])
    assert states_before(after, start, reverse=False)[:, 0].tolist() == [9, 1, 2]
    assert states_before(after, start, reverse=True)[:, 0].tolist() == [2, 3, 9]


def test_only_what_is_asked_for_has_a_gradient():
    offsets = [torch.ones(40, 2, requires_grad=True)]
    (states,), (last,) = scan({(0, 0): torch.full((1, 2), 0.5)}, offsets, [torch.zeros(2)])
    last.sum().backward()
    assert offsets[0].grad[-1].tolist() == [1, 1] and offsets[0].grad[-2].tolist() == [0.5, 0.5]
    assert not scan({(0, 0): states.detach()}, [states.detach()], [torch.zeros(2)])[0][0].requires_grad
