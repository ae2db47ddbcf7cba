"""What causal convolutions remember, apart and in common."""

import pytest
import torch

from recurra.layers.pasts import Past, Pasts
from recurra.testing.sampling import draw


@pytest.mark.parametrize("steps", [1, 2, 5, 9])
@pytest.mark.parametrize("own", [0, 1])
def test_inputs_in_common_are_given_to_the_layers(steps, own):
    remembered, begun = (1, 2, 5, 7), 8
    inputs = draw(begun + steps, 4, 3, 2)  # step layer batch feature
    layers = []
    for layer, count in enumerate(remembered):
        past = Past(inputs[begun - own - count : begun - own, layer])
        for x_t in inputs[begun - own : begun, layer]:
            past = past.after(x_t)
        layers.append(past)
    pasts = Pasts(tuple(layers), tuple(inputs[begun:]))
    found = pasts.parted()
    assert found.recent == () and pasts.recent != ()
    for layer, count in enumerate(remembered):
        assert torch.equal(found.layers[layer].block, inputs[-count:, layer])
        assert found.layers[layer].block.is_contiguous()
    assert found.parted() is found


def test_a_past_of_nothing_stays_one():
    past = Past(torch.empty(0, 3, 2)).followed_by(draw(4, 3, 2).float())
    assert past.block.shape == (0, 3, 2)


def test_functions_reach_all_tensors_and_history_is_cut_off():
    part = draw(2, 3, 2).requires_grad_()
    pasts = Pasts((Past(part * 1), Past(part * 2, (part[0] * 3,))), (part * 4,))
    doubled = pasts.map(lambda one: one * 2)
    assert torch.equal(doubled.recent[0], part * 8) and torch.equal(doubled.layers[1].recent[0], part[0] * 6)
    cut = pasts.detach()
    tensors = [*cut.recent, *(one for past in cut.layers for one in (past.block, *past.recent))]
    assert len(tensors) == 4 and not any(one.requires_grad for one in tensors)


def test_gradients_pass_where_pasts_are_parted():
    part = draw(1, 3, 2).requires_grad_()
    block = Pasts((Past(part), Past(part)), (torch.cat([part, part]) * 2,)).parted().layers[1].block
    (gradient,) = torch.autograd.grad(block.sum(), part)
    assert torch.equal(gradient, torch.full_like(part, 2))
