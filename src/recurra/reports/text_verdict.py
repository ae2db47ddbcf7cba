"""The one sentence that says how good a text model is, from its comparison with baselines."""

from __future__ import annotations

import math

from recurra.reports.scoreboard import aligned
from recurra.reports.text_record import TextMeasure, TextRecord
from recurra.reports.text_words import BASELINES, judged
from recurra.reports.verdict import Verdict

__all__ = ["make_text_verdict"]

_SAME = 0.005  # relative difference that is called equal
_Z = 1.96  # standard deviations that chance seldom goes beyond


def make_text_verdict(record: TextRecord) -> Verdict:
    """How the model does beside the best baseline on the rows measured, and whether it knows how sure it can be."""
    measure, values = judged(record), record.compared.values
    own = values[record.model].get(measure.key)
    title = measure.title if measure.title[:2].isupper() else measure.title.lower()
    if own is None:
        return Verdict(f"{record.model} could not be scored: its {title} is undefined on these rows.", "unknown")
    others = {name: row.get(measure.key) for name, row in values.items() if name != record.model}
    found = {name: value for name, value in others.items() if value is not None}
    sentence = f"{record.model}'s {title} on {record.compared.measured_on} is "
    if not found:
        text = f"{sentence}{_number(measure, own)}; there was no baseline to compare it with."
        return Verdict(f"{text}{_sureness(record)}", "unknown")
    best = (max if measure.higher_is_better else min)(found, key=found.__getitem__)
    mine, other = _numbers(measure, own, found[best])
    plain = BASELINES.get(best, (best,))[0]
    rank = f", the best of {len(found)} baselines" if len(found) > 1 else ""
    beside = f"{mine}, {_beside(own, found[best])} {other} of {plain}{rank}"
    if _equal(record, measure, own, found[best]):
        why = " With so few rows, chance alone may make such a difference." if own != found[best] else ""
        return Verdict(f"{sentence}{beside}.{why}{_sureness(record)}", "mixed")
    better = (own > found[best]) == measure.higher_is_better
    opening = (
        sentence
        if better
        else f"{record.model} did worse than {plain}: its {title} on " + (f"{record.compared.measured_on} is ")
    )
    return Verdict(f"{opening}{beside}.{_sureness(record)}", "better" if better else "worse")


def _equal(record: TextRecord, measure: TextMeasure, own: float, other: float) -> bool:
    """Whether two scores are as good as equal, or so close that the rows measured are too few to tell them apart."""
    if abs(own - other) <= _SAME * max(abs(own), abs(other)):
        return True
    rows = record.summary.get("rows_measured")
    if not measure.share or not isinstance(rows, int) or rows < 1:
        return False
    spread = math.sqrt(max(0.0, own * (1 - own) + other * (1 - other)) / rows)
    return abs(own - other) < _Z * spread


def _beside(own: float, other: float) -> str:
    return "above the" if own > other else "below the" if own < other else "equal to the"


def _number(measure: TextMeasure, value: float) -> str:
    return f"{100 * value:.1f} %" if measure.share else aligned({"": value})[""]


def _numbers(measure: TextMeasure, one: float, other: float) -> tuple[str, str]:
    if measure.share:
        return _number(measure, one), _number(measure, other)
    both = aligned({"one": one, "other": other})
    return both["one"], both["other"]


def _sureness(record: TextRecord) -> str:
    """A classifier's confidence beside how often it is right."""
    bins = [each for each in record.compared.details.get("bins", []) if each["rows"]]
    rows = sum(each["rows"] for each in bins)
    if not rows:
        return ""
    sure, right = (sum(each["rows"] * each[key] for each in bins) / rows for key in ("confidence", "right"))
    return f" On average it is {100 * sure:.0f} % sure of its answers, and {100 * right:.0f} % of them are right."
