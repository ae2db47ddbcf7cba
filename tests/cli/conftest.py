"""The command line as a user meets it: files in a folder, verbs, exit codes and what is printed."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from recurra.cli.main import main

SETTINGS = (
    *("--horizon", "3", "--steps", "5", "--members", "1", "--hidden-size", "4", "--num-layers", "1"),
    *("--backtest", "0"),
)
TEXT_SETTINGS = ("--hidden-size", "6", "--embedding-size", "6", "--steps", "30", "--batch-size", "8")


class Said(NamedTuple):
    """What one call printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def notes(self) -> list[str]:
        """The notices, without their opening word."""
        return [line.removeprefix("note: ") for line in self.err.splitlines() if line.startswith("note: ")]

    @property
    def rows(self) -> list[dict[str, str]]:
        """Standard output as CSV."""
        return list(csv.DictReader(io.StringIO(self.out)))

    @property
    def json(self) -> Any:
        """Standard output as JSON, of which nothing may be NaN or infinite."""
        return json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


class Shell:
    """Runs verbs in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, content: str | bytes, name: str = "sales.csv") -> Path:
        """A file in the folder."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def __call__(self, *arguments: object) -> Said:
        """One call of the command."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main([str(argument) for argument in arguments])
        assert "Traceback" not in err.getvalue()
        return Said(code, out.getvalue(), err.getvalue())

    def fit(self, content: str | bytes, *options: object, name: str = "sales.csv", out: str = "run") -> Said:
        """A small forecasting run on a table of this content."""
        return self("fit", "forecast", self.write(content, name), *SETTINGS, "--out", out, *options)

    def classify(self, content: str | bytes, *options: object, name: str = "mails.csv", out: str = "run") -> Said:
        """A small run of a classifier on a table of this content."""
        return self("fit", "classify", self.write(content, name), *TEXT_SETTINGS, "--out", out, *options)

    def does(self, *arguments: object) -> Said:
        """A call that must succeed."""
        said = self(*arguments)
        assert (said.code, [line for line in said.err.splitlines() if line.startswith("error")]) == (0, [])
        return said

    def refuses(self, *arguments: object, code: int = 2) -> str:
        """The line of a call that must fail: one line of error, after notices at most, and nothing else."""
        said = self(*arguments)
        assert (said.code, said.out) == (code, "")
        *before, last = [line for line in said.err.splitlines() if not re.search(r": step \d+/", line)]
        assert [line for line in before if not line.startswith("note: ")] == []
        assert last.startswith("error: ")
        assert "internal error" not in last
        return last.removeprefix("error: ")

    def forecasts(self, *arguments: object) -> list[float]:
        """The numbers of a `predict`, every one finite."""
        rows = self.does("predict", *arguments, "--json").json["rows"]
        values = [value for row in rows for name, value in row.items() if name.startswith("GRU")]
        assert values
        assert all(math.isfinite(value) for value in values)
        return values


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """The command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path)


@pytest.fixture(scope="session")
def _trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    shell = Shell(folder)
    path = shell.write(_daily(100))
    shell.does("fit", "forecast", path, *SETTINGS, "--out", folder / "run")
    return folder / "run"


@pytest.fixture
def trained(_trained: Path, shell: Shell) -> Path:
    """A finished run called `run` in the shell's folder; its table is `daily(100)`."""
    return Path(shutil.copytree(_trained, shell.folder / "run"))


@pytest.fixture(scope="session")
def _classified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classified")
    shell = Shell(folder)
    path = shell.write(_mails(40), "mails.csv")
    shell.does("fit", "classify", path, *TEXT_SETTINGS, "--out", folder / "run")
    return folder / "run"


@pytest.fixture
def classified(_classified: Path, shell: Shell) -> Path:
    """A finished run of a classifier called `run` in the shell's folder; its table is `mails(40)`."""
    return Path(shutil.copytree(_classified, shell.folder / "run"))


@pytest.fixture(scope="session")
def mails() -> Callable[..., str]:
    """Writes texts and labels as CSV: `mails(rows, changed={line: text})`; one word tells "ham" and "spam" apart."""
    return _mails


@pytest.fixture(scope="session")
def daily() -> Callable[..., str]:
    """Writes a daily series from 2024-01-01 as CSV: `daily(rows, value_of_row, changed={line: text})`."""
    return _daily


@pytest.fixture(scope="session")
def hourly() -> Callable[..., str]:
    """Writes hours as CSV, one row for each of the stamps that `hours` gives."""
    return lambda stamps: "ds,y\n" + "".join(f"{stamp},{10 + i % 24}\n" for i, stamp in enumerate(stamps))


@pytest.fixture(scope="session")
def hours() -> Callable[[str, int], list[str]]:
    """So many hours from a first one, as text."""

    def stamps(first: str, count: int) -> list[str]:
        start = datetime.fromisoformat(first)
        return [(start + timedelta(hours=i)).strftime("%Y-%m-%d %H:%M") for i in range(count)]

    return stamps


@pytest.fixture(scope="session")
def shops() -> Callable[..., str]:
    """Writes daily series of several shops with a price: `shops(rows, names)`."""

    def table(rows: int, names: tuple[str, ...] = ("north", "south"), price: bool = True) -> str:
        lines = ["store,ds,y,price" if price else "store,ds,y"]
        for k, name in enumerate(names):
            for i in range(rows):
                line = f"{name},{date(2024, 1, 1) + timedelta(days=i)},{10 * (k + 1) + i % 7}"
                lines.append(f"{line},{1 + i % 3}" if price else line)
        return "\n".join(lines) + "\n"

    return table


@pytest.fixture(scope="session")
def checksums() -> Callable[[Path], dict[str, str]]:
    """The SHA-256 of every file below a folder."""

    def sums(folder: Path) -> dict[str, str]:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    return sums


def _daily(
    rows: int,
    value: Callable[[int], float] = lambda i: 10 + math.sin(i),
    *,
    changed: dict[int, str] | None = None,
) -> str:
    lines = ["ds,y", *(f"{date(2024, 1, 1) + timedelta(days=i)},{value(i):.6g}" for i in range(rows))]
    for number, text in (changed or {}).items():
        lines[number - 1] = text
    return "\n".join(lines) + "\n"


def _mails(rows: int, *, changed: dict[int, str] | None = None) -> str:
    words = ("meeting", "pills", "report", "lottery")
    lines = ["text,label", *(f"about the {words[i % 4]} {i % 5},{('ham', 'spam')[i % 2]}" for i in range(rows))]
    for number, text in (changed or {}).items():
        lines[number - 1] = text
    return "\n".join(lines) + "\n"
