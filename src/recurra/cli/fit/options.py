"""Options that several tasks of `recurra fit` share, each stated once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from recurra.cli.changing import option_name
from recurra.errors import ArgumentError

__all__ = [
    "BatchSize",
    "Cell",
    "EmbeddingDropout",
    "Epochs",
    "HeldBack",
    "LearningRate",
    "Lowercase",
    "MinCount",
    "Optimizer",
    "Out",
    "Precision",
    "RecurrentDropout",
    "Seed",
    "Steps",
    "Test",
    "Training",
    "Valid",
    "VocabularySize",
    "WeightDropout",
    "WordVectors",
    "run_folder",
    "training_options",
]

Out = Annotated[Path | None, typer.Option(help="The run folder to make. [default: runs/NAME-OF-DATA]")]
Valid = Annotated[Path | None, typer.Option(help="File to stop the training by. [default: a tenth of DATA]")]
Test = Annotated[Path | None, typer.Option(help="File to measure on. [default: --held-back of DATA]")]
HeldBack = Annotated[float, typer.Option(help="Share of DATA to measure on, without --test.")]
Cell = Annotated[str, typer.Option(help="The recurrence: lstm, gru, elman, ...; see `recurra cells`.")]
EmbeddingDropout = Annotated[float, typer.Option(help="Of whole tokens.")]
RecurrentDropout = Annotated[float, typer.Option(help="Of the state, one mask a sequence.")]
WeightDropout = Annotated[float, typer.Option(help="Of the recurrent weights.")]
VocabularySize = Annotated[int | None, typer.Option(help="Tokens known at most.")]
MinCount = Annotated[int | None, typer.Option(help="Rarer tokens are unknown. [default: by the tokenizer]")]
Lowercase = Annotated[bool, typer.Option(help="Put texts in lower case first.")]
WordVectors = Annotated[Path | None, typer.Option(help="Pretrained word vectors: word2vec's or GloVe's text file.")]
Epochs = Annotated[float, typer.Option(help="How often the data are read.")]
Steps = Annotated[int | None, typer.Option(help="Training steps at most. [default: by the epochs]")]
BatchSize = Annotated[int | None, typer.Option()]
LearningRate = Annotated[float | None, typer.Option()]
Optimizer = Annotated[str | None, typer.Option(help="adam, adamw, rmsprop, sgd or asgd.")]
Precision = Annotated[
    str | None, typer.Option(help="float32, or bfloat16: faster where the processor multiplies in it.")
]
Seed = Annotated[int | None, typer.Option()]
Training = Annotated[
    list[str],
    typer.Option(
        "--training",
        metavar="NAME=VALUE",
        help="Any training setting, as warmup=0.02, clip_norm=0.5, patience=none or schedule=plateau; may be repeated.",
    ),
]


def training_options(
    more: Sequence[str],
    steps: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    optimizer: str | None,
    seed: int | None,
    *,
    precision: str | None = None,
    clip_norm: float | None = None,
) -> dict[str, Any]:
    """Those of the training settings that were given, by options of their own or in `more`, as NAME=VALUE.

    A value is a number, none, or else a text. Raises ArgumentError for a setting that is given twice, and for what is
    no NAME=VALUE; whether there is such a setting, and takes the value, is for `TrainingSettings` to say.

    >>> training_options(["warmup=0.02", "patience=none", "schedule=plateau"], 20, None, None, None, None)
    {'steps': 20, 'warmup': 0.02, 'patience': None, 'schedule': 'plateau'}
    """
    own = {
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "optimizer": optimizer,
        "seed": seed,
        "precision": precision,
        "clip_norm": clip_norm,
    }
    found: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
    before = {name: option_name(name) for name in found}
    for each in more:
        name, equals, value = each.partition("=")
        if not (name and equals and value):
            raise ArgumentError(f"--training is {each!r}; write NAME=VALUE, such as warmup=0.02")
        if name in before:
            raise ArgumentError(f"--training {each} and {before[name]} give the same setting; leave one out")
        before[name], found[name] = f"--training {each}", _value(value)
    return found


def _value(text: str) -> int | float | str | None:
    """A number or None where the text is one, else the text."""
    if text.lower() == "none":
        return None
    for number in (int, float):
        with suppress(ValueError):
            return number(text)
    return text


def run_folder(out: Path | None, data: Path) -> Path:
    """Where a run goes: as asked, or by the name of its data."""
    return out or Path("runs") / data.name.partition(".")[0]
