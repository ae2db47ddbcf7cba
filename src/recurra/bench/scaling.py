"""Our own training steps against each other: on two threads and on one, through the scan and step by step."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial

import torch

from recurra.bench.records import Check, Record, geometric_mean, least
from recurra.bench.rows import Case, Row, Settings, anything, threaded
from recurra.bench.sizes import Size
from recurra.bench.steps import beside, draw, training_step
from recurra.bench.timing import Pace
from recurra.bench.training import KINDS, build
from recurra.cells import get_cell
from recurra.engines import available, engine
from recurra.layers import Recurrent

__all__ = ["SCAN", "THREADS"]

_TWICE, _SCANNED = 1.8, 3.0
_BATCHES, _WIDTH = (1, 16), 64
_ENGINES = ("scan", "compiled")


def two_beside_one(kind: str, size: Size, pace: Pace) -> list[Record]:
    """A training step on two threads and on one."""
    layer = build(kind, size)
    step = training_step(layer, *draw(size))
    functions = {"ours": _on_threads(2, step), "1 thread": _on_threads(1, step)}
    return beside(kind, layer, size, functions, 2, pace)


def linear_beside_gru(name: str, size: Size, threads: int, pace: Pace) -> list[Record]:
    """A training step of minGRU by an engine, and of a GRU of the same width by its kernel."""
    layer = Recurrent("mingru", size.features, size.hidden, seed=0)
    x, dy = draw(size)
    quick, slow = training_step(layer, x, dy), training_step(build("GRU", size), x, dy)

    def by_engine() -> object:
        with engine(name):
            return quick()

    with engine(name):
        explained = layer.explain()
    functions = {"ours": by_engine, "our GRU": slow}
    return [record._replace(explained=explained) for record in beside("minGRU", layer, size, functions, threads, pace)]


def _on_threads(count: int, step: Callable[[], object]) -> Callable[[], object]:
    def stepping() -> object:
        torch.set_num_threads(count)
        return step()

    return stepping


def _one_core() -> str:
    return "" if (os.cpu_count() or 1) > 1 else "this machine has one core"


def _threads_cases(settings: Settings) -> list[Case]:
    return [
        Case(f"{kind} at {size}", partial(two_beside_one, kind, size, settings.pace))
        for kind in KINDS
        for size in settings.sizes
        if size.batch >= 32
    ]


def _judge_threads(records: Sequence[Record], settings: Settings) -> list[Check]:
    checks = []
    for kind in KINDS:
        here = [record for record in records if record.subject == kind]
        lowest = least(here)
        note = f"least {lowest.ratio:.2f}x at {lowest.size}" if lowest else ""
        checks.append(Check(f"{kind}, B >= 32, geometric mean", ">=", _TWICE, geometric_mean(here), note=note))
    return checks


def _scan_cases(settings: Settings) -> list[Case]:
    sizes = [Size(settings.long, batch, _WIDTH, _WIDTH) for batch in _BATCHES]
    return [
        Case(
            f"minGRU by {name} at {size}, {threaded(threads)}",
            partial(linear_beside_gru, name, size, threads, settings.pace),
        )
        for threads in settings.threads
        for name in _ENGINES
        if name in available(get_cell("mingru"))
        for size in sizes
    ]


def _judge_scan(records: Sequence[Record], settings: Settings) -> list[Check]:
    """What was asked of the scan, of each engine."""
    checks = []
    for threads in settings.threads:
        for batch in _BATCHES:
            here = [record for record in records if (record.threads, record.size.batch) == (threads, batch)]
            for name in _ENGINES:
                found = [record.ratio for record in here if record.engine == name]
                what = f"T = {settings.long:,}, B = {batch}, {threaded(threads)}, by {name}"
                checks.append(Check(what, ">=", _SCANNED, max(found, default=None)))
    return checks


THREADS = Row("threads", "Training step on two threads against one", _threads_cases, _judge_threads, _one_core)
SCAN = Row("scan", "minGRU's training step against our GRU's, same H", _scan_cases, _judge_scan, anything)
