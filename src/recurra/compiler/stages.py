"""Functions in C for the stages of a graph: what can be computed of a tile between one product and the next."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from recurra.compiler.graph import CONDITIONS, Node, ancestors

__all__ = ["Output", "Stages", "stage_of"]


class Output(NamedTuple):
    """A value that leaves a stage.

    statement: C with {} for the value, which runs for each row and vector; if summed, where the sum over rows is added.
    """

    node: Node
    statement: str
    summed: bool = False


class Stages:
    """The stages of what leaves them.

    load: C for a leaf or a product.
    declarations: C before the rows of a tile, by the word that it declares; those that are used are written.
    work: the first column of the work buffer that is free for what later stages need.
    columns: the name of the number of the work buffer's columns.
    """

    def __init__(
        self,
        outputs: Sequence[Output],
        load: Callable[[Node], str],
        declarations: dict[str, str],
        *,
        work: int,
        columns: str,
    ) -> None:
        self._outputs, self._load, self._declarations, self._columns = outputs, load, declarations, columns
        self._stages = stage_of([output.node for output in outputs])
        later = {
            one: None
            for node in self._stages
            for one in node.inputs
            if one.inputs and one.op != "product" and self._stages[one] < self._stages[node] - (node.op == "product")
        }
        self._carried = {node: work + place for place, node in enumerate(later)}

    @property
    def count(self) -> int:
        """How many there are."""
        return max(self._stages[output.node] for output in self._outputs) + 1

    @property
    def carried(self) -> int:
        """Values that are computed in one stage and needed in a later one."""
        return len(self._carried)

    def stage_of(self, node: Node) -> int:
        """The stage in which a value is computed."""
        return self._stages[node]

    def functions(self, name: str) -> list[str]:
        """The functions `name_0`, `name_1`, ...: static void name_0(const Step *s, long tile)."""
        return [self._function(f"{name}_{stage}", stage) for stage in range(self.count)]

    def _function(self, name: str, stage: int) -> str:
        outputs = [output for output in self._outputs if self._stages[output.node] == stage]
        carried = [node for node in self._carried if self._stages[node] == stage]
        body = self._values([*(output.node for output in outputs), *carried], stage)
        sums: list[str] = []
        for output in outputs:
            value = _operand(output.node, whole=True)
            if output.summed:
                sums.append(output.statement)
                body.append(f"sum_{len(sums) - 1} += {value};")
            else:
                body.append(output.statement.format(value))
        body += [f"store({self._place(node)}, {_as_vector(node)});" for node in carried]
        before = [f"vec sum_{place} = {{0}};" for place in range(len(sums))]
        after = [f"store({to}, load({to}) + sum_{place});" for place, to in enumerate(sums)]
        return _layout(name, self._declared(body + after), before, body, after)

    def _values(self, roots: Sequence[Node], stage: int) -> list[str]:
        """C for all that the roots are made of in this stage."""
        at_hand = {node for node in self._stages if self._stages[node] < stage and node in self._carried}
        lines = []
        for node in ancestors(roots, stop=at_hand | {node for node in self._stages if node.op == "product"}):
            if node.op == "constant":
                continue
            kind = "mask" if _is_mask(node) else "vec"
            if node in at_hand:
                value = f"as_mask(load({self._place(node)}))" if _is_mask(node) else f"load({self._place(node)})"
            elif not node.inputs or node.op == "product":
                value = self._load(node)
            else:
                value = _expression(node)
            lines.append(f"const {kind} v{node.number} = {value};")
        return lines

    def _place(self, node: Node) -> str:
        return f"work + (row * {self._columns} + {self._carried[node]}) * TILE"

    def _declared(self, lines: Sequence[str]) -> list[str]:
        words = set(re.findall(r"\w+", " ".join(lines)))
        return [line for word, line in self._declarations.items() if word in words]


def stage_of(nodes: Sequence[Node]) -> dict[Node, int]:
    """In which stage each of the nodes, and of their inputs, can be computed: behind its products' operands."""
    stages: dict[Node, int] = {}
    for node in ancestors(nodes):
        stages[node] = max((stages[one] for one in node.inputs), default=0) + (node.op == "product")
    return stages


def _layout(name: str, declared: list[str], before: list[str], body: list[str], after: list[str]) -> str:
    inner = "\n            ".join(body)
    return f"""static void {name}(const Step *s, long tile) {{
    const Call *c = s->call;
    const long units = tiles_of(c) * TILE;
    for (long part = 0; part < PARTS; part++) {{
        const long unit = tile * TILE + part * LANES, left = c->hidden - unit;
        if (left <= 0) break;
        {" ".join([*declared, *before])}
        for (long row = 0; row < s->rows; row++) {{
            {inner}
        }}
        {" ".join(after)}
    }}
    (void)units;
}}
"""


def _operand(node: Node, *, whole: bool = False) -> str:
    """A value by its name. whole: a constant as a vector, and not as a number."""
    if node.op != "constant":
        return f"v{node.number}"
    number = f"(real){_number(node.value)}"
    return f"all({number})" if whole else f"({number})"


def _is_mask(node: Node) -> bool:
    return node.op in CONDITIONS or (node.name or ("",))[0] == "kept"


def _as_vector(node: Node) -> str:
    return f"as_vec({_operand(node)})" if _is_mask(node) else _operand(node, whole=True)


def _number(value: float) -> str:
    if math.isnan(value):
        return "NAN"
    return repr(value) if math.isfinite(value) else f"{'-' * (value < 0)}INFINITY"


def _expression(node: Node) -> str:
    if node.op == "neg":
        return f"-{_operand(node.inputs[0], whole=True)}"
    if node.op == "where":
        condition, one, other = node.inputs
        return f"choose({_operand(condition)}, {_operand(one, whole=True)}, {_operand(other, whole=True)})"
    if node.op in _SIGNS:
        one, other = node.inputs
        value = f"{_operand(one, whole=other.op == 'constant')} {_SIGNS[node.op]} {_operand(other)}"
        return f"(mask)({value})" if node.op in CONDITIONS else value
    return f"vec_{node.op}({', '.join(_operand(one, whole=True) for one in node.inputs)})"


_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_SIGNS |= {"eq": "==", "ne": "!=", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
