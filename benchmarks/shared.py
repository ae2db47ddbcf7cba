"""What every benchmark needs: where the data lie, what machine this is, and a place for the result."""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
from pathlib import Path
from typing import Any

import torch

import recurra
from recurra.training.settings import TrainingSettings

RESULTS = Path(__file__).parent / "results"


def data(name: str) -> Path:
    """The file `name` of the data folder, which RECURRA_DATA or ../shared/data holds."""
    root = Path(os.environ.get("RECURRA_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    path = root / name
    if not path.exists():
        sys.exit(f"{path} is missing; set RECURRA_DATA to the folder that holds {name}")
    return path


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": names[0].partition(":")[2].strip() if names else platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "recurra": recurra.__version__,
        "python": platform.python_version(),
    }


def peak_memory_mb() -> int:
    """Largest resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def keep(name: str, result: dict[str, Any]) -> None:
    """Print a result and write it beside the others, with the machine."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({**result, "machine": machine()}, indent=2, default=_plain)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    print(text)


def _plain(value: Any) -> Any:
    if isinstance(value, TrainingSettings):
        return value.model_dump()
    return str(value)
