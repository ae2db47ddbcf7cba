"""Labels without their times: rows without labels, half precision, and targets that are no targets."""

import pytest
import torch

from recurra.errors import ArgumentError
from recurra.layers.ctc import CTC
from recurra.testing import assert_within_rounding


def draw(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("target", [torch.zeros(2, 0, dtype=torch.int64), torch.zeros(2, 3, dtype=torch.int64)])
def test_a_batch_without_labels_is_one_of_blanks(target):
    raw = draw(5, 2, 4).requires_grad_()
    loss = CTC(2, 3).loss(raw, target)
    assert_within_rounding(loss, -raw.log_softmax(-1)[..., 0].sum(0).mean())
    loss.backward()
    assert (raw.grad[..., 0] < 0).all()


def test_no_step_and_no_row_lose_nothing():
    head, none = CTC(2, 3), torch.zeros(2, 1, dtype=torch.int64)
    assert head.loss(draw(0, 2, 4), none).item() == 0
    assert head.loss(draw(5, 0, 4), none[:0]).item() == 0
    with pytest.raises(ArgumentError, match="row 0 has 0 steps, its target of 1 labels needs 1"):
        head.loss(draw(0, 2, 4), none + 1)


def test_half_precision_is_computed_with_in_float():
    raw, target = draw(5, 2, 4).bfloat16().requires_grad_(), torch.tensor([[1, 2], [3, 0]])
    loss = CTC(2, 3).loss(raw, target)
    assert loss.item() == pytest.approx(CTC(2, 3).loss(raw.double(), target).item(), rel=1e-6)
    loss.backward()
    assert raw.grad.dtype == torch.bfloat16


def test_what_stands_behind_given_lengths_does_not_matter():
    head, raw = CTC(2, 3), draw(5, 2, 4)
    given = head.loss(raw, torch.tensor([[1, 2, -9], [3, 0, 77]]), target_lengths=[2, 1])
    assert_within_rounding(given, head.loss(raw, torch.tensor([[1, 2, 0], [3, 0, 0]])))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: CTC(2, 3).loss(draw(5, 2, 4), torch.tensor([[1, 2, 0], [0, 1, 2]])),
            "target[1, 1] is 1, behind a 0; 0 is the blank and pads a row's end, labels begin at 1: add 1 to labels",
        ),
        (
            lambda: CTC(2, 3).loss(draw(5, 1, 4), torch.tensor([[0, 1, 2]]), target_lengths=[3]),
            "target[0, 0] is 0; expected 1 to 3; 0 is the blank, labels begin at 1",
        ),
        (
            lambda: CTC(2, 3).loss(draw(5, 1, 4), torch.tensor([[1, 2, -1]])),
            "target[0, 2] is -1; expected 1 to 3; 0 is the blank, labels begin at 1, and target_lengths tells what",
        ),
        (lambda: CTC(2, 3, batch_first=1), "batch_first is 1; expected True or False"),
    ],
)
def test_what_is_no_target_is_refused(call, words):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert words in str(caught.value)
