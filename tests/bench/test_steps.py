"""What is timed of a layer."""

import pytest
import torch

from recurra.bench.sizes import Size
from recurra.bench.steps import beside, check_same, draw, forward_pass, training_step
from recurra.bench.timing import Pace
from recurra.bench.training import build
from recurra.errors import RecurraError

SIZE = Size(4, 3, 2, 5)


def test_what_is_drawn_has_the_size_and_is_the_same_again():
    x, dy = draw(SIZE)
    assert (x.shape, dy.shape) == ((4, 3, 2), (4, 3, 5))
    assert torch.equal(draw(SIZE)[0], x)


def test_a_training_step_does_not_add_to_the_gradient_of_the_one_before():
    layer, (x, dy) = build("GRU", SIZE), draw(SIZE)
    step = training_step(layer, x, dy)
    step()
    once = layer.weight_hh_l0.grad.clone()
    step()
    assert torch.equal(layer.weight_hh_l0.grad, once)
    assert once.abs().max() > 0.1


def test_a_forward_pass_keeps_nothing_for_a_backward_pass():
    assert forward_pass(build("GRU", SIZE), draw(SIZE)[0])().requires_grad is False


def test_the_first_function_is_set_against_each_of_the_others():
    layer = build("GRU", SIZE)
    records = beside("GRU", layer, SIZE, dict.fromkeys(("ours", "a", "b"), int), 1, Pace(0.0, 2, 2))
    assert [(one.subject, one.peer, one.threads) for one in records] == [("GRU", "a", 1), ("GRU", "b", 1)]
    assert records[0].ours == records[1].ours
    assert records[0].explained == layer.explain()


def test_peers_that_compute_something_else_are_not_timed():
    y = torch.ones(3)
    check_same("GRU", "peer", {"y": y}, {"y": y + 1e-6})
    with pytest.raises(RecurraError, match=r"GRU and peer do not compute the same: y differs by 0\.1"):
        check_same("GRU", "peer", {"y": y}, {"y": y + 0.1})
    with pytest.raises(RecurraError, match="y differs by nan"):
        check_same("GRU", "peer", {"y": y * torch.nan}, {"y": y})
