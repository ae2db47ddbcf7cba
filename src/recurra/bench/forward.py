"""The forward pass: against onnxruntime, and against the most that the machine's arithmetic gives."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch

from recurra.bench.peak import Peak, no_compiler
from recurra.bench.peers import onnx_runtime
from recurra.bench.records import Check, Record, geometric_mean, least
from recurra.bench.rows import Case, Row, Settings, installed, threaded
from recurra.bench.sizes import Size
from recurra.bench.steps import beside, check_same, draw, forward_pass
from recurra.bench.timing import Pace, Timing, alternate, times_faster, using_threads
from recurra.bench.training import build

__all__ = ["ONNXRUNTIME", "SHARE"]

_GOALS = {"LSTM": 1.2, "GRU": 1.6, "RNN": 3.0}
_SHARE = 0.8


def beside_onnxruntime(kind: str, size: Size, pace: Pace) -> list[Record]:
    """A forward pass of ours and of the exported layer, on one thread."""
    layer = build(kind, size)
    x, _ = draw(size)
    theirs = onnx_runtime.forward_pass(kind, layer.state_dict(), x.numpy(), threads=1)
    functions = {"ours": forward_pass(layer, x), "onnxruntime": theirs}
    check_same(kind, "onnxruntime", {"y": functions["ours"]()}, {"y": theirs()})
    with torch.no_grad():  # which an engine's choice may depend on
        return beside(kind, layer, size, functions, 1, pace)


def share_of_peak(size: Size, threads: int, pace: Pace) -> list[Record]:
    """An LSTM's products in the time that its forward pass takes, against the fastest run of a loop of multiply-adds;
    in turn, since processors change their pace."""
    layer = build("LSTM", size)
    x, _ = draw(size)
    operations = 2 * size.time * size.batch * (size.features + size.hidden) * 4 * size.hidden
    with Peak(threads) as peak, using_threads(threads), torch.no_grad():
        timings = alternate({"ours": forward_pass(layer, x), "peak": peak.run}, pace)
        explained = layer.explain()
    best = min(timings["peak"].seconds) * operations / peak.operations
    ours = timings["ours"]
    _, lower, upper = times_faster(ours, Timing((best,) * len(ours.seconds)))
    note = f"{operations / ours.median / 1e9:.0f} of {operations / best / 1e9:.0f} GF/s"
    return [Record("LSTM", "FMA peak", size, threads, ours.median, best, (lower, upper), explained, note=note)]


def _onnxruntime_cases(settings: Settings) -> list[Case]:
    return [
        Case(f"{kind} at {size}", partial(beside_onnxruntime, kind, size, settings.pace))
        for kind in _GOALS
        for size in settings.sizes
    ]


def _judge_onnxruntime(records: Sequence[Record], settings: Settings) -> list[Check]:
    return [
        Check(
            f"{kind}, 1 thread, geometric mean",
            ">=",
            goal,
            geometric_mean(record for record in records if record.subject == kind),
        )
        for kind, goal in _GOALS.items()
    ]


def _share_cases(settings: Settings) -> list[Case]:
    return [
        Case(f"LSTM at {size}, {threaded(threads)}", partial(share_of_peak, size, threads, settings.pace))
        for threads in settings.threads
        for size in settings.sizes
        if size.hidden >= 128 and size.batch >= 32
    ]


def _judge_share(records: Sequence[Record], settings: Settings) -> list[Check]:
    checks = []
    for threads in settings.threads:
        lowest = least([record for record in records if record.threads == threads])
        share = lowest.ratio if lowest else None
        note = f"at {lowest.size}: {lowest.note}" if lowest else "no size with H >= 128 and B >= 32"
        what = f"H >= 128, B >= 32, {threaded(threads)}, the least"
        checks.append(Check(what, ">=", _SHARE, share, "%", note))
    return checks


ONNXRUNTIME = Row(
    "forward",
    "Forward pass against onnxruntime",
    _onnxruntime_cases,
    _judge_onnxruntime,
    installed("onnx", "onnxruntime"),
)
SHARE = Row("peak", "LSTM forward, share of the measured FMA peak", _share_cases, _judge_share, no_compiler)
