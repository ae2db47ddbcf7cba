"""The reliability diagram: its points, its counts and what it says."""

import math

import pytest

from recurra.errors import ArgumentError
from recurra.reports.palette import LIGHT
from recurra.reports.reliability import describe_reliability, reliability_figure, write_reliability
from recurra.training.classification import ReliabilityBin, score_classes

BINS = (
    ReliabilityBin(0.0, 0.5, math.nan, math.nan, 0),
    ReliabilityBin(0.5, 0.75, 0.6, 0.5, 12),
    ReliabilityBin(0.75, 1.0, 0.9, 0.7, 4_000),
)


def test_points_lie_at_confidence_and_share_right():
    upper, lower = reliability_figure(BINS).axes
    points = next(line for line in upper.lines if line.get_marker() == "o")
    assert list(points.get_xdata()) == [0.6, 0.9]
    assert list(points.get_ydata()) == [0.5, 0.7]
    assert [patch.get_height() for patch in upper.patches] == [0.5, 0.7]
    assert [(patch.get_x(), patch.get_width()) for patch in lower.patches] == [(0.5, 0.25), (0.75, 0.25)]
    assert [text.get_text() for text in lower.texts] == ["12", "4k"]


def test_the_diagonal_is_drawn_and_intervals_narrow_with_rows():
    upper = reliability_figure(BINS).axes[0]
    lines = [list(line.get_ydata()) for line in upper.lines]
    assert lines[0] == [0, 1]
    few, many = (high - low for low, high in lines[1:3])
    assert few == pytest.approx(0.49, abs=0.02)  # Wilson, 6 of 12
    assert many == pytest.approx(2 * 1.96 * math.sqrt(0.7 * 0.3 / 4000), rel=0.01)


def test_the_error_told_is_that_of_the_scores():
    scores = score_classes([0, 0, 1, 1], [[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]], ["a", "b"])
    said = f"{100 * scores.calibration_error:.1f} %"
    assert said == "35.0 %"
    texts = [text.get_text() for text in reliability_figure(scores.bins, title="$x$").axes[0].texts]
    assert texts[0] == "$x$"
    assert texts[1].startswith(f"4 rows; expected calibration error {said}")
    assert describe_reliability(scores.bins).endswith(f"expected calibration error {said}.")


def test_it_is_written(tmp_path):
    path = write_reliability(tmp_path / "reliability.png", BINS)
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert LIGHT["model"].encode() in write_reliability(tmp_path / "reliability.svg", BINS).read_bytes()


def test_bins_without_rows_are_refused():
    with pytest.raises(ArgumentError, match="bins has 1 bins and no row"):
        reliability_figure(BINS[:1])
