"""Measures of classifiers against values worked out by hand, torchmetrics' own, and the definitions of their papers."""

import json
import math
import sys

import numpy as np
import polars as pl
import pytest
import torch
from scipy.optimize import minimize_scalar

from recurra.errors import ArgumentError, RecurraError
from recurra.training.classification import BINS, ReliabilityBin, fit_temperature, score_classes

NAMES = ["ham", "spam", "eggs"]
TRUTH = [0, 0, 0, 1, 1]
PROBABLE = [[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.2, 0.8, 0.0], [0.9, 0.1, 0.0]]


def draw(rows, classes, *, seed=0, sharpness=2.0):
    """Logits, and truths drawn from their softmax."""
    generator = torch.Generator().manual_seed(seed)
    logits = sharpness * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    return logits, torch.multinomial(logits.softmax(1), 1, generator=generator).squeeze(1)


def test_by_hand():
    scores = score_classes(TRUTH, PROBABLE, NAMES)
    assert scores.rows == 5
    assert scores.accuracy == pytest.approx(3 / 5)
    assert scores.log_loss == pytest.approx(-np.log([0.7, 0.6, 0.1, 0.8, 0.1]).mean())
    assert scores.confusion == ((2, 0, 1), (1, 1, 0), (0, 0, 0))
    ham, spam, eggs = scores.classes
    assert ham == ("ham", pytest.approx(2 / 3), pytest.approx(2 / 3), pytest.approx(2 / 3), 3, 3)
    assert spam == ("spam", 1.0, 0.5, pytest.approx(2 / 3), 2, 1)
    assert eggs[0] == "eggs"
    assert eggs.support == 0
    assert eggs.predicted == 1


def test_a_class_without_support_is_undefined_and_outside_the_averages():
    scores = score_classes(TRUTH, PROBABLE, NAMES)
    assert all(math.isnan(value) for value in scores.classes[2][1:4])
    assert scores.macro == (pytest.approx((2 / 3 + 1) / 2), pytest.approx((2 / 3 + 1 / 2) / 2), pytest.approx(2 / 3))
    assert scores.weighted == (pytest.approx((3 * 2 / 3 + 2) / 5), pytest.approx(3 / 5), pytest.approx(2 / 3))


def test_a_class_that_is_never_predicted_has_precision_0_and_counts():
    scores = score_classes([0, 1], [[0.9, 0.1], [0.8, 0.2]], ["a", "b"])
    assert scores.classes[1][1:] == (0.0, 0.0, 0.0, 1, 0)
    assert scores.macro.precision == pytest.approx(0.25)


def test_calibration_by_hand():
    """Confidences 0.7, 0.7 | 0.6 | 0.8 | 0.9, in the bins of fifteenths that end at 11, 9, 12 and 14."""
    scores = score_classes(TRUTH, PROBABLE, NAMES)
    assert len(scores.bins) == BINS == 15
    assert {place: each.rows for place, each in enumerate(scores.bins) if each.rows} == {8: 1, 10: 2, 11: 1, 13: 1}
    low, high, confidence, right, rows = scores.bins[10]
    assert (low, high) == (pytest.approx(10 / 15), pytest.approx(11 / 15))
    assert (confidence, right, rows) == (pytest.approx(0.7), 0.5, 2)
    assert scores.calibration_error == pytest.approx((2 * 0.2 + 0.4 + 0.2 + 0.9) / 5)
    assert math.isnan(scores.bins[0].confidence)
    assert math.isnan(scores.bins[0].right)


def test_a_confidence_of_1_belongs_to_the_last_bin_and_an_edge_to_the_bin_below():
    scores = score_classes([0, 0, 0], [[1.0, 0, 0], [0.95, 0.05, 0], [0.4, 0.3, 0.3]], NAMES)
    assert scores.bins[14].rows == 2
    assert scores.bins[5] == ReliabilityBin(pytest.approx(5 / 15), pytest.approx(6 / 15), 0.4, 1.0, 1)


def test_everything_agrees_with_torchmetrics():
    from torchmetrics.functional import classification as by

    logits, truth = draw(3000, 7, sharpness=1.5)
    probable = (logits / 0.6).softmax(1)
    scores = score_classes(truth, probable, [f"class {k}" for k in range(7)])
    options = {"num_classes": 7}
    assert scores.accuracy == pytest.approx(by.multiclass_accuracy(probable, truth, average="micro", **options).item())
    for average in ("macro", "weighted"):
        found = getattr(scores, average)
        for name in ("precision", "recall", "f1_score"):
            expected = getattr(by, f"multiclass_{name}")(probable, truth, average=average, **options).item()
            assert getattr(found, name.removesuffix("_score")) == pytest.approx(expected, rel=1e-6)
    expected = by.multiclass_calibration_error(probable, truth, n_bins=15, **options).item()
    assert scores.calibration_error == pytest.approx(expected, rel=1e-4)
    assert scores.log_loss == pytest.approx(torch.nn.functional.nll_loss(probable.log(), truth).item(), rel=1e-12)
    assert np.array(scores.confusion).sum() == 3000


def test_calibration_of_millions_of_rows_is_not_lost_in_rounding():
    """One bin of 2 million rows: float32 sums would be off by more than the error that is asked for."""
    rows = 2_000_000
    sure = np.full(rows, 0.9687)
    scores = score_classes((np.arange(rows) % 100 < 3).astype(int), np.stack([sure, 1 - sure], 1), ["a", "b"])
    assert scores.calibration_error == pytest.approx(0.97 - 0.9687, rel=1e-6)


def test_a_probability_of_0_for_the_truth_costs_36_nats():
    assert score_classes([1], [[1.0, 0.0]], ["a", "b"]).log_loss == pytest.approx(36.04, abs=0.01)


def test_plain_data_has_null_where_nothing_is_defined():
    scores = score_classes(torch.tensor(TRUTH), torch.tensor(PROBABLE), NAMES)
    plain = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    assert plain["classes"][2] == {
        "name": "eggs", "precision": None, "recall": None, "f1": None, "support": 0, "predicted": 1,
    }  # fmt: skip
    assert plain["confusion"] == [[2, 0, 1], [1, 1, 0], [0, 0, 0]]
    assert plain["macro"]["recall"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert plain["bins"][0] == {"low": 0.0, "high": pytest.approx(1 / 15), "confidence": None, "right": None, "rows": 0}
    assert plain["accuracy"] == 0.6
    frame = scores.to_frame()
    assert frame.columns == ["class", "precision", "recall", "f1", "support", "predicted"]
    assert frame.dtypes == [pl.String, pl.Float64, pl.Float64, pl.Float64, pl.Int64, pl.Int64]
    assert frame["recall"].to_list() == [pytest.approx(2 / 3), 0.5, None]


def test_the_first_class_may_be_the_one_without_rows():
    frame = score_classes([1, 1], [[0.4, 0.6], [0.1, 0.9]], ["none", "all"]).to_frame()
    assert frame["f1"].to_list() == [None, 1.0]


@pytest.mark.parametrize(
    ("truth", "probable", "names", "message"),
    [
        ([0], [[0.5, 0.5]], ["a"], "names has 1 classes, probabilities 2 columns"),
        ([0, 1], [[0.5, 0.5]], ["a", "b"], r"target has shape \(2,\); expected one class for each of 1 rows"),
        ([2], [[0.5, 0.5]], ["a", "b"], r"target\[0\] is 2; expected a class from 0 to 1"),
        ([-1], [[0.5, 0.5]], ["a", "b"], r"target\[0\] is -1"),
        ([0.0], [[0.5, 0.5]], ["a", "b"], "target has dtype float64; expected whole numbers"),
        ([0], [[2.5, -1.5]], ["a", "b"], r"probabilities\[0\] is 2.5, -1.5, which adds up to 1; .*softmax"),
        ([0, 0], [[0.5, 0.5], [math.nan, 1]], ["a", "b"], r"probabilities\[1\] is nan, 1"),
        ([0], [[0.5, 0.6]], ["a", "b"], "adds up to 1.1"),
        ([], np.zeros((0, 2)), ["a", "b"], r"probabilities has shape \(0, 2\)"),
        ([0], [0.5, 0.5], ["a", "b"], r"probabilities has shape \(2,\); expected \(row, class\)"),
        ([0], [["x", "y"]], ["a", "b"], "probabilities is list; expected numbers"),
    ],
)
def test_what_does_not_fit_is_refused(truth, probable, names, message):
    with pytest.raises(ArgumentError, match=message):
        score_classes(truth, probable, names)


def test_without_torchmetrics_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.functional", None)
    with pytest.raises(RecurraError, match=r"need torchmetrics; install recurra\[text\]"):
        score_classes(TRUTH, PROBABLE, NAMES)


@pytest.mark.parametrize("spoilt_by", [0.4, 1.0, 2.5])
def test_the_temperature_undoes_what_logits_were_multiplied_by(spoilt_by):
    logits, truth = draw(20_000, 4)
    assert fit_temperature(spoilt_by * logits, truth) == pytest.approx(spoilt_by, rel=0.03)


def test_the_temperature_is_where_the_log_loss_is_least():
    logits, truth = draw(300, 5, seed=3)

    def log_loss(temperature):
        return torch.nn.functional.cross_entropy(logits / temperature, truth).item()

    least = minimize_scalar(log_loss, bounds=(0.1, 10), method="bounded", options={"xatol": 1e-8}).x
    assert fit_temperature(logits, truth) == pytest.approx(least, rel=1e-5)
    assert fit_temperature(logits.float().numpy(), truth.numpy()) == pytest.approx(least, rel=1e-5)
    assert fit_temperature(logits + 1000, truth) == pytest.approx(least, rel=1e-5)


def test_the_temperature_calibrates_held_back_rows():
    logits, truth = draw(20_000, 4)
    sure, names = 3 * logits, ["a", "b", "c", "d"]
    temperature = fit_temperature(sure[:10_000], truth[:10_000])
    before = score_classes(truth[10_000:], sure[10_000:].softmax(1), names)
    after = score_classes(truth[10_000:], (sure[10_000:] / temperature).softmax(1), names)
    assert before.calibration_error > 0.15
    assert after.calibration_error < 0.02
    assert after.confusion == before.confusion


def test_temperatures_without_a_least_loss_are_defined():
    assert fit_temperature([[5.0, 0.0], [0.0, 2.0]], [0, 1]) == 1.0
    assert fit_temperature([[1.0, 1.0]], [0]) == 1.0
    assert fit_temperature([[5.0, 0.0], [0.0, 2.0]], [1, 0]) == 1000.0
    assert fit_temperature([[1e-6, 0.0]] * 3 + [[0.0, 1e-7]], [0, 0, 0, 0]) == 0.001
    with pytest.raises(ArgumentError, match=r"logits\[0, 1\] is inf; expected finite"):
        fit_temperature([[0.0, math.inf]], [0])
    with pytest.raises(ArgumentError, match=r"target\[0\] is 3"):
        fit_temperature([[0.0, 1.0]], [3])
