"""One time step at batch 1 from Python: by the layer, by a stream object, and by others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from recurra.bench.peers import onnx_runtime
from recurra.bench.records import Check, Record
from recurra.bench.rows import Case, Row, Settings, anything, installed
from recurra.bench.sizes import Size
from recurra.bench.steps import beside, check_same, draw
from recurra.bench.timing import Pace
from recurra.bench.training import build
from recurra.layers import Recurrent

__all__ = ["STEP"]

_WIDTHS = (32, 128)
_GOALS = {"layer.step": 8.0, "stream": 0.8}  # microseconds, at the first width


def one_step(hidden: int, pace: Pace) -> list[Record]:
    """An LSTM's step, each from the state of the one before; one thread."""
    size = Size(1, 1, hidden, hidden)
    layer = build("LSTM", size)
    x_t = draw(size)[0][0]
    peers: dict[str, Callable[[], Any]] = {"torch.nn.LSTMCell": _cell_step(layer, x_t)}
    if not installed("onnx", "onnxruntime")():
        peers["onnxruntime"] = onnx_runtime.single_step("LSTM", layer.state_dict(), x_t.numpy())
    ours: dict[str, Callable[[], Any]] = {"layer.step": _layer_step(layer, x_t)}
    make_stream: Any = getattr(layer, "stream", None)
    if make_stream is not None:
        ours["stream"] = partial(make_stream(), x_t[0].numpy())
    _check([*ours.items(), *peers.items()])
    with torch.no_grad():
        return [
            record
            for subject, step in ours.items()
            for record in beside(subject, layer, size, {"ours": step, **peers}, 1, pace)
        ]


def _layer_step(layer: Recurrent, x_t: Tensor) -> Callable[[], Tensor]:
    state: Any = None

    def step() -> Tensor:
        nonlocal state
        y_t, state = layer.step(x_t, state)
        return y_t

    return step


def _cell_step(layer: Recurrent, x_t: Tensor) -> Callable[[], Tensor]:
    cell = nn.LSTMCell(x_t.shape[1], layer.state_dict()["weight_hh_l0"].shape[1])
    cell.load_state_dict({name.removesuffix("_l0"): weight for name, weight in layer.state_dict().items()})
    state: Any = None

    def step() -> Tensor:
        nonlocal state
        state = cell(x_t, state)
        h: Tensor = state[0]
        return h

    return step


def _check(steps: Sequence[tuple[str, Callable[[], Any]]]) -> None:
    """That all agree on the first steps."""
    with torch.no_grad():
        (first, step), *others = steps
        for number in range(2):
            expected = step()
            for name, other in others:
                found = torch.as_tensor(other()).reshape(expected.shape)
                check_same(name, first, {f"step {number}": found}, {f"step {number}": expected})


def _cases(settings: Settings) -> list[Case]:
    return [Case(f"LSTM, H = {hidden}", partial(one_step, hidden, settings.pace)) for hidden in _WIDTHS]


def _judge(records: Sequence[Record], settings: Settings) -> list[Check]:
    checks = []
    for subject, goal in _GOALS.items():
        found = [record for record in records if (record.subject, record.size.hidden) == (subject, _WIDTHS[0])]
        seconds = found[0].ours if found else None
        beside = ", ".join(f"{record.peer} {1e6 * record.theirs:.1f} us" for record in found)
        checks.append(
            Check(
                f"{subject}, LSTM, H = {_WIDTHS[0]}",
                "<=",
                goal,
                None if seconds is None else 1e6 * seconds,
                "us",
                beside or "not built",
            )
        )
    return checks


STEP = Row("step", "One step at batch 1 from Python", _cases, _judge, anything)
