"""`recurra fit tag`: from tagged sentences to a measured tagger."""

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
from recurra.cli.options import Debug, Encoding, Force, Json, Quiet

__all__ = ["tag"]


def tag(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="CoNLL columns (.conllu, .conll, .txt), JSON lines or Parquet with lists: sentences of tagged tokens.",
        ),
    ],
    out: Out = None,
    token: Annotated[
        str | None, typer.Option(help="Column of the tokens, by name or number. [default: FORM, the first, or tokens]")
    ] = None,
    tag: Annotated[
        str | None, typer.Option(help="Column of the tags, by name or number. [default: UPOS, the last, or tags]")
    ] = None,
    scheme: Annotated[
        str, typer.Option(help="How tags say spans: auto, bio or bioes (rewritten as that), or none.")
    ] = "auto",
    valid: Valid = None,
    test: Test = None,
    held_back: HeldBack = 0.1,
    cell: Cell = "lstm",
    hidden_size: Annotated[int, typer.Option(help="Units in each direction.")] = 128,
    num_layers: Annotated[int, typer.Option()] = 1,
    head: Annotated[
        str, typer.Option(help="softmax, or crf: the tags of a sentence are decided together.")
    ] = "softmax",
    embedding_size: Annotated[int, typer.Option(help="Features of a word's own vector.")] = 100,
    characters: Annotated[
        str, typer.Option(help="What reads a word's letters: lstm, gru or another cell, convolution, or none.")
    ] = "lstm",
    character_size: Annotated[int, typer.Option(help="Features of a letter's vector.")] = 25,
    character_hidden: Annotated[int, typer.Option(help="Units of what reads the letters.")] = 50,
    dropout: Annotated[float, typer.Option(help="Of vectors, between layers and before the head.")] = 0.4,
    word_dropout: Annotated[
        float | None, typer.Option(help="Words known by their letters only. [default: 0.2; 0 without letters]")
    ] = None,
    embedding_dropout: EmbeddingDropout = 0.0,
    recurrent_dropout: RecurrentDropout = 0.0,
    weight_dropout: WeightDropout = 0.0,
    vocabulary_size: VocabularySize = None,
    min_count: Annotated[
        int | None, typer.Option(help="Rarer words are known by their letters only. [default: 2; 1 with --vectors]")
    ] = None,
    lowercase: Annotated[bool, typer.Option(help="Know words in lower case; letters are read as they are.")] = True,
    vectors: WordVectors = None,
    members: Annotated[int, typer.Option(help="Networks in the ensemble.")] = 1,
    epochs: Epochs = 8,
    steps: Steps = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    optimizer: Optimizer = None,
    seed: Seed = None,
    training: Training = [],  # noqa: B006 - typer copies
    encoding: Encoding = "utf-8",
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a tagger of words, measure it beside the most frequent tag of each, and write a report.

    Example: recurra fit tag train.conllu --test dev.conllu --out runs/english

    Example: recurra fit tag names.parquet --tag ner --head crf
    """
    from recurra.cli.job import run_job
    from recurra.tasks.source import Source
    from recurra.tasks.tag_job import TagJob

    parameters: dict[str, Any] = {
        "cell": cell,
        "hidden_size": hidden_size,
        "num_layers": num_layers,
        "embedding_size": embedding_size,
        "characters": None if characters == "none" else characters,
        "character_size": character_size,
        "character_hidden": character_hidden,
        "head": head,
        "scheme": scheme,
        "dropout": dropout,
        "word_dropout": word_dropout,
        "embedding_dropout": embedding_dropout,
        "recurrent_dropout": recurrent_dropout,
        "weight_dropout": weight_dropout,
        "min_count": min_count,
        "vocabulary_size": vocabulary_size,
        "lowercase": lowercase,
        "vectors": str(vectors.resolve()) if vectors else None,
        "members": members,
        "epochs": epochs,
        "training": training_options(training, steps, batch_size, learning_rate, optimizer, seed),
        "token": column_of(token),
        "tag": column_of(tag),
    }
    job = TagJob(
        Source.of(data, encoding=encoding),
        parameters,
        valid=Source.of(valid, encoding=encoding) if valid else None,
        test=Source.of(test, encoding=encoding) if test else None,
        held_back=held_back,
    )
    run, rows = job.start(run_folder(out, data), force=force)
    run_job(job, run, rows, as_json=json, quiet=quiet)
