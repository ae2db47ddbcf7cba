"""onnxruntime on one recurrent node of ONNX: what an exported model runs on.

Weights are given as torch.nn names them, of one layer in one direction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["forward_pass", "single_step"]

_Array = NDArray[np.float32]
_ORDERS = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}  # torch's i f g o as i o f c, r z n as z r h
_OPSET, _IR_VERSION = 14, 8


def forward_pass(kind: str, weights: Mapping[str, Tensor], x: _Array, *, threads: int) -> Callable[[], _Array]:
    """A function that runs a sequence and returns y (time, batch, hidden).

    kind: "LSTM", "GRU" or "RNN". x: (time, batch, feature).
    """
    session = _session(kind, weights, states=(), outputs=("Y",), threads=threads)

    def forward() -> _Array:
        y: _Array = session.run(["Y"], {"X": x})[0]
        return y[:, 0]

    return forward


def single_step(kind: str, weights: Mapping[str, Tensor], x_t: _Array) -> Callable[[], _Array]:
    """A function that makes one step from the state that it left the last time, and returns h (batch, hidden).

    x_t: (batch, feature).
    """
    states = ("h", "c") if kind == "LSTM" else ("h",)
    outputs = [f"Y_{state}" for state in states]
    session = _session(kind, weights, states=states, outputs=outputs, threads=1)
    feeds = {"X": x_t[None]}
    zeros = np.zeros((1, len(x_t), weights["weight_hh_l0"].shape[1]), np.float32)
    feeds |= {f"initial_{state}": zeros for state in states}

    def step() -> _Array:
        after = session.run(outputs, feeds)
        feeds.update((f"initial_{state}", part) for state, part in zip(states, after, strict=True))
        h: _Array = after[0][0]
        return h

    return step


def _session(
    kind: str, weights: Mapping[str, Tensor], *, states: Sequence[str], outputs: Sequence[str], threads: int
) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    model = _model(kind, weights, states, outputs).SerializeToString()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _model(kind: str, weights: Mapping[str, Tensor], states: Sequence[str], outputs: Sequence[str]) -> Any:
    """A graph of the one node. states: those that are inputs, in order; the others begin at zero."""
    from onnx import TensorProto, helper, numpy_helper

    features, hidden = weights["weight_ih_l0"].shape[1], weights["weight_hh_l0"].shape[1]
    initial = [f"initial_{state}" for state in states]
    shown = [name if name in outputs else "" for name in ("Y", "Y_h", "Y_c")[: 3 if kind == "LSTM" else 2]]
    extra: dict[str, Any] = {"linear_before_reset": 1} if kind == "GRU" else {}
    node = helper.make_node(kind, ["X", "W", "R", "B", "", *initial], shown, hidden_size=hidden, **extra)
    state = (1, None, hidden)
    read = {"X": (None, None, features), **dict.fromkeys(initial, state)}
    written = {name: (None, *state) if name == "Y" else state for name in outputs}
    graph = helper.make_graph(
        [node],
        kind,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in read.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in written.items()],
        [numpy_helper.from_array(value, name) for name, value in _initializers(kind, weights).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)


def _initializers(kind: str, weights: Mapping[str, Tensor]) -> dict[str, _Array]:
    """ONNX's W, R and B, each with a leading axis of directions."""

    def ordered(name: str) -> _Array:
        blocks = np.split(weights[f"{name}_l0"].detach().numpy(), len(_ORDERS[kind]))
        return np.concatenate([blocks[gate] for gate in _ORDERS[kind]])

    bias = np.concatenate([ordered("bias_ih"), ordered("bias_hh")])
    return {"W": ordered("weight_ih")[None], "R": ordered("weight_hh")[None], "B": bias[None]}
