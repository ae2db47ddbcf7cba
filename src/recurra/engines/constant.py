"""Functions that torch.compile runs once, while it traces, and whose results it takes for constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["constant_in_traces"]

F = TypeVar("F", bound=Callable[..., object])


def constant_in_traces(function: F) -> F:
    """What torch.compiler.assume_constant_result does: it sets this mark, but imports all of torch's compiler for it,
    which takes a second of every `import recurra`. A mark that torch no longer knows fails the tests of torch.compile.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function
