"""Dynamic evaluation: a network that goes on learning from the text that it foretells."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.data.corpus import Codes
from recurra.models import Seq2Seq

__all__ = ["adapted_bits"]

_SMALL = 1e-3  # of the mean: weights that hardly ever have a gradient do not leap at their first
_WARM = 20  # chunks that are only looked at, until the mean squares say something


def adapted_bits(
    network: Seq2Seq, codes: Codes, *, opening: int, chunk: int = 20, rate: float = 5e-4, decay: float = 3e-3
) -> float:
    """-log2 of the probability of a text whose every chunk is learned when it has been foretold.

        theta <- theta - rate g / (r + e),   theta <- theta + decay (theta_0 - theta) r / mean(r)

    g: the gradient of the nats a token of the chunk that was just read. r: the root of the mean of g^2 so far.
    e: a thousandth of its mean. It is a probability as any other: no token is learned before it is foretold. What the
    text repeats and training had not, as names, is met the second time.

    After Krause et al. (2018), "Dynamic evaluation of neural sequence models", whose mean squares are of the text that
    was trained on; here they are of the text itself.

    Args:
        network: as trained; a copy learns.
        codes: (token,). opening: the code that is read before the first.
        chunk: tokens between two updates, through which gradients flow; the state is carried on.
        rate: of learning; 0: the weights stay. decay: how fast they go back to those that were trained.
    """
    learning = copy.deepcopy(network).eval()
    weights = [weight for weight in learning.parameters() if weight.requires_grad]
    trained = [weight.detach().clone() for weight in weights]
    squares = [torch.zeros_like(weight) for weight in weights]
    total, state, before = 0.0, None, opening
    for count, start in enumerate(range(0, len(codes), chunk), 1):
        target = torch.from_numpy(codes[start : start + chunk].astype(np.int64))[:, None]
        x = torch.cat([target.new_tensor([[before]]), target[:-1]])
        raw, state = learning(x, state)
        state, before = state.map(Tensor.detach), int(target[-1])
        nats = F.cross_entropy(raw.flatten(0, 1), target.flatten())
        total += float(nats.detach().double()) * len(target)
        gradients = torch.autograd.grad(nats, weights, allow_unused=True, materialize_grads=True)
        for weight, first, square, gradient in zip(weights, trained, squares, gradients, strict=True):
            square.addcmul_(gradient, gradient)
            if count > _WARM:
                _update(weight, first, gradient, (square / count).sqrt_(), rate=rate, decay=decay)
    return total / float(np.log(2))


@torch.no_grad()
def _update(weight: nn.Parameter, first: Tensor, gradient: Tensor, usual: Tensor, *, rate: float, decay: float) -> None:
    """One step of a weight; usual: the root of its gradient's mean square."""
    mean = usual.mean()
    if not mean > 0:  # of what has had no gradient
        return
    back = (decay * usual / mean).clamp_(max=1.0)
    weight.sub_(rate * gradient / (usual + _SMALL * mean)).add_(back * (first - weight))
