"""A run is killed anywhere and goes on to the same bits; what a run folder holds is what was done."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from recurra.compiler.toolchain import find_compiler
from recurra.errors import DataError, RunError
from recurra.tasks.forecast_job import ForecastJob
from recurra.tasks.source import Source
from recurra.training.run import RunFolder

PARAMETERS = {
    "horizon": 7,
    "hidden_size": 8,
    "num_layers": 1,
    "members": 2,
    "training": {"steps": 60, "validate_every": 10, "checkpoint_every": 7},
}


@pytest.fixture
def job(tmp_path, table):
    table.write_csv(tmp_path / "sales.csv")
    return ForecastJob(Source.of(tmp_path / "sales.csv"), PARAMETERS, backtest=1, baselines=("seasonal_naive", "dense"))


def start(job, path):
    run, series = job.start(path, force=False)
    job.run(run, series)
    return run


def weights(run):
    return (run.path / "model" / "model.safetensors").read_bytes()


def test_a_run_folder_holds_what_was_done(job, tmp_path):
    run = start(job, tmp_path / "run")
    names = {p.name for p in run.path.iterdir()}
    assert names >= {
        "config.json",
        "metrics.jsonl",
        "model",
        "forecast.csv",
        "backtest.csv",
        "scores.json",
        "summary.json",
    }
    summary = json.loads((run.path / "summary.json").read_text())
    assert (summary["model"], summary["horizon"], summary["series"], summary["members"]) == ("GRU", 7, 3, 2)
    assert summary["plan"]["season"] == 7
    assert f"gru by {'compiled' if find_compiler() else 'torch'} (" in summary["explain"]
    stages = {line["stage"] for line in run.metrics()}
    assert stages == {
        "backtest-select", "backtest-member-0", "backtest-member-1",
        "backtest-dense-select", "backtest-dense-member-0", "backtest-dense-member-1",
        "select", "member-0", "member-1",
    }  # fmt: skip
    assert pl.read_csv(run.path / "forecast.csv").height == 21


def test_a_complete_run_replayed_is_the_same(job, tmp_path):
    run = start(job, tmp_path / "run")
    before = weights(run)
    ForecastJob.of(run).run(run)
    assert weights(run) == before


@pytest.mark.slow
def test_killed_at_random_and_resumed_equals_uninterrupted_bit_for_bit(job, tmp_path):
    """kill -9 at random moments, saves included, until the run gets through."""
    whole = start(job, tmp_path / "whole")
    run, _ = job.start(tmp_path / "cut", force=False)
    program = (
        "import sys, torch; torch.set_num_threads(1)\n"
        "from recurra.tasks.forecast_job import ForecastJob\n"
        "from recurra.training.run import RunFolder\n"
        "run = RunFolder.open(sys.argv[1]); ForecastJob.of(run).run(run)\n"
    )
    generator = random.Random(0)
    kills = 0
    for _ in range(40):
        process = subprocess.Popen([sys.executable, "-c", program, str(run.path)])
        lines = len(run.metrics())
        stop_after = lines + generator.randint(1, 90)
        while process.poll() is None and (len(run.metrics()) < stop_after or kills >= 5):
            time.sleep(0.005)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
    assert process.returncode == 0
    assert kills == 5
    assert weights(run) == weights(whole)
    assert run.metrics() == whole.metrics()
    for name in ("forecast.csv", "backtest.csv", "scores.json"):
        assert (run.path / name).read_bytes() == (whole.path / name).read_bytes()


def test_data_changed_since_the_run_began_is_refused(job, tmp_path):
    run, _ = job.start(tmp_path / "run", force=False)
    with Path(job.source.path).open("a") as file:
        file.write("s0,2030-01-01,1.0\n")
    with pytest.raises(DataError, match=r"has changed since the run began"):
        ForecastJob.of(run).run(run)


def test_nothing_is_created_for_a_table_or_parameter_that_is_refused(tmp_path, table):
    table.head(20).write_csv(tmp_path / "short.csv")
    job = ForecastJob(Source.of(tmp_path / "short.csv"), PARAMETERS)
    with pytest.raises(DataError, match="20 steps"):
        job.start(tmp_path / "run", force=False)
    assert not (tmp_path / "run").exists()


def test_a_run_that_exists_is_kept_when_forced_onto_bad_data(job, tmp_path):
    run = start(job, tmp_path / "run")
    before = weights(run)
    with pytest.raises(RunError, match="exists already"):
        job.start(run.path, force=False)
    bad = ForecastJob(Source.of(tmp_path / "absent.csv"), PARAMETERS)
    with pytest.raises(DataError, match=r"absent\.csv"):
        bad.start(run.path, force=True)
    assert weights(RunFolder.open(run.path)) == before
