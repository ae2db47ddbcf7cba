"""The job of a translator: what it writes down, and a training that was stopped."""

import pytest
import torch

from recurra.errors import ArgumentError, DataError
from recurra.tasks.jobs import job_of, load_fitted
from recurra.tasks.source import Source
from recurra.tasks.translate_job import TranslateJob
from recurra.training.run import RunFolder

PARAMETERS = {
    "hidden_size": 8,
    "embedding_size": 6,
    "tokenizer": "word",
    "min_count": 1,
    "scheduled_sampling": 0.3,
    "training": {"steps": 12, "batch_size": 4, "validate_every": 4, "checkpoint_every": 5},
}


@pytest.fixture
def job(tmp_path):
    """On two files of twenty lines."""
    for side in ("a", "b"):
        (tmp_path / side).write_text("".join(f"{side}{row % 5} {side}{row % 3}\n" for row in range(20)))
    return lambda: TranslateJob(
        Source.of(tmp_path / "a"), PARAMETERS, held_back=0.2, target_file=Source.of(tmp_path / "b")
    )


def test_a_job_whose_pairs_are_all_too_long_makes_no_run(tmp_path, monkeypatch):
    (tmp_path / "a.tsv").write_text("".join(f"a{row % 5}\tb{row % 3} b\n" for row in range(20)))
    (tmp_path / "b.tsv").write_text("a1\tb1 b b\na2\tb2 b b b\n")

    def refused(most, valid=None, **changes):
        parameters = {**PARAMETERS, "max_tokens": most, **changes}
        beside = Source.of(tmp_path / valid) if valid else None
        with pytest.raises(DataError) as caught:
            TranslateJob(Source.of(tmp_path / "a.tsv"), parameters, valid=beside).start(tmp_path / "run", force=False)
        assert not (tmp_path / "run").exists()
        return str(caught.value)

    for few in (100_000, 10):  # all tokens are known, or only how many there are at least
        monkeypatch.setattr("recurra.tasks.parameters._FEW", few)
        assert "a.tsv line " in refused(1)
        assert refused(1).endswith("none is left for training; raise max_tokens, or break them into sentences")
        assert refused(2, valid="b.tsv").startswith("b.tsv line 1: a side has 3 tokens")
        assert refused(3, tokenizer="character").startswith("a.tsv line ")
    TranslateJob(Source.of(tmp_path / "a.tsv"), {**PARAMETERS, "max_tokens": 2}).start(tmp_path / "run", force=False)


def test_a_job_without_a_word_that_occurs_twice_makes_no_run(tmp_path):
    (tmp_path / "a.tsv").write_text("".join(f"a{row}\tb{row}\n" for row in range(20)))
    job = TranslateJob(Source.of(tmp_path / "a.tsv"), {**PARAMETERS, "min_count": None})
    with pytest.raises(ArgumentError, match="no word token that occurs 2 times"):
        job.start(tmp_path / "run", force=False)
    assert not (tmp_path / "run").exists()


def weights(run):
    return load_fitted(run).network_.state_dict()


def test_a_job_is_read_back_as_it_was(job, tmp_path):
    made = job()
    run, data = made.start(tmp_path / "run", force=False)
    again = job_of(run)
    assert isinstance(again, TranslateJob)
    assert (again.target_file, again.test_target_file, again.held_back) == (made.target_file, None, 0.2)
    assert again.fresh().get_params() == made.fresh().get_params()
    assert (len(data.train), len(data.test), data.valid) == (16, 4, None)
    assert data.train.targets[0].replace("b", "a") == data.train.sources[0]


def test_stopped_and_gone_on_equals_uninterrupted(job, tmp_path):
    run, data = job().start(tmp_path / "whole", force=False)
    job().run(run, data)
    whole = weights(run)

    def stop(name, steps, record):
        if record.step == 7:
            raise KeyboardInterrupt

    run, data = job().start(tmp_path / "parts", force=False)
    with pytest.raises(KeyboardInterrupt):
        job().run(run, data, on_step=stop)
    run = RunFolder.open(tmp_path / "parts")
    assert not TranslateJob.is_done(run)
    job_of(run).run(run)
    parts = weights(run)
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
