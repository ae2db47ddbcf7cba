"""The machine that numbers come from."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

__all__ = ["describe_machine", "processor"]

_PACKAGES = ("recurra", "torch", "jax", "onnxruntime")


def describe_machine() -> dict[str, Any]:
    """Its processor and cores, how many processes want them now (the load of the last minute: numbers are worth
    little beside others' work), and the versions of what is measured; None for a package that is not there."""
    return {
        "cpu": processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        **{package: _version(package) for package in _PACKAGES},
    }


def processor() -> str:
    """The processor's name, or the architecture where the system gives none."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text().splitlines() if table.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
