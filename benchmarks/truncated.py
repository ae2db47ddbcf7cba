"""Memory of training on long sequences: truncated, full and checkpointed backpropagation through time.

Each point is a fresh process: an LSTM (batch 16, 8 features, 64 units, one thread) trained by the library's loop on a
np.memmap. Memory is the largest resident one, less that of the process before, once its libraries had been
warmed up by a tiny step; pages of the mapped file, which the system takes back when it needs them, are told apart.

Goals: truncated, the same at any length; checkpointed, growing with the square root of the length.
Usage: python truncated.py
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from shared import keep
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.data import SequenceStream
from recurra.engines import engine
from recurra.layers import Recurrent
from recurra.training import StepRecord, TrainingSettings, TruncatedLoss, train

BATCH, FEATURES, HIDDEN, CHUNK = 16, 8, 64, 100
# How, by which engine, time steps of a row, training steps. Truncated: one epoch.
POINTS = [
    ("truncated", "torch", 1_000, 10),
    ("truncated", "torch", 10_000, 100),
    ("truncated", "torch", 100_000, 1_000),
    *((how, "torch", steps, 3) for steps in (1_000, 4_000, 16_000) for how in ("full", "checkpointed")),
    *((how, "reference", steps, 3) for steps in (1_000, 4_000) for how in ("full", "checkpointed")),
]


class Network(nn.Module):
    """An LSTM and a linear head."""

    def __init__(self, *, checkpoint: bool) -> None:
        super().__init__()
        self.layer = Recurrent("lstm", FEATURES, HIDDEN, checkpoint=checkpoint, seed=0)
        self.head = nn.Linear(HIDDEN, 1)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        y, state = self.layer(x, state)
        return self.head(y), state


def measure(how: str, steps: int, training_steps: int, folder: Path) -> dict[str, float]:
    """Peak memory and time of one point, in this process."""
    torch.set_num_threads(1)
    network = Network(checkpoint=how == "checkpointed")
    x = np.memmap(folder / "x", dtype=np.float32, mode="r").reshape(-1, FEATURES)[: BATCH * steps]
    target = np.memmap(folder / "target", dtype=np.float32, mode="r").reshape(-1, 1)[: BATCH * steps]
    stream = SequenceStream([x], BATCH, targets=[target])
    settings = TrainingSettings(steps=2, batch_size=BATCH)
    train(network, TruncatedLoss(network, stream, F.mse_loss, k1=2), settings)
    loss = TruncatedLoss(network, stream, F.mse_loss, k1=CHUNK if how == "truncated" else steps)
    before, moments = memory(), [time.perf_counter()]

    def note(record: StepRecord) -> None:
        moments.append(time.perf_counter())

    train(network, loss, settings.replaced(steps=training_steps), on_step=note)
    after = memory()
    pages = after["RssFile"] - before["RssFile"]
    return {
        "memory, MiB": round(after["VmHWM"] - before["VmRSS"] - pages, 1),
        "pages of mapped files, MiB": round(pages, 1),
        "seconds a training step": round(statistics.median(np.diff(moments)), 4),
    }


def memory() -> dict[str, float]:
    """What the system says of this process's memory, in MiB."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return {words[0][:-1]: int(words[1]) / 1024 for words in lines if words[-1] == "kB"}


def write(folder: Path) -> None:
    """Numbers for the longest point: noise, and the mean of its last features as the target."""
    longest = BATCH * max(steps for _, _, steps, _ in POINTS)
    x = np.random.default_rng(0).standard_normal((longest, FEATURES), dtype=np.float32)
    x.tofile(folder / "x")
    x.mean(1).tofile(folder / "target")


def main() -> None:
    """One process a point."""
    if len(sys.argv) > 1:
        how, name, steps, training_steps, folder = sys.argv[1:]
        with engine(name):
            print(json.dumps(measure(how, int(steps), int(training_steps), Path(folder))))
        return
    points = []
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        for how, name, steps, training_steps in POINTS:
            command = [sys.executable, __file__, how, name, str(steps), str(training_steps), folder]
            found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            points.append({"backpropagation": how, "engine": name, "time steps": steps, **json.loads(found)})
            print(points[-1], flush=True)
    keep("truncated", {"batch": BATCH, "features": FEATURES, "units": HIDDEN, "k1 = k2": CHUNK, "points": points})


if __name__ == "__main__":
    main()
