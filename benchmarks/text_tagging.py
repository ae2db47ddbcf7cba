"""Parts of speech on UD English EWT, and names on WNUT-17 with a conditional random field beside the plain head.

    python benchmarks/text_tagging.py [--only ewt|wnut|speed] [--choose]

Each network learns from train.parquet, of which a tenth is held back to stop by, and is measured once on dev.parquet.
`--choose` compares candidates on a part of train.parquet and looks at nothing else, which is how settings were found.
The speed is that of training steps beside the same network on torch.nn's layers, in turn, in this process.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from packed_peer import Peer, compare
from shared import data, keep, peak_memory_mb

from recurra.data.batching import LengthBatches, padded
from recurra.data.tagged import Tagged
from recurra.tasks.tagging import SequenceTagger
from recurra.training.loop import StepRecord
from recurra.training.recorder import Recorder

SEED = 0
EWT: dict[str, Any] = {"tag": "upos", "training": {"seed": SEED}}
WNUT: dict[str, Any] = {"tag": "ner", "epochs": 16, "training": {"seed": SEED}}
CANDIDATES: dict[str, dict[str, dict[str, Any]]] = {
    "ewt": {
        "the defaults": {},
        "dropout 0.5, word dropout 0.3": {"dropout": 0.5, "word_dropout": 0.3},
        "letters by a convolution": {"characters": "convolution", "character_hidden": 100},
        "200 units, dropout 0.5": {"hidden_size": 200, "dropout": 0.5},
    },
    "wnut": {
        "8 epochs": {"epochs": 8},
        "crf, 8 epochs": {"head": "crf", "epochs": 8},
        "crf, bioes, 8 epochs": {"head": "crf", "scheme": "bioes", "epochs": 8},
        "crf": {"head": "crf"},
        "softmax": {},
    },
}


def main() -> None:
    """Run what was asked for, and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["ewt", "wnut", "speed"])
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    parts = [asked.only] if asked.only else ["ewt", "wnut", "speed"]
    if asked.choose:
        for part in parts:
            if part in CANDIDATES:
                choose(part)
        return
    for part in parts:
        keep(f"text_tagging_{part}", {"ewt": ewt, "wnut": wnut, "speed": speed}[part]())


def ewt() -> dict[str, Any]:
    """Universal parts of speech, without pretrained vectors."""
    return {"goal": "accuracy >= 0.93 on dev within 15 minutes", **measure("ud_english_ewt", EWT)}


def wnut() -> dict[str, Any]:
    """Six kinds of names in noisy text, by either head."""
    heads = {head: measure("wnut17_ner", {**WNUT, "head": head}) for head in ("softmax", "crf")}
    return {"goal": "span F1 of the conditional random field beside the plain head", "heads": heads}


def measure(folder: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """One training on a data set's train part, and its scores on dev."""
    tagger = SequenceTagger(**parameters)
    train, dev = (tagger.read(data(f"{folder}/{part}.parquet")) for part in ("train", "dev"))
    log: list[dict[str, float]] = []
    begin = time.perf_counter()
    tagger.fit(train, recorder=Recorder(on_step=lambda name, steps, record: note(log, begin, record)))
    seconds = time.perf_counter() - begin
    result = tagger.compare(dev, train, measured_on=f"{folder}, dev")
    return {
        "measured_on": result.measured_on,
        "scores": result.scores,
        "spans": result.details["spans"],
        "seconds_of_training": round(seconds),
        "peak_memory_mb": peak_memory_mb(),
        "summary": {**tagger.summary(), "tags": len(tagger.tags_.names)},
        "parameters": tagger.get_params(),
        "settings": tagger.settings(rows=len(tagger.split(train, tagger.valid, seed=0)[0])),
        "log": log,
    }


def note(log: list[dict[str, float]], begin: float, record: StepRecord) -> None:
    """Write down a step that was validated."""
    if record.validation is not None:
        entry = {"step": record.step, "loss": round(record.loss, 4), "error_held_back": round(record.validation, 5)}
        log.append({**entry, "seconds": round(time.perf_counter() - begin, 1)})
        print(log[-1], flush=True)


def choose(part: str) -> None:
    """Compare candidates on a part of train that they did not see."""
    folder, base = {"ewt": ("ud_english_ewt", EWT), "wnut": ("wnut17_ner", WNUT)}[part]
    for name, changes in CANDIDATES[part].items():
        tagger = SequenceTagger(**{**base, **changes})
        kept, held = tagger.split(tagger.read(data(f"{folder}/train.parquet")), 0.1, seed=1)
        begin = time.perf_counter()
        tagger.fit(kept)
        seconds, row = time.perf_counter() - begin, tagger.compare(held).scores[tagger.name]
        print(f"{name}: {row} in {seconds:.0f} s", flush=True)


def speed(rounds: int = 9, steps: int = 12) -> dict[str, Any]:
    """Tokens a second in training steps of both heads, ours over the peer's."""
    return {
        "goal": "1.5 times torch.nn's layers",
        "heads": {
            name: _speed(folder, {**base, "head": head}, rounds, steps)
            for name, folder, base, head in (
                ("ewt softmax", "ud_english_ewt", EWT, "softmax"),
                ("wnut crf", "wnut17_ner", WNUT, "crf"),
            )
        },
    }


def _speed(folder: str, parameters: dict[str, Any], rounds: int, steps: int) -> dict[str, Any]:
    tagger = SequenceTagger(**{**parameters, "epochs": 1, "training": {"steps": 1, "seed": SEED}})
    train: Tagged = tagger.read(data(f"{folder}/train.parquet"))
    tagger.fit(train)
    ours, coded = tagger.networks_[0], tagger._codes(train)
    theirs = SequenceTagger.network(tagger, *_sizes(tagger), allowed=tagger._allowed())
    theirs.input.reader = Peer(tagger.characters, tagger.character_size, tagger.character_hidden, dropout=0.0)
    theirs.body = Peer(tagger.cell, theirs.input.output_size, tagger.hidden_size, dropout=tagger.dropout)
    batches = LengthBatches(coded.sentences.lengths, tagger.settings(rows=len(train)).batch_size, seed=SEED)
    ready = []
    for step in range(steps):
        rows = batches.at(step)
        target, _ = padded([coded.tags[row] for row in rows])
        ready.append((*coded.sentences.batch(rows), target))
    return compare(ours, theirs, ready, rounds=rounds)


def _sizes(tagger: SequenceTagger) -> tuple[int, int, int]:
    return tagger.vocabulary_.known, len(tagger.vocabulary_.letters), len(tagger.tags_.names)


if __name__ == "__main__":
    main()
