"""Columns of a run's tables: times, numbers, intervals, windows."""

from __future__ import annotations

import polars as pl

__all__ = ["levels_of", "numbers", "parse_times", "separate_windows"]

_CLOCK = r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d+)?)"


def parse_times(text: pl.Series) -> pl.Series:
    """Whole numbers, dates or clock times from text; the offset of a zone is left off, its clock is kept.

    Raises:
        ValueError: a value is none of these; its row and the value are named.

    >>> parse_times(pl.Series("ds", ["2024-03-31T01:30:00+0100"])).to_list()
    [datetime.datetime(2024, 3, 31, 1, 30)]
    """
    clock = text.str.extract(_CLOCK, 1) + " " + text.str.extract(_CLOCK, 2)
    forms = (
        text.cast(pl.Int64, strict=False),
        text.str.to_date("%Y-%m-%d", strict=False),
        clock.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False),
    )
    best = min(forms, key=lambda parsed: parsed.null_count())
    if best.null_count():
        row = best.is_null().arg_true()[0]
        raise ValueError(f"column {text.name!r}, row {row + 1}, holds {text[row]!r} where a time was expected")
    return best


def numbers(text: pl.Series) -> pl.Series:
    """Floats from text; empty, NaN and infinite cells are null.

    Raises:
        ValueError: a value is no number; its row and the value are named.
    """
    values = text.cast(pl.Float64, strict=False)
    wrong = (values.is_null() & text.is_not_null()).arg_true()
    if len(wrong):
        raise ValueError(
            f"column {text.name!r}, row {wrong[0] + 1}, holds {text[wrong[0]]!r} where a number was expected"
        )
    return values.to_frame().select(pl.when(pl.all().is_finite()).then(pl.all())).to_series()


def levels_of(columns: list[str], forecaster: str) -> list[str]:
    """Levels that the forecaster has both bounds of, widest first.

    >>> levels_of(["LSTM", "LSTM-lo-95", "LSTM-lo-80", "LSTM-hi-80", "LSTM-hi-95"], "LSTM")
    ['95', '80']
    """
    prefix = f"{forecaster}-lo-"
    found = [name.removeprefix(prefix) for name in columns if name.startswith(prefix)]
    levels = [level for level in found if f"{forecaster}-hi-{level}" in columns and _is_number(level)]
    return sorted(levels, key=float, reverse=True)


def separate_windows(rows: pl.DataFrame, time: str, most: int) -> list[pl.DataFrame]:
    """The last `most` windows of one series that do not overlap, oldest first.

    rows: of a backtest, with `cutoff` and `time`.
    """
    windows = [window for _, window in rows.sort("cutoff", time).group_by("cutoff", maintain_order=True)]
    chosen: list[pl.DataFrame] = []
    for window in reversed(windows):
        if len(chosen) < most and (not chosen or window[time][-1] <= chosen[-1]["cutoff"][0]):
            chosen.append(window)
    return chosen[::-1]


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()
