"""`recurra fit language`: from plain text to a measured language model."""

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
    Precision,
    RecurrentDropout,
    Seed,
    Steps,
    Test,
    Training,
    VocabularySize,
    WeightDropout,
    WordVectors,
    run_folder,
    training_options,
)
from recurra.cli.options import Debug, Force, Json, Quiet

__all__ = ["language"]


def language(
    data: Annotated[
        list[Path], typer.Argument(metavar="DATA...", help="Text files, of any size, one behind the other; also .gz.")
    ],
    out: Out = None,
    valid: Annotated[
        Path | None, typer.Option(help="File to stop the training by. [default: the last --valid-share of DATA]")
    ] = None,
    valid_share: Annotated[float, typer.Option(help="Share of DATA, its last part, without --valid.")] = 0.05,
    test: Test = None,
    held_back: HeldBack = 0.05,
    cell: Cell = "lstm",
    hidden_size: Annotated[
        list[int] | None, typer.Option(help="Units of every layer, or given for each. [default: 256]")
    ] = None,
    num_layers: Annotated[int, typer.Option()] = 2,
    embedding_size: Annotated[int, typer.Option(help="Features of a token's vector.")] = 256,
    tied: Annotated[bool, typer.Option(help="Foretell by the vectors that are read.")] = True,
    embedding_dropout: EmbeddingDropout = 0.0,
    input_dropout: Annotated[float, typer.Option(help="Of vectors' features, one mask a chunk.")] = 0.2,
    dropout: Annotated[float, typer.Option(help="Between layers, one mask a chunk.")] = 0.2,
    output_dropout: Annotated[float, typer.Option(help="Before the head, one mask a chunk.")] = 0.2,
    recurrent_dropout: RecurrentDropout = 0.0,
    weight_dropout: WeightDropout = 0.0,
    alpha: Annotated[float, typer.Option(help="Penalty on large outputs.")] = 0.0,
    beta: Annotated[float, typer.Option(help="Penalty on outputs that leap.")] = 0.0,
    tokenizer: Annotated[str, typer.Option(help="subword, word, whitespace, character or byte.")] = "subword",
    vocabulary_size: VocabularySize = None,
    min_count: MinCount = None,
    lowercase: Lowercase = False,
    lines: Annotated[
        bool | None, typer.Option(help="An end token behind each line. [default: for words and whitespace]")
    ] = None,
    vectors: WordVectors = None,
    chunk: Annotated[int, typer.Option(help="Tokens of a row between two steps.")] = 64,
    epochs: Epochs = 10,
    steps: Steps = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    optimizer: Optimizer = None,
    precision: Precision = None,
    clip_norm: Annotated[float | None, typer.Option(help="Largest norm of the gradients.")] = None,
    seed: Seed = None,
    training: Training = [],  # noqa: B006 - typer copies
    encoding: Annotated[str, typer.Option(help="Of the files.")] = "utf-8",
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a language model on plain text, measure it beside baselines on its last part, and write a report.

    Example: recurra fit language shakespeare.txt --tokenizer character --out runs/shakespeare
    """
    from recurra.cli.job import run_job
    from recurra.tasks.language_job import LanguageJob
    from recurra.tasks.source import Source

    sizes = hidden_size or [256]
    parameters: dict[str, Any] = {
        "cell": cell,
        "hidden_size": sizes[0] if len(sizes) == 1 else sizes,
        "num_layers": num_layers,
        "embedding_size": embedding_size,
        "tied": tied,
        "embedding_dropout": embedding_dropout,
        "input_dropout": input_dropout,
        "dropout": dropout,
        "output_dropout": output_dropout,
        "recurrent_dropout": recurrent_dropout,
        "weight_dropout": weight_dropout,
        "alpha": alpha,
        "beta": beta,
        "tokenizer": tokenizer,
        "vocabulary_size": vocabulary_size,
        "min_count": min_count,
        "lowercase": lowercase,
        "lines": lines,
        "vectors": str(vectors.resolve()) if vectors else None,
        "chunk": chunk,
        "epochs": epochs,
        "valid": valid_share,
        "training": training_options(
            training, steps, batch_size, learning_rate, optimizer, seed, precision=precision, clip_norm=clip_norm
        ),
    }
    first, *more = [Source.of(path, encoding=encoding) for path in data]
    job = LanguageJob(
        first,
        parameters,
        valid=Source.of(valid, encoding=encoding) if valid else None,
        test=Source.of(test, encoding=encoding) if test else None,
        held_back=held_back,
        more=tuple(more),
    )
    run, rows = job.start(run_folder(out, data[0]), force=force)
    run_job(job, run, rows, as_json=json, quiet=quiet)
