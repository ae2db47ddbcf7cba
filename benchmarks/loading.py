"""From a CSV of 1,000,000 rows in long format to windows ready for training: seconds and peak memory.

Goal: under 5 s and 1 GB. The peer is pandas reading the same file and splitting it into series, in the same process
and alternating. Usage: python loading.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from shared import keep, peak_memory_mb

from recurra.data import build_series, read_table
from recurra.data.scaling import Scaler
from recurra.data.windows import Windows, training_cutoffs

SERIES, STEPS, ROUNDS = 1000, 1000, 3


def write(path: Path) -> None:
    """A thousand hourly series of a thousand steps."""
    hours = np.datetime64("2024-01-01", "us") + np.arange(STEPS) * np.timedelta64(1, "h")
    values = np.random.default_rng(0).normal(100, 10, SERIES * STEPS).round(3)
    ids = [f"store-{i}" for i in range(SERIES) for _ in range(STEPS)]
    pl.DataFrame({"unique_id": ids, "ds": np.tile(hours, SERIES), "y": values}).write_csv(path)


def ours(path: Path) -> int:
    """Read, check, and take the first batch of windows."""
    series = build_series(read_table(path))
    windows = Windows(series, lookback=336, horizon=48, season=24, scaler=Scaler("standard"))
    cutoffs = training_cutoffs(series, horizon=48, min_context=336)
    windows.batch(cutoffs.take(np.arange(128)))
    return cutoffs.total


def peer(path: Path) -> int:
    """Read and split by series with pandas; no check, no windows."""
    import pandas as pd

    frame = pd.read_csv(path, parse_dates=["ds"])
    return len({name: group["y"].to_numpy() for name, group in frame.groupby("unique_id")})


def timed(function, path: Path) -> float:  # type: ignore[no-untyped-def]
    start = time.perf_counter()
    function(path)
    return time.perf_counter() - start


def main() -> None:
    """Alternate, print the medians."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        write(path)
        first = timed(ours, path)
        memory = peak_memory_mb()
        rounds = [(timed(ours, path), timed(peer, path)) for _ in range(ROUNDS)]
        size = path.stat().st_size >> 20
    mine, theirs = (statistics.median(column) for column in zip(*rounds, strict=True))
    keep(
        "loading",
        {
            "rows": SERIES * STEPS,
            "file, MiB": size,
            "seconds, first time": round(first, 2),
            "seconds, median": round(mine, 2),
            "pandas, reading and splitting alone, median": round(theirs, 2),
            "pandas / ours": round(theirs / mine, 2),
            "peak memory after the first load, MiB": memory,
        },
    )


if __name__ == "__main__":
    main()
