"""From a table to a checked `SeriesSet`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recurra.data.columns import Columns
from recurra.data.covariates import CovariateEncoder
from recurra.data.files import Table
from recurra.data.frequency import Frequency
from recurra.data.grid import Array, Rows, arrange, check_duplicates, find_frequency, positions
from recurra.data.missing import POLICIES, Observed, complete
from recurra.data.series import SeriesSet
from recurra.data.stamps import read_times
from recurra.data.values import check_finite, check_transform, read_numbers
from recurra.errors import ArgumentError, DataError

__all__ = ["build_series"]


def build_series(
    table: Table,
    columns: Columns | None = None,
    *,
    freq: str | int | Frequency | None = None,
    missing: str | None = None,
    timezone: str | None = None,
    time_format: str | None = None,
    encoder: CovariateEncoder | None = None,
    transform: str | None = None,
) -> SeriesSet:
    """The series of a long table, checked.

    table: from `read_table` or `to_table`; columns: which column plays which role.
    freq: the step between rows; None finds it.
    missing: `interpolate`, `mask` or `drop`, what to do with gaps and empty cells; None refuses them.
    timezone: the zone of the clocks; time_format: the form of text stamps (see `read_times`).
    encoder: of covariates, as fitted at training; None fits one on this table.
    transform: `log` or `log1p`, refused where a value cannot take it; values are not changed here.

    Raises DataError for the first fault, in this order: columns, times, numbers, order and duplicates, frequency,
    gaps and empty cells. Warns with a Notice of rows that were sorted or treated by `missing`.

    >>> import polars as pl
    >>> series = build_series(Table(pl.DataFrame({"ds": ["2024-01-01", "2024-01-02"], "y": [1.0, 2.0]})))
    >>> len(series), series.frequency.every, series.target
    (1, '1d', array([1., 2.]))
    """
    if missing is not None and missing not in POLICIES:
        raise ArgumentError(f"missing is {missing!r}; pass --missing {'|'.join(POLICIES)}")
    frequency = None if freq is None else Frequency.parse(freq)
    columns = (columns or Columns()).resolve(table)
    daily = None if frequency is None else frequency.daily
    times = read_times(table, columns.time, timezone=timezone, time_format=time_format, daily=daily)
    target = read_numbers(table, columns.target)
    check_finite(table, columns.target, target)
    check_transform(table, columns.target, target, transform=transform)
    encoder = encoder or CovariateEncoder.fit(table, columns)
    features = encoder.encode(table, columns.covariates)

    rows = arrange(table, columns, times)
    check_duplicates(rows)
    frequency = find_frequency(rows, frequency)
    steps = positions(rows, frequency)
    observed = _observe(rows, target, features, encoder)
    observed = complete(rows, observed, steps, frequency, missing=missing)
    return replace(_assemble(rows, observed, encoder, frequency), interpolated=missing == "interpolate")


def _observe(rows: Rows, target: Array, features: Array, encoder: CovariateEncoder) -> Observed:
    columns = rows.columns.covariates
    owners = tuple(name for name in columns for _ in encoder.names([name]))
    return Observed(
        offsets=rows.offsets,
        times=rows.times,
        target=target[rows.source],
        features=features[rows.source],
        words=encoder.categorical(columns),
        owners=owners,
    )


def _assemble(rows: Rows, observed: Observed, encoder: CovariateEncoder, frequency: Frequency) -> SeriesSet:
    columns = rows.columns
    n_future, n_past = len(encoder.names(columns.future)), len(encoder.names(columns.past))
    features = observed.features
    _check_static(rows, features[:, n_future + n_past :], observed)
    return SeriesSet(
        ids=rows.ids,
        offsets=observed.offsets,
        times=observed.times,
        target=observed.target,
        future=features[:, :n_future],
        past=features[:, n_future : n_future + n_past],
        static=features[observed.offsets[:-1], n_future + n_past :],
        frequency=frequency,
        columns=columns,
        encoder=encoder,
    )


def _check_static(rows: Rows, static: Array, observed: Observed) -> None:
    """Raises DataError when a static covariate changes within a series."""
    if not static.shape[1]:
        return
    first = np.repeat(static[observed.offsets[:-1]], np.diff(observed.offsets), axis=0)
    changed = np.argwhere(np.abs(static - first) > 1e-9)
    if len(changed):
        k, feature = changed[0]
        name = observed.owners[observed.features.shape[1] - static.shape[1] + feature]
        stamp = observed.times[k]
        series = int(np.searchsorted(observed.offsets, k, side="right")) - 1
        begin, end = rows.offsets[series], rows.offsets[series + 1]
        at = int(begin + np.searchsorted(rows.times[begin:end], stamp))
        raise DataError(
            f"{rows.at(at)}: the static covariate {name!r} of {rows.label(at)} is not what it was on "
            f"{rows.place(int(begin))}; a static one never changes: make it --past or --future"
        )
