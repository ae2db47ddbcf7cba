"""`recurra fit translate`: from pairs of texts to a measured translator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from recurra.cli.changing import column_of
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
    Valid,
    VocabularySize,
    WeightDropout,
    run_folder,
    training_options,
)
from recurra.cli.options import Debug, Encoding, Force, Json, Quiet, Separator

__all__ = ["translate"]


def translate(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", help="TSV, CSV, Parquet or JSON lines: one row a pair; or sources, with --target-file."
        ),
    ],
    out: Out = None,
    source: Annotated[
        str | None, typer.Option(help="Column of the sources; of TSV without a header its number. [default: the first]")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Column of the targets, likewise. [default: the second of two]")
    ] = None,
    target_file: Annotated[
        Path | None, typer.Option(help="Text file of the targets, beside DATA line by line.")
    ] = None,
    valid: Valid = None,
    valid_target_file: Annotated[Path | None, typer.Option(help="The same for --valid.")] = None,
    test: Test = None,
    test_target_file: Annotated[Path | None, typer.Option(help="The same for --test.")] = None,
    held_back: HeldBack = 0.1,
    cell: Cell = "lstm",
    hidden_size: Annotated[int, typer.Option()] = 256,
    num_layers: Annotated[int, typer.Option(help="Of encoder and decoder each.")] = 1,
    bidirectional: Annotated[bool, typer.Option(help="Read the source from both ends.")] = True,
    attention: Annotated[str, typer.Option(help="additive, dot, general, local, multihead or none.")] = "general",
    input_feeding: Annotated[bool, typer.Option(help="Each step reads what the last attended to; slower.")] = False,
    embedding_size: Annotated[int, typer.Option(help="Features of a token's vector.")] = 256,
    tied: Annotated[bool, typer.Option(help="Vectors of target tokens are the output's weights, too.")] = True,
    dropout: Annotated[float, typer.Option(help="Of vectors, between layers and before the output.")] = 0.3,
    embedding_dropout: EmbeddingDropout = 0.0,
    recurrent_dropout: RecurrentDropout = 0.0,
    weight_dropout: WeightDropout = 0.0,
    label_smoothing: Annotated[float, typer.Option(help="Share of each target that goes to all tokens.")] = 0.1,
    scheduled_sampling: Annotated[
        float, typer.Option(help="How often the decoder reads its own token at the end of training; slower.")
    ] = 0.0,
    tokenizer: Annotated[str, typer.Option(help="subword, word, character, whitespace or byte.")] = "subword",
    shared: Annotated[bool, typer.Option(help="One vocabulary for both sides.")] = True,
    vocabulary_size: VocabularySize = 8000,
    min_count: MinCount = None,
    lowercase: Lowercase = False,
    max_tokens: Annotated[
        int | None, typer.Option(help="Longer pairs are left out of training, longer sources cut.")
    ] = 256,
    beam_size: Annotated[int, typer.Option(help="Sequences kept side by side when writing.")] = 5,
    length_penalty: Annotated[float, typer.Option(help="0: short ones are favoured.")] = 0.6,
    coverage_penalty: Annotated[float, typer.Option(help="Of source tokens that nothing looked at.")] = 0.0,
    bleu_tokenizer: Annotated[str, typer.Option(help="Of BLEU: 13a, intl, zh, char or none.")] = "13a",
    epochs: Epochs = 15,
    steps: Steps = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    optimizer: Optimizer = None,
    precision: Precision = None,
    seed: Seed = None,
    training: Training = [],  # noqa: B006 - typer copies
    encoding: Encoding = "utf-8",
    separator: Separator = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a translator, or any writer of one text for another, measure it beside baselines on pairs held back, and
    write a report.

    Example: recurra fit translate pairs.tsv --out runs/de-en

    Example: recurra fit translate train.de --target-file train.en --out runs/de-en

    Example: recurra fit translate dates.csv --source written --target iso --tokenizer character --hidden-size 64
    """
    from recurra.cli.job import run_job
    from recurra.tasks.source import Source
    from recurra.tasks.translate_job import TranslateJob

    parameters: dict[str, Any] = {
        "cell": cell,
        "hidden_size": hidden_size,
        "num_layers": num_layers,
        "bidirectional": bidirectional,
        "attention": None if attention == "none" else attention,
        "input_feeding": input_feeding,
        "embedding_size": embedding_size,
        "tied": tied,
        "dropout": dropout,
        "embedding_dropout": embedding_dropout,
        "recurrent_dropout": recurrent_dropout,
        "weight_dropout": weight_dropout,
        "label_smoothing": label_smoothing,
        "scheduled_sampling": scheduled_sampling,
        "tokenizer": tokenizer,
        "shared": shared,
        "vocabulary_size": vocabulary_size,
        "min_count": min_count,
        "lowercase": lowercase,
        "max_tokens": max_tokens,
        "beam_size": beam_size,
        "length_penalty": length_penalty,
        "coverage_penalty": coverage_penalty,
        "bleu_tokenizer": bleu_tokenizer,
        "epochs": epochs,
        "training": training_options(training, steps, batch_size, learning_rate, optimizer, seed, precision=precision),
        "source": column_of(source),
        "target": column_of(target),
    }

    def read(path: Path | None) -> Source | None:
        return Source.of(path, encoding=encoding, separator=separator) if path else None

    job = TranslateJob(
        Source.of(data, encoding=encoding, separator=separator),
        parameters,
        valid=read(valid),
        test=read(test),
        held_back=held_back,
        target_file=read(target_file),
        valid_target_file=read(valid_target_file),
        test_target_file=read(test_target_file),
    )
    run, rows = job.start(run_folder(out, data), force=force)
    run_job(job, run, rows, as_json=json, quiet=quiet)
