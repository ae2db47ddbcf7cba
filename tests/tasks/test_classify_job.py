"""The run of a classifier: what its folder holds, and killed and resumed it ends in the same bits."""

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

from recurra.errors import ArgumentError, ArtifactError, DataError, Interrupted
from recurra.tasks.classification import TextClassifier
from recurra.tasks.classify_job import ClassifyJob
from recurra.tasks.jobs import job_of, load_fitted
from recurra.tasks.source import Source
from recurra.tasks.tagging import SequenceTagger
from recurra.training.run import RunFolder

PARAMETERS = {
    "hidden_size": 6,
    "embedding_size": 6,
    "embedding_dropout": 0.2,
    "recurrent_dropout": 0.2,
    "members": 2,
    "training": {"steps": 24, "batch_size": 8, "validate_every": 6, "checkpoint_every": 5},
}
RECORDS = ("scores.json", "examples.json", "predictions.csv", "metrics.jsonl")


@pytest.fixture
def job(tmp_path):
    words = ["meeting", "pills", "report", "lottery"]
    texts = [f"about the {words[i % 4]} of {i % 7}" for i in range(60)]
    table = pl.DataFrame({"text": texts, "label": [("ham", "spam")[i % 2] for i in range(60)]})
    table.write_csv(tmp_path / "mails.csv")
    return ClassifyJob(Source.of(tmp_path / "mails.csv"), PARAMETERS)


def start(job, path, **options):
    run, rows = job.start(path, force=False)
    job.run(run, rows, **options)
    return run


def weights(run):
    return (run.path / "model" / "model.safetensors").read_bytes()


def test_a_run_folder_holds_what_was_done(job, tmp_path):
    run = start(job, tmp_path / "run")
    assert {path.name for path in run.path.iterdir()} >= {*RECORDS, "config.json", "summary.json", "model"}
    summary = json.loads((run.path / "summary.json").read_text())
    assert (summary["model"], summary["rows"], summary["rows_measured"], summary["members"]) == ("LSTM", 54, 6, 2)
    assert summary["classes"] == ["ham", "spam"]
    assert 0 <= summary["padding_share"] < 0.5
    assert summary["explain"].startswith("layer 0: lstm, both directions by ")
    assert {line["stage"] for line in run.metrics()} == {"member-0", "member-1"}
    assert pl.read_csv(run.path / "predictions.csv").height == 6
    assert len(json.loads((run.path / "examples.json").read_text())["explanations"]) >= 3
    assert isinstance(load_fitted(run), TextClassifier)
    assert TextClassifier.load(run.path).predict(["the pills"]) == load_fitted(run).predict(["the pills"])
    with pytest.raises(ArtifactError, match=r"run is a classify run, not a tag run; load it with the class of its"):
        SequenceTagger.load(run.path)


def test_what_is_measured_was_not_learned_from(job):
    data = job._read()
    learned, measured = (set(rows.rows) for rows in (data.train, data.test))
    assert not learned & measured
    assert len(learned | measured) == 60


def test_a_job_is_read_back_from_its_folder(job, tmp_path):
    run = start(job, tmp_path / "run")
    again = job_of(run)
    assert isinstance(again, ClassifyJob)
    assert (again.source, again.held_back, again.valid) == (job.source, 0.1, None)
    before = weights(run)
    again.run(run)
    assert weights(run) == before


def test_files_of_their_own_stop_and_measure(job, tmp_path):
    frame = pl.read_csv(job.source.path)
    for name in ("valid", "test"):
        frame.head(20).write_csv(tmp_path / f"{name}.csv")
    own = ClassifyJob(
        job.source, PARAMETERS, valid=Source.of(tmp_path / "valid.csv"), test=Source.of(tmp_path / "test.csv")
    )
    run = start(own, tmp_path / "run")
    summary = json.loads((run.path / "summary.json").read_text())
    assert (summary["rows"], summary["rows_measured"]) == (60, 20)
    assert json.loads((run.path / "scores.json").read_text())["measured_on"] == "20 texts of test.csv"
    frame.head(20).with_columns(label=pl.lit("scam")).write_csv(tmp_path / "test.csv")
    with pytest.raises(DataError, match=r"test.csv line 2: column 'label' holds 'scam'"):
        ClassifyJob(job.source, PARAMETERS, test=Source.of(tmp_path / "test.csv")).start(tmp_path / "r", force=False)


@pytest.mark.parametrize("stop", [1, 7, 24, 30, 48])
def test_stopped_at_a_step_and_resumed_equals_uninterrupted_bit_for_bit(job, tmp_path, stop):
    whole = start(job, tmp_path / "whole")
    steps = 0

    def interrupt(name, count, record):
        nonlocal steps
        steps += 1
        if steps == stop:
            raise Interrupted("stopped", signal.SIGINT)

    run, rows = job.start(tmp_path / "cut", force=False)
    with pytest.raises(Interrupted):
        job.run(run, rows, on_step=interrupt)
    assert not ClassifyJob.is_done(run)
    job_of(run).run(run)
    assert weights(run) == weights(whole)
    for name in RECORDS:
        assert (run.path / name).read_bytes() == (whole.path / name).read_bytes()


@pytest.mark.slow
def test_killed_at_random_and_resumed_equals_uninterrupted_bit_for_bit(job, tmp_path):
    whole = start(job, tmp_path / "whole")
    run, _ = job.start(tmp_path / "cut", force=False)
    program = (
        "import sys, torch; torch.set_num_threads(int(sys.argv[2]))\n"
        "from recurra.tasks.jobs import job_of\n"
        "from recurra.training.run import RunFolder\n"
        "run = RunFolder.open(sys.argv[1]); job_of(run).run(run)\n"
    )
    import torch

    generator, kills = random.Random(0), 0
    while True:
        process = subprocess.Popen([sys.executable, "-c", program, str(run.path), str(torch.get_num_threads())])
        stop_after = len(run.metrics()) + generator.randint(1, 20)
        while process.poll() is None and (len(run.metrics()) < stop_after or kills >= 3):
            time.sleep(0.002)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        if process.wait() == 0:
            break
        assert process.returncode == -signal.SIGKILL
    assert kills >= 1
    assert weights(run) == weights(whole)
    for name in RECORDS:
        assert (run.path / name).read_bytes() == (whole.path / name).read_bytes()


def test_data_changed_since_the_run_began_is_refused(job, tmp_path):
    run, _ = job.start(tmp_path / "run", force=False)
    with Path(job.source.path).open("a") as file:
        file.write("more,ham\n")
    with pytest.raises(DataError, match="has changed since the run began"):
        job_of(run).run(run)


def test_nothing_is_created_for_what_is_refused(job, tmp_path):
    for parameters, options in (({"tokenizer": "wrd"}, {}), ({}, {"held_back": 0.0}), ({}, {"held_back": 2})):
        with pytest.raises(ArgumentError):
            ClassifyJob(job.source, {**PARAMETERS, **parameters}, **options).start(tmp_path / "run", force=False)
    assert not (tmp_path / "run").exists()
    assert RunFolder(tmp_path / "run").metrics() == []
