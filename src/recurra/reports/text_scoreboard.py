"""The tables of a text report: models side by side, and the model's classes one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from recurra.reports.scoreboard import Cell, Row, aligned
from recurra.reports.text_record import TextMeasure, TextRecord
from recurra.reports.text_words import BASELINES, judged

__all__ = ["Listing", "class_listings", "make_text_scoreboard", "mistakes_listing"]

_MOST = 200  # classes of one table
_LONGEST = 300  # characters of one cell
_TITLES = {
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "support": "Rows of it",
    "predicted": "Rows taken for it",
    "true": "Spans of it",
    "found": "Spans found",
    "right": "Of these right",
}
_SHARES = ("precision", "recall", "f1")


class Listing(NamedTuple):
    """A table: what its rows are, headings and rows; note: what is not in it."""

    first: str
    headings: list[str]
    rows: list[Row]
    note: str = ""


def make_text_scoreboard(record: TextRecord) -> Listing:
    """Models by measures, the best by the measure they are judged by first; the best of each column is marked."""
    compared, by = record.compared, judged(record)
    measures = [m for m in compared.measures if any(row.get(m.key) is not None for row in compared.values.values())]

    def rank(name: str) -> tuple[bool, float]:
        value = compared.values[name].get(by.key)
        return value is None, 0.0 if value is None else -value if by.higher_is_better else value

    names = sorted(compared.values, key=rank)
    columns = [_column(m, {name: compared.values[name].get(m.key) for name in names}) for m in measures]
    rows = [
        Row(name, _gloss(record, name), name == record.model, [column[i] for column in columns])
        for i, name in enumerate(names)
    ]
    return Listing("Model", [_upper(m.title) for m in measures], rows)


def class_listings(record: TextRecord) -> list[Listing]:
    """The model's classes or tags, and the types of its spans, where such were measured."""
    details = record.compared.details
    listings = []
    spans = details.get("spans")
    if isinstance(spans, Mapping) and spans.get("types"):
        listings.append(_listing("Type", dict(spans["types"])))
    if details.get("classes"):
        first = "Tag" if record.task == "tag" else "Class"
        listings.append(_listing(first, {str(row["name"]): row for row in details["classes"]}))
    return listings


def mistakes_listing(record: TextRecord) -> Listing | None:
    """What the task showed of its mistakes, as it recorded them; None if it recorded none."""
    mistakes = record.examples.mistakes
    keys = list(dict.fromkeys(key for mistake in mistakes for key in mistake))
    if not keys:
        return None
    rows = [
        Row(_said(keys[0], each.get(keys[0])), "", False, [Cell(_said(key, each.get(key)), False) for key in keys[1:]])
        for each in mistakes
    ]
    return Listing(_upper(keys[0]), [_upper(key.replace("_", " ")) for key in keys[1:]], rows)


def _listing(first: str, measured: Mapping[str, Mapping[str, Any]]) -> Listing:
    keys = [key for key in _TITLES if any(key in row for row in measured.values())]
    names = list(measured)[:_MOST]
    rows = [Row(name, "", False, [_cell(key, measured[name].get(key)) for key in keys]) for name in names]
    note = f"The first {_MOST} of {len(measured):,} are shown." if len(measured) > _MOST else ""
    return Listing(first, [_TITLES[key] for key in keys], rows, note)


def _cell(key: str, value: Any) -> Cell:
    if value is None:
        return Cell("–", False)
    return Cell(f"{100 * value:.1f} %" if key in _SHARES else f"{value:,}", False)


def _column(measure: TextMeasure, values: Mapping[str, float | None]) -> list[Cell]:
    found = [value for value in values.values() if value is not None]
    best = (max if measure.higher_is_better else min)(found)
    if measure.share:
        texts = {name: "–" if value is None else f"{100 * value:.1f} %" for name, value in values.items()}
    else:
        texts = aligned(values)
    return [Cell(texts[name], len(found) > 1 and value == best) for name, value in values.items()]


def _gloss(record: TextRecord, name: str) -> str:
    return "this model" if name == record.model else BASELINES.get(name, ("", ""))[1]


def _said(key: str, value: Any) -> str:
    if key == "confidence" and isinstance(value, float):
        return f"{100 * value:.1f} %"
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = " ".join(map(str, value))
    text = f"{value:.4g}" if isinstance(value, float) else "–" if value is None else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _upper(title: str) -> str:
    return title[:1].upper() + title[1:]
