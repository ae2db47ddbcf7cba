"""Window scaling stays finite and undoes itself, for any size of numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.data.scaling import window_scaling


@pytest.mark.parametrize("by", ["mean", "standard"])
@settings(max_examples=100, deadline=None)
@given(
    values=st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=20),
    exponent=st.integers(-200, 200),
    offset=st.floats(-10, 10),
)
def test_scaled_values_are_finite_and_come_back(by, values, exponent, offset):
    context = (np.array([values]) + offset) * 10.0**exponent
    scaling = window_scaling(context, by=by)
    scaled = scaling.apply(context)
    assert np.isfinite(scaled).all()
    assert np.abs(scaled).max() <= 2 * len(values) + 2
    back = scaling.undo(scaled)
    assert np.abs(back - context).max() <= 1e-5 * np.abs(context).max()


@pytest.mark.parametrize("by", ["mean", "standard"])
@pytest.mark.parametrize("value", [0.0, 1e30, -1e-30, 5.0])
def test_a_constant_window_has_no_division_by_zero(by, value):
    scaling = window_scaling(np.full((1, 8), value), by=by)
    assert np.isfinite(scaling.scale).all()
    assert (scaling.scale > 0).all()
    assert scaling.undo(scaling.apply(np.full((1, 8), value)))[0, 0] == pytest.approx(value)


def test_what_was_not_observed_does_not_count():
    full, gaps = np.array([[1.0, 2.0, 3.0]]), np.array([[np.nan, 1.0, 2.0, np.nan, 3.0]])
    for by in ("mean", "standard"):
        assert window_scaling(full, by=by) == window_scaling(gaps, by=by)
    nothing = window_scaling(np.full((1, 3), np.nan), by="standard")
    assert (nothing.location[0], nothing.scale[0]) == (0.0, 1.0)


def test_standard_by_hand():
    scaling = window_scaling(np.array([[1.0, 3.0]]), by="standard")
    assert (scaling.location[0], scaling.scale[0]) == (2.0, 1.0)
