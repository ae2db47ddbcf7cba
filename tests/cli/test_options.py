"""Options that several verbs share."""

import json
from pathlib import Path

import pytest

from recurra.cli.fit.options import training_options
from recurra.cli.options import no_value, separator_of
from recurra.errors import ArgumentError

NONE = {"steps": None, "batch_size": None, "learning_rate": None, "optimizer": None, "seed": None}


@pytest.mark.parametrize(
    ("given", "meant"),
    [(None, None), ("none", []), ("naive", ["naive"]), ("naive, arima,", ["naive", "arima"]), ("", [])],
)
def test_names_with_commas_between(given, meant):
    assert no_value(given) == meant


def test_a_tab_is_written_in_three_ways(shell):
    assert [separator_of(given) for given in ("tab", r"\t", "\t", ";", None)] == ["\t", "\t", "\t", ";", None]
    shell.write("text\tlabel\na\tx\n", "mails.tsv")
    for given in ("tab", r"\t"):
        said = shell.refuses("fit", "classify", "mails.tsv", "--separator", given, "--out", "run")
        assert said.startswith("mails.tsv: column 'label' holds one class only")


def test_training_settings_are_numbers_none_or_text():
    more = ["warmup=0.02", "steps=1e2", "validate_every=20", "patience=none", "clip_norm=NONE", "schedule=plateau"]
    found = training_options(more, **NONE | {"seed": 3})
    assert found == {
        "seed": 3, "warmup": 0.02, "steps": 100.0, "validate_every": 20, "patience": None, "clip_norm": None,
        "schedule": "plateau",
    }  # fmt: skip
    assert [type(found[name]) for name in ("steps", "validate_every")] == [float, int]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["warmup"], "--training is 'warmup'; write NAME=VALUE, such as warmup=0.02"),
        (["=3"], "--training is '=3'; write NAME=VALUE, such as warmup=0.02"),
        (["warmup="], "--training is 'warmup='; write NAME=VALUE, such as warmup=0.02"),
        (["seed=4"], "--training seed=4 and --seed give the same setting; leave one out"),
        (["clip_norm=4"], "--training clip_norm=4 and --clip-norm give the same setting; leave one out"),
        (["a=1", "a=2"], "--training a=2 and --training a=1 give the same setting; leave one out"),
    ],
)
def test_settings_that_are_none_or_given_twice_are_refused(more, message):
    with pytest.raises(ArgumentError) as error:
        training_options(more, **NONE | {"seed": 3, "clip_norm": 0.5})
    assert str(error.value) == message


TASKS = {
    "classify": ("mails.csv", "text,label\na,x\nb,y\n"),
    "tag": ("train.conll", "Ann\tX\nBo\tO\n\n" * 20),
    "language": ("text.txt", "the cat sat on the mat\n" * 200),
    "translate": ("pairs.tsv", "a\tb\nc\td\n" * 20),
    "forecast": ("sales.csv", "ds,y\n" + "".join(f"2024-01-{day:02},{day % 7}\n" for day in range(1, 31))),
}


@pytest.mark.parametrize("task", TASKS)
def test_every_task_takes_training_settings_and_refuses_faulty_ones_in_one_line(shell, task):
    name, content = TASKS[task]
    call = ("fit", task, shell.write(content, name), "--out", "run", *(("--horizon", 2) if task == "forecast" else ()))
    said = shell.refuses(*call, "--training", "warmpu=0.1")
    assert said.startswith("'warmpu' is no training setting; there are: steps, batch_size, optimizer")
    assert shell.refuses(*call, "--training", "warmup=2").startswith("training setting warmup is 2: input should be")
    assert shell.refuses(*call, "--training", "steps=soon").startswith("training setting steps is 'soon': input should")
    said = shell.refuses(*call, "--steps", 3, "--training", "steps=4")
    assert said == "--training steps=4 and --steps give the same setting; leave one out"
    assert not Path("run").exists()


def test_training_settings_reach_the_training(shell, mails):
    settings = ("warmup=0", "schedule=linear", "learning_rate=0.5", "validate_every=10", "patience=none")
    shell.classify(mails(40), *(part for setting in settings for part in ("--training", setting)))
    rates = [json.loads(line)["learning_rate"] for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert rates == pytest.approx([0.5 * (1 - step / 30) for step in range(30)])
    training = json.loads(Path("run/config.json").read_text())["parameters"]["training"]
    assert training["patience"] is None
