"""Files that are either the old one or the new one, whole."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from recurra.errors import RecurraError

__all__ = ["sync_folder", "umask", "write_file", "writing"]


@contextlib.contextmanager
def writing(path: Path, *, kept: str = "") -> Iterator[None]:
    """Turn a full disk or a read-only folder into one line that says what is still whole."""
    try:
        yield
    except OSError as error:
        remedy = f"; {kept}" if kept else ""
        raise RecurraError(f"cannot write {path}: {error.strerror or error}{remedy}") from error


def write_file(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, whole or not at all: temp in the same folder, fsync, rename, fsync the folder."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~umask())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make a rename in the folder last."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def umask() -> int:
    """The process's file mode mask."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
