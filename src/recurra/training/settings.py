"""How a network is trained: one frozen, validated config, the same for every task."""

from __future__ import annotations

from typing import Literal

import pydantic

from recurra.errors import ArgumentError

__all__ = ["TrainingSettings"]


class TrainingSettings(pydantic.BaseModel):
    """Settings of the training loop.

    Raises:
        ArgumentError: a value is out of range or a name is unknown.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    steps: int = pydantic.Field(default=2400, ge=1)
    """Optimizer steps at most; early stopping may end sooner."""
    batch_size: int = pydantic.Field(default=128, ge=1)
    """Windows a step."""
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] = "adamw"
    learning_rate: float = pydantic.Field(default=3e-3, gt=0)
    """The schedule's peak."""
    weight_decay: float = pydantic.Field(default=0.0, ge=0)
    momentum: float = pydantic.Field(default=0.9, ge=0, lt=1)
    """For SGD (Nesterov) only."""
    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    """How the learning rate falls from its peak to zero over `steps`."""
    warmup: float = pydantic.Field(default=0.1, ge=0, lt=1)
    """Share of `steps` over which the learning rate rises linearly to its peak."""
    clip_norm: float | None = pydantic.Field(default=1.0, gt=0)
    """Largest norm of all gradients together (Pascanu et al. 2013); None for no clipping."""
    clip_value: float | None = pydantic.Field(default=None, gt=0)
    """Largest absolute value of each gradient; None for no clipping."""
    averaging: float | None = pydantic.Field(default=None, gt=0, lt=1)
    """Decay of the average of the weights that is validated and kept (Polyak and Juditsky 1992); None: off."""
    validate_every: int = pydantic.Field(default=100, ge=1)
    """Steps between validations."""
    patience: int | None = pydantic.Field(default=8, ge=1)
    """Validations without a better one before training stops; None: never."""
    checkpoint_every: int = pydantic.Field(default=200, ge=1)
    """Steps between checkpoints."""
    seed: int = pydantic.Field(default=0, ge=0, lt=2**32)

    def __init__(self, **values: object) -> None:
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            raise ArgumentError(_first_line(error)) from None

    def replaced(self, **values: object) -> TrainingSettings:
        """The same settings but for `values`, validated again."""
        return TrainingSettings(**{**self.model_dump(), **values})


def _first_line(error: pydantic.ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{name!r} is no training setting; there are: {', '.join(TrainingSettings.model_fields)}"
    return f"training setting {name} is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}"
