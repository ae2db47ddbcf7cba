"""Peak memory of a training step on a long sequence, each in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch import nn

from recurra.bench.apart import apart
from recurra.bench.records import Check, Record
from recurra.bench.rows import Case, Row, Settings, anything
from recurra.bench.sizes import Size
from recurra.bench.steps import draw, training_step
from recurra.bench.timing import using_threads
from recurra.layers import LSTM

__all__ = ["MEMORY", "peak_of_training"]

_BATCH, _WIDTH = 16, 128
_TORCH = "torch.nn.LSTM"
_GOALS = {"plain": 1 / 2, "checkpointed": 1 / 5}


def peak_of_training(who: str, size: Size) -> tuple[float, str]:
    """MiB that a training step takes at its most, beyond the process, the input, the weights and the gradient of the
    output before it; and which engine ran it. To be called in a fresh process.

    who: "plain", "checkpointed" or "torch.nn.LSTM".
    """
    module: nn.Module = nn.LSTM(size.features, size.hidden)
    explained = ""
    if who != _TORCH:
        module = LSTM(size.features, size.hidden, checkpoint=who == "checkpointed")
        explained = module.explain()
    x, dy = draw(size)
    with using_threads(1):
        training_step(module, x[:4], dy[:4])()  # libraries take memory when they are first used
        before = _resident()
        training_step(module, x, dy)()
    return _peak() - before, explained


def beside_torch(time: int) -> list[Record]:
    """Ours, plain and checkpointed, and torch.nn's."""
    size = Size(time, _BATCH, _WIDTH, _WIDTH)
    theirs, _ = apart(peak_of_training, _TORCH, size)
    records = []
    for who in _GOALS:
        ours, explained = apart(peak_of_training, who, size)
        records.append(Record(who, _TORCH, size, 1, ours, theirs, None, explained, "MiB"))
    return records


def _resident() -> float:
    """MiB of this process now; where the system does not say, its most so far."""
    return _status("VmRSS") if _STATUS.exists() else _most_by_getrusage()


def _peak() -> float:
    """MiB of this process at its most. Linux's getrusage begins with what the parent process had."""
    return _status("VmHWM") if _STATUS.exists() else _most_by_getrusage()


_STATUS = Path("/proc/self/status")


def _status(name: str) -> float:
    lines = (line.split() for line in _STATUS.read_text().splitlines())
    return next(int(words[1]) / 1024 for words in lines if words[0] == f"{name}:")


def _most_by_getrusage() -> float:
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 2**20 if sys.platform == "darwin" else most / 2**10


def _cases(settings: Settings) -> list[Case]:
    return [Case(f"{settings.long:,} steps, three processes", partial(beside_torch, settings.long))]


def _judge(records: Sequence[Record], settings: Settings) -> list[Check]:
    found = {record.subject: record for record in records}
    checks = []
    for who, goal in _GOALS.items():
        record = found.get(who)
        share = None if record is None else record.ours / record.theirs
        note = "" if record is None else f"{record.ours:.0f} of {record.theirs:.0f} MiB"
        what = f"{who}, T = {settings.long:,}, B = {_BATCH}, H = {_WIDTH}, share of torch.nn.LSTM's"
        checks.append(Check(what, "<=", goal, share, "%", note))
    return checks


MEMORY = Row("memory", "Peak memory of a training step", _cases, _judge, anything)
