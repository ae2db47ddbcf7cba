"""Penalties on activations are those of loops written out, and padding is not looked at."""

import pytest
import torch
from torch.nn import functional as F

from recurra.errors import ArgumentError
from recurra.training.regularising import activation_penalty

LENGTHS = [4, 2, 0, 1]
MASK = torch.arange(4)[:, None] < torch.tensor(LENGTHS)


@pytest.mark.parametrize("batch_first", [False, True])
def test_it_is_the_mean_of_squares_and_of_squared_leaps_of_all_rows(batch_first):
    h = torch.randn(4, 4, 3, dtype=torch.float64)
    m = F.dropout(h, 0.5)
    rows = [(h[:length, row], m[:length, row]) for row, length in enumerate(LENGTHS)]
    squares = torch.cat([m_row.flatten() for _, m_row in rows]) ** 2
    leaps = torch.cat([(h_row[1:] - h_row[:-1]).flatten() for h_row, _ in rows if len(h_row)]) ** 2
    assert len(leaps) == 4 * 3
    expected = 2 * squares.mean() + 0.7 * leaps.mean()
    h[~MASK], m[~MASK] = torch.nan, torch.inf
    given = [part.transpose(0, 1) if batch_first else part for part in (h, m, MASK)]
    found = activation_penalty(given[0], given[1], beta=0.7, mask=given[2], batch_first=batch_first)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)


def test_gradients_are_right_and_none_comes_from_padding():
    h = torch.randn(4, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda h: activation_penalty(h, 0.5 * h, mask=MASK), h)
    activation_penalty(h, mask=MASK).backward()
    assert not h.grad[~MASK].any()
    assert h.grad[MASK].all()


def test_without_a_mask_all_steps_count_and_dropped_is_h_itself():
    h = torch.tensor([1.0, 2.0, 4.0]).view(3, 1, 1)
    assert activation_penalty(h, alpha=3, beta=2).item() == pytest.approx(3 * 21 / 3 + 2 * 5 / 2)


def test_one_step_has_no_leap_and_no_step_costs_nothing():
    h = torch.full((1, 2, 3), 2.0, requires_grad=True)
    assert activation_penalty(h).item() == 8.0
    assert activation_penalty(h, mask=torch.tensor([[True, False]])).item() == 8.0
    nothing = activation_penalty(h, mask=torch.zeros(1, 2, dtype=torch.bool))
    nothing.backward()
    assert nothing.item() == 0
    assert not h.grad.any()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda h: activation_penalty(h[0]), "outputs has shape (2, 3); expected (time, batch, hidden)"),
        (lambda h: activation_penalty(h, h[:1]), "dropped has shape (1, 2, 3), outputs (4, 2, 3)"),
        (lambda h: activation_penalty(h, alpha=-1), "alpha is -1; expected a number of at least 0, 0 for none"),
        (lambda h: activation_penalty(h, beta="1"), "beta is '1'"),
        (
            lambda h: activation_penalty(h, mask=torch.ones(2, 4).bool()),
            "mask is (2, 4) of torch.bool; expected a boolean",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(ArgumentError) as caught:
        call(torch.zeros(4, 2, 3))
    assert words in str(caught.value)
