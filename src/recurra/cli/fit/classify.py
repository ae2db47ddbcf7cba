"""`recurra fit classify`: from labelled texts to a measured classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from recurra.cli.fit.options import (
    BatchSize,
    Cell,
    EmbeddingDropout,
    Epochs,
    HeldBack,
    LearningRate,
    Lowercase,
    MinCount,
    Optimizer,
    Out,
    RecurrentDropout,
    Seed,
    Steps,
    Test,
    Training,
    Valid,
    VocabularySize,
    WeightDropout,
    WordVectors,
    run_folder,
    training_options,
)
from recurra.cli.options import Debug, Encoding, Force, Json, Quiet, Separator

__all__ = ["classify"]


def classify(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="CSV, Parquet or JSON lines: one row a text.")],
    out: Out = None,
    text: Annotated[str, typer.Option(help="Column of the texts.")] = "text",
    label: Annotated[str, typer.Option(help="Column of the labels.")] = "label",
    valid: Valid = None,
    test: Test = None,
    held_back: HeldBack = 0.1,
    cell: Cell = "lstm",
    hidden_size: Annotated[int, typer.Option()] = 128,
    num_layers: Annotated[int, typer.Option()] = 1,
    bidirectional: Annotated[bool, typer.Option(help="Read from both ends.")] = True,
    embedding_size: Annotated[int, typer.Option(help="Features of a token's vector.")] = 128,
    pooling: Annotated[str, typer.Option(help="max, mean, attention or last.")] = "max",
    dropout: Annotated[float, typer.Option(help="Of vectors, between layers and before the head.")] = 0.4,
    embedding_dropout: EmbeddingDropout = 0.1,
    recurrent_dropout: RecurrentDropout = 0.0,
    weight_dropout: WeightDropout = 0.0,
    label_smoothing: Annotated[float, typer.Option(help="Share of each target that goes to all classes.")] = 0.0,
    class_weights: Annotated[
        str | None, typer.Option(help="balanced: classes count alike, however rare. [default: texts do]")
    ] = None,
    tokenizer: Annotated[str, typer.Option(help="word, whitespace, subword, character or byte.")] = "word",
    vocabulary_size: VocabularySize = 30_000,
    min_count: MinCount = None,
    lowercase: Lowercase = True,
    max_tokens: Annotated[
        str, typer.Option(help="Longer texts lose their middle; auto (400, or 2000 characters or bytes) or none.")
    ] = "auto",
    vectors: WordVectors = None,
    members: Annotated[int, typer.Option(help="Networks in the ensemble.")] = 1,
    epochs: Epochs = 6,
    steps: Steps = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    optimizer: Optimizer = None,
    seed: Seed = None,
    training: Training = [],  # noqa: B006 - typer copies
    encoding: Encoding = "utf-8",
    separator: Separator = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a classifier of texts, measure it beside baselines on texts held back, and write a report.

    Example: recurra fit classify reviews.csv --text review --label stars --out runs/reviews
    """
    from recurra.cli.job import run_job
    from recurra.tasks.classify_job import ClassifyJob
    from recurra.tasks.source import Source

    parameters: dict[str, Any] = {
        "cell": cell,
        "hidden_size": hidden_size,
        "num_layers": num_layers,
        "bidirectional": bidirectional,
        "embedding_size": embedding_size,
        "pooling": pooling,
        "dropout": dropout,
        "embedding_dropout": embedding_dropout,
        "recurrent_dropout": recurrent_dropout,
        "weight_dropout": weight_dropout,
        "label_smoothing": label_smoothing,
        "class_weights": None if class_weights == "none" else class_weights,
        "tokenizer": tokenizer,
        "vocabulary_size": vocabulary_size,
        "min_count": min_count,
        "lowercase": lowercase,
        "max_tokens": _most_tokens(max_tokens),
        "vectors": str(vectors.resolve()) if vectors else None,
        "members": members,
        "epochs": epochs,
        "training": training_options(training, steps, batch_size, learning_rate, optimizer, seed),
        "text": text,
        "label": label,
    }
    form = {"encoding": encoding, "separator": separator}
    job = ClassifyJob(
        Source.of(data, **form),
        parameters,
        valid=Source.of(valid, **form) if valid else None,
        test=Source.of(test, **form) if test else None,
        held_back=held_back,
    )
    run, rows = job.start(run_folder(out, data), force=force)
    run_job(job, run, rows, as_json=json, quiet=quiet)


def _most_tokens(given: str) -> int | str | None:
    """A number where it is one, None for "none"; what else it may be is for the classifier to say."""
    if given == "none":
        return None
    return int(given) if given.isascii() and given.isdecimal() else given
