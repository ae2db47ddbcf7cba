"""ETTh1 oil temperature and household power, hourly, a day ahead: MAE beside the seasonal naive and ARMA.

ETTh1: trained on its first 12 months and 4 months of validation, tested on the 4 months after (the standard split).
Household power: its first 80 % trains, the rest tests. Usage: python hourly_loads.py
"""

from __future__ import annotations

import time
from typing import Any

import polars as pl
from shared import data, keep, peak_memory_mb

from recurra import Forecaster

HORIZON = 24


def compare(table: pl.DataFrame, train: int, **columns: Any) -> dict[str, Any]:
    """Fit the defaults on the first `train` rows and score every day of the rest."""
    start = time.perf_counter()
    forecaster = Forecaster(HORIZON, **columns).fit(table.head(train))
    seconds = time.perf_counter() - start
    result = forecaster.evaluate(table, baselines=["seasonal_naive", "arima", "dense"])
    ours = next(iter(result.scores.values())).mae
    return {
        "scores": result.to_json()["scores"],
        "windows": result.windows,
        "MAE over the seasonal naive's": round(ours / result.scores["SeasonalNaive"].mae, 3),
        "MAE over ARMA's": round(ours / result.scores["ARIMA"].mae, 3),
        "seconds of the fit": round(seconds),
        "plan": forecaster.plan_._asdict(),
    }


def main() -> None:
    """Both tables, with the defaults."""
    ett = pl.read_parquet(data("ett/ETTh1.parquet")).head(14_400)
    power = pl.read_parquet(data("household_power/household_hourly_sum.parquet"))[1:-1]  # the ends are partial hours
    keep(
        "hourly_loads",
        {
            "ETTh1 oil temperature": compare(ett, 11_520, time="date", target="OT"),
            "household power": compare(
                power, int(0.8 * len(power)), time="datetime", target="Global_active_power", missing="interpolate"
            ),
            "peak memory, MiB": peak_memory_mb(),
        },
    )


if __name__ == "__main__":
    main()
