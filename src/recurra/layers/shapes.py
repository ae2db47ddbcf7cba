"""Checks of what is passed to a recurrent layer: whole sequences and single steps."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from recurra.errors import ArgumentError

__all__ = ["check_sequence", "check_step"]


def check_sequence(
    x: object, *, input_size: int, batch_first: bool, weight: Tensor, space: tuple[str, ...] = (), name: str = "x"
) -> None:
    """Raise ArgumentError unless x is a sequence that the layer takes, in the weights' dtype and on their device.

    space: names of the axes behind the features, () where a step is a vector.
    name: of the argument.
    """
    end = ", ".join(("feature", *space))
    batched = f"(batch, time, {end})" if batch_first else f"(time, batch, {end})"
    if isinstance(x, PackedSequence):
        if x.data.dim() != 2 + len(space):
            raise ArgumentError(f"{name} is packed with steps of shape {tuple(x.data.shape[1:])}; expected ({end})")
        _check_features(x.data, input_size, weight, axis=1, name=name)
        return
    if not isinstance(x, Tensor):
        raise ArgumentError(
            f"{name} is {type(x).__name__}; expected a tensor {batched} or (time, {end}), or packed, or nested"
        )
    rank = 3 + len(space)
    if x.is_nested:
        _check_nested(x, rank, end, name)
        _check_features(x, input_size, weight, axis=2, name=name)
        return
    if x.layout != torch.strided:
        raise ArgumentError(f"{name} has layout {x.layout}; expected a dense tensor: {name}.to_dense()")
    if x.dim() not in (rank - 1, rank):
        raise ArgumentError(f"{name} has shape {tuple(x.shape)}; expected {batched}, or (time, {end}) without a batch")
    _check_features(x, input_size, weight, axis=x.dim() - 1 - len(space), name=name)
    time = x.shape[1 if x.dim() == rank and batch_first else 0]
    if time == 0:
        raise ArgumentError(
            f"{name} has shape {tuple(x.shape)}, no time step; pass one at least, or leave the call out and keep the "
            f"state"
        )


def check_step(x_t: object, *, input_size: int, weight: Tensor, space: tuple[str, ...] = (), name: str = "x_t") -> None:
    """Raise ArgumentError unless x_t is one time step that the layer takes."""
    end = ", ".join(("feature", *space))
    if not isinstance(x_t, Tensor):
        raise ArgumentError(f"{name} is {type(x_t).__name__}; expected a tensor (batch, {end}) or ({end})")
    if x_t.dim() not in (1 + len(space), 2 + len(space)):
        raise ArgumentError(
            f"{name} has shape {tuple(x_t.shape)}; expected one time step, (batch, {end}) or ({end}); "
            f"whole sequences are for a layer's call"
        )
    _check_features(x_t, input_size, weight, axis=x_t.dim() - 1 - len(space), name=name)


def _check_nested(x: Tensor, rank: int, end: str, name: str) -> None:
    if x.dim() != rank:
        raise ArgumentError(f"{name} is a nested tensor with {x.dim()} axes; expected {rank}, its rows (steps, {end})")
    if x.layout == torch.strided and len(shapes := {tuple(row.shape[1:]) for row in x.unbind()}) > 1:
        raise ArgumentError(
            f"{name} is a nested tensor with rows of steps {sorted(shapes)}; expected all alike, ({end})"
        )


def _check_features(x: Tensor, input_size: int, weight: Tensor, *, axis: int, name: str) -> None:
    features = x.size(axis)
    if features != input_size:
        shape = "" if x.is_nested else f"has shape {tuple(x.shape)} with"
        raise ArgumentError(
            f"{name} {shape or 'has'} {features} features, the layer's input_size is {input_size}; "
            f"axis {axis - x.dim()} must be the features"
        )
    if x.device != weight.device:
        raise ArgumentError(
            f"{name} is on {x.device}, the weights on {weight.device}; move one: {name}.to({str(weight.device)!r})"
        )
    # Under autocast the engines' products choose their own type.
    if x.dtype != weight.dtype and not torch.is_autocast_enabled(x.device.type):
        raise ArgumentError(
            f"{name} has dtype {x.dtype}, the weights {weight.dtype}; convert one: {name}.to({weight.dtype})"
        )
