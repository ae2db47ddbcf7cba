import numpy as np
import pytest

from recurra.data.cadence import infer, odd_series
from recurra.data.frequency import Frequency
from recurra.errors import DataError

SPANS = {
    "15m": "15m", "1h": "1h", "1d": "1d", "1w": "1w", "4w": "4w", "1mo": "1mo", "1me": "1me", "1q": "1q", "1qe": "1qe",
    "1y": "1y", "2q": "2q", "1bd": "1bd",
}  # fmt: skip


@pytest.mark.parametrize("every", SPANS)
def test_a_regular_series_shows_its_own_frequency(every):
    frequency = Frequency(every)
    start = frequency.advance(np.array(["2023-01-02"], "M8[us]"), np.array([0]))
    times = frequency.advance(start, np.arange(13))
    assert infer(times, np.array([0, 13])) == frequency


def test_the_step_between_two_series_does_not_count():
    times = np.array(["2024-01-01", "2024-01-08", "2024-01-01", "2024-01-08"], "M8[us]")
    assert infer(times, np.array([0, 2, 4])).every == "1w"


def test_whole_numbers():
    assert infer(np.array([0, 3, 6, 12]), np.array([0, 4])).every == "3i"


def test_one_row_a_series_is_refused():
    with pytest.raises(DataError, match="no series has two rows"):
        infer(np.array([1, 2]), np.array([0, 1, 2]))


def test_series_at_both_ends_of_the_month_are_refused():
    times = np.array(["2024-01-01", "2024-02-01", "2024-03-01", "2024-01-31", "2024-02-29", "2024-03-31"], "M8[us]")
    with pytest.raises(DataError, match="series number 2 is stamped at the end of the month"):
        infer(times, np.array([0, 3, 6]))


def test_the_odd_series_is_found_and_gaps_are_not_taken_for_one():
    hour = np.arange(0, 10)
    times = (np.concatenate([hour, hour * 24, [0, 5, 6]]) * 3_600_000_000).astype("M8[us]")
    assert odd_series(times, np.array([0, 10, 20, 23]), Frequency("1h")) == (1, 86_400_000_000)
    assert odd_series(np.delete(times, np.s_[10:20]), np.array([0, 10, 13]), Frequency("1h")) is None
