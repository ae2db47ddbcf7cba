"""How a network is trained: one frozen, validated config, the same for every task."""

from __future__ import annotations

import math
from typing import Literal

import pydantic

from recurra.errors import ArgumentError

__all__ = ["TrainingSettings", "learning_rate"]


class TrainingSettings(pydantic.BaseModel):
    """Settings of the training loop.

    Raises:
        ArgumentError: a value is out of range or a name is unknown.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    steps: int = pydantic.Field(default=2400, ge=1)
    """Optimizer steps at most; early stopping may end sooner."""
    batch_size: int = pydantic.Field(default=128, ge=1)
    """Windows a step."""
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd", "asgd"] = "adamw"
    """"asgd" is SGD without momentum whose weights, once `trigger` says so, are averaged: the plain mean of those after
    each step from then on is validated and kept (NT-ASGD, Merity et al. 2018)."""
    learning_rate: float = pydantic.Field(default=3e-3, gt=0)
    """The schedule's peak."""
    weight_decay: float = pydantic.Field(default=0.0, ge=0)
    momentum: float = pydantic.Field(default=0.9, ge=0, lt=1)
    """For SGD (Nesterov) only."""
    schedule: Literal["constant", "cosine", "linear", "plateau"] = "cosine"
    """How the learning rate falls from its peak to zero over `steps`; "plateau": it is divided where validation does
    not improve. "asgd" without a schedule given has "constant": with steps that become nothing, those behind the
    trigger would hardly move, and their mean with them."""
    plateau_factor: float = pydantic.Field(default=4.0, gt=1)
    """What a plateau divides the learning rate by."""
    plateau_patience: int = pydantic.Field(default=1, ge=1)
    """Validations without a better one before the learning rate is divided, and again after as many more."""
    warmup: float = pydantic.Field(default=0.1, ge=0, lt=1)
    """Share of `steps` over which the learning rate rises linearly to its peak."""
    clip_norm: float | None = pydantic.Field(default=1.0, gt=0)
    """Largest norm of all gradients together (Pascanu et al. 2013); None for no clipping."""
    clip_value: float | None = pydantic.Field(default=None, gt=0)
    """Largest absolute value of each gradient; None for no clipping."""
    averaging: float | None = pydantic.Field(default=None, gt=0, lt=1)
    """Decay of the average of the weights that is validated and kept (Polyak and Juditsky 1992); None: off."""
    trigger: int = pydantic.Field(default=5, ge=1)
    """Validations without a better one before "asgd" begins its average; `patience` then counts anew."""
    validate_every: int = pydantic.Field(default=100, ge=1)
    """Steps between validations."""
    patience: int | None = pydantic.Field(default=8, ge=1)
    """Validations without a better one before training stops; None: never."""
    checkpoint_every: int = pydantic.Field(default=200, ge=1)
    """Steps between checkpoints."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the factors in torch's own products of float32 matrices, as those of heads and attention, in steps and
    validations; their sums, the weights and the kernels of recurrences stay float32. "bfloat16" has 8 bits and takes
    less than half the time where the processor multiplies in it (AMX, tensor cores); elsewhere nothing changes."""
    seed: int = pydantic.Field(default=0, ge=0, lt=2**32)

    def __init__(self, **values: object) -> None:
        if values.get("optimizer") == "asgd":
            values = {"schedule": "constant", **values}
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            raise ArgumentError(_first_line(error)) from None

    @pydantic.model_validator(mode="after")
    def _check_averages(self) -> TrainingSettings:
        if self.optimizer == "asgd" and self.averaging is not None:
            raise ValueError(f"averaging is {self.averaging}, and optimizer 'asgd' averages by itself; leave one out")
        if self.optimizer == "asgd" and self.patience is not None and self.patience < self.trigger:
            raise ValueError(
                f"patience is {self.patience}, and the average of 'asgd' would begin at trigger {self.trigger} only; "
                "raise patience, or lower trigger"
            )
        return self

    def replaced(self, **values: object) -> TrainingSettings:
        """The same settings but for `values`, validated again."""
        return TrainingSettings(**{**self.model_dump(exclude_unset=True), **values})


def learning_rate(settings: TrainingSettings, step: int, plateaus: int = 0) -> float:
    """The learning rate of `step` (from 0): a linear warm-up to the peak, then the schedule's fall.

    plateaus: those that validation came to so far, of schedule "plateau".

    >>> learning_rate(TrainingSettings(steps=10, warmup=0.0, schedule="linear", learning_rate=1.0), 5)
    0.5
    """
    warmup = round(settings.warmup * settings.steps)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, settings.steps - warmup)
    fall = {
        "constant": 1.0,
        "linear": 1 - done,
        "cosine": (1 + math.cos(math.pi * done)) / 2,
        "plateau": settings.plateau_factor**-plateaus,
    }
    return settings.learning_rate * fall[settings.schedule]


def _first_line(error: pydantic.ValidationError) -> str:
    first = error.errors()[0]
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{name!r} is no training setting; there are: {', '.join(TrainingSettings.model_fields)}"
    return f"training setting {name} is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}"
