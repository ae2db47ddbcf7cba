"""WaveNet as a stream: samples a second of its step, against running the window that a sample depends on again for
each; in one process, in turn, medians. And a training step on a second of raw sound: seconds and peak memory, in a
process of its own.

Goal: the step at least 20 times as fast, outputs equal to 1e-6 in float64.
Usage: python wavenet.py
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import torch
from shared import keep
from torch.nn import functional as F

from recurra.bench.apart import apart
from recurra.bench.timing import Pace, Timing, alternate, times_faster, using_threads
from recurra.layers.pasts import Pasts
from recurra.layers.wavenet import WaveNet

CLASSES, TRAINED, COMPARED, SEED, ROUNDS = 256, 16_000, 2_000, 0, 5
STEPS, WINDOWS = 200, 10  # on end: a stream's weights and past stay in the cache, as the window's do


def draw(steps: int) -> torch.Tensor:
    """Classes of samples, (time, 1)."""
    return torch.randint(CLASSES, (steps, 1), generator=torch.Generator().manual_seed(SEED))


@torch.no_grad()
def differences(dtype: torch.dtype) -> dict[str, float]:
    """Largest differences of steps from the whole, and from windows of the receptive field, every 50th."""
    net = WaveNet(CLASSES, CLASSES, embedding=True, seed=SEED, dtype=dtype)
    codes, field, state, outputs = draw(COMPARED), net.receptive_field, None, []
    for code in codes:
        y_t, state = net.step(code, state)
        outputs.append(y_t)
    steps, (whole, _) = torch.stack(outputs), net(codes)
    windows = [
        float((net(codes[end - field : end])[0][-1] - steps[end - 1]).abs().max())
        for end in range(field, COMPARED + 1, 50)
    ]
    return {"from the whole": float((steps - whole).abs().max()), "from windows": max(windows)}


@torch.no_grad()
def stream(threads: int) -> dict[str, Any]:
    """Samples a second of both, batch 1, float32."""
    net = WaveNet(CLASSES, CLASSES, embedding=True, seed=SEED)
    window = draw(net.receptive_field)
    code = window[-1]
    latest: list[Pasts] = [net(window)[1]]

    def step() -> None:
        for _ in range(STEPS):
            latest[0] = net.step(code, latest[0])[1]

    def again() -> None:
        for _ in range(WINDOWS):
            net(window)

    with using_threads(threads):
        timings = alternate({"step": step, "window": again}, Pace(15, 20, 400))
    steps = Timing(tuple(seconds / STEPS for seconds in timings["step"].seconds))
    windows = Timing(tuple(seconds / WINDOWS for seconds in timings["window"].seconds))
    ratio = times_faster(steps, windows)
    return {
        "threads": threads,
        "step, samples/s": round(1 / steps.median),
        "window, samples/s": round(1 / windows.median),
        "window / step": round(ratio.value, 1),
        "quartiles": [round(ratio.lower, 1), round(ratio.upper, 1)],
    }


def train(threads: int) -> dict[str, Any]:
    """Of one training step, B = 1: seconds, and MiB beyond what a short one needed."""
    net = WaveNet(CLASSES, CLASSES, embedding=True, seed=SEED)
    optimizer = torch.optim.Adam(net.parameters())
    codes = draw(TRAINED + 1)

    def one(codes: torch.Tensor) -> float:
        start = time.perf_counter()
        y, _ = net(codes[:-1])
        F.cross_entropy(y.flatten(0, 1), codes[1:].flatten()).backward()
        optimizer.step()
        optimizer.zero_grad()
        return time.perf_counter() - start

    with using_threads(threads):
        one(codes[:10])  # libraries take memory when they are first used
        before = resident("VmRSS")
        taken = [one(codes) for _ in range(ROUNDS)]
    return {
        "threads": threads,
        "seconds": round(statistics.median(taken), 3),
        "peak beyond the process, MiB": round(resident("VmHWM") - before),
        "peak of the process, MiB": round(resident("VmHWM")),
    }


def resident(name: str) -> float:
    """MiB of this process: VmRSS now, VmHWM at its most."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return next(int(words[1]) / 1024 for words in lines if words[0] == f"{name}:")


def main() -> None:
    """All of it."""
    net = WaveNet(CLASSES, CLASSES, embedding=True)
    keep(
        "wavenet",
        {
            "seed": SEED,
            "net": repr(net),
            "parameters": sum(parameter.numel() for parameter in net.parameters()),
            "differences, float64": differences(torch.float64),
            "differences, float32": differences(torch.float32),
            "streaming": [stream(threads) for threads in (1, 2)],
            f"training step, {TRAINED} samples": [apart(train, threads) for threads in (1, 2)],
        },
    )


if __name__ == "__main__":
    main()
