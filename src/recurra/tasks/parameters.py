"""A task's parameters: the constructor's arguments, stored as given and read or changed by name."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any, Self, get_args

from recurra.data.tokenizer import Tokenizer, TokenKind
from recurra.data.vectors import Vectors, check_vectors, read_vectors
from recurra.errors import ArgumentError, nearest
from recurra.training.settings import TrainingSettings

__all__ = [
    "Parameters",
    "check_choice",
    "check_epochs",
    "check_held_back",
    "check_tokenizer",
    "check_word_vectors",
    "is_tried",
    "paced_settings",
    "read_word_vectors",
    "training_settings",
]

_LEAST_STEPS = 200
_FEW, _OFTEN = 100_000, 100  # characters, and times that some token of more of them surely occurs


class Parameters:
    """What every task class is: an object whose constructor only stores its arguments, as scikit-learn has it.

    >>> class Task(Parameters):
    ...     def __init__(self, cell: str = "gru") -> None:
    ...         self.cell = cell
    >>> Task().set_params(cell="lstm").get_params()
    {'cell': 'lstm'}
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments by name."""
        return {name: getattr(self, name) for name in self.parameter_names()}

    def set_params(self, **params: Any) -> Self:
        """Change constructor arguments by name.

        Raises:
            ArgumentError: a name is unknown.
        """
        names = self.parameter_names()
        for name, value in params.items():
            if name not in names:
                raise ArgumentError(f"{name!r} is no parameter; {nearest(name, names)}")
            setattr(self, name, value)
        return self

    @classmethod
    def parameter_names(cls) -> tuple[str, ...]:
        """The names of the constructor's arguments, in their order."""
        return tuple(inspect.signature(cls).parameters)


def training_settings(given: TrainingSettings | dict[str, Any] | None, defaults: dict[str, Any]) -> TrainingSettings:
    """The settings given as they are, or a dict of some of them over the task's defaults.

    Raises:
        ArgumentError: a name is unknown or a value out of range.
    """
    if isinstance(given, TrainingSettings):
        return given
    return TrainingSettings(**{**defaults, **(given or {})})


def paced_settings(
    given: TrainingSettings | dict[str, Any] | None, defaults: dict[str, Any], *, rows: int, epochs: float
) -> TrainingSettings:
    """Training settings in which the task's epochs have become steps; what was given by name stays as it is.

    given: a dict of those that are to differ; or a `TrainingSettings`, which stays as it is in all of its fields, so
        that its `steps` say how long training takes, and the epochs nothing.
    rows: of the training data. epochs: how often each is read, validated twice an epoch; of few rows as often as makes
        200 steps, for a network learns little in less.
    """
    settings = training_settings(given, defaults)
    per_epoch = -(-rows // settings.batch_size)
    paced = {
        "steps": max(_LEAST_STEPS, round(epochs * per_epoch)),
        "validate_every": max(_LEAST_STEPS // 10, per_epoch // 2),
        "checkpoint_every": max(50, per_epoch // 2),
    }
    return training_settings(given, {**defaults, **paced})


def check_choice(name: str, value: object, known: Sequence[str]) -> None:
    """Raise `ArgumentError`, with what is nearest, unless value is one of the known."""
    if value not in known:
        raise ArgumentError(f"{name} is {value!r}; {nearest(str(value), known)}")


def check_epochs(value: object, usual: float) -> None:
    """Raise `ArgumentError` unless value is a finite number above 0.

    usual: a number to name as an example.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ArgumentError(f"epochs is {value!r}; it is a number above 0, such as {usual}")


def check_held_back(valid: object) -> None:
    """Raise `ArgumentError` unless valid is a share of the data that can be held back to stop the training by."""
    if isinstance(valid, bool) or not isinstance(valid, int | float) or not 0 < valid < 1:
        raise ArgumentError(f"valid is {valid!r}; it is a share above 0 and below 1, such as 0.1")


def check_tokenizer(kind: str, *, vocabulary_size: int | None, min_count: int | None, lowercase: bool) -> None:
    """Raise `ArgumentError` for what no tokenizer is trained with, whatever the texts are."""
    check_choice("tokenizer", kind, get_args(TokenKind))
    Tokenizer.check(kind, vocabulary_size=vocabulary_size, min_count=min_count, lowercase=lowercase)


def is_tried(characters: int, min_count: int | None) -> bool:
    """Whether texts get their tokenizer before a run is made already, for it may be left without a token.

    characters: of the texts, few enough to be read once more. min_count: of the tokenizer, or so large that it may.
    """
    return characters <= _FEW or (min_count or 0) > _OFTEN


def check_word_vectors(path: str | None, tokenizer: str) -> None:
    """Raise `ArgumentError` for pretrained vectors where tokens are no words, `DataError` for a file that holds none.

    path: of the file; None: there are no such vectors. tokenizer: its kind.
    """
    if path is None:
        return
    if tokenizer not in ("word", "whitespace"):
        raise ArgumentError(f"vectors are of words, the tokenizer is {tokenizer!r}; use 'word' or 'whitespace'")
    check_vectors(path)


def read_word_vectors(path: str | None, vocabulary: Sequence[str]) -> Vectors | None:
    """The pretrained vectors of a vocabulary's words, for the codes that are their places; None without a file.

    vocabulary: of a tokenizer; its first ones, padding to end, are no words.

    Raises:
        DataError: the file is damaged, or has none of the words.
    """
    if path is None:
        return None
    return read_vectors(path, {word: code for code, word in enumerate(vocabulary) if code > Tokenizer.end})
