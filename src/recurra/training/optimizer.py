"""The optimizer that settings name."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from recurra.training.settings import TrainingSettings

__all__ = ["make_optimizer"]


def make_optimizer(parameters: Iterable[nn.Parameter], settings: TrainingSettings) -> torch.optim.Optimizer:
    """Adam (Kingma & Ba 2015), AdamW (Loshchilov & Hutter 2019), RMSprop (Tieleman & Hinton 2012), or SGD, with
    Nesterov's momentum (Sutskever et al. 2013) or, for "asgd", without any.

    Where torch has a fused step it is taken: one pass over weights, gradients and averages, several times as fast as
    one operation after another, which with small batches takes as long as the recurrence itself. It has none for
    RMSprop, for complex weights, and for other devices than CPUs and CUDA's.
    """
    chosen = list(parameters)
    fused = all(each.is_floating_point() and each.device.type in ("cpu", "cuda") for each in chosen)
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "adam":
        return torch.optim.Adam(chosen, lr=rate, weight_decay=decay, fused=fused)
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(chosen, lr=rate, weight_decay=decay, fused=fused)
    if settings.optimizer == "rmsprop":
        return torch.optim.RMSprop(chosen, lr=rate, weight_decay=decay)
    momentum = settings.momentum if settings.optimizer == "sgd" else 0.0
    return torch.optim.SGD(chosen, lr=rate, weight_decay=decay, momentum=momentum, nesterov=momentum > 0, fused=fused)
