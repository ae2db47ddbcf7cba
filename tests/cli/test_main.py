"""The command as a process: help, wrong calls, exit codes, output that cannot be written, signals."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import recurra
from recurra.version import __version__

VERBS = [
    ("fit", "forecast"),
    ("predict",),
    ("evaluate",),
    ("report",),
    ("resume",),
    ("demo",),
    ("cells",),
    ("doctor",),
    ("bench", "kernels"),
]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(recurra.__file__).parents[1])}


def start(folder, *arguments, **options):
    """`python -m recurra` in `folder`, without waiting for it."""
    return subprocess.Popen(
        [sys.executable, "-m", "recurra", *map(str, arguments)], cwd=folder, env=ENVIRONMENT, text=True, **options
    )


def call(folder, *arguments, stdout=subprocess.PIPE):
    """`python -m recurra` to its end: exit code, standard output, standard error."""
    process = start(folder, *arguments, stdout=stdout, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


# --- help and wrong calls


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_explains_itself_with_an_example(shell, verb):
    said = shell(*verb, "--help")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"Usage: recurra {' '.join(verb)} ")
    assert f"Example: recurra {' '.join(verb)}" in " ".join(said.out.split())
    for option in ("--json", "--quiet", "--debug"):
        assert option in said.out


def test_every_example_is_a_call_that_the_parser_takes(shell):
    """Every option of the examples exists: with --help after them they are parsed and not run."""
    for verb in VERBS:
        words = " ".join(shell(*verb, "--help").out.split())
        example = re.search(r"Example: recurra (.*?) (?:Arguments|Options):", words)
        assert shell(*example[1].split(), "--help").code == 0


def test_help_lists_every_verb(shell):
    said = shell("--help")
    assert said.code == 0
    assert [verb[0] for verb in VERBS if not re.search(rf"^  {verb[0]} ", said.out, re.MULTILINE)] == []


def test_the_version(shell):
    assert shell("--version") == (0, f"recurra {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("predct", "run"), "No such command 'predct'. Did you mean 'predict'?"),
        (("fit", "forcast", "x.csv"), "No such command 'forcast'. Did you mean 'forecast'?"),
        (("fit", "forecast", "x.csv", "--horizn", "3"), "No such option: --horizn (Possible options: --horizon)"),
        (("fit", "forecast", "x.csv"), "Missing option '--horizon'."),
        (("fit", "forecast", "x.csv", "--horizon"), "Option '--horizon' requires an argument."),
        (("fit", "forecast", "x.csv", "--horizon", "soon"), "Invalid value for '--horizon': "),
        (("fit", "forecast", "--horizon", "3"), "Missing argument"),
        (("predict", "run", "a.csv", "b.csv"), "Got unexpected extra argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_call_is_one_line_with_the_nearest_name(shell, arguments, line):
    assert shell.refuses(*arguments).startswith(line)


@pytest.mark.parametrize("arguments", [(), ("fit",)], ids=["recurra", "recurra fit"])
def test_a_call_without_a_verb_shows_the_help_as_an_error(shell, arguments):
    said = shell(*arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("Usage: recurra")


def test_names_are_printed_as_they_are(shell, daily):
    said = shell.fit(daily(80).replace("ds,y", "ds,:smile:"), "--target", "[red]y")
    assert said.err == (
        "error: sales.csv has no column '[red]y' for the target; there are: 'ds', ':smile:'. Choose one with --target\n"
    )


def test_a_notice_is_printed_whatever_the_filters_are(shell, daily, recwarn):
    lines = daily(80).splitlines()
    said = shell.fit("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    assert len(said.notes) == 1
    assert not recwarn.list


# --- as a process


def test_the_module_runs_as_the_command(shell, daily):
    shell.write(daily(11))
    assert call(shell.folder, "--version") == (0, f"recurra {__version__}\n", "")
    code, out, err = call(shell.folder, "fit", "forecast", "sales.csv", "--horizon", 3, "--out", "run")
    assert (code, out) == (2, "")
    assert err.startswith("error: series 'series', the longest, has 11 steps; 12 are needed")
    assert err.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_output_on_a_full_disk_is_one_line(shell, trained):
    with Path("/dev/full").open("w") as full:
        code, _, err = call(shell.folder, "predict", "run", stdout=full)
    assert (code, err) == (1, "error: standard output: No space left on device\n")


@pytest.mark.parametrize("verb", [("predict", "run"), ("cells",)], ids=" ".join)
def test_a_reader_that_leaves_early_ends_the_command_quietly(shell, trained, verb):
    reading, writing = os.pipe()
    os.close(reading)
    code, _, err = call(shell.folder, *verb, stdout=writing)
    os.close(writing)
    assert (code, err) == (141, "")  # as of a process that SIGPIPE ended


# --- signals


def steps_made(run):
    """Training steps that a run folder records, by stage."""
    file = run / "metrics.jsonl"
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def wait_for_steps(process, run, count):
    """Return once a run has made that many training steps."""
    deadline = time.monotonic() + 60
    while len(steps_made(run)) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


FIT = ("fit", "forecast", "sales.csv", "--horizon", 3, "--hidden-size", 4, "--num-layers", 1, "--members", 1)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_step_saves_and_says_how_to_go_on(shell, daily, number, code):
    shell.write(daily(100))
    options = (*FIT, "--backtest", 0, "--steps", 50)
    shell.does(*options, "--out", "whole")
    process = start(shell.folder, *options, "--out", "cut", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for_steps(process, shell.folder / "cut", 10)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, "")
    made = steps_made(shell.folder / "cut")[-1]["step"]
    assert err == f"error: stopped after step {made}; `recurra resume cut` goes on\n"
    shell.does("resume", "cut")
    assert shell.forecasts("cut") == shell.forecasts("whole")


@pytest.mark.slow
def test_a_signal_between_trainings_says_how_to_go_on_too(shell, daily):
    shell.write(daily(400))
    options = (*FIT, "--backtest", 1, "--baselines", "arima", "--steps", 3)
    process = start(shell.folder, *options, "--out", "cut", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for_steps(process, shell.folder / "cut", 6)  # chosen and trained; now the ARIMA models are fitted
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (143, "")
    assert err.splitlines()[-1] == "error: stopped; `recurra resume cut` goes on"
    assert "Traceback" not in err
    shell.does("resume", "cut")
    assert len(shell.forecasts("cut")) == 3 * 5


@pytest.mark.slow
def test_a_second_process_is_refused_and_the_run_of_a_killed_one_goes_on(shell, daily):
    shell.write(daily(100))
    options = (*FIT, "--backtest", 0, "--steps", 220)
    shell.does(*options, "--out", "whole")
    first = start(shell.folder, *options, "--out", "cut", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_steps(first, shell.folder / "cut", 205)  # the first checkpoint is at 200
        line = shell.refuses("resume", "cut")
        assert line == f"cut is being written by process {first.pid}; wait for it or stop it"
    finally:
        first.kill()
    assert first.wait(30) == -signal.SIGKILL
    assert (shell.folder / "cut" / "lock").read_text() == str(first.pid)
    shell.does("resume", "cut")
    assert shell.forecasts("cut") == shell.forecasts("whole")
