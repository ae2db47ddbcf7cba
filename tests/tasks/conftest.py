"""Small tables and the smallest forecaster that still does everything."""

import numpy as np
import polars as pl
import pytest

from recurra import Forecaster

TINY = {"hidden_size": 8, "num_layers": 1, "members": 1, "training": {"steps": 12, "validate_every": 4}}


def build_table(length=200, count=3, seed=0, **extra):
    generator = np.random.default_rng(seed)
    t = np.arange(length)
    frames = []
    for i in range(count):
        values = (10.0**i) * (5 + np.sin(2 * np.pi * t / 7) + 0.1 * generator.normal(size=length))
        frame = pl.DataFrame({"unique_id": f"s{i}", "ds": np.datetime64("2024-01-01") + t, "y": values})
        for name, role in extra.items():
            column = np.full(length, 1.0 * i) if role == "static" else generator.normal(size=length)
            frame = frame.with_columns(pl.Series(name, column))
        frames.append(frame)
    return pl.concat(frames)


@pytest.fixture
def make_table():
    """A factory of daily tables with a weekly rhythm, each series ten times the size of the one before."""
    return build_table


@pytest.fixture
def table():
    return build_table()


@pytest.fixture
def tiny():
    """A factory of forecasters that train in a fraction of a second."""
    return lambda horizon=7, **changes: Forecaster(horizon, **{**TINY, **changes})


@pytest.fixture(scope="session")
def fitted():
    """One fitted forecaster, for tests that only read it."""
    return Forecaster(7, **TINY).fit(build_table())
