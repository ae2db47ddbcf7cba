"""CTA rail boardings, next day, as in the published figures: trained on 2016-2018, forecast 2019-02-26 to 2019-05-31.

The defaults, with a 56-day window, bus boardings known up to now and the day's type known in advance. Every day is
forecast from the true history before it by one model, fitted once. Usage: python cta_rail.py
"""

from __future__ import annotations

import time

import polars as pl
from shared import data, keep, peak_memory_mb

from recurra import Forecaster

PUBLISHED = {
    "SimpleRNN(32), rail alone": 29_015,
    "SimpleRNN(32), rail, bus and the next day's type": 22_062,
    "seasonal naive": 41_274,
}
GOAL = 21_500


def read() -> pl.DataFrame:
    """The daily table from 2016, one row a day."""
    table = pl.read_csv(data("cta_ridership/cta_daily.csv.gz")).unique("service_date", keep="first")
    table = table.with_columns(pl.col("service_date").str.to_date("%m/%d/%Y")).sort("service_date")
    return table.filter(pl.col("service_date") >= pl.date(2016, 1, 1))


def main() -> None:
    """Fit on the training years, score the published windows, print."""
    table = read()
    start = time.perf_counter()
    forecaster = Forecaster(
        1, time="service_date", target="rail_boardings", past=["bus"], future=["day_type"], lookback=56
    ).fit(table.filter(pl.col("service_date") <= pl.date(2018, 12, 31)))
    seconds = time.perf_counter() - start
    result = forecaster.evaluate(
        table.filter(pl.col("service_date") <= pl.date(2019, 5, 31)),
        start="2019-02-26",
        baselines=["seasonal_naive", "arima", "dense"],
    )
    ours = next(iter(result.scores.values())).mae
    keep(
        "cta_rail",
        {
            "scores": result.to_json()["scores"],
            "days": result.windows,
            "published MAE": PUBLISHED,
            "goal": GOAL,
            "MAE over the best published": round(ours / 22_062, 3),
            "MAE over the seasonal naive's": round(ours / result.scores["SeasonalNaive"].mae, 3),
            "seconds of the fit": round(seconds),
            "peak memory, MiB": peak_memory_mb(),
            "parameters": forecaster.get_params(),
            "plan": forecaster.plan_._asdict(),
        },
    )


if __name__ == "__main__":
    main()
