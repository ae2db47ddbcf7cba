"""What causal convolutions remember: the inputs that steps to come still read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.errors import ArgumentError

__all__ = ["Past", "Pasts", "last_inputs", "read_past"]


class Past(NamedTuple):
    """The last inputs of a causal convolution, as many as it reads beside the present one.

    block: (steps, batch, feature), the oldest first.
    recent: (batch, feature) each: inputs that came after the block's, the oldest first. The last `steps` of both
        together count. Single steps gather here and become the block when there are as many as it holds, so that no
        step copies the block.
    """

    block: Tensor
    recent: tuple[Tensor, ...] = ()

    def joined(self) -> Tensor:
        """The inputs that count, in one tensor (steps, batch, feature).

        >>> torch.stack([*Past(torch.tensor([[1.0], [2.0]])).after(torch.tensor([3.0])).joined()]).flatten()
        tensor([2., 3.])
        """
        if not self.recent:
            return self.block
        return torch.cat([self.block[len(self.recent) :], torch.stack(self.recent)])

    def ago(self, steps: int) -> Tensor:
        """The input of so many steps ago, (batch, feature); 1 is the last."""
        known = len(self.recent)
        return self.recent[-steps] if steps <= known else self.block[known - steps]

    def after(self, x_t: Tensor) -> Past:
        """The past of the next step."""
        recent, steps = (*self.recent, x_t), self.block.shape[0]
        if len(recent) < steps:
            return Past(self.block, recent)
        return Past(torch.stack(recent)) if steps else self

    def followed_by(self, inputs: Tensor) -> Past:
        """The past after some steps, all in its block. inputs: theirs, (steps, batch, feature)."""
        last = inputs[max(0, len(inputs) - len(self.block)) :]
        return Past(torch.cat([self.joined()[len(last) :], last]))

    def map(self, function: Callable[[Tensor], Tensor]) -> Past:
        """A past of function(tensor) for each of its tensors."""
        return Past(function(self.block), tuple([function(x_t) for x_t in self.recent]))

    def detach(self) -> Past:
        """The same values without their history: what truncated backpropagation carries from chunk to chunk."""
        return self.map(torch.Tensor.detach)


class Pasts(NamedTuple):
    """The pasts of a stack of causal convolutions.

    layers: one each, the first first.
    recent: (layer, batch, feature) each: inputs of all layers that came after what `layers` hold, the oldest first.
        Compiled steps of layers of one width gather here, one tensor a step; `parted` gives them to the layers.
    """

    layers: tuple[Past, ...]
    recent: tuple[Tensor, ...] = ()

    def parted(self) -> Pasts:
        """The same inputs, each layer's in its own past, and none common to all.

        >>> start = Past(torch.tensor([[1.0], [2.0]]))
        >>> together = Pasts((start, start), recent=(torch.tensor([[3.0], [4.0]]),))
        >>> [past.block.flatten().tolist() for past in together.parted().layers]
        [[2.0, 3.0], [2.0, 4.0]]
        """
        if not self.recent:
            return self
        inputs = torch.stack(self.recent, 1)  # layer step batch feature
        return Pasts(tuple([past.followed_by(those) for past, those in zip(self.layers, inputs, strict=True)]))

    def map(self, function: Callable[[Tensor], Tensor]) -> Pasts:
        """The pasts of function(tensor) for each of their tensors."""
        layers = tuple([past.map(function) for past in self.layers])
        return Pasts(layers, tuple([function(inputs) for inputs in self.recent]))

    def detach(self) -> Pasts:
        """The same values without their history."""
        return self.map(torch.Tensor.detach)


def last_inputs(full: Tensor, remembered: int, lengths: Tensor | None) -> Past:
    """The past at the end of each row. full: (remembered+time, batch, feature), the past before it in front."""
    if lengths is None:
        return Past(full[len(full) - remembered :].clone())  # a view would keep the whole sequence
    places = torch.arange(remembered, device=full.device)[:, None] + lengths.to(full.device)  # steps batch
    return Past(full.gather(0, places.unsqueeze(2).expand(-1, -1, full.shape[2])))


def read_past(name: str, past: Any, remembered: int, features: int, x: Tensor, batch: tuple[int, ...]) -> Past:
    """The past given, or zeros for None. batch: (rows,), or () without a batch.

    Raises ArgumentError unless it holds what the convolution remembers, in x's dtype and on its device.
    """
    shape = (remembered, *batch, features)
    if past is None:
        return Past(x.new_zeros(shape))
    if not isinstance(past, Past):
        raise ArgumentError(f"{name} is {type(past).__name__}; pass the Past that the last call returned, or omit it")
    if past.block.shape != shape or (past.recent and past.recent[-1].shape != shape[1:]):
        came = past.block if past.block.shape != shape else past.recent[-1]
        part, wanted = ("block", shape) if came is past.block else ("recent[-1]", shape[1:])
        raise ArgumentError(
            f"{name}.{part} has shape {tuple(came.shape)}; expected {wanted}, the last inputs of each row: pass what "
            f"the last call for these rows returned, or omit it"
        )
    if past.block.device != x.device:
        raise ArgumentError(
            f"{name} is on {past.block.device}, x on {x.device}; move one: {name}.map(lambda part: part.to(...))"
        )
    if past.block.dtype != x.dtype and not torch.is_autocast_enabled(x.device.type):
        raise ArgumentError(
            f"{name} has dtype {past.block.dtype}, x {x.dtype}; convert it: {name}.map(lambda part: part.to({x.dtype}))"
        )
    return past
