"""What was decided, used and asked for, as rows of a name, a value and what it means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from recurra.reports.reading import Recorded

__all__ = ["Row", "decisions", "machine_rows", "setting_rows", "source_facts"]

_DECISIONS = {
    "lookback": ("Lookback", "past steps the model sees"),
    "periods": ("Periods", "steps after which the series repeat, found in the data"),
    "season": ("Season", "past steps read by one step of the recurrence"),
    "skips": ("Skips", "steps back to the values that forecasts start from"),
    "scaling": ("Scaling", "how each window is scaled by its own past"),
    "min_context": ("Shortest context", "steps of its own past that a window needs"),
    "held_back_count": ("Held-back windows", "of each series, to stop training and to calibrate intervals"),
    "held_back_stride": ("Held-back stride", "steps between those windows"),
}
_FACTS = {
    "frequency": ("Frequency", "step of the series"),
    "training_steps": ("Training steps", "up to the weights that were kept"),
    "members": ("Members", "networks in the ensemble"),
    "weights": ("Weights", "parameters of one network"),
    "tokens": ("Tokens", "that the tokenizer tells apart"),
    "temperature": ("Temperature", "that probabilities are taken at; above 1: the network was too sure of itself"),
    "padding_share": ("Padding", "share of the training's steps that are padding, with texts of like length together"),
    "tokens_per_second": ("Speed", "tokens a second in training"),
}
_SHARES = ("padding_share",)
_COUNTS = {
    "series": "series",
    "steps_total": "steps",
    "rows": "rows to learn from",
    "rows_measured": "rows to measure on",
}
_MACHINE = {
    "cpu": "Processor",
    "threads": "Threads",
    "python": "Python",
    "torch": "PyTorch",
    "recurra": "recurra",
}


class Row(NamedTuple):
    """A name, its value and a few words on what it means."""

    name: str
    value: str
    meaning: str = ""


def source_facts(record: Recorded) -> list[str]:
    """What the page says of its source below the title: the file, its size and the model."""
    facts = [_text(record.config["data"])] if record.config.get("data") else []
    for key, unit in (
        ("series", "series"),
        ("steps_total", "steps"),
        ("rows", f"{record.summary.get('unit', 'rows')} to learn from"),
        ("rows_measured", "measured"),
    ):
        if record.summary.get(key) is not None:
            facts.append(f"{_text(record.summary[key])} {unit}")
    return [*facts, record.model]


def decisions(record: Recorded) -> list[Row]:
    """What was read off the data rather than asked for."""
    plan = record.summary.get("plan")
    plan = {k: v for k, v in plan.items() if k != "horizon"} if isinstance(plan, Mapping) else {}
    rows = [Row(_DECISIONS[key][0], _text(plan[key]), _DECISIONS[key][1]) for key in _DECISIONS if key in plan]
    rows += [Row(_spaced(key), _text(value)) for key, value in plan.items() if key not in _DECISIONS]
    facts = {key: record.summary[key] for key in _FACTS if record.summary.get(key) is not None}
    return rows + [
        Row(_FACTS[key][0], f"{100 * value:.1f} %" if key in _SHARES else _text(value), _FACTS[key][1])
        for key, value in facts.items()
    ]


def machine_rows(record: Recorded) -> list[Row]:
    """Where it ran and how long it took."""
    machine = record.summary.get("machine")
    machine = machine if isinstance(machine, Mapping) else {}
    ordered = [*(key for key in _MACHINE if key in machine), *(key for key in machine if key not in _MACHINE)]
    rows = [Row(_MACHINE.get(key, _spaced(key)), _text(machine[key])) for key in ordered]
    seconds = record.summary.get("seconds")
    if isinstance(seconds, Mapping):
        rows += [Row(f"Time for {_spaced(key).lower()}", _duration(value)) for key, value in seconds.items()]
    if (memory := record.summary.get("peak_memory_mb")) is not None:
        rows.append(Row("Peak memory", f"{_text(memory)} MB"))
    return rows


def setting_rows(record: Recorded) -> list[Row]:
    """The parameters asked for; nested ones are named with dots."""
    return [Row(key, _text(value)) for key, value in _flat(record.config["parameters"])]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _text(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(_text(item) for item in value) or "none"
    return str(value)


def _duration(seconds: Any) -> str:
    if not isinstance(seconds, int | float):
        return _text(seconds)
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _spaced(key: str) -> str:
    words = str(key).replace("_", " ")
    return words[:1].upper() + words[1:]
