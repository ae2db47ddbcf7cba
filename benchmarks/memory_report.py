"""The table and the figure of the memory problems, from the rows that memory_tasks.py left.

Usage: python memory_report.py, which prints the table as Markdown and draws docs/memory.png.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from memory_networks import BODIES
from memory_problems import Problem
from memory_tasks import BUDGETS, Budget, rows_of, tests_of

from recurra.reports.palette import LIGHT

FIGURE = Path(__file__).resolve().parents[1] / "docs" / "memory.png"


class _Look(NamedTuple):
    colour: str
    dashes: Literal["-", "--"] = "-"


# A hue a family: plain recurrences, gated ones, and those without a product from unit to unit.
_LOOKS = {
    "elman": _Look("#b8bec6"),
    "elman, orthogonal": _Look("#7d8793", "--"),
    "irnn": _Look("#16202b"),
    "lstm": _Look("#d55e00"),
    "gru": _Look("#0067a6"),
    "cifg": _Look("#e69f00", "--"),
    "slstm": _Look("#cc79a7", "--"),
    "indrnn": _Look("#56b4e9"),
    "mingru": _Look("#009e73"),
    "lru": _Look("#7b3fa0"),
}
_COLUMNS = 4
_ORDERED = sorted(BUDGETS, key=lambda budget: budget.problem.name.split()[0])


def table() -> str:
    """One row a cell, one column a problem; of several runs the one that validation prefers."""
    lines = [" | ".join(["| cell", *(budget.problem.name for budget in _ORDERED)]) + " |"]
    lines.append("|---" * (len(_ORDERED) + 1) + "|")
    for name in BODIES:
        lines.append(" | ".join([f"| {name}", *(_cell(budget, name) for budget in _ORDERED)]) + " |")
    lines.append(" | ".join(["| *no memory*", *(_without_memory(budget) for budget in _ORDERED)]) + " |")
    return "\n".join(lines)


def _without_memory(budget: Budget) -> str:
    name = budget.problem.name
    return f"{budget.problem.chance:.3f}" if name.startswith("adding") else "12.5 %" if name.startswith("copy") else "-"


def _cell(budget: Budget, name: str) -> str:
    """A problem's test figure: squared error with the steps to solve it, or the share of right answers."""
    runs = tests_of(budget.problem, name)
    if not runs:
        return "-"
    run = runs[0]
    if run.get("diverged"):
        return "diverged"
    said = f"{run['test']:#.2g}" if run["right"] is None else f"{100 * run['right']:.1f} %"
    return f"**{said}** ({run['steps']:,})" if run["solved"] else said


def draw() -> None:
    """One panel a problem: the validation part against training steps, one line a cell."""
    figure = Figure(figsize=(13, 6.6), facecolor=LIGHT["paper"], layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(
        "Which cell holds how far: validation loss against training steps",
        x=0.01, ha="left", color=LIGHT["ink"], fontsize=14, weight="bold",
    )  # fmt: skip
    panels = figure.subplots(2, _COLUMNS).flatten().tolist()
    legend = panels.pop(sum(budget.problem.name.startswith("adding") for budget in _ORDERED))
    for panel, budget in zip(panels, _ORDERED, strict=True):
        _panel(panel, budget)
    _legend(legend)
    figure.savefig(FIGURE, dpi=130)


def _panel(panel: Axes, budget: Budget) -> None:
    problem = budget.problem
    panel.set_title(problem.name, loc="left", color=LIGHT["ink"], fontsize=11)
    for name in budget.bodies:
        steps, losses, solved = _curve(problem, name)
        look = _LOOKS[name]
        panel.plot(steps, losses, color=look.colour, linestyle=look.dashes, linewidth=1.6)
        if solved:
            panel.plot(steps[-1:], losses[-1:], "o", color=look.colour, markersize=4.5)
    panel.axhline(problem.chance, color=LIGHT["muted"], linestyle=(0, (1, 1.5)), linewidth=1.4, zorder=0)
    panel.set_yscale("log")
    panel.set_ylim(min(panel.get_ylim()[0], problem.chance / 3), 2 * problem.chance)
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.set_xlim(0, budget.steps)
    unit = "squared error" if problem.name.startswith("adding") else "cross-entropy, nats"
    panel.set_ylabel(unit, color=LIGHT["muted"], fontsize=9)
    panel.set_xlabel("steps", color=LIGHT["muted"], fontsize=9)
    panel.tick_params(which="both", colors=LIGHT["muted"], labelsize=8)
    panel.grid(True, color=LIGHT["grid"], linewidth=0.7)
    panel.set_axisbelow(True)
    for side in panel.spines.values():
        side.set_color(LIGHT["grid"])


def _curve(problem: Problem, name: str) -> tuple[list[int], list[float], bool]:
    """Steps and validation losses of the run that the table shows, and whether it solved the problem."""
    ended = tests_of(problem, name)
    if not ended:
        return [], [], False
    shown = ended[0]
    rows = [
        row
        for row in rows_of(problem)
        if "step" in row and (row["cell"], row["learning_rate"]) == (name, shown["learning_rate"])
    ]
    return [row["step"] for row in rows], [row["validation"] for row in rows], shown["solved"]


def _legend(panel: Axes) -> None:
    panel.axis("off")
    handles = [
        Line2D([], [], color=look.colour, linestyle=look.dashes, linewidth=2, label=name)
        for name, look in _LOOKS.items()
    ]
    handles.append(Line2D([], [], color=LIGHT["muted"], marker="o", linestyle="", markersize=4.5, label="solved"))
    handles.append(Line2D([], [], color=LIGHT["muted"], linestyle=(0, (1, 1.5)), linewidth=1.4, label="without memory"))
    panel.legend(handles=handles, loc="center left", frameon=False, fontsize=10, labelcolor=LIGHT["ink"])


if __name__ == "__main__":
    print(table())
    draw()
