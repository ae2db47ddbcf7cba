"""Every exception that recurra raises on purpose, in one tree.

    RecurraError                     exit 1
    ├── UserError (ValueError)       exit 2: the caller can mend it; one line says how
    │   ├── ArgumentError            an argument, option or shape is wrong
    │   ├── DataError                a table or one of its values is wrong
    │   ├── ArtifactError            a saved model is damaged, foreign or from a newer version
    │   └── RunError                 a run folder exists already, is missing or is locked
    ├── BuildError                   a kernel could not be built
    ├── DivergedError                the loss or a gradient stopped being finite
    └── Interrupted                  a signal asked the training to stop; the run can be resumed

Notices are warnings of class `Notice`: something was done to the data that its owner should know of.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ArgumentError",
    "ArtifactError",
    "BuildError",
    "DataError",
    "DivergedError",
    "Interrupted",
    "Notice",
    "RecurraError",
    "RunError",
    "UserError",
    "nearest",
]


class RecurraError(Exception):
    """Anything that recurra reports by name."""

    exit_code = 1


class UserError(RecurraError, ValueError):
    """Bad input or usage: the message names what came, what was expected and the next move."""

    exit_code = 2


class ArgumentError(UserError):
    """An argument, an option or a shape is wrong."""


class DataError(UserError):
    """A table or one of its values is wrong."""


class ArtifactError(UserError):
    """A saved model is damaged, foreign, or written by a newer version."""


class RunError(UserError):
    """A run folder exists already, is missing, or belongs to another process."""


class BuildError(RecurraError):
    """A kernel could not be built; the message holds the compiler's first error, the source and the command."""


class DivergedError(RecurraError):
    """The loss or a gradient stopped being finite; the last finite weights are kept."""


class Interrupted(RecurraError):  # noqa: N818 - the field says "interrupted", as KeyboardInterrupt does
    """A signal asked the training to stop. State is saved; `exit_code` is 128 + the signal's number."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class Notice(UserWarning):
    """Something was done to the data that its owner should know of."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A clause that helps to mend a misspelt name: the closest ones, else all of them.

    >>> nearest("slaes", ["sales", "date"])
    "did you mean 'sales'?"
    """
    known = list(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    return "there are: " + ", ".join(repr(k) for k in known)
