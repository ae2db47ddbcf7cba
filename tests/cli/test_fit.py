"""`recurra fit forecast`: what it leaves, what it refuses, and runs that end badly."""

import errno
import fcntl
import json
import os
from pathlib import Path

import pytest
import torch

import recurra.atomic
from recurra.training.run import RunFolder
from recurra.training.windowed import WindowForecaster


def test_a_run_leaves_a_model_a_forecast_and_a_report(shell, daily):
    said = shell.fit(daily(80), "--backtest", 1, "--baselines", "naive")
    assert said.code == 0
    assert "choose steps: step 5/5" in said.err
    assert said.out.splitlines()[-1].endswith("Next: recurra predict run --out next.csv")
    names = {path.name for path in (shell.folder / "run").iterdir()}
    assert names >= {"config.json", "forecast.csv", "model", "report.html", "scores.json", "summary.json"}
    assert (shell.folder / "run" / "forecast.csv").read_text() == shell.does("predict", "run").out


def test_a_run_is_named_after_its_table(shell, daily):
    shell.write(daily(80), "shop.v2.csv")
    shell.does("fit", "forecast", "shop.v2.csv", "--horizon", 3, "--steps", 2, "--members", 1, "--backtest", 0)
    assert (shell.folder / "runs" / "shop" / "model").is_dir()


def test_json_is_all_that_standard_output_holds(shell, daily):
    said = shell.fit(daily(80), "--backtest", 1, "--baselines", "naive", "--json")
    assert (said.code, said.err) == (0, "")
    assert said.json["run"] == "run"
    assert list(said.json["scores"]["scores"]) == ["GRU", "Naive"]
    assert said.json["scores"]["scores"]["Naive"]["mae"] > 0


def test_quiet_prints_no_progress(shell, daily):
    said = shell.fit(daily(80), "--quiet")
    assert said == (0, "", "")
    said = shell.fit(daily(80), "--quiet", "--backtest", 1, "--baselines", "naive", "--force")
    assert (said.code, said.err) == (0, "")
    assert "Naive" in said.out


def test_parquet_in_and_numbers_for_ids(shell, shops):
    import polars as pl

    shell.write(shops(80, ("1", "2")))
    pl.read_csv("sales.csv", try_parse_dates=True).write_parquet("sales.parquet")
    options = ("--horizon", 3, "--steps", 5, "--members", 1, "--backtest", 0, "--series", "store", "--out")
    shell.does("fit", "forecast", "sales.parquet", *options, "columnar")
    shell.does("fit", "forecast", "sales.csv", *options, "text")
    assert shell.forecasts("columnar") == shell.forecasts("text")


# --- what is there already


def test_a_run_is_never_replaced_without_force(shell, trained, daily, checksums):
    before = checksums(trained)
    line = shell.refuses("fit", "forecast", shell.write(daily(90)), "--horizon", 2, "--out", trained)
    assert line == f"{trained} exists already; pass --force to replace it, or another --out"
    assert checksums(trained) == before
    assert shell.fit(daily(90), "--force").code == 0
    assert shell.does("predict", "run").rows[0]["ds"] == "2024-03-31"


def test_force_replaces_nothing_but_a_run(shell, daily):
    (shell.folder / "photos").mkdir()
    (shell.folder / "photos" / "cat.jpg").write_bytes(b"meow")
    line = shell.refuses("fit", "forecast", shell.write(daily(90)), "--horizon", 2, "--out", "photos", "--force")
    assert line == "photos exists and is no run folder; --force replaces run folders only"
    assert (shell.folder / "photos" / "cat.jpg").read_bytes() == b"meow"


# --- wrong options: before anything is written


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--cell", "grru"), "cell 'grru' is unknown; did you mean 'gru'"),
        (("--baselines", "nave", "--backtest", "1"), "baseline is 'nave'; did you mean 'naive'?"),
        (("--loss", "quantle"), "loss is 'quantle'; did you mean 'quantile'?"),
        (("--optimizer", "adm"), "training setting optimizer is 'adm': input should be 'adam', 'adamw'"),
        (("--scaling", "rcent"), "scaling is 'rcent': input should be 'recent', 'standard' or 'mean'"),
        (("--transform", "lg"), "transform is 'lg'; did you mean 'log'?"),
        (("--freq", "fortnight"), "frequency 'fortnight' is not known; write 15m, 1h, 1d"),
        (("--level", "150"), "levels are [50.0, 80.0, 90.0, 95.0, 150.0]; each must lie between 0 and 100"),
        (("--dropout", "1.7"), "dropout is 1.7: input should be less than 1"),
        (("--learning-rate", "-1"), "training setting learning_rate is -1.0: input should be greater than 0"),
        (("--horizon", "0"), "horizon is 0; it is a whole number of steps, 1 or more"),
        (("--members", "0"), "members is 0; it is a whole number of networks, 1 or more"),
        (("--backtest", "-1"), "backtest is -1; it is a number of windows, or 0 for none"),
        (("--step", "0"), "step is 0; it is 1 or more steps between windows"),
        (("--separator", ";;"), "separator is ';;'; it is one ASCII character"),
        (("--decimal", "x"), "decimal is 'x'; it is '.' or ','"),
        (("--future-table", "sales.csv"), "a future table is given, but the model knows no covariates in advance"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_wrong_option_is_named_before_anything_is_written(shell, daily, options, line):
    shell.write(daily(80))
    assert shell.refuses("fit", "forecast", "sales.csv", "--horizon", 3, "--out", "run", *options).startswith(line)
    assert [path.name for path in shell.folder.iterdir()] == ["sales.csv"]


def test_without_the_future_the_note_says_how_to_forecast(shell, shops):
    said = shell.fit(shops(80), "--series", "store", "--future", "price")
    assert said.code == 0
    assert said.notes == [
        "no forecast was written: `recurra predict run --future-table FILE` needs the next values of price"
    ]
    assert "forecast   none" in said.out
    assert said.out.rstrip().endswith("Next: recurra predict run --future-table FILE --out next.csv")
    assert shell.does("resume", "run", "--json").json["report"] is None
    assert shell.fit(shops(80), "--series", "store", "--future", "price", "--backtest", 1, "--force").code == 0
    assert (shell.folder / "run" / "report.html").is_file()


# --- runs that end badly


def test_a_training_that_diverges_keeps_its_last_finite_weights(shell, daily):
    shell.write(daily(80))
    line = shell.refuses(
        *("fit", "forecast", "sales.csv", "--horizon", 3, "--steps", 5, "--out", "run", "--learning-rate", "1e30"),
        code=1,
    )
    assert line.startswith("the loss is nan at step 2; the last finite weights are kept.")
    assert "Try a lower learning rate (now 1e+30)" in line
    run = RunFolder.open("run")
    (stage,) = (path.name for path in (run.path / "checkpoints").iterdir())
    checkpoint = run.stage(stage).latest()
    assert checkpoint.state["step"] == 1
    assert all(bool(torch.isfinite(t).all()) for n, t in checkpoint.tensors.items() if n.startswith("module."))


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_out_of_memory_advises_on_the_batch_size_and_can_be_resumed(shell, daily, monkeypatch, error):
    shell.write(daily(80))

    def allocate(*arguments):
        raise error

    options = ("--horizon", 3, "--steps", 5, "--members", 1, "--backtest", 0, "--out", "run")
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "backward", allocate)
        line = shell.refuses("fit", "forecast", "sales.csv", *options, code=1)
    assert line.startswith("out of memory at step 0; lower the batch size (now 128)")
    shell.does("resume", "run")
    assert len(shell.forecasts("run")) == 3 * 5


def test_a_full_disk_keeps_the_last_checkpoint_and_the_run_goes_on(shell, daily, monkeypatch):
    assert shell.fit(daily(80), out="whole").code == 0
    shell.write(daily(80))
    sync = os.fsync

    def full(handle):
        if "member-0" in str(Path(f"/proc/self/fd/{handle}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    options = json.loads((shell.folder / "whole" / "config.json").read_text())["parameters"]
    assert options["training"] == {"steps": 5}
    with monkeypatch.context() as patch:
        patch.setattr(recurra.atomic.os, "fsync", full)
        said = shell.fit(daily(80))
    assert (said.code, said.out) == (1, "")
    line = said.err.splitlines()[-1]
    assert line.startswith("error: cannot write run/checkpoints/member-0/step-00000005: No space left on device; ")
    assert line.endswith("free space, then `recurra resume run`")
    assert not list((shell.folder / "run" / "checkpoints" / "member-0").glob("step-*"))
    shell.does("resume", "run")
    assert shell.forecasts("run") == shell.forecasts("whole")


def test_a_folder_that_takes_no_files_is_named(shell, daily):
    shell.write(daily(80))
    line = shell.refuses("fit", "forecast", "sales.csv", "--horizon", 3, "--out", "sales.csv/run", code=1)
    assert line == "cannot write sales.csv/run: Not a directory"
    assert (shell.folder / "sales.csv").read_text() == daily(80)


def test_a_second_writer_is_refused_and_a_dead_ones_lock_is_not(shell, trained, daily, checksums):
    (trained / "summary.json").unlink()
    before = checksums(trained)
    with (trained / "lock").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        before = checksums(trained)
        holder = (trained / "lock").read_text()
        expected = f"run is being written by process {holder}; wait for it or stop it"
        assert shell.refuses("resume", "run") == expected
        table = shell.write(daily(80))
        assert shell.refuses("fit", "forecast", table, "--horizon", 3, "--out", "run", "--force") == expected
        assert checksums(trained) == before
    (trained / "lock").write_text("999999")
    shell.does("resume", "run")
    assert (trained / "summary.json").is_file()


def test_an_error_that_nobody_foresaw_is_one_line_too(shell, daily, monkeypatch):
    monkeypatch.setattr(WindowForecaster, "fit", lambda *arguments, **named: 1 / 0)
    said = shell.fit(daily(80))
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        "error: internal error (ZeroDivisionError: division by zero); run again with --debug and report it\n"
    )
    with pytest.raises(ZeroDivisionError):
        shell.fit(daily(80), "--debug", "--force")
