"""Writes a program down in C: numbers that the fixed text in `c/` is written around, and a function for each stage."""

from __future__ import annotations

import re
from functools import cache, partial
from importlib.resources import files

from recurra.compiler.graph import Node
from recurra.compiler.program import Program
from recurra.compiler.stages import Output, Stages

__all__ = ["emit", "emit_products", "emit_wavenet", "fixed_text"]


def emit_products(bits: int) -> str:
    """The source of a library with the products that all programs share."""
    return "\n".join([f"#define REAL_BITS {bits}\n", fixed_text("vectors.h"), fixed_text("products.h")])


def emit_wavenet(bits: int) -> str:
    """The source of a library with the step of a WaveNet, of any sizes."""
    return "\n".join([f"#define REAL_BITS {bits}\n", *map(fixed_text, ("vectors.h", "functions.h", "wavenet.h"))])


def emit(program: Program, *, bits: int, parts: int = 1, whole: bool = True) -> str:
    """The source of a library with the functions `forward`, `backward` and `tape_size`.

    bits: of its numbers, 32 or 64.
    parts: vectors of one column in a tile; wider tiles suit cells of few columns and many units.
    whole: with the products; else `recurra_link` must be given those of `emit_products` before anything else is called.
    """
    forward, backward = _forward_stages(program), _backward_stages(program)
    pieces = [
        f"/* {re.sub('[^0-9A-Za-z_.-]', '_', program.cell.name)}: written by recurra from its equations. */\n",
        f"#define REAL_BITS {bits}\n",
        "" if whole else "#define PRODUCTS_APART\n",
        fixed_text("vectors.h"),
        fixed_text("functions.h"),
        fixed_text("products.h"),
        _constants(program, forward, backward, parts),
        fixed_text("recurrence.h"),
        fixed_text("fused.h"),
        fixed_text("sparse.h"),
        *forward.functions("forward"),
        _table("FORWARD", "forward", forward.count),
        fixed_text("forward.h"),
        *backward.functions("backward"),
        _table("BACKWARD", "backward", backward.count),
        fixed_text("backward.h"),
        fixed_text("step.h"),
    ]
    return "\n".join(pieces)


@cache
def fixed_text(name: str) -> str:
    """A file of `c/`."""
    return files("recurra.compiler").joinpath("c", name).read_text(encoding="utf-8")


def _constants(program: Program, forward: Stages, backward: Stages, parts: int) -> str:
    operands = [program.columns_of(place) for place in range(len(program.operands))]
    first, count = program.reads_output
    numbers = {
        "PARTS": parts,
        "COLUMNS": len(program.columns),
        "FIRST_COLUMNS": program.first_columns,
        "X_COUNT": program.reads_input,
        "U_FIRST": first,
        "U_COUNT": count,
        "STATES": len(program.cell.states),
        "OPERANDS": len(operands),
        "VECTORS": len(program.vectors),
        "STAGES": forward.count,
        "WORK": len(program.columns) - program.first_columns + forward.carried,
        "TAPE": len(program.kept),
        "BACK_STAGES": backward.count,
        "BACK_WORK": backward.carried,
        "LAYER_NORM": int(program.form.layer_norm),
        "THINNED": int(program.form.thinned),
        "PROJECTED": int(program.form.projected),
    }
    tables = {
        "DIRECT": [int(node is not None) for node in program.before],
        "INPUT_GATE": [-1 if c.input_gate is None else c.input_gate for c in program.columns],
        "RECURRENT_GATE": [-1 if c.recurrent_gate is None else c.recurrent_gate for c in program.columns],
        "OPERAND_FIRST": [place for place, _ in operands],
        "OPERAND_COUNT": [size for _, size in operands],
        "OPERAND_STAGE": [forward.stage_of(node) + 1 for node in program.operands],
        "OPERAND_BACK": [
            max(backward.stage_of(node) for node in program.gradients[place : place + size]) + 1
            for place, size in operands
        ],
    }
    if program.form.layer_norm:
        tables["NORMAL_TAPED"] = [program.kept.index(column.node) for column in program.columns]
        tables["GRADIENT_STAGE"] = [backward.stage_of(node) for node in program.gradients]
    lines = [f"#define {name} {value}" for name, value in numbers.items()]
    lines += [
        f"__attribute__((unused)) static const int {name}[] = {{{', '.join(map(str, values or [0]))}}};"
        for name, values in tables.items()
    ]
    return "\n".join(lines) + "\n"


def _forward_stages(program: Program) -> Stages:
    outputs = []
    for place, node in enumerate(program.forward):
        if place == 0 and program.form.projected:
            outputs.append(Output(node, "store(s->full + row * units + unit, {});"))
            continue
        outputs.append(Output(node, f"store(s->next + {_of_state(place)}, {{}});"))
        if place == 0:
            outputs.append(Output(node, "store_some(y + place_of(s, row) * c->output + unit, {}, left);"))
    for place, node in enumerate(program.operands):
        outputs.append(Output(node, f"store(s->operands + ({place} * s->slab->rows + row) * units + unit, {{}});"))
    for place, node in enumerate(program.kept):
        outputs.append(Output(node, f"if (tape) store(tape + (row * TAPE + {place}) * TILE, {{}});"))
    declarations = {
        **_vectors(program),
        "y": "real *y = c->y + s->t * c->batch * c->output;",
        "pre": "const real *pre = s->pre + tile * s->tile_rows * FIRST_COLUMNS * TILE + part * LANES;",
        "work": "real *work = s->work + tile * s->slab->rows * WORK * TILE + part * LANES;",
        "tape": "real *tape = s->tape ? s->tape + tile * s->slab->rows * TAPE * TILE + part * LANES : NULL;",
    }
    first = program.first_columns
    return Stages(outputs, partial(_load, program), declarations, work=len(program.columns) - first, columns="WORK")


def _backward_stages(program: Program) -> Stages:
    outputs = []
    for place, node in enumerate(program.gradients):
        outputs.append(
            Output(node, f"store(gradients + (row * COLUMNS + {place}) * TILE, as_vec(as_mask({{}}) & keep));")
        )
    for place, before in enumerate(program.before):
        if before is not None:
            outputs.append(Output(before, f"store(s->next + {_of_state(place)}, {{}});"))
    for place, node in enumerate(program.operands_again):
        at = f"s->operands + ({place} * s->slab->rows + row) * units + unit"
        outputs.append(Output(node, f"store({at}, {{}});"))
    if program.full_again is not None:
        outputs.append(Output(program.full_again, "store(s->full_again + row * units + unit, {});"))
    for place, node in enumerate(program.vector_gradients):
        if not node.is_constant(0):
            outputs.append(Output(node, f"s->dvectors + {place} * units + unit", summed=True))
    declarations = {
        **_vectors(program),
        "y": "const real *y = c->y + s->t * c->batch * c->output;",
        "dy": "const real *dy = c->dy ? c->dy + s->t * c->batch * c->output : NULL;",
        "keep": "const mask keep = leading(left);",
        "gradients": "real *gradients = s->gradients + tile * s->tile_rows * COLUMNS * TILE + part * LANES;",
        "work": "real *work = s->work + tile * s->slab->rows * BACK_WORK * TILE + part * LANES;",
        "tape": "const real *tape = s->tape + tile * s->slab->rows * TAPE * TILE + part * LANES;",
    }
    return Stages(outputs, partial(_load_back, program), declarations, work=0, columns="BACK_WORK")


def _vectors(program: Program) -> dict[str, str]:
    return {
        f"vector_{place}": f"const vec vector_{place} = load(s->vectors + {place} * units + unit);"
        for place in range(len(program.vectors))
    }


def _load(program: Program, node: Node) -> str:
    """C for a leaf or a product of the equations."""
    kind, word = node.name or ("", "")
    if kind in ("x", "u", "a"):
        place = next(place for place, column in enumerate(program.columns) if column.node is node)
        if place < program.first_columns:
            return f"load(pre + (row * FIRST_COLUMNS + {place}) * TILE)"
        return f"load(work + (row * WORK + {place - program.first_columns}) * TILE)"
    if kind == "s":
        return f"load(s->state + {_of_state(program.cell.states.index(word))})"
    return _load_known(program, kind, word)


def _load_back(program: Program, node: Node) -> str:
    """C for a leaf or a product of the derivative."""
    kind, word = node.name or ("", "")
    states = program.cell.states
    if kind == "back":
        gate = word.split(",")[0]
        operand = next(c.operand for c in program.columns if c.operand and c.node.name and c.node.name[1] == gate) - 1
        return f"load(s->backs + ({operand} * s->slab->rows + row) * units + unit)"
    if kind == "tape":
        return f"load(tape + (row * TAPE + {word}) * TILE)"
    if kind == "after":
        return "load_some(y + place_of(s, row) * c->output + unit, left)"
    if kind == "s" and word == states[0]:
        return "load_some(s->before[row] + unit, left)"
    if kind == "d" and word == states[0]:
        if program.form.projected:
            return "load(s->full + row * units + unit)"
        given = "(dy ? load_some(dy + place_of(s, row) * c->output + unit, left) : (vec){0})"
        return f"load(s->state + {_of_state(0)}) + {given}"
    if kind == "d":
        return f"load(s->state + {_of_state(states.index(word))})"
    return _load_known(program, kind, word)


def _load_known(program: Program, kind: str, word: str) -> str:
    """C for a leaf that is at hand both ways."""
    match kind:
        case "vector":
            return f"vector_{word}"
        case "row":
            return "all(c->gaps ? c->gaps[s->t * c->batch + place_of(s, row)] : (real)1)"
        case "thin":
            return "load(s->thin + row * s->width + unit)"
        case "kept":
            place = program.cell.states.index(word)
            return f"load_mask(c->kept[{place}] + (s->t * c->batch + place_of(s, row)) * c->hidden + unit, left)"
    raise AssertionError(f"{kind}.{word} is at hand nowhere")


def _of_state(place: int) -> str:
    return f"{place} * s->state_stride + row * s->width + unit"


def _table(name: str, function: str, count: int) -> str:
    entries = ", ".join(f"{function}_{stage}" for stage in range(count))
    return f"static void (*const {name}[])(const Step *, long) = {{{entries}}};\n"
