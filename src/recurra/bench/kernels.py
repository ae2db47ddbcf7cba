"""The kernels' table: its rows, and what measures them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from recurra.bench import forward, memory, scaling, streaming, training, variants
from recurra.bench.records import Check, Record
from recurra.bench.rows import Row, Settings
from recurra.engines import engine
from recurra.errors import ArgumentError, nearest

__all__ = ["Section", "list_rows", "measure"]

_ROWS = {
    row.name: row
    for row in (
        training.TORCH,
        training.JAX,
        forward.ONNXRUNTIME,
        variants.VARIANTS,
        forward.SHARE,
        scaling.THREADS,
        streaming.STEP,
        memory.MEMORY,
        scaling.SCAN,
    )
}

Listener = Callable[[str, str, int, int], None]


class Section(NamedTuple):
    """A row, measured."""

    row: str
    title: str
    checks: tuple[Check, ...]
    records: tuple[Record, ...]

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "row": self.row,
            "title": self.title,
            "checks": [check.to_json() for check in self.checks],
            "records": [record.to_json() for record in self.records],
        }


def list_rows() -> dict[str, str]:
    """What can be measured: names of rows, each with what it tells."""
    return {name: row.title for name, row in _ROWS.items()}


def measure(
    rows: Sequence[str] = (),
    settings: Settings = Settings(),  # noqa: B008 - a tuple
    *,
    on_case: Listener = lambda row, case, done, total: None,
) -> list[Section]:
    """Measure the rows, all if none is named, with the engines that a user gets who asks for none.

    on_case: hears of each case before it is measured: the row's name, what is measured, how many of the row's cases are
        done, how many there are; and once more after the last.
    Raises ArgumentError for an unknown row, RecurraError if a peer computes something else than we do.
    """
    unknown = [name for name in rows if name not in _ROWS]
    if unknown:
        raise ArgumentError(f"row {unknown[0]!r} is unknown; {nearest(unknown[0], _ROWS)} All: {', '.join(_ROWS)}")
    with engine("auto"):
        return [_measure(row, settings, on_case) for name, row in _ROWS.items() if not rows or name in rows]


def _measure(row: Row, settings: Settings, on_case: Listener) -> Section:
    obstacle = row.obstacle()
    if obstacle:
        unmeasured = [check._replace(note=obstacle) for check in row.judge((), settings)]
        return Section(row.name, row.title, tuple(unmeasured), ())
    cases = row.cases(settings)
    records: list[Record] = []
    for done, case in enumerate(cases):
        on_case(row.name, case.label, done, len(cases))
        records += case.measure()
    on_case(row.name, "", len(cases), len(cases))
    return Section(row.name, row.title, tuple(row.judge(records, settings)), tuple(records))
