"""The kernels' table in Markdown: the goals, then what each was computed from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from recurra.bench.kernels import Section
from recurra.bench.records import Check, Record

__all__ = ["write_markdown"]

_SAID = ("cpu", "cores")


def write_markdown(sections: Sequence[Section], machine: Mapping[str, Any]) -> str:
    """All of the sections, with the machine named."""
    versions = [f"{name} {value}" for name, value in machine.items() if value is not None and name not in _SAID]
    parts = [
        f"Machine: {machine['cpu']}, {machine['cores']} cores; {', '.join(versions)}.",
        _table(
            ("row", "what", "goal", "measured", "", "where, why"),
            [line for section in sections for line in _goals(section)],
        ),
    ]
    for section in sections:
        for peer in dict.fromkeys(record.peer for record in section.records):
            parts += _details(section.title, peer, [record for record in section.records if record.peer == peer])
    return "\n\n".join(parts)


def _goals(section: Section) -> list[tuple[str, ...]]:
    return [
        (
            section.title if check is section.checks[0] else "",
            check.what,
            f"{check.sign} {check.written(check.goal)}",
            check.written(check.measured),
            _verdict(check),
            check.note,
        )
        for check in section.checks
    ]


def _verdict(check: Check) -> str:
    return "**missed**" if check.met is False else check.verdict


def _details(title: str, peer: str, records: Sequence[Record]) -> list[str]:
    """How one peer did by size and subject; thread counts side by side."""
    subjects = list(dict.fromkeys(record.subject for record in records))
    counts = sorted({record.threads for record in records})
    threads = f"{' / '.join(map(str, counts))} thread{'s' if counts != [1] else ''}"
    quantity, unit = ("time", "ms") if records[0].unit == "s" else ("memory", records[0].unit)
    engines = ", ".join(sorted({f"{record.subject} by {record.engine}" for record in records}))
    rows = []
    for size in dict.fromkeys(record.size for record in records):
        found = [[one for one in records if (one.size, one.subject) == (size, subject)] for subject in subjects]
        rows.append((str(size), *map(_cell, found)))
    return [
        f"### {title if peer in title else f'{title}: {peer}'}",
        f"The peer's {quantity} over ours, and ours in {unit}; {threads}. Engines: {engines}.",
        _table(("T, B, I, H", *subjects), rows),
    ]


def _cell(records: Iterable[Record]) -> str:
    """Of one size and subject.

    >>> from recurra.bench.sizes import Size
    >>> size = Size(9, 1, 2, 3)
    >>> one = Record("GRU", "torch.nn", size, 1, 0.002, 0.004, None, "gru by reference")
    >>> _cell([one, one._replace(threads=2, ours=0.001)])
    '2 / 4 (2 / 1)'
    """
    ordered = sorted(records, key=lambda record: record.threads)
    if not ordered:
        return "-"
    ours = (record.ours * (1000 if record.unit == "s" else 1) for record in ordered)
    return f"{' / '.join(f'{one.ratio:.3g}' for one in ordered)} ({' / '.join(f'{value:.3g}' for value in ours)})"


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(headers)} |", f"|{'---|' * len(headers)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
