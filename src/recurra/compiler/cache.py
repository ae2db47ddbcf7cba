"""The folder that keeps built libraries: one for each user, into which nobody else can write.

What is loaded from it runs. So it is used only while it, its subfolders and their files belong to this user, are no
symbolic links and give nobody else the right to write.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import re
import shutil
import stat
import tempfile
import time
from pathlib import Path

__all__ = ["cache_folder", "clear_cache", "distrust", "list_cache", "open_folder", "private_folder"]

_NAME = re.compile(r"\w+-[0-9a-f]{64}\.(so|c|sha256)", re.ASCII)
_LEFTOVER = re.compile(r"\.build-\w+|\.\w+-[0-9a-f]{64}\.(c|sha256)\.\w+", re.ASCII)
_STALE_SECONDS = 3600.0  # far longer than a build takes

_private: Path | None = None


def cache_folder() -> Path:
    """Where built libraries are kept: $RECURRA_CACHE, else recurra in $XDG_CACHE_HOME, else in ~/.cache.

    Raises FileNotFoundError if the user has none of them.
    """
    chosen = os.environ.get("RECURRA_CACHE", "")
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        if chosen:
            return Path(chosen).expanduser().absolute()
        if shared.is_absolute():  # the standard has relative ones ignored
            return shared / "recurra"
        return Path.home().absolute() / ".cache" / "recurra"
    except RuntimeError:
        raise FileNotFoundError("there is no home folder to keep built libraries in") from None


def open_folder(folder: Path) -> Path:
    """The folder, which is made where it is missing, for this user alone; so are those above it.

    Raises PermissionError if others could put something into it, another OSError if it cannot be made.
    """
    missing = [one for one in (folder, *folder.parents) if not os.path.lexists(one)]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
    problem = distrust(folder)
    if problem:
        raise PermissionError(problem)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is no folder")
    return folder


def distrust(path: Path) -> str | None:
    """Why others could have put something else at `path`, in words; None if it can only be this user's."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return f"{path} is a symbolic link"
    if status.st_uid != os.geteuid():
        return f"{path} belongs to another user (number {status.st_uid})"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"others may write to {path} (`chmod go-w` ends that)"
    for above in (*path.parents, *path.resolve().parents):
        mode = above.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            return f"others may rename what is in {above}"
    return None


def private_folder() -> Path:
    """A temporary folder that nobody else can write to, removed when this process ends; a fork shares its parent's."""
    global _private
    if _private is None or not _private.is_dir():
        _private = Path(tempfile.mkdtemp(prefix="recurra-")).absolute()
        atexit.register(_remove, _private, os.getpid())
    return _private


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def list_cache(folder: Path) -> list[Path]:
    """The files that builds have left in a cache folder: libraries (.so), sources (.c) and checksums (.sha256)."""
    return [path for path in _entries(folder) if _NAME.fullmatch(path.name) and path.is_file()]


def clear_cache(folder: Path) -> int:
    """Delete what builds have left in a cache folder, and nothing else. Returns how many libraries there were.

    Raises PermissionError if others could have put something into it.
    """
    if not os.path.lexists(folder):
        return 0
    open_folder(folder)
    files = list_cache(folder)
    for path in files:
        path.unlink(missing_ok=True)
    for path in _leftovers(folder):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    for shelf in _shelves(folder):
        with contextlib.suppress(OSError):  # something else is in it
            shelf.rmdir()
    return sum(path.suffix == ".so" for path in files)


def _leftovers(folder: Path) -> list[Path]:
    """What killed builds have left half done, long enough ago to belong to none that still runs."""
    old = time.time() - _STALE_SECONDS
    return [path for path in _entries(folder, before=old) if _LEFTOVER.fullmatch(path.name)]


def _entries(folder: Path, before: float = math.inf) -> list[Path]:
    """All that this user has in the subfolders and that was changed before then, symbolic links left out."""
    found = []
    for shelf in _shelves(folder):
        for path in sorted(shelf.iterdir()):
            with contextlib.suppress(FileNotFoundError):  # a build that has just ended
                status = path.lstat()
                if status.st_uid == os.geteuid() and not path.is_symlink() and status.st_mtime < before:
                    found.append(path)
    return found


def _shelves(folder: Path) -> list[Path]:
    return [path for path in folder.glob("[0-9a-f][0-9a-f]") if path.is_dir() and distrust(path) is None]
