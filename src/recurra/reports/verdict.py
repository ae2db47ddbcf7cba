"""The one sentence that says how good the forecast is, from the backtest's scores."""

from __future__ import annotations

from typing import Literal, NamedTuple

from recurra.reports.record import RunRecord, Scores

__all__ = ["PLAIN_NAMES", "Verdict", "make_verdict", "reference"]

PLAIN_NAMES = {
    "Naive": "the naive forecast",
    "SeasonalNaive": "the seasonal naive",
    "Drift": "the drift line",
    "Dense": "the dense network",
    "CNN": "the convolutional network",
}
_SAME = 0.005  # relative difference of errors that is called equal
_MISCOVERED = 5.0  # percentage points between level and coverage that deserve a word


class Verdict(NamedTuple):
    """The sentence and how it speaks of the model beside the baselines."""

    text: str
    kind: Literal["better", "mixed", "worse", "unknown"]


def make_verdict(record: RunRecord) -> Verdict:
    """How the model's mean absolute error and intervals did in the backtest, in plain words."""
    scores, model = record.scores, record.model
    error = scores.of(model, "mae") if scores else None
    if scores is None:
        return Verdict(
            "No backtest was made, so nothing here shows how far off this forecast may be; "
            "fit again with a backtest to learn it.",
            "unknown",
        )
    if error is None:
        return Verdict(f"{model} could not be scored: the held-out steps have no truth to compare with.", "unknown")
    steps = record.held_out_steps()
    others = _errors(scores, besides=model)
    if not others:
        text = f"{model}'s mean absolute error is {error:.4g}; there was no baseline to compare it with"
        return Verdict(_with_coverage(text, scores, model, steps), "unknown")
    text, kind = _comparison(model, error, others)
    return Verdict(_with_coverage(text, scores, model, steps), kind)


def reference(scores: Scores, model: str) -> str | None:
    """The baseline that the model is held against: the seasonal naive, else the naive, else the best."""
    others = _errors(scores, besides=model)
    for name in ("SeasonalNaive", "Naive"):
        if name in others:
            return name
    return min(others, key=others.__getitem__, default=None)


def _comparison(model: str, error: float, others: dict[str, float]) -> tuple[str, Literal["better", "mixed", "worse"]]:
    best = min(others, key=others.__getitem__)
    held_against = next((name for name in ("SeasonalNaive", "Naive") if name in others), best)
    count = len(others) + 1
    beside = f"{_relative(error, others[held_against])} {_plain(held_against)}'s"
    phrase = f"{model}'s mean absolute error is {beside}"
    if error < others[best] * (1 - _SAME):
        return phrase + (f", the lowest of {count} forecasters" if count > 2 else ""), "better"
    if error <= others[best] * (1 + _SAME):
        equal = "" if best == held_against else f", and within 1 % of that of {_plain(best)}, the best baseline"
        return phrase + equal, "mixed"
    if error < others[held_against] * (1 - _SAME):
        lower = _relative(others[best], error)
        return f"{phrase}, but {_plain(best)} did better: its error is {lower} {model}'s", "mixed"
    rank = f", the best of {count} forecasters" if count > 2 else ""
    also = "" if best == held_against else f" and {beside}"
    return (
        f"{model} did worse than {_plain(best)}{rank}: its mean absolute error is "
        f"{_relative(error, others[best])} {_plain(best)}'s{also}",
        "worse",
    )


def _with_coverage(text: str, scores: Scores, model: str, steps: int) -> str:
    covered = scores.of(model, "coverage")
    if covered is None:
        return f"{text}, over {_counted(steps)}."
    gap = 100 * covered - scores.level
    remark = ""
    if gap < -_MISCOVERED:
        remark = ", so they are too narrow"
    elif gap > _MISCOVERED:
        remark = ", so they are wider than they need to be"
    return f"{text}; its {scores.level:g} % intervals covered {100 * covered:.0f} % of {_counted(steps)}{remark}."


def _errors(scores: Scores, *, besides: str) -> dict[str, float]:
    errors = {name: measures.get("mae") for name, measures in scores.values.items() if name != besides}
    return {name: error for name, error in errors.items() if error is not None}


def _relative(error: float, other: float) -> str:
    """`error` beside `other` in words: "31 % below", "8 % above", "within 1 % of"."""
    if error == other:
        return "equal to"
    if other == 0:
        return "above"
    change = error / other - 1
    if abs(change) < _SAME:
        return "within 1 % of"
    return f"{max(1, round(100 * abs(change)))} % {'below' if change < 0 else 'above'}"


def _plain(name: str) -> str:
    return PLAIN_NAMES.get(name, name)


def _counted(steps: int) -> str:
    return f"{steps:,} held-out step{'' if steps == 1 else 's'}"
