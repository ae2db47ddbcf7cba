"""Which cell holds how far: the classic memory problems, every cell with the same number of training steps at most.

The learning rate is constant, so that a curve does not depend on where it was to end, and a run ends when the problem
is solved: a validation loss below a hundredth of the loss without memory.

One thread. What a run leaves is written to results/memory_tasks/ when it ends, so that an interrupted benchmark goes on
where it was. Usage: python memory_tasks.py [--only TEXT], where TEXT is part of a problem's name; then
python memory_report.py for the table and the figure.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from memory_networks import BODIES, HIDDEN_SIZE, Network
from memory_problems import Judgement, Part, Problem, adding, copying, digits
from shared import RESULTS, keep
from torch import Tensor

from recurra.errors import DivergedError
from recurra.training.loop import StepRecord, train
from recurra.training.settings import TrainingSettings

FOLDER = RESULTS / "memory_tasks"
RATES = (3e-3, 1e-2)  # chosen between on the validation part of the first problem
SOLVED = 0.01  # of the loss without memory
VALIDATED, VALIDATIONS, CHUNK, SEED = 500, 25, 500, 0
_QUICK = tuple(name for name in BODIES if name != "slstm")  # it takes a minute per thousand steps at T = 200


class Budget(NamedTuple):
    """What every cell gets on one problem."""

    problem: Problem
    steps: int
    batch_size: int = 32
    tested: int = 5000
    """Test sequences."""
    bodies: tuple[str, ...] = tuple(BODIES)


BUDGETS = (
    Budget(adding(50), 2500),
    Budget(adding(200), 3000),
    Budget(digits(28), 1500, batch_size=64, tested=10_000),
    Budget(adding(600), 1000, bodies=_QUICK),
    Budget(digits(784), 500, tested=10_000, bodies=_QUICK),
    Budget(copying(50), 3000, bodies=_QUICK),
    Budget(copying(100), 1500, bodies=_QUICK),
)


def path_of(problem: Problem) -> Path:
    """Where the rows of a problem's runs are kept."""
    return FOLDER / f"{problem.name.replace(' ', '_').replace('=', '')}.jsonl"


def rows_of(problem: Problem) -> list[dict[str, Any]]:
    """What the finished runs on a problem have left: a row per validation, and one with the test per run."""
    path = path_of(problem)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def tests_of(problem: Problem, name: str) -> list[dict[str, Any]]:
    """The last rows of a cell's runs, the best first: did not diverge, solved it sooner, came closer in validation."""
    ended = [row for row in rows_of(problem) if "test" in row and row["cell"] == name]
    return sorted(ended, key=lambda row: ("diverged" in row, row["steps"], row["validation"] or 0.0))


def chosen_rate(name: str) -> float:
    """The learning rate of a cell: which solved the first problem sooner, or came closer; the lower if none did."""
    first = BUDGETS[0].problem
    best = tests_of(first, name)[0]
    return float(best["learning_rate"]) if best["validation"] < first.chance / 2 else RATES[0]


def judge(network: Network, problem: Problem, part: Part, sequences: int) -> Judgement:
    """The network on so many sequences of a part."""
    chunks = (problem.draw(part, index, CHUNK) for index in range(sequences // CHUNK))
    with torch.no_grad():
        judged = [problem.judge(network(chunk.x), chunk.target) for chunk in chunks]
    rights = [one.right for one in judged if one.right is not None]
    loss = torch.stack([one.loss for one in judged]).mean()
    return Judgement(loss, sum(rights) / len(rights) if rights else None)


class _SolvedError(Exception):
    """Ends a training early."""


class Run:
    """One cell on one problem with one learning rate."""

    def __init__(self, budget: Budget, name: str, rate: float) -> None:
        self.budget, self.name, self.rate = budget, name, rate
        torch.manual_seed(SEED)
        self.network = Network(BODIES[name], budget.problem)
        self.rows: list[dict[str, Any]] = []
        self.losses: list[float] = []  # since the last validation
        self.steps = 0

    def finish(self) -> list[dict[str, Any]]:
        """Train, then test the weights of the best validation: a row per validation, and one of the end."""
        self.begun = time.perf_counter()
        end: dict[str, Any] = {"solved": False}
        try:
            train(self.network, self._loss, self._settings(), validate=self._validate, on_step=self._on_step)
        except _SolvedError:
            end["solved"] = True
        except DivergedError as error:
            end["diverged"] = str(error)
        end |= {"steps": self.steps, "validation": min((row["validation"] for row in self.rows), default=None)}
        end["seconds"] = time.perf_counter() - self.begun
        tested = judge(self.network, self.budget.problem, "test", self.budget.tested)
        end |= {"test": tested.loss.item(), "right": tested.right}
        end["parameters"] = sum(weights.numel() for weights in self.network.parameters())
        run = {"cell": self.name, "learning_rate": self.rate}
        return [run | {key: _rounded(value) for key, value in row.items()} for row in [*self.rows, end]]

    def _settings(self) -> TrainingSettings:
        return TrainingSettings(
            steps=self.budget.steps,
            batch_size=self.budget.batch_size,
            optimizer="adam",
            learning_rate=self.rate,
            schedule="constant",
            warmup=0.02,
            clip_norm=1.0,
            validate_every=self.budget.steps // VALIDATIONS,
            patience=None,
            seed=SEED,
        )

    def _loss(self, step: int) -> Tensor:
        self.network.keep_bounds()
        batch = self.budget.problem.draw("train", step, self.budget.batch_size)
        return self.budget.problem.judge(self.network(batch.x), batch.target).loss

    def _validate(self) -> float:
        self.network.keep_bounds()
        judged = judge(self.network, self.budget.problem, "validation", VALIDATED)
        self.rows.append({"validation": judged.loss.item(), "right": judged.right})
        return judged.loss.item()

    def _on_step(self, record: StepRecord) -> None:
        self.steps = record.step
        self.losses.append(record.loss)
        if record.validation is not None:
            mean = sum(self.losses) / len(self.losses)
            self.rows[-1] |= {"step": record.step, "loss": mean, "seconds": time.perf_counter() - self.begun}
            self.losses.clear()
            if record.validation < SOLVED * self.budget.problem.chance:
                raise _SolvedError


def runs_missing(budget: Budget) -> Iterator[Run]:
    """The runs of a problem that have left no row yet; one that diverged is made again at the lower rate."""
    for name in budget.bodies:
        done = {row["learning_rate"] for row in tests_of(budget.problem, name)}
        for rate in RATES if budget is BUDGETS[0] else (chosen_rate(name),):
            if rate not in done:
                yield Run(budget, name, rate)
        ended = tests_of(budget.problem, name)
        if all("diverged" in row for row in ended) and RATES[0] not in {row["learning_rate"] for row in ended}:
            yield Run(budget, name, RATES[0])


def main() -> None:
    """Make the runs that are missing, keep the summary of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="part of a problem's name; BUDGETS[0] must have been run before")
    only = parser.parse_args().only
    torch.set_num_threads(1)
    torch.set_flush_denormal(
        True
    )  # gradients that vanish end as denormal numbers, which take up to seven times as long
    FOLDER.mkdir(parents=True, exist_ok=True)
    for budget in BUDGETS:
        for run in runs_missing(budget) if only in budget.problem.name else ():
            print(f"{budget.problem.name}: {run.name} at {run.rate}", flush=True)
            rows = run.finish()
            print(f"  {rows[-1]}", flush=True)
            with path_of(budget.problem).open("a") as log:
                log.writelines(json.dumps(row) + "\n" for row in rows)
    keep("memory_tasks", summary())


def summary() -> dict[str, Any]:
    """Budgets and settings, and what every run came to."""
    return {
        "hidden size": HIDDEN_SIZE,
        "seed": SEED,
        "networks": {name: body._asdict() for name, body in BODIES.items()},
        "learning rates tried on the first problem": RATES,
        "solved below, of the loss without memory": SOLVED,
        "problems": {
            budget.problem.name: {
                "steps": budget.steps,
                "batch size": budget.batch_size,
                "validation sequences": VALIDATED,
                "test sequences": budget.tested,
                "loss without memory": budget.problem.chance,
                "runs": [run for name in BODIES for run in tests_of(budget.problem, name)],
            }
            for budget in BUDGETS
        },
    }


def _rounded(value: Any) -> Any:
    return float(f"{value:.5g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
