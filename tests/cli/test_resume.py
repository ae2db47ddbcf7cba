"""`recurra resume`: a run that was stopped, that is complete, or that cannot go on."""

import shutil

import pytest


def test_a_complete_run_is_not_trained_again(shell, trained, checksums):
    model = checksums(trained / "model")
    said = shell.does("resume", "run")
    assert said.out.splitlines()[0] == "this run is complete; its report is written again"
    assert said.err == ""
    assert checksums(trained / "model") == model
    assert shell.does("resume", "run", "--json").json["run"] == "run"
    assert shell.does("resume", "run", "--quiet").out == ""


def test_an_interrupted_run_ends_as_the_whole_one_did(shell, trained, checksums):
    model = checksums(trained / "model")
    (trained / "summary.json").unlink()
    shutil.rmtree(trained / "model")
    shutil.rmtree(trained / "checkpoints" / "member-0")
    shell.does("resume", "run")
    assert checksums(trained / "model") == model


def test_a_damaged_checkpoint_is_passed_over_with_a_notice(shell, trained, checksums):
    model = checksums(trained / "model")
    (trained / "summary.json").unlink()
    (checkpoint,) = (trained / "checkpoints" / "member-0").glob("step-*")
    path = checkpoint / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    (note,) = shell.does("resume", "run").notes
    assert note.startswith(f"checkpoint {checkpoint.name} is passed over: run/checkpoints/member-0/{checkpoint.name}/")
    assert checksums(trained / "model") == model


@pytest.mark.parametrize("name", ["summary.json", "forecast.csv", "history.csv"])
def test_a_damaged_record_is_written_again_as_the_report_says(shell, trained, checksums, name):
    model = checksums(trained / "model")
    record = (trained / name).read_bytes()
    (trained / name).write_text("{")
    assert shell.refuses("report", "run").endswith("; `recurra resume run` writes it again")
    shell.does("resume", "run")
    shell.does("report", "run")
    assert checksums(trained / "model") == model
    assert name == "summary.json" or (trained / name).read_bytes() == record  # a summary holds how long it took


def test_a_table_that_changed_since_is_refused(shell, daily, checksums):
    assert shell.fit(daily(80)).code == 0
    (shell.folder / "run" / "summary.json").unlink()
    before = checksums(shell.folder / "run" / "model")
    shell.write(daily(81))
    line = shell.refuses("resume", "run")
    assert line.endswith("sales.csv has changed since the run began; start a new run with `recurra fit`")
    (shell.folder / "sales.csv").unlink()
    assert "sales.csv does not exist" in shell.refuses("resume", "run")
    assert checksums(shell.folder / "run" / "model") == before


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ("{", "run/config.json is not JSON"),
        ("[]", "run/config.json is no run configuration"),
        ('{"task": "forecast"}', "run/config.json is damaged at 'future'; start a new run"),
        ('{"task": "dance"}', "run is a run of task 'dance'; this recurra knows forecast, classify"),
    ],
)
def test_a_damaged_configuration_is_refused(shell, trained, config, line):
    (trained / "config.json").write_text(config)
    assert shell.refuses("resume", "run").startswith(line)
