"""The training loop: one step after another, stoppable and resumable at each, bit for bit.

What makes a resumed run equal an uninterrupted one: the batch of step k is a function of (seed, k); everything else
that a step reads or writes (weights, optimizer, averages, random state, counters, what the loss carries) is in the
checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from recurra.errors import ArgumentError, DivergedError, Interrupted, RecurraError
from recurra.training.optimizer import make_optimizer
from recurra.training.run import Checkpoint, Stage
from recurra.training.settings import TrainingSettings, learning_rate
from recurra.training.signals import Stop, stopping_on_signals

__all__ = ["Carrying", "Outcome", "StepRecord", "learning_rate", "train"]

_COUNTERS = ("step", "best_step", "stale", "plateaus", "averaged", "done")


@runtime_checkable
class Carrying(Protocol):
    """A loss that hands something on from step to step, as the state of a recurrence; checkpoints hold it."""

    def __call__(self, step: int, /) -> Tensor:
        """The loss of a step."""

    def state_dict(self) -> dict[str, Tensor]:
        """What the next step needs of those before."""

    def load_state_dict(self, state: Mapping[str, Tensor], /) -> object:
        """Take it up again; an empty one: as before the first step."""


class StepRecord(NamedTuple):
    """What happened in one step; `validation` is None where none was made."""

    step: int
    loss: float
    learning_rate: float
    gradient_norm: float
    """Before clipping."""
    validation: float | None


class Outcome(NamedTuple):
    """How a training ended."""

    steps: int
    """Steps made."""
    best_step: int
    """The step whose weights were kept."""
    best_score: float
    """Its validation; NaN without validation."""


def train(
    module: nn.Module,
    loss: Callable[[int], Tensor],
    settings: TrainingSettings,
    *,
    validate: Callable[[], float] | None = None,
    stage: Stage | None = None,
    on_step: Callable[[StepRecord], None] | None = None,
) -> Outcome:
    """Minimise `loss` over the weights of `module`, in place.

    Args:
        module: left with the best weights by `validate`, or the last ones without it.
        loss: the scalar loss of step k's batch, k from 0; must depend on nothing but k, the weights, torch's random
            state and, if it is `Carrying`, what it carries.
        settings: steps, optimizer, schedule, clipping, stopping.
        validate: a score, lower is better, of the module as it stands (in evaluation mode, without gradients).
        stage: where to keep checkpoints and metrics; a stage with a checkpoint is continued from it.
        on_step: called after every step.

    Raises:
        ArgumentError: no weight of the module got a gradient, or settings that go by validations came without any.
        DivergedError: the loss or the gradients are not finite; the last finite weights are kept.
        Interrupted: SIGINT or SIGTERM came; the state is saved.
    """
    with torch.random.fork_rng(devices=[]), _multiplying_in(settings.precision), stopping_on_signals() as stop:
        torch.manual_seed(settings.seed)
        loop = _Loop(module, loss, settings, validate, stage)
        try:
            return loop.run(stop, on_step)
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "alloc" not in str(error):
                raise
            raise RecurraError(
                f"out of memory at step {loop.step}; lower the batch size (now {settings.batch_size}) or the hidden "
                "size; a run with a folder can be resumed"
            ) from error


class _Loop:
    def __init__(
        self,
        module: nn.Module,
        loss: Callable[[int], Tensor],
        settings: TrainingSettings,
        validate: Callable[[], float] | None,
        stage: Stage | None,
    ) -> None:
        self.module, self.loss, self.settings, self.validate, self.stage = module, loss, settings, validate, stage
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(self.parameters, settings)
        for name in ("asgd", "plateau"):
            if validate is None and name in (settings.optimizer, settings.schedule):
                raise ArgumentError(
                    f"{name!r} goes by validations, and there are none; pass validate, or choose another"
                )
        self.average = _weights(module) if settings.averaging else None
        self.best: dict[str, Tensor] | None = None
        self.carried: dict[str, Tensor] = {}  # after the last step that was made, for a diverging one carries on too
        self.step = self.best_step = self.stale = self.plateaus = self.averaged = 0
        self.best_score = math.inf
        self.done = False

    def run(self, stop: Stop, on_step: Callable[[StepRecord], None] | None) -> Outcome:
        self._restore()
        while not self.done:
            record = self._advance()
            self.done = self.step >= self.settings.steps or self._out_of_patience()
            if self.stage:
                self.stage.log({**record._asdict(), "step": self.step})
            if on_step:
                on_step(record)
            if self.stage and (self.done or stop.signal_number or self.step % self.settings.checkpoint_every == 0):
                self.stage.save(self._checkpoint())
            if stop.signal_number:
                where = f"; `recurra resume {self.stage.folder.parents[1]}` goes on" if self.stage else ""
                raise Interrupted(f"stopped after step {self.step}{where}", stop.signal_number)
        kept = self.best or self.average
        if kept:
            self.module.load_state_dict(kept)
        self.module.eval()
        best_step = self.best_step if self.validate else self.step
        return Outcome(self.step, best_step, self.best_score if self.validate else math.nan)

    def _advance(self) -> StepRecord:
        self.module.train()
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.step)
        loss.backward()
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        if not gradients:
            raise ArgumentError(
                "no weight of the module got a gradient from the loss; pass the module that the loss runs"
            )
        norm = torch.nn.utils.get_total_norm(gradients)
        value, size = loss.item(), norm.item()
        if not (math.isfinite(value) and math.isfinite(size)):
            self._diverged(value, size)
        if self.settings.clip_norm:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.settings.clip_norm, norm)
        if self.settings.clip_value:
            torch.nn.utils.clip_grad_value_(self.parameters, self.settings.clip_value)
        rate = learning_rate(self.settings, self.step, self.plateaus)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.step += 1
        if isinstance(self.loss, Carrying):
            self.carried = self.loss.state_dict()
        self._update_average()
        return StepRecord(self.step, value, rate, size, self._validation())

    def _update_average(self) -> None:
        if self.average is None:
            return
        self.averaged += 1
        share = 1 / self.averaged  # a plain mean
        if self.settings.averaging is not None:
            share = 1 - min(self.settings.averaging, (1 + self.step) / (10 + self.step))  # forget the start sooner
        for name, value in self.module.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, share)
            else:
                self.average[name].copy_(value)

    def _validation(self) -> float | None:
        due = self.step % self.settings.validate_every == 0 or self.step >= self.settings.steps
        if self.validate is None or not due:
            return None
        training = _weights(self.module)
        if self.average:
            self.module.load_state_dict(self.average)
        self.module.eval()
        with torch.no_grad():
            score = self.validate()
        if score < self.best_score:
            self.best_score, self.best_step, self.stale = score, self.step, 0
            self.best = _weights(self.module)
        else:
            self._go_stale(training)
        self.module.load_state_dict(training)
        return score

    def _go_stale(self, training: dict[str, Tensor]) -> None:
        """One validation more without a better one, which may divide the learning rate or begin the average."""
        self.stale += 1
        self.plateaus += self.stale % self.settings.plateau_patience == 0
        if self.settings.optimizer == "asgd" and self.average is None and self.stale >= self.settings.trigger:
            self.average, self.stale = {name: value.clone() for name, value in training.items()}, 0

    def _out_of_patience(self) -> bool:
        return self.validate is not None and self.settings.patience is not None and self.stale >= self.settings.patience

    def _diverged(self, loss: float, norm: float) -> None:
        weights_finite = all(bool(torch.isfinite(p).all()) for p in self.parameters)
        if not weights_finite and self.best:
            self.module.load_state_dict(self.best)
        if self.stage and weights_finite:
            self.stage.save(self._checkpoint())
        what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient norm is {norm} (exploding)"
        raise DivergedError(
            f"{what} at step {self.step + 1}; the last finite weights are kept. Try a lower learning rate "
            f"(now {self.settings.learning_rate:g}), a smaller clip norm (now {self.settings.clip_norm}), or look for "
            "extreme values in the data"
        )

    def _checkpoint(self) -> Checkpoint:
        tensors = {f"module.{name}": value for name, value in self.module.state_dict().items()}
        for part, weights in (("average", self.average), ("best", self.best)):
            tensors |= {f"{part}.{name}": value for name, value in (weights or {}).items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in slots.items() if value is not None}
        tensors |= {f"carried.{name}": value for name, value in self.carried.items()}
        tensors["random"] = torch.get_rng_state()
        state: dict[str, Any] = {name: getattr(self, name) for name in _COUNTERS}
        state["best_score"] = self.best_score if math.isfinite(self.best_score) else None
        return Checkpoint(tensors, state)

    def _restore(self) -> None:
        if self.stage is None:
            return
        checkpoint = self.stage.latest()
        if checkpoint is None:
            self.stage.rewind(0)
            return
        parts: dict[str, dict[str, Tensor]] = {}
        for name, value in checkpoint.tensors.items():
            part, _, rest = name.partition(".")
            parts.setdefault(part, {})[rest] = value
        self.module.load_state_dict(parts["module"])
        self.average = parts.get("average")
        self.best = parts.get("best")
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in parts.get("optimizer", {}).items():
            index, _, slot = name.partition(".")
            slots.setdefault(int(index), {})[slot] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": slots})
        self.carried = parts.get("carried", {})
        if isinstance(self.loss, Carrying):
            self.loss.load_state_dict(self.carried)
        torch.set_rng_state(parts["random"][""])
        for name in _COUNTERS:
            setattr(self, name, checkpoint.state.get(name, 0))  # older checkpoints have fewer
        score = checkpoint.state["best_score"]
        self.best_score = math.inf if score is None else score
        self.stage.rewind(self.step)


@contextmanager
def _multiplying_in(precision: str) -> Iterator[None]:
    """torch's products of float32 matrices with factors of that type, until it is left."""
    if precision == "float32":  # as the caller has it
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}
