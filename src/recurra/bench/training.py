"""Training steps against torch.nn's layers and against a jitted JAX scan."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

import recurra.layers
from recurra.bench.apart import apart
from recurra.bench.peers.jax_scan import scan_training_step, set_threads
from recurra.bench.records import Check, Record, geometric_mean, least
from recurra.bench.rows import Case, Row, Settings, anything, installed, threaded
from recurra.bench.sizes import Size
from recurra.bench.steps import beside, check_same, draw, training_step
from recurra.bench.timing import Pace
from recurra.layers import Recurrent

__all__ = ["JAX", "KINDS", "TORCH", "build"]

KINDS = ("LSTM", "GRU", "RNN")
_GOALS = {1: {"LSTM": 1.8, "GRU": 3.0, "RNN": 3.0}, 2: {"LSTM": 2.0, "GRU": 4.0, "RNN": 3.5}}
_SCANNED = ("LSTM", "GRU")


def build(kind: str, size: Size) -> Recurrent:
    """Our drop-in for torch.nn's layer of that name, the same on every run."""
    layer: Recurrent = getattr(recurra.layers, kind)(size.features, size.hidden, seed=0)
    return layer


def beside_torch(kind: str, size: Size, threads: int, pace: Pace) -> list[Record]:
    """A training step of ours and torch.nn's with the same weights."""
    ours, theirs = build(kind, size), getattr(nn, kind)(size.features, size.hidden)
    theirs.load_state_dict(ours.state_dict())
    x, dy = draw(size)
    functions = {"ours": training_step(ours, x, dy), "torch.nn": training_step(theirs, x, dy)}
    y, their_y = (function() for function in functions.values())
    check_same(kind, "torch.nn", {"y": y, **_gradients(ours)}, {"y": their_y, **_gradients(theirs)})
    return beside(kind, ours, size, functions, threads, pace)


def beside_jax(kind: str, size: Size, threads: int, pace: Pace) -> list[Record]:
    """A training step of ours and of a JAX scan with the same weights."""
    set_threads(threads)
    ours = build(kind, size)
    x, dy = draw(size)
    step, scan = training_step(ours, x, dy), scan_training_step(kind, ours.state_dict(), x, dy)
    y, (their_y, theirs) = step(), scan()
    check_same(kind, "JAX", {"y": y, **_gradients(ours)}, {"y": their_y, **theirs})
    return beside(kind, ours, size, {"ours": step, "JAX": scan}, threads, pace)


def beside_jax_at_all(sizes: Sequence[Size], threads: int, pace: Pace) -> list[Record]:
    """One process for all, since JAX takes a number of threads for good."""
    return [record for kind in _SCANNED for size in sizes for record in beside_jax(kind, size, threads, pace)]


def _gradients(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.grad for name, parameter in module.named_parameters() if parameter.grad is not None}


def _torch_cases(settings: Settings) -> list[Case]:
    return [
        Case(f"{kind} at {size}, {threaded(threads)}", partial(beside_torch, kind, size, threads, settings.pace))
        for threads in settings.threads
        for kind in KINDS
        for size in settings.sizes
    ]


def _judge_torch(records: Sequence[Record], settings: Settings) -> list[Check]:
    checks = []
    for threads in settings.threads:
        here = [record for record in records if record.threads == threads]
        for kind, goal in _GOALS.get(threads, {}).items():
            mean = geometric_mean(record for record in here if record.subject == kind)
            checks.append(Check(f"{kind}, {threaded(threads)}, geometric mean", ">=", goal, mean))
        slowest = least(here)
        note = f"{slowest.subject} at {slowest.size}" if slowest else ""
        ratio = slowest.ratio if slowest else None
        checks.append(Check(f"the least of all, {threaded(threads)}", ">=", 1.0, ratio, note=note))
    return checks


def _jax_cases(settings: Settings) -> list[Case]:
    return [
        Case(
            f"LSTM and GRU at all sizes, {threaded(threads)}",
            partial(apart, beside_jax_at_all, settings.sizes, threads, settings.pace),
        )
        for threads in settings.threads
    ]


def _judge_jax(records: Sequence[Record], settings: Settings) -> list[Check]:
    return [
        Check(
            f"{kind}, {threaded(threads)}, geometric mean",
            ">=",
            1.3,
            geometric_mean(record for record in records if (record.subject, record.threads) == (kind, threads)),
        )
        for threads in settings.threads
        for kind in _SCANNED
    ]


TORCH = Row("train", "Training step against torch.nn", _torch_cases, _judge_torch, anything)
JAX = Row("jax", "Training step against a jitted JAX scan", _jax_cases, _judge_jax, installed("jax"))
