"""Truncated backpropagation through time: training on sequences longer than memory, a chunk a step."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from recurra.cells import State
from recurra.data.streams import Chunk, SequenceStream
from recurra.errors import ArgumentError, Notice
from recurra.layers.arguments import check_count

__all__ = ["TruncatedLoss"]


class TruncatedLoss:
    """The loss of one chunk after another of a stream, for `train(model, loss, settings)`.

    BPTT(k1, k2) (Williams & Peng 1990; Sutskever 2013): training step k has the loss of the stream's steps

        k * k1, ..., (k + 1) * k1 - 1

    and its gradient goes k2 steps back from the last of them. The model begins these k2 steps in the state, without
    history, that it had come to there in an earlier training step, and runs those before the chunk once more with the
    weights of now. Memory grows with k2, work with k2 / k1, neither with the length of the stream. With k2 as long
    as the stream, gradients are those of full backpropagation.

    The last chunk may be shorter; its gradient goes k2 steps back all the same. After it a new epoch begins, with new
    states. Where a sequence begins within a row, its state begins anew by the model's `resets`, which are passed with
    such a chunk alone.

    model: called as model(x, state) or model(x, state, resets=...), with x (time, batch, ...) and the state that it
        last returned, None at the beginning; returns (y, state), y (time, batch, ...). A `Recurrent` is such a model. A
        state is a tensor, a State, or a tuple of these. Dropouts that are drawn for a whole sequence are drawn for each
        call: once a chunk, and with k2 > k1 once more where the replayed steps end.
    stream: with targets.
    loss: called as loss(y, target) with the steps that the rows have, one after another, (steps, ...) each; returns
        their mean, as torch.nn.functional.mse_loss or cross_entropy do.
    k1: steps of a chunk.
    k2: steps that gradients go back from the end of a chunk, at least k1; None: k1.

    What is carried from chunk to chunk is in `state_dict()`, which the loop's checkpoints hold.

    Raises ArgumentError if an argument does not fit, or what the model or the loss returns; or if training steps are
    not asked for in their order.

    >>> from recurra.data import SequenceStream
    >>> from recurra.nn import Recurrent
    >>> sequence = torch.zeros(1000, 3)
    >>> stream = SequenceStream([sequence], 4, targets=[torch.zeros(1000, 8)])
    >>> loss = TruncatedLoss(Recurrent("gru", 3, 8), stream, nn.functional.mse_loss, k1=100)
    >>> loss.steps_per_epoch
    3
    """

    def __init__(
        self,
        model: nn.Module,
        stream: SequenceStream,
        loss: Callable[[Tensor, Tensor], Tensor],
        *,
        k1: int,
        k2: int | None = None,
    ) -> None:
        k2 = k1 if k2 is None else k2
        check_count("k1", k1)
        check_count("k2", k2)
        if k2 < k1:
            raise ArgumentError(f"k2 is {k2}, k1 is {k1}; gradients go back over the chunk at least: pass k2 >= {k1}")
        if not isinstance(model, nn.Module):
            raise ArgumentError(f"model is {type(model).__name__}; expected a module called as model(x, state)")
        if not isinstance(stream, SequenceStream):
            raise ArgumentError(
                f"stream is {type(stream).__name__}; pass recurra.data.SequenceStream([sequence], batch_size, "
                "targets=[target])"
            )
        if not stream.has_targets:
            raise ArgumentError("the stream has no targets; pass SequenceStream(..., targets=[...]), one a sequence")
        _check_model(model, stream)
        self.model, self.stream, self.loss, self.k1, self.k2 = model, stream, loss, k1, k2
        self._due = 0
        self._carried: dict[str, Tensor] = {}

    @property
    def steps_per_epoch(self) -> int:
        """Training steps in which the stream is passed once."""
        return -(-len(self.stream) // self.k1)

    def __call__(self, step: int) -> Tensor:
        """The mean loss of the chunk of training step `step`, from 0."""
        start = step % self.steps_per_epoch * self.k1
        stop = min(start + self.k1, len(self.stream))
        next_stop = min(stop + self.k1, len(self.stream))
        begin, next_begin = max(0, stop - self.k2), max(0, next_stop - self.k2)
        if begin and step != self._due:
            raise ArgumentError(
                f"training step {step} was asked for, the state carried is that of step {self._due}; call the steps in "
                "their order, or restore the state with load_state_dict"
            )
        steps = self.stream.read(begin, stop).like(next(self.model.parameters()))
        state = _assembled(self._carried) if begin else None
        before, state = self._run(steps.between(0, next_begin - begin), state)
        carried = {} if state is None else _named(state)
        behind, _ = self._run(steps.between(next_begin - begin, stop - begin), state)
        y = torch.cat([*before, *behind])[start - begin :]
        value = self._mean(y, steps.between(start - begin, stop - begin))
        # Copied, so that nothing of the chunk stays alive, and laid out as a restored one is: equal bit for bit.
        copied = {name: part.detach().clone(memory_format=torch.contiguous_format) for name, part in carried.items()}
        self._carried, self._due = copied, step + 1
        return value

    def state_dict(self) -> dict[str, Tensor]:
        """What the next step needs of the steps before: its number, and the state that it begins in."""
        return {"due": torch.tensor(self._due), **self._carried}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on where `state_dict` was called."""
        weight = next(self.model.parameters())
        self._carried = {name: part.to(weight.device) for name, part in state.items() if name != "due"}
        self._due = int(state["due"]) if "due" in state else 0

    def _run(self, chunk: Chunk, state: Any) -> tuple[list[Tensor], Any]:
        """Outputs of the chunk, none if it has no steps, and the state after it."""
        if not len(chunk.x):
            return [], state
        if bool(chunk.resets[0].all()):
            state = None
        anew = chunk.resets if state is not None else chunk.resets[1:]
        result = self.model(chunk.x, state, resets=chunk.resets) if bool(anew.any()) else self.model(chunk.x, state)
        if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[0], Tensor):
            raise ArgumentError(f"the model returned {type(result).__name__}; expected (y, state)")
        y, state = result
        if y.shape[:2] != chunk.x.shape[:2]:
            raise ArgumentError(
                f"the model made y of shape {tuple(y.shape)} from x of shape {tuple(chunk.x.shape)}; expected "
                "(time, batch, ...) of both"
            )
        return [y], state

    def _mean(self, y: Tensor, chunk: Chunk) -> Tensor:
        target, present = chunk.target, chunk.present
        if target is None:
            raise AssertionError("the stream has targets")
        whole = bool(present.all())
        shown, expected = (part.flatten(0, 1) if whole else part[present] for part in (y, target))
        if expected.is_floating_point() and shown.shape != expected.shape and shown.numel() == expected.numel():
            raise ArgumentError(
                f"y has steps of shape {tuple(shown.shape[1:])}, the target {tuple(expected.shape[1:])}; a loss would "
                "spread one over the other: give both the same, as by y.squeeze(-1)"
            )
        value = self.loss(shown, expected)
        if not isinstance(value, Tensor) or value.dim():
            came = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise ArgumentError(f"the loss is {came}; expected one number, the mean over the steps: reduction='mean'")
        return value


def _check_model(model: nn.Module, stream: SequenceStream) -> None:
    misfits = {"batch_first": "chunks are (time, batch, ...)", "bidirectional": "a chunk does not know what follows it"}
    for option, why in misfits.items():
        if getattr(model, option, False):
            raise ArgumentError(f"the model has {option}=True, and {why}; build it with {option}=False")
    for name, module in model.named_modules():
        if name and getattr(module, "bidirectional", False):
            raise ArgumentError(
                f"the model's {name} is bidirectional, and {misfits['bidirectional']}; build it with "
                "bidirectional=False"
            )
        if name and getattr(module, "batch_first", False):
            warnings.warn(
                f"the model's {name} has batch_first=True, and {misfits['batch_first']}: its forward must transpose "
                "what it gives to it",
                Notice,
                stacklevel=3,
            )
    taken = inspect.signature(model.forward).parameters
    if stream.restarts and "resets" not in taken and not any(p.kind is p.VAR_KEYWORD for p in taken.values()):
        raise ArgumentError(
            f"{type(model).__name__} takes no resets, and sequences follow one another on the stream's rows; let its "
            "forward take and pass on resets=..., or use at least as many rows as there are sequences"
        )


def _named(state: Any, path: str = "state") -> dict[str, Tensor]:
    """The tensors of a state by their place in it: state.0:h, state.1:c. A checkpoint does not keep their order."""
    if isinstance(state, Tensor):
        return {path: state}
    fields = state._fields if isinstance(state, State) else [""] * len(state) if type(state) is tuple else ()
    if not fields:
        raise ArgumentError(
            f"the model's {path} is {type(state).__name__}; expected a tensor, a State, or a tuple of these, which "
            "can be carried and restored"
        )
    named: dict[str, Tensor] = {}
    for index, (field, part) in enumerate(zip(fields, state, strict=True)):
        named |= _named(part, f"{path}.{index}:{field}" if field else f"{path}.{index}")
    return named


def _assembled(named: Mapping[str, Tensor], path: str = "state") -> Any:
    """The inverse of `_named`."""
    if path in named:
        return named[path]
    inside = {name[len(path) + 1 :].partition(".")[0] for name in named if name.startswith(f"{path}.")}
    places = sorted(inside, key=lambda place: int(place.partition(":")[0]))
    parts = [_assembled(named, f"{path}.{place}") for place in places]
    fields = [place.partition(":")[2] for place in places]
    return State(**dict(zip(fields, parts, strict=True))) if all(fields) else tuple(parts)
