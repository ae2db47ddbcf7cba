"""`recurra bench`: how fast it is here, beside its peers and beside what was to be reached."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from recurra.cli.console import errors, output, print_json
from recurra.cli.options import Debug, Json, Quiet

if TYPE_CHECKING:
    from recurra.bench import Section

__all__ = ["app", "kernels"]

app = typer.Typer(help="Measure speed and memory on this machine.", no_args_is_help=True, rich_markup_mode=None)

_PATIENCE = 15.0  # seconds between lines where there is no terminal

Quick = Annotated[bool, typer.Option("--quick", help="Few sizes and repeats: a minute and a rough answer.")]
Rows = Annotated[list[str], typer.Option("--rows", metavar="NAME", help="Measure this row alone; may be repeated.")]
Threads = Annotated[list[int], typer.Option("--threads", min=1, help="Of torch; may be repeated.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print the tables as benchmarks/README.md has them.")]


@app.callback()
def _subjects() -> None:
    pass


@app.command()
def kernels(
    quick: Quick = False,
    rows: Rows = [],  # noqa: B006 - typer copies
    threads: Threads = [1, 2],  # noqa: B006
    markdown: Markdown = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Time the layers beside torch.nn, JAX, onnxruntime and plain loops, and say which goals are met.

    Rows: train, jax, forward, variants, peak, threads, step, memory, scan. JAX and onnxruntime are measured if they are
    installed: pip install 'recurra[bench]'. Leave the machine alone meanwhile.

    Example: recurra bench kernels --quick --rows train --threads 1
    """
    from recurra.bench import QUICK, Settings, describe_machine, measure, write_markdown

    settings = (QUICK if quick else Settings())._replace(threads=tuple(sorted(set(threads))))
    machine = describe_machine()
    with _Progress(quiet=quiet) as progress:
        sections = measure(rows, settings, on_case=progress.on_case)
    if json:
        print_json({"machine": machine, "quick": quick, "rows": [section.to_json() for section in sections]})
    elif markdown:
        output().print(write_markdown(sections, machine), markup=False, soft_wrap=True)
    else:
        _print_table(sections, machine, quick=quick)


def _print_table(sections: Sequence[Section], machine: dict[str, Any], *, quick: bool) -> None:
    title = f"{machine['cpu']}, {machine['cores']} cores, load {machine['load']}"
    table = Table(title=f"{title}; quick: few sizes, goals are for all" if quick else title)
    table.add_column("what", overflow="fold")
    for header in ("goal", "measured"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("where, why", overflow="fold")
    for section in sections:
        table.add_section()
        table.add_row(f"[bold]{escape(section.title)}[/bold] ({section.row})")
        for check in section.checks:
            goal, measured = f"{check.sign} {check.written(check.goal)}", check.written(check.measured)
            colour = {True: "green", False: "red", None: "dim"}[check.met]
            said = f"[{colour}]{check.verdict}[/{colour}]"
            table.add_row(f"  {escape(check.what)}", goal, measured, said, escape(check.note))
    output().print(table)


class _Progress:
    """Shows which case is being measured: a bar on a terminal, a line now and then elsewhere; silent if `quiet`."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet, self.on_terminal = quiet, sys.stderr.isatty()
        self._bars = Progress(
            TextColumn("{task.description:<9}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[case]}"),
            console=errors(),
            disable=quiet or not self.on_terminal,
            auto_refresh=False,  # a thread that draws would take time from what is measured
        )
        self._tasks: dict[str, Any] = {}
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def on_case(self, row: str, case: str, done: int, total: int) -> None:
        """A case of the row is next, or the row is done."""
        if row not in self._tasks:
            self._tasks[row] = self._bars.add_task(row, total=total, case="")
        self._bars.update(self._tasks[row], completed=done, case=case, refresh=True)
        now = time.monotonic()
        if self.quiet or self.on_terminal or (done < total and now - self._said < _PATIENCE):
            return
        self._said = now
        errors().print(f"{row}: {done}/{total}{f', {case}' if case else ''}", markup=False)
