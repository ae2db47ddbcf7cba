"""What the tests of layers share: how many calls went a short way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from recurra.layers.shortway import ShortWay


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[ShortWay]], list[int]]:
    """Of a kind of short way, from now on, in a list of one number."""

    def watch(kind: type[ShortWay]) -> list[int]:
        count, call = [0], kind.__call__

        def counted(self, x, state):
            found = call(self, x, state)
            count[0] += found is not None
            return found

        monkeypatch.setattr(kind, "__call__", counted)
        return count

    return watch
