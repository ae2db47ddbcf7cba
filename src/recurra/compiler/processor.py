"""The processor that libraries are built for: its model and the instructions it has."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import platform
import subprocess
from pathlib import Path
from typing import NamedTuple

__all__ = ["Processor", "processor"]

_MODEL = ("model name", "cpu", "cpu model", "CPU part", "uarch")
"""The lines of /proc/cpuinfo that name the model, by architecture; all of its fields below add to the identity."""

_INSTRUCTIONS = ("flags", "Features", "isa")
_IDENTITY = (*_MODEL, *_INSTRUCTIONS, "vendor_id", "cpu family", "model", "stepping", "CPU implementer", "CPU variant")


class Processor(NamedTuple):
    """A processor.

    model: its name, for people.
    instructions: the sets of instructions that it has, by the operating system's names of them.
    identity: differs where `-march=native` may mean something else.
    """

    model: str
    instructions: frozenset[str]
    identity: str


@functools.cache
def processor() -> Processor:
    """The processor of this machine."""
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        text = f"model name: {_brand()}\n" + ("Features: asimd" if platform.machine() == "arm64" else "")
    return _read(text)


def _read(cpuinfo: str) -> Processor:
    """The processor that /proc/cpuinfo describes; where the cores differ it is all of them."""
    fields: dict[str, set[str]] = {}
    for line in cpuinfo.splitlines():
        name, _, value = (part.strip() for part in line.partition(":"))
        if name in _IDENTITY and value:
            fields.setdefault(name, set()).add(value)
    named = [value for name in _MODEL for value in sorted(fields.get(name, ()))]
    model = named[0] if named else platform.machine()
    instructions = frozenset(word for name in _INSTRUCTIONS for value in fields.get(name, ()) for word in value.split())
    described = repr([platform.machine(), *((name, sorted(fields.get(name, ()))) for name in _IDENTITY)])
    return Processor(model, instructions, f"{model} {hashlib.sha256(described.encode()).hexdigest()[:16]}")


def _brand() -> str:
    """What macOS calls the processor; elsewhere what Python does."""
    if platform.system() == "Darwin":
        with contextlib.suppress(OSError, subprocess.SubprocessError):  # a name for people, and Python knows one too
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    return platform.processor() or platform.machine()
