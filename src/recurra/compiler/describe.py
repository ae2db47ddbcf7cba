"""What the compiler makes of a cell, in words: for `recurra cells CELL --explain`."""

from __future__ import annotations

from recurra.compiler.graph import Node, ancestors
from recurra.compiler.program import Program
from recurra.compiler.stages import stage_of
from recurra.compiler.taping import costs_of

__all__ = ["describe", "spell"]


def describe(program: Program) -> str:
    """Products, stages, and for the way back: what is kept, what is computed again, what is at hand anyway."""
    kept = {node: spell(node, _names(program)) for node in program.kept}
    lines = [
        f"products    {'; '.join(_products(program))}",
        f"stages      {max(stage_of(program.forward).values()) + 1} forward, {_back(program)} back",
        f"tape        {len(kept)} numbers a unit, step and row"
        + "".join(f"\n            {one}" for one in kept.values()),
        f"again       {', '.join(_again(program)) or 'nothing but sums and products'}",
    ]
    if program.vectors:
        made = "; ".join(f"vector.{place} = {spell(node, {})}" for place, node in enumerate(program.vectors))
        lines.append(f"once        {made}: of parameters alone, computed before the first step")
    lines.append(f"why         {costs_of()}")
    return "\n".join(lines)


def spell(node: Node, names: dict[Node, str]) -> str:
    """A value as a formula; those with a name are called by it."""
    if node in names:
        return names[node]
    if node.op == "constant":
        return f"{node.value:g}"
    if node.op in _SIGNS:
        one, other = (_inner(part, names) for part in node.inputs)
        return f"{one} {_SIGNS[node.op]} {other}"
    if node.op == "neg":
        return f"-{_inner(node.inputs[0], names)}"
    if not node.inputs and node.name:
        return ".".join(part for part in node.name if part)
    word = node.name[1] if node.op == "product" and node.name else node.op
    return f"{word}({', '.join(spell(part, names) for part in node.inputs)})"


def _inner(node: Node, names: dict[Node, str]) -> str:
    text = spell(node, names)
    return f"({text})" if node not in names and node.op in (*_SIGNS, "neg") else text


def _names(program: Program) -> dict[Node, str]:
    """What is said in place of the leaves of columns and vectors."""
    found: dict[Node, str] = {}
    for column in program.columns:
        gate = column.node.name[1] if column.node.name else ""
        sides = [("W", "x_t", column.input_gate), ("U", _operand(program, column.operand), column.recurrent_gate)]
        found[column.node] = " + ".join(f"{side}_{gate} {what}" for side, what, gate_at in sides if gate_at is not None)
    return {node: f"[{text}]" for node, text in found.items()}


def _operand(program: Program, operand: int) -> str:
    return f"{program.cell.states[0]}_(t-1)" if operand == 0 else f"v{operand}"


def _products(program: Program) -> list[str]:
    names = _names(program)
    words = [names[column.node][1:-1] for column in program.columns]
    words += [f"v{place + 1} = {spell(node, names)}" for place, node in enumerate(program.operands)]
    return words


def _back(program: Program) -> int:
    return max(stage_of([*program.gradients, *(one for one in program.before if one)]).values()) + 1


def _again(program: Program) -> list[str]:
    """Functions that are computed a second time on the way back."""
    roots = [*program.gradients, *(one for one in program.before if one), *program.vector_gradients]
    costly = {
        node for node in ancestors(roots) if node.op in _COSTLY and any(one.inputs or one.name for one in node.inputs)
    }
    return sorted({node.op for node in costly})


_SIGNS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "eq": "==",
    "ne": "!=",
    "gt": ">",
    "ge": ">=",
    "lt": "<",
    "le": "<=",
}
_COSTLY = ("sigmoid", "tanh", "exp", "expm1", "log", "logaddexp", "sqrt", "sin", "cos")
