"""M4 hourly, all 414 series, horizon 48: sMAPE and MASE on the competition's test part, looked at once.

The two commands that a user would type: `recurra fit forecast` on the training part, then `recurra evaluate` on the
table gone on by the 48 test hours. Nothing about the test part is known to the first. Usage: python m4_hourly.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl
from shared import data, keep

PUBLISHED = {
    "winner (ES-RNN)": {"smape": 9.328, "mase": 0.893},
    "seasonal naive, period 24": {"smape": 13.912, "mase": 1.193},
}


def long_table(frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """One row an hour, numbered from 1 in each series."""
    values = frame.select(unique_id="id", y=pl.concat_list(columns)).explode("y")
    return values.with_columns(ds=pl.int_range(1, pl.len() + 1).over("unique_id")).select("unique_id", "ds", "y")


def recurra(*arguments: str) -> str:
    """Run the command line as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "recurra", *arguments], check=True, stdout=subprocess.PIPE
    ).stdout.decode()


def main() -> None:
    """Fit, evaluate, print."""
    frame = pl.read_parquet(data("m4/m4_hourly.parquet"))
    with tempfile.TemporaryDirectory() as folder:
        train, whole, run = (Path(folder) / name for name in ("train.csv", "whole.csv", "run"))
        long_table(frame, "train").write_csv(train)
        long_table(frame, "train", "test").write_csv(whole)
        start = time.perf_counter()
        fit = ["fit", "forecast", str(train), "--horizon", "48", "--backtest", "0", "--out", str(run)]
        recurra(*fit)
        seconds = time.perf_counter() - start
        scores = json.loads(recurra("evaluate", str(run), str(whole), "--baselines", "seasonal_naive", "--json"))
        summary = json.loads((run / "summary.json").read_text())
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        forecast_log = {line["stage"]: line["step"] for line in lines}
    ours = scores["scores"][summary["model"]]
    steps = sum(forecast_log.values())
    keep(
        "m4_hourly",
        {
            "command": " ".join(["recurra", *fit[:2], "m4.csv", *fit[3:-1], "RUN"]),
            "scores": scores["scores"],
            "published": PUBLISHED,
            "smape over the winner's": round(ours["smape"] / 9.328, 3),
            "mase over the winner's": round(ours["mase"] / 0.893, 3),
            "seconds of the command": round(seconds),
            "training steps by stage": forecast_log,
            "seconds a thousand steps": round(1000 * summary["seconds"]["fit"] / steps, 1),
            "peak memory, MiB": summary["peak_memory_mb"],
            "plan": summary["plan"],
            "weights a member": summary["weights"],
        },
    )


if __name__ == "__main__":
    main()
