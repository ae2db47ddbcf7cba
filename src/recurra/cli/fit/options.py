"""Options that several tasks of `recurra fit` share, each stated once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

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


def training_options(
    steps: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    optimizer: str | None,
    seed: int | None,
    precision: str | None = None,
) -> dict[str, Any]:
    """Those of the training settings that were given."""
    given = {
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "optimizer": optimizer,
        "seed": seed,
        "precision": precision,
    }
    return {name: value for name, value in given.items() if value is not None}


def run_folder(out: Path | None, data: Path) -> Path:
    """Where a run goes: as asked, or by the name of its data."""
    return out or Path("runs") / data.name.partition(".")[0]
