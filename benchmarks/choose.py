"""How the defaults were chosen: candidates compared on the training parts alone.

M4 hourly: the last 48 hours of each training series are forecast by what lies before them; the test part is not read.
CTA rail: trained to 2018-02-25, the days to 2018-05-31 (and the summer after, trained to 2018-05-31) are forecast;
nothing of 2019 is read. Usage: python choose.py m4|cta [CANDIDATE ...], where a candidate is a JSON of parameters.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import date
from typing import Any

import polars as pl
from cta_rail import read
from m4_hourly import long_table
from shared import data, keep

from recurra import Forecaster

CANDIDATES: dict[str, list[dict[str, Any]]] = {
    "m4": [
        {"members": 1},
        {"members": 1, "num_layers": 1},
        {"members": 1, "hidden_size": 128},
        {"members": 1, "transform": "none"},
        {"members": 1, "cell": "lstm"},
    ],
    "cta": [{}, {"season": 7}, {"num_layers": 1}],
}
BLOCKS = {"spring": (date(2018, 2, 26), date(2018, 5, 31)), "summer": (date(2018, 6, 1), date(2018, 8, 31))}


def m4(candidate: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The scores of a candidate on the last 48 hours of the training series."""
    train = long_table(pl.read_parquet(data("m4/m4_hourly.parquet"), columns=["id", "train"]), "train")
    result = Forecaster(48, **candidate).backtest(train, n_windows=1, baselines=[])
    yield "last 48 training hours", next(iter(result.scores.values()))._asdict()


def cta(candidate: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The scores of a candidate on the two blocks of 2018."""
    table = read().filter(pl.col("service_date") <= pl.date(2018, 12, 31))
    columns = {"time": "service_date", "target": "rail_boardings", "past": ["bus"], "future": ["day_type"]}
    for name, (first, last) in BLOCKS.items():
        forecaster = Forecaster(1, **{**columns, "lookback": 56, **candidate})
        forecaster.fit(table.filter(pl.col("service_date") < first))
        result = forecaster.evaluate(table.filter(pl.col("service_date") <= last), baselines=[])
        yield name, next(iter(result.scores.values()))._asdict()


def main() -> None:
    """Compare the candidates named, or all."""
    which, *given = sys.argv[1:] or ["m4"]
    rows = []
    for candidate in [json.loads(text) for text in given] or CANDIDATES[which]:
        for block, scores in {"m4": m4, "cta": cta}[which](candidate):
            rows.append({"candidate": candidate, "block": block, **scores})
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    keep(f"choose_{which}", {"rows": rows})


if __name__ == "__main__":
    main()
