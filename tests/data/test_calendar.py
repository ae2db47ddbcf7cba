import numpy as np
import pytest

from recurra.data import Frequency, calendar_features, calendar_names


@pytest.mark.parametrize(
    ("every", "count"),
    [("15m", 13), ("1h", 13), ("1d", 11), ("1bd", 9), ("1w", 4), ("1me", 2), ("1q", 2), ("1y", 0), ("1i", 0)],
)
def test_width_follows_the_frequency(every, count):
    frequency = Frequency(every)
    times = np.zeros((2, 3), "M8[us]") if every != "1i" else np.zeros((2, 3), np.int64)
    features = calendar_features(times, frequency)
    assert features.shape == (2, 3, count) == (2, 3, len(calendar_names(frequency)))
    assert features.dtype == np.float32
    assert np.isfinite(features).all()


def test_values_of_a_known_hour():
    frequency = Frequency("1h")
    row = dict(
        zip(
            calendar_names(frequency), calendar_features(np.array("2024-07-01T06:00", "M8[us]"), frequency), strict=True
        )
    )
    assert (row["hour_sin"], row["monday"], row["tuesday"]) == (1.0, 1.0, 0.0)
    assert row["year_cos_1"] == pytest.approx(np.cos(2 * np.pi * 182 / 365.25), abs=1e-6)


def test_stamps_before_1970_have_their_weekday():
    features = calendar_features(np.array(["1969-12-28"], "M8[us]"), Frequency("1d"))
    assert features[0, :7].tolist() == [0, 0, 0, 0, 0, 0, 1]  # a Sunday
