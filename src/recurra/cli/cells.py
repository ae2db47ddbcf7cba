"""`recurra cells`: the recurrences there are, or one of them with its equations."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer

from recurra.cli.options import Debug, Json, Quiet

__all__ = ["cells"]

Name = Annotated[str | None, typer.Argument(metavar="[CELL]", help="Show this one with its equations.")]
InputSize = Annotated[int, typer.Option(min=1, help="Features, for counting parameters.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print a page of all equations, as docs/cells.md is.")]
Explain = Annotated[bool, typer.Option("--explain", help="Show what the compiler makes of the cell.")]
HiddenSize = Annotated[int, typer.Option(min=1, help="Units, for counting parameters.")]


def cells(
    name: Name = None,
    input_size: InputSize = 32,
    hidden_size: HiddenSize = 64,
    markdown: Markdown = False,
    explain: Explain = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """List the recurrences: states, gates, parameters, paper, and which engines run them.

    Example: recurra cells lstm
    """
    from recurra.cells import get_cell, list_cells
    from recurra.cli.console import output, print_json

    names = list_cells() if name is None else [name]
    if explain:
        _explain([get_cell(one) for one in names], json)
        return
    rows = [_describe(get_cell(one), input_size, hidden_size) for one in names]
    if json:
        print_json(rows)
        return
    if markdown:
        output().print(_page(rows, input_size, hidden_size), markup=False, soft_wrap=True)
        return
    _print_table(rows, f"one layer of {hidden_size} units on {input_size} features")
    if name is not None and not quiet:
        output().print(f"\n{_equations(get_cell(name))}", markup=False)
    elif not quiet:
        output().print(
            "recurra cells CELL shows its equations. Options come after dashes, as in elman-relu. Every cell also runs "
            "with convolutions for its products: ConvLSTM, ConvGRU and ConvRecurrent of recurra.nn.",
            markup=False,
        )


def _explain(cells: list[Any], json: bool) -> None:
    """What the compiler makes of them."""
    from recurra.cli.console import output, print_json
    from recurra.compiler.describe import describe
    from recurra.compiler.program import make_program

    texts = {cell.name: describe(make_program(cell)) for cell in cells}
    if json:
        print_json(texts)
        return
    for name, text in texts.items():
        output().print(f"{name}\n{text}", markup=False, soft_wrap=True, highlight=False)


def _describe(cell: Any, input_size: int, hidden_size: int) -> dict[str, Any]:
    from recurra.engines import available
    from recurra.nn import Recurrent

    layer = Recurrent(cell, input_size, hidden_size, device="meta")
    return {
        "name": cell.name,
        "options": list(cell.option_names()),
        "states": list(cell.states),
        "gates": list(cell.gates),
        "recurrent gates": list(cell.recurrent_gates),
        "vectors": list(cell.vectors),
        "parameters": sum(parameter.numel() for parameter in layer.parameters()),
        "paper": cell.paper,
        "engines": list(available(cell)),
    }


def _equations(cell: Any) -> str:
    """What the cell's docstring says, without the example, which is for the reader of code."""
    return (inspect.getdoc(type(cell)) or "").partition(">>>")[0].rstrip()


def _page(rows: list[dict[str, Any]], input_size: int, hidden_size: int) -> str:
    """All cells with their equations, in Markdown."""
    from recurra.cells import get_cell

    table = ["| cell | options | states | gates | recurrent | parameters | engines |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        lists = [" ".join(row[key]) for key in ("options", "states", "gates")]
        lists += [" ".join(row["recurrent gates"]) or "none", f"{row['parameters']:,}", ", ".join(row["engines"])]
        table.append(f"| [`{row['name']}`](#{row['name']}) | {' | '.join(lists)} |")
    parts = [
        "# The cells",
        "Written by `recurra cells --markdown` from the source: each cell is one file in `src/recurra/cells`. "
        f"Parameters are those of one layer of {hidden_size} units on {input_size} features.",
        "\n".join(table),
    ]
    for row in rows:
        parts += [f"## {row['name']}", _equations(get_cell(row["name"]))]
    return "\n\n".join(parts)


def _print_table(rows: list[dict[str, Any]], title: str) -> None:
    from rich.table import Table

    from recurra.cli.console import output

    table = Table(title=title)
    for header, justify in (
        ("cell", "left"),
        ("states", "left"),
        ("gates | recurrent", "left"),
        ("parameters", "right"),
    ):
        table.add_column(header, justify=justify)  # type: ignore[arg-type]  # two of its words
    table.add_column("options")
    table.add_column("engines")
    table.add_column("paper")
    for row in rows:
        gates = " ".join(row["gates"])
        if row["recurrent gates"] != row["gates"]:
            gates += f" | {' '.join(row['recurrent gates']) or 'none recurrent'}"
        table.add_row(
            row["name"],
            " ".join(row["states"]),
            gates,
            f"{row['parameters']:,}",
            " ".join(row["options"]),
            " ".join(row["engines"]),
            row["paper"],
        )
    output().print(table)
