"""Recurrences for which torch.nn has no kernel, against a good loop in PyTorch and against our own plain LSTM."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra.bench.peers.loops import (
    CoupledLoop,
    CoupledLSTM,
    LSTMLoop,
    NormedLoop,
    PeepholeLoop,
    ThinnedLoop,
    ZoneoutLoop,
)
from recurra.bench.records import Check, Record
from recurra.bench.rows import Case, Row, Settings, anything, threaded
from recurra.bench.sizes import Size
from recurra.bench.steps import beside, check_same, draw, training_step
from recurra.bench.timing import Pace
from recurra.bench.training import build
from recurra.cells import Cell
from recurra.layers import Recurrent

__all__ = ["VARIANTS", "beside_loop"]

_LOOP, _PLAIN = "loop", "our LSTM"
_FASTER, _FASTER_WHEN_LONG, _DEARER = 4.0, 8.0, 1.4
_LONG = 1000  # time steps
_ALIKE = 24  # time steps after which results are compared: normalised recurrences are chaotic, and rounding grows


class Variant(NamedTuple):
    """A recurrence, as an argument of ours and as a loop."""

    cell: str | type[Cell]
    options: Mapping[str, Any]
    loop: Callable[[Recurrent], LSTMLoop]


_VARIANTS = {
    "layer-norm LSTM": Variant("lstm", {"layer_norm": True}, NormedLoop),
    "peephole LSTM": Variant("peepholelstm", {}, PeepholeLoop),
    "zoneout LSTM": Variant("lstm", {"zoneout": 0.1}, partial(ZoneoutLoop, probability=0.1)),
    "recurrent-dropout LSTM": Variant("lstm", {"recurrent_dropout": 0.2}, partial(ThinnedLoop, probability=0.2)),
    "a user's own cell": Variant(CoupledLSTM, {}, CoupledLoop),
}


def beside_loop(name: str, size: Size, threads: int, pace: Pace) -> list[Record]:
    """A training step of ours, of the loop with the same weights, and of our plain LSTM."""
    variant = _VARIANTS[name]
    layer = Recurrent(variant.cell, size.features, size.hidden, seed=0, **variant.options)
    loop, plain = variant.loop(layer), build("LSTM", size)
    x, dy = draw(size)
    functions = {
        "ours": training_step(layer, x, dy),
        _LOOP: training_step(loop, x, dy),
        _PLAIN: training_step(plain, x, dy),
    }
    begun = x[:_ALIKE], dy[:_ALIKE]
    ours, theirs = (_results(module, training_step(module, *begun)) for module in (layer, loop))
    check_same(name, "the loop", ours, theirs)
    return beside(name, layer, size, functions, threads, pace)


def _results(module: nn.Module, step: Callable[[], Tensor]) -> dict[str, Tensor]:
    """The output and the gradients, with the same dropped by whoever steps."""
    torch.manual_seed(0)
    found = {"y": step()}
    for name, parameter in module.named_parameters():
        if parameter.grad is not None:
            found[name.removesuffix("_l0")] = parameter.grad
    return found


def _cases(settings: Settings) -> list[Case]:
    return [
        Case(f"{name} at {size}, {threaded(threads)}", partial(beside_loop, name, size, threads, settings.pace))
        for threads in settings.threads
        for name in _VARIANTS
        for size in settings.sizes
    ]


def _judge(records: Sequence[Record], settings: Settings) -> list[Check]:
    """Each check takes the worst of the variants."""
    checks = []
    for threads in settings.threads:
        here = [record for record in records if record.threads == threads]
        loops = [record for record in here if record.peer == _LOOP]
        means = _means(loops)
        at_length = _means([record for record in loops if record.size.time == _LONG])
        times = {name: 1 / mean for name, mean in _means([one for one in here if one.peer == _PLAIN]).items()}
        end = f"{threaded(threads)}, the worst variant"
        checks += [
            _worst(f"faster than a good loop, geometric mean, {end}", ">=", _FASTER, means),
            _worst(f"the same at T = {_LONG:,}, {end}", ">=", _FASTER_WHEN_LONG, at_length),
            _worst(f"time over that of our plain LSTM, geometric mean, {end}", "<=", _DEARER, times),
        ]
    return checks


def _means(records: Sequence[Record]) -> dict[str, float]:
    """The geometric mean of each variant's ratios."""
    ratios: dict[str, list[float]] = {}
    for record in records:
        ratios.setdefault(record.subject, []).append(record.ratio)
    return {name: statistics.geometric_mean(values) for name, values in ratios.items()}


def _worst(what: str, sign: str, goal: float, values: Mapping[str, float]) -> Check:
    if not values:
        return Check(what, sign, goal, None, note="no such size was measured")
    pick = min if sign == ">=" else max
    name = pick(values, key=values.__getitem__)
    return Check(what, sign, goal, values[name], note=name)


VARIANTS = Row(
    "variants", "Training step of what torch.nn has not, against a good PyTorch loop", _cases, _judge, anything
)
