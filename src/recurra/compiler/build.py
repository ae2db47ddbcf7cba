"""Source text in, loaded shared library out, through the per-user cache.

A library lies at CACHE/ab/NAME-KEY.so, beside its source (.c) and its checksum (.sha256). KEY is the SHA-256 of all
that decides what the library is, and ab are its first two digits. Several processes may build the same library at
once: each builds in a folder of its own and renames the result into place, whole.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import re
import shlex
import tempfile
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path

from recurra.atomic import sync_folder, write_file
from recurra.compiler.cache import cache_folder, distrust, open_folder, private_folder
from recurra.compiler.toolchain import Compiler, find_compiler, invoke, why_no_compiler
from recurra.errors import BuildError, Notice

__all__ = ["compile_library", "load_library"]

_FORMAT = 1  # of what a cached library is beyond source, compiler and processor; a change makes all of them anew
_SECONDS = 120.0
_REMEDY = "RECURRA_CACHE may name a folder of your own"
_FULL = ("No space left on device", "Disk quota exceeded")

_guard = threading.Lock()
_turns: dict[str, threading.Lock] = {}
_loaded: dict[str, ctypes.CDLL] = {}
_noticed: set[str] = set()


def load_library(source: str, name: str) -> ctypes.CDLL:
    """The library that the C text builds; it is built if it is not in the cache, and loaded once in a process.

    source: the whole text of the program.
    name: what its files are called, for people who look into the cache.
    Raises BuildError if there is no compiler, or it refuses the text.

    A cache folder that others can write to, or that cannot be written, is not used: a temporary one takes its place
    until the process ends, and a `Notice` says why.
    """
    compiler = find_compiler()
    if compiler is None:
        raise BuildError(f"a kernel could not be built: {why_no_compiler()}")
    key = _key(source, compiler)
    with _turn(key):  # of two threads, one builds and the other waits for it
        if key not in _loaded:
            file = f"{re.sub(r'[^0-9A-Za-z_]+', '_', name)[:64]}-{key}.so"
            _loaded[key] = _from_cache(Path(key[:2], file), source, compiler)
        return _loaded[key]


def compile_library(source: str, path: Path, compiler: Compiler, extra_flags: Sequence[str] = ()) -> None:
    """Build the library at `path`, whole or not at all. Its source is put beside it as .c, also if the build fails.

    extra_flags: come after the compiler's own, as for sanitizers.
    Raises BuildError if the compiler refuses the text or takes too long, OSError if the folder cannot be written.
    """
    text = path.with_suffix(".c")
    write_file(text, source.encode())
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".build-") as scratch:
        built = Path(scratch, path.name)
        command = [*compiler.command, *compiler.flags, *extra_flags, str(text), "-o"]
        try:
            invoke([*command, str(built), "-lm"], Path(scratch), _SECONDS)
        except BuildError as error:
            if any(words in str(error) for words in _FULL):
                raise OSError(f"the compiler could not write to {path.parent}: {error}") from None
            raise BuildError(
                f"a kernel could not be built: {error}; its source is kept in {text}; the command was: "
                f"{shlex.join([*command, str(path), '-lm'])}; RECURRA_CC=none runs without kernels"
            ) from None
        with built.open("rb") as file:
            os.fsync(file.fileno())
        built.replace(path)
    sync_folder(path.parent)


def _key(source: str, compiler: Compiler) -> str:
    decisive = [_FORMAT, source, compiler.command, compiler.version, compiler.flags, compiler.cpu]
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()


def _turn(key: str) -> threading.Lock:
    with _guard:
        return _turns.setdefault(key, threading.Lock())


def _renew_turns() -> None:
    """In a fork, forget the locks: the threads that held them are not there to release them."""
    global _guard
    _guard = threading.Lock()
    _turns.clear()


os.register_at_fork(after_in_child=_renew_turns)


def _from_cache(file: Path, source: str, compiler: Compiler) -> ctypes.CDLL:
    """The library from the user's cache folder, or where that cannot be, from a temporary one."""
    try:
        return _from_folder(cache_folder(), file, source, compiler)
    except OSError as error:
        _notice(f"built libraries go to a temporary folder until this process ends: {_reason(error)}; {_REMEDY}")
    try:
        return _from_folder(private_folder(), file, source, compiler)
    except OSError as error:
        raise BuildError(f"a kernel could not be built: {_reason(error)}; {_REMEDY}") from None


def _from_folder(folder: Path, file: Path, source: str, compiler: Compiler) -> ctypes.CDLL:
    path = open_folder(open_folder(folder) / file.parent) / file.name
    problem = distrust(path) if os.path.lexists(path) else None
    if problem:
        raise PermissionError(problem)
    try:
        return _load(path)
    except OSError:  # it is not there yet, is damaged, or was built on another system
        compile_library(source, path, compiler)
        write_file(_checksum(path), f"{_sha256(path)}  {path.name}\n".encode())
        return ctypes.CDLL(str(path))  # by now another process's, perhaps, which is as good


def _load(path: Path) -> ctypes.CDLL:
    """The library at `path`. Raises OSError if its checksum differs, before it is opened: a cut-off one could crash."""
    if _checksum(path).read_bytes().split()[:1] != [_sha256(path).encode()]:
        raise OSError(f"{path} differs from its checksum")
    return ctypes.CDLL(str(path))


def _checksum(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _reason(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


def _notice(message: str) -> None:
    """Say it once in a process."""
    if message not in _noticed:
        _noticed.add(message)
        warnings.warn(message, Notice, stacklevel=5)
