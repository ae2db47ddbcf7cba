"""Surnames made up for each of 18 origins, by one language model of characters, and what a classifier takes them for.

    python benchmarks/surname_generation.py

The model learns lines such as `Polish: Nowak`, in random order, and is asked to go on after `Polish: `. The names are
those that text_classification.py trains on (four fifths), of which the last 5 % stop the training. Beside the names
stand: the share that is in no list of that origin, and the share that the classifier of text_classification.py, which
has learned the same names, takes for that origin; for the true names that it has not seen, too.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import text_classification
import torch
from shared import keep, peak_memory_mb

from recurra.tasks.classification import TextClassifier
from recurra.tasks.language import LanguageModel
from recurra.training.loop import StepRecord
from recurra.training.recorder import Recorder

SEED = 0
CONFIG: dict[str, Any] = {
    "tokenizer": "character",
    "hidden_size": 256,
    "embedding_size": 64,
    "num_layers": 1,
    "output_dropout": 0.3,
    "chunk": 64,
    "epochs": 12,
    "training": {"seed": SEED, "batch_size": 32, "learning_rate": 4e-3},
}
NAMES, SHOWN, LONGEST = 50, 8, 30
OPTIONS: dict[str, Any] = {"temperature": 0.8}


def main() -> None:
    """Train both, make up names, and keep what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    torch.set_num_threads(parser.parse_args().threads)
    train, test = text_classification.read("surnames")
    log: list[dict[str, float]] = []
    begin = time.perf_counter()
    model = learn(train, log)
    seconds = time.perf_counter() - begin
    classifier = TextClassifier(**text_classification.SETS["surnames"]).fit(train)
    known = {origin: set(part["name"]) for (origin,), part in pl.concat([train, test]).group_by("origin")}
    origins = {}
    for place, origin in enumerate(sorted(known)):
        made = invent(model, origin, seed=SEED + place * NAMES)
        true = test.filter(pl.col("origin") == origin)["name"].to_list()
        origins[origin] = {
            "examples": made[:SHOWN],
            "made": len(made),
            "new": share(name not in known[origin] for name in made),
            "taken_for_it": share(found == origin for found in classifier.predict(made)),
            "true_names_taken_for_it": share(found == origin for found in classifier.predict(true)),
        }
        print(origin, origins[origin], flush=True)
    means = {
        name: round(float(np.mean([each[name] for each in origins.values()])), 3)
        for name in ("new", "taken_for_it", "true_names_taken_for_it")
    }
    keep(
        "surname_generation",
        {
            "goal": "generation per origin shown, within 3 minutes",
            "origins": origins,
            "means": means,
            "draws_of_each": NAMES,
            "options": OPTIONS,
            "seconds_of_training": round(seconds),
            "peak_memory_mb": peak_memory_mb(),
            "parameters": model.get_params(),
            "summary": model.summary(),
            "log": log,
        },
    )


def learn(train: pl.DataFrame, log: list[dict[str, float]]) -> LanguageModel:
    """A model of lines, each an origin and a name."""
    lines = [f"{origin}: {name}" for name, origin in train.sample(fraction=1.0, shuffle=True, seed=SEED).iter_rows()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "surnames.txt"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return LanguageModel(**CONFIG).fit(path, recorder=Recorder(on_step=lambda _, steps, record: note(log, record)))


def note(log: list[dict[str, float]], record: StepRecord) -> None:
    """Write down a step that was validated."""
    if record.validation is not None:
        entry = {"step": record.step, "loss": round(record.loss, 4), "bits_a_token": round(record.validation, 4)}
        log.append(entry)
        print(entry, flush=True)


def invent(model: LanguageModel, origin: str, *, seed: int) -> list[str]:
    """What so many seeds draw, each name once."""
    made: dict[str, None] = {}
    for each in range(seed, seed + NAMES):
        line = model.generate(f"{origin}: ", tokens=LONGEST, seed=each, **OPTIONS).partition("\n")[0].strip()
        if line:
            made[line] = None
    return list(made)


def share(found: Any) -> float:
    """Of those that are so."""
    return round(float(np.mean(list(found))), 3)


if __name__ == "__main__":
    main()
