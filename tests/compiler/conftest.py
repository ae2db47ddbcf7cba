"""What the tests of the compiler share: a cache of their own, and compilers that misbehave."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from recurra.compiler import build, cache, toolchain


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder in a process that has built nothing yet; temporary files go to `temporary` beside it."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("RECURRA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_private", None)
    monkeypatch.setattr(build, "_loaded", {})
    monkeypatch.setattr(build, "_noticed", set())
    return tmp_path / "cache"


@pytest.fixture
def fresh_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing says which compiler to take, and none was looked for yet."""
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv("RECURRA_CC", raising=False)
    toolchain._search_among.cache_clear()


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a compiler: a shell script that ends in a call of the real one, $CC_REAL, unless its body exits first."""

    def write(body: str, name: str = "wrapped-cc") -> Path:
        path = tmp_path / name
        real = toolchain._search_among("", "", os.environ["PATH"])[0]
        path.write_text(f'#!/bin/sh\n{body}\nexec {" ".join(real.command)} "$@"\n')
        path.chmod(0o755)
        return path

    return write
