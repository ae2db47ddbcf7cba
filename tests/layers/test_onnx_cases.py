"""Layers against ONNX: the backend cases of its package, and its reference evaluator on random numbers.

All weights of a gate are equal in most of the backend cases, so that gates taken for one another would pass; the random
numbers tell them apart.
"""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnx.backend.test.case.node as node_cases
import pytest
import torch
from onnx.backend.test.case.node import gru, lstm, rnn
from onnx.reference import ReferenceEvaluator
from torch import Tensor

import recurra
from recurra.cells import Cell, State, get_cell
from recurra.engines import available, turned
from recurra.nn import Recurrent
from recurra.testing import assert_within_rounding

CASES = {
    case.name: case for case in node_cases._NodeTestCases if case.model.graph.node[0].op_type in {"RNN", "GRU", "LSTM"}
}
# The gates of ONNX's tensors, in their order, by the names of our cells'.
GATES = {"RNN": ("h",), "GRU": ("z", "r", "n"), "LSTM": ("i", "o", "f", "g")}
PEEPHOLES = ("p_i", "p_o", "p_f")


class Operator(NamedTuple):
    """A node with its inputs by name, None where it has none, in ONNX's layouts.

    W: (directions, gates*hidden, input); R: (directions, gates*hidden, hidden); B: (directions, 2*gates*hidden), those
    of W before those of R; P: (directions, 3*hidden); X: (time, batch, input), initial_h and initial_c:
    (directions, batch, hidden), the batch first in all three if the attribute layout is 1; sequence_lens: (batch,).
    """

    kind: str
    attributes: dict[str, Any]
    inputs: dict[str, Tensor | None]

    @classmethod
    def read(cls, node: onnx.NodeProto, arrays: list[np.ndarray]) -> "Operator":
        """arrays: those of the inputs that are there, in order."""
        attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        known = [each.name for each in onnx.defs.get_schema(node.op_type).inputs]
        present = iter(arrays)
        named = {name: torch.from_numpy(next(present)) for name, edge in zip(known, node.input, strict=False) if edge}
        return cls(node.op_type, attributes, dict.fromkeys(known) | named)

    @property
    def direction(self) -> str:
        return self.attributes.get("direction", b"forward").decode()

    @property
    def cell(self) -> Cell:
        if self.kind == "LSTM":
            return get_cell("lstm" if self.inputs["P"] is None else "peepholelstm")
        if self.kind == "GRU":
            return get_cell("gru" if self.attributes.get("linear_before_reset") else "resetbeforegru")
        return get_cell("elman")

    def layer(self) -> Recurrent:
        """The layer with the node's weights. Of direction reverse it is the forward half: turn what it reads."""
        hidden, w = self.attributes["hidden_size"], self.inputs["W"]
        bias, both = self.inputs["B"] is not None, self.direction == "bidirectional"
        layer = Recurrent(self.cell, w.shape[-1], hidden, bias=bias, bidirectional=both, dtype=w.dtype)
        layer.load_state_dict(
            {
                name + suffix: tensor
                for direction, suffix in enumerate(("_l0", "_l0_reverse")[: len(w)])
                for name, tensor in self.weights(direction).items()
            },
            strict=True,
        )
        return layer

    def weights(self, direction: int) -> dict[str, Tensor]:
        """The parameters of one direction under the layer's names, gates in the cell's order."""
        theirs, ours = GATES[self.kind], self.cell.gates
        blocks = {"weight_ih": self.inputs["W"], "weight_hh": self.inputs["R"]}
        if self.inputs["B"] is not None:
            blocks["bias_ih"], blocks["bias_hh"] = self.inputs["B"].chunk(2, 1)
        found = {}
        for name, block in blocks.items():
            by_gate = dict(zip(theirs, block[direction].chunk(len(theirs)), strict=True))
            found[name] = torch.cat([by_gate[gate] for gate in ours])
        if self.inputs.get("P") is not None:
            found |= dict(zip(PEEPHOLES, self.inputs["P"][direction].chunk(3), strict=True))
        return found

    def run(self) -> dict[str, Tensor]:
        """Y (time, directions, batch, hidden), Y_h and, of an LSTM, Y_c in ONNX's layouts, by our layer."""
        x, lengths = self.inputs["X"], self.inputs["sequence_lens"]
        given = [self.inputs[name] for name in ("initial_h", "initial_c") if name in self.inputs]
        if self.attributes.get("layout"):
            x, given = x.transpose(0, 1), [part if part is None else part.transpose(0, 1) for part in given]
        layer, reverse = self.layer(), self.direction == "reverse"
        start = layer.initial_state(x.shape[1])
        start = State(
            **{
                name: zeros if part is None else part
                for (name, zeros), part in zip(start._asdict().items(), given, strict=True)
            }
        )
        y, last = layer(turned(x, lengths) if reverse else x, start, lengths=lengths)
        y = turned(y, lengths) if reverse else y
        y = y.unflatten(2, (layer.num_directions, -1)).transpose(1, 2)  # time direction batch hidden
        found = {"Y": y, "Y_h": last.h} | ({"Y_c": last.c} if "c" in last._fields else {})
        if self.attributes.get("layout"):
            return {
                name: part.permute(2, 0, 1, 3) if name == "Y" else part.transpose(0, 1) for name, part in found.items()
            }
        return found


def assert_equal(node: onnx.NodeProto, arrays: list[np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """By every engine that can run the node's cell."""
    operator = Operator.read(node, arrays)
    for engine in available(operator.cell):
        with recurra.engine(engine):
            found = operator.run()
        for name, array in expected.items():
            assert_within_rounding(found[name], torch.from_numpy(array), f"{name} by {engine}")


def test_there_is_every_case_that_the_package_makes():
    made = sum(name.startswith("export") for module in (rnn.RNN, gru.GRU, lstm.LSTM) for name in vars(module))
    kinds = Counter(case.model.graph.node[0].op_type for case in CASES.values())
    assert len(CASES) == made == 18
    assert kinds == {"RNN": 6, "GRU": 6, "LSTM": 6}


@pytest.mark.parametrize("name", CASES)
def test_a_backend_case(name):
    graph = CASES[name].model.graph
    [node] = graph.node
    [(inputs, outputs)] = CASES[name].data_sets
    present = [edge for edge in node.output if edge]
    assert_equal(node, inputs, dict(zip(present, outputs, strict=True)))


def random_node(kind: str, direction: str, *, bias: bool, peepholes: bool = False, **attributes: int):
    """A node of random float64 numbers, and its arrays: time 4, batch 3, input 2, hidden 5."""
    directions, gates, generator = 1 + (direction == "bidirectional"), len(GATES[kind]), np.random.default_rng(0)
    shapes = {
        "X": (4, 3, 2),
        "W": (directions, gates * 5, 2),
        "R": (directions, gates * 5, 5),
        "B": (directions, 2 * gates * 5) if bias else None,
        "sequence_lens": None,
        "initial_h": (directions, 3, 5),
    }
    if kind == "LSTM":
        shapes |= {"initial_c": (directions, 3, 5), "P": (directions, 15) if peepholes else None}
    if attributes.get("layout"):
        shapes |= {"X": (3, 4, 2), "initial_h": (3, directions, 5)}
        shapes |= {"initial_c": (3, directions, 5)} if kind == "LSTM" else {}
    edges = [name if shape else "" for name, shape in shapes.items()]
    outputs = ["Y", "Y_h", "Y_c"] if kind == "LSTM" else ["Y", "Y_h"]
    node = onnx.helper.make_node(kind, edges, outputs, hidden_size=5, direction=direction, **attributes)
    return node, {name: generator.standard_normal(shape) for name, shape in shapes.items() if shape}


KINDS = {
    "RNN": ("RNN", {}),
    "GRU": ("GRU", {"linear_before_reset": 1}),
    "GRU reset before": ("GRU", {"linear_before_reset": 0}),
    "LSTM": ("LSTM", {}),
    "LSTM peepholes": ("LSTM", {"peepholes": True}),
}


@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("name", KINDS)
def test_random_numbers_tell_the_gates_apart(name, direction, layout):
    kind, named = KINDS[name]
    for bias in (True, False):
        node, arrays = random_node(kind, direction, bias=bias, layout=layout, **named)
        expected = dict(zip(node.output, ReferenceEvaluator(node).run(None, arrays), strict=True))
        assert_equal(node, list(arrays.values()), expected)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("name", KINDS)
def test_sequence_lens_end_each_row(name, direction):
    """The evaluator reads none, so it runs the rows one by one; past a row's end ONNX asks for zeros in Y."""
    kind, named = KINDS[name]
    node, arrays = random_node(kind, direction, bias=True, **named)
    alone, lengths = ReferenceEvaluator(node), np.array([3, 4, 1], np.int32)
    rows = {edge: [] for edge in node.output}
    for row, length in enumerate(lengths):
        of_row = {
            edge: part[:, row : row + 1] if edge in {"X", "initial_h", "initial_c"} else part
            for edge, part in arrays.items()
        }
        found = dict(zip(node.output, alone.run(None, of_row | {"X": of_row["X"][:length]}), strict=True))
        found["Y"] = np.pad(found["Y"], ((0, 4 - length), (0, 0), (0, 0), (0, 0)))
        for edge, part in found.items():
            rows[edge].append(part)
    expected = {edge: np.concatenate(parts, axis=-2) for edge, parts in rows.items()}
    node.input[4] = "sequence_lens"
    arrays = {edge: (arrays | {"sequence_lens": lengths})[edge] for edge in node.input if edge}
    assert_equal(node, list(arrays.values()), expected)
