"""Sentiment of IMDb's reviews, kinds of TREC's questions, origins of surnames: accuracy and F1 beside naive Bayes.

    python benchmarks/text_classification.py [--only imdb|trec|surnames|speed] [--choose]

Each network learns from the train part, of which a tenth is held back to stop by, and is measured once on the test
part; surnames have none, and a fifth is held back at random (seed 1). `--choose` compares candidates on a part of
train and looks at nothing else, which is how settings were found. The speed is that of training steps beside the same
network on torch.nn's layer, in turn, in this process.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import polars as pl
import torch
from packed_peer import Peer, compare
from shared import data, keep, peak_memory_mb

from recurra.data.batching import LengthBatches, padded
from recurra.tasks.classification import TextClassifier
from recurra.training.loop import StepRecord
from recurra.training.recorder import Recorder

SEED = 0
SETS: dict[str, dict[str, Any]] = {
    "imdb": {"training": {"seed": SEED}},
    "trec": {
        "tokenizer": "whitespace",
        "embedding_size": 300,
        "epochs": 12,
        "members": 3,
        "training": {"seed": SEED},
    },
    "surnames": {
        "tokenizer": "character",
        "text": "name",
        "label": "origin",
        "embedding_size": 32,
        "embedding_dropout": 0.0,
        "cell": "gru",
        "epochs": 48,
        "training": {"seed": SEED},
    },
}
GOALS = {
    "imdb": "accuracy >= 0.89 within 20 minutes",
    "trec": "accuracy >= 0.88 within 3 minutes",
    "surnames": "macro F1, within 3 minutes",
}
CANDIDATES: dict[str, dict[str, dict[str, Any]]] = {
    "imdb": {
        "the defaults": {},
        "gru": {"cell": "gru"},
        "attention": {"pooling": "attention"},
        "dropout 0.5, embedding dropout 0.2": {"dropout": 0.5, "embedding_dropout": 0.2},
        "64 units": {"hidden_size": 64},
    },
    "trec": {
        "the defaults": {"embedding_size": 128, "epochs": 6, "members": 1},
        "three members": {"embedding_size": 128, "epochs": 6},
        "gru, three members": {"cell": "gru", "embedding_size": 128, "epochs": 6},
        "300 features, 12 epochs, three members": {},
    },
    "surnames": {
        "6 epochs": {"epochs": 6},
        "6 epochs, lstm": {"epochs": 6, "cell": "lstm"},
        "12 epochs, lstm": {"epochs": 12, "cell": "lstm"},
        "24 epochs, lstm": {"epochs": 24, "cell": "lstm"},
        "24 epochs, lstm, last": {"epochs": 24, "cell": "lstm", "pooling": "last"},
        "24 epochs, lstm, two layers": {"epochs": 24, "cell": "lstm", "num_layers": 2},
        "24 epochs, lstm, classes weighted": {"epochs": 24, "cell": "lstm", "class_weights": "balanced"},
        "24 epochs, lstm, three members": {"epochs": 24, "cell": "lstm", "members": 3},
        "24 epochs": {"epochs": 24},
        "24 epochs, as they are written, last": {"epochs": 24, "lowercase": False, "pooling": "last"},
        "48 epochs": {},
        "48 epochs, as they are written": {"lowercase": False},
    },
}


def main() -> None:
    """Run what was asked for, and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=[*SETS, "speed"])
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    parts = [asked.only] if asked.only else [*SETS, "speed"]
    for part in parts:
        if asked.choose:
            choose(part)
        else:
            keep(f"text_classification_{part}", speed() if part == "speed" else measure(part))


def read(name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The train and the test part of a data set."""
    if name == "imdb":
        parts = [pl.read_parquet(data(f"imdb/imdb_{part}.parquet")) for part in ("train", "test")]
        return tuple(part.with_columns(pl.col("text").str.replace_all("<br />", " ")) for part in parts)  # type: ignore[return-value]
    if name == "trec":
        table = pl.read_parquet(data("trec/trec_questions.parquet"))
        return table.filter(pl.col("split") == "train"), table.filter(pl.col("split") == "test")
    classifier = TextClassifier(**SETS[name])
    rows = classifier.read(pl.read_parquet(data("surnames/surnames.parquet")))
    kept, held = classifier.split(rows, 0.2, seed=1)
    return tuple(pl.DataFrame({"name": part.texts, "origin": part.labels}) for part in (kept, held))  # type: ignore[return-value]


def measure(name: str) -> dict[str, Any]:
    """One training on a data set's train part, and its scores on the test part."""
    classifier = TextClassifier(**SETS[name])
    train, test = (classifier.read(part) for part in read(name))
    log: list[dict[str, float]] = []
    begin = time.perf_counter()
    classifier.fit(train, recorder=Recorder(on_step=lambda stage, steps, record: note(log, begin, stage, record)))
    seconds = time.perf_counter() - begin
    result = classifier.compare(test, train, measured_on=name)
    return {
        "goal": GOALS[name],
        "measured_on": result.measured_on,
        "scores": result.scores,
        "per_class": result.details["classes"],
        "confusion": result.details["confusion"],
        "seconds_of_training": round(seconds),
        "peak_memory_mb": peak_memory_mb(),
        "summary": classifier.summary(),
        "parameters": classifier.get_params(),
        "settings": classifier.settings(rows=len(classifier.split(train, classifier.valid, seed=0)[0])),
        "log": log,
    }


def note(log: list[dict[str, Any]], begin: float, stage: str, record: StepRecord) -> None:
    """Write down a step that was validated."""
    if record.validation is not None:
        entry = {"stage": stage, "step": record.step, "loss": round(record.loss, 4)}
        log.append(
            {**entry, "wrong_held_back": round(record.validation, 5), "seconds": round(time.perf_counter() - begin, 1)}
        )
        print(log[-1], flush=True)


def choose(name: str) -> None:
    """Compare candidates on a part of train that they did not see."""
    for said, changes in CANDIDATES[name].items():
        classifier = TextClassifier(**{**SETS[name], **changes})
        kept, held = classifier.split(classifier.read(read(name)[0]), 0.1, seed=2)
        begin = time.perf_counter()
        found = classifier.fit(kept).evaluate(held)
        seconds = time.perf_counter() - begin
        print(
            f"{name}, {said}: accuracy {found.accuracy:.4f}, F1 {found.macro.f1:.4f}, log loss {found.log_loss:.4f} "
            f"in {seconds:.0f} s",
            flush=True,
        )


def speed(rounds: int = 7, steps: int = 12) -> dict[str, Any]:
    """Tokens a second in training steps, ours over the peer's."""
    return {"goal": "1.5 times torch.nn's layer", "sets": {name: _speed(name, rounds, steps) for name in SETS}}


def _speed(name: str, rounds: int, steps: int) -> dict[str, Any]:
    classifier = TextClassifier(**{**SETS[name], "training": {"steps": 1, "seed": SEED}})
    train = classifier.read(read(name)[0])
    classifier.fit(train)
    ours = classifier.networks_[0]
    theirs = classifier.network(len(classifier.tokenizer_), len(classifier.classes_))
    theirs.body = Peer(classifier.cell, theirs.input.output_size, classifier.hidden_size, dropout=classifier.dropout)
    codes, target = classifier._encode(train.texts), torch.from_numpy(classifier._targets(train))
    batches = LengthBatches([len(row) for row in codes], classifier.settings(rows=len(train)).batch_size, seed=SEED)
    ready = []
    for step in range(steps):
        rows = batches.at(step).tolist()
        ready.append((*padded([codes[row] for row in rows]), target[rows]))
    return compare(ours, theirs, ready, rounds=rounds)


if __name__ == "__main__":
    main()
