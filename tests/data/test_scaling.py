"""Window scaling stays finite and undoes itself, for any size of numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.data.scaling import Scaler, roughness

NAN = np.nan


@pytest.mark.parametrize("name", ["mean", "standard"])
@settings(max_examples=100, deadline=None)
@given(
    values=st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=20),
    exponent=st.integers(-200, 200),
    offset=st.floats(-10, 10),
)
def test_scaled_values_are_finite_and_come_back(name, values, exponent, offset):
    context = (np.array([values]) + offset) * 10.0**exponent
    scaling = Scaler(name).of(context)
    scaled = scaling.apply(context)
    assert np.isfinite(scaled).all()
    assert np.abs(scaled).max() <= 2 * len(values) + 2
    assert np.abs(scaling.undo(scaled) - context).max() <= 1e-5 * np.abs(context).max()


@pytest.mark.parametrize("name", ["mean", "standard", "recent"])
@pytest.mark.parametrize("value", [0.0, 1e30, -1e-30, 5.0])
def test_a_constant_window_has_no_division_by_zero(name, value):
    context = np.full((1, 8), value)
    scaling = Scaler(name, recent=3, spread=abs(value) or 1.0).of(context)
    assert np.isfinite(scaling.scale).all()
    assert (scaling.scale > 0).all()
    assert scaling.undo(scaling.apply(context))[0, 0] == pytest.approx(value)


@pytest.mark.parametrize("name", ["mean", "standard"])
def test_what_was_not_observed_does_not_count(name):
    scaler = Scaler(name)
    assert scaler.of(np.array([[1.0, 2.0, 3.0]])) == scaler.of(np.array([[NAN, 1.0, 2.0, NAN, 3.0]]))
    nothing = scaler.of(np.full((1, 3), NAN))
    assert (nothing.location[0], nothing.scale[0]) == (0.0, 1.0)


def test_standard_by_hand():
    scaling = Scaler("standard").of(np.array([[1.0, 3.0]]))
    assert (scaling.location[0], scaling.scale[0]) == (2.0, 1.0)


def test_recent_is_the_level_at_the_end_and_falls_back_on_what_was_seen():
    scaler = Scaler("recent", recent=2, spread=0.5)
    scaling = scaler.of(np.array([[9.0, 1.0, 3.0], [9.0, NAN, 3.0], [8.0, NAN, NAN]]))
    assert scaling.location.tolist() == [2.0, 3.0, 8.0]
    assert scaling.scale.tolist() == [0.5] * 3


def test_roughness_is_the_error_of_repeating_the_season():
    context = np.array([[1.0, 5.0, 2.0, 9.0], [1.0, NAN, 2.0, 9.0]])
    assert roughness(context, 2).tolist() == [2.5, 1.0]
    assert roughness(context, 4).tolist() == [0.0, 0.0]
