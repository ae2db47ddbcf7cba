"""Atomic writing says what it could not do."""

import pytest

from recurra import atomic
from recurra.errors import RecurraError


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "x"
    atomic.write_file(path, b"old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        atomic.write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_full_disk_is_one_line_that_says_what_is_kept(tmp_path):
    with (
        pytest.raises(RecurraError, match=r"cannot write .*x: No space left on device; step-3 is whole"),
        atomic.writing(tmp_path / "x", kept="step-3 is whole"),
    ):
        raise OSError(28, "No space left on device")
