"""Penn Treebank by words and tiny Shakespeare by characters, and the speed of training beside the same model on
torch.nn's layers.

    python benchmarks/text_language.py [--only ptb|shakespeare|speed] [--trial STEPS] [--choose]
    python benchmarks/text_language.py --only ptb|shakespeare --save FOLDER
    python benchmarks/text_language.py --only ptb|shakespeare --adapt FOLDER

PTB: the given parts; every token of the test part counts once, an end of sentence after each line among them, its state
carried from the first to the last in one row. Shakespeare: the last 5 % of the characters are the test part, the last
5 % of the others stop the training. `--trial` makes so many steps, measures on the part that stops the training and
keeps nothing; `--choose` compares candidates so, at the given number of steps. `--save` keeps the trained model, and
`--adapt` measures such a one that goes on learning from the test part as it reads it (dynamic evaluation). The speed
is that of training steps (forward, backward, clipping, AdamW), in turn, in this process, with the same dropouts.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from shared import data, keep, peak_memory_mb
from torch import Tensor, nn
from torch.func import functional_call

from recurra.data.plain_text import PlainText
from recurra.data.streams import SequenceStream
from recurra.data.tokenizer import Tokenizer
from recurra.layers import Recurrent
from recurra.layers.noise import Noise
from recurra.models import Seq2Seq
from recurra.tasks.language import LanguageModel
from recurra.training.language import _Regularised
from recurra.training.loop import StepRecord
from recurra.training.optimizer import make_optimizer
from recurra.training.recorder import Recorder
from recurra.training.settings import TrainingSettings
from recurra.training.truncated import TruncatedLoss

SEED = 0
CONFIGS: dict[str, dict[str, Any]] = {
    "ptb": {
        "tokenizer": "whitespace",
        "hidden_size": 400,
        "embedding_size": 400,
        "num_layers": 2,
        "embedding_dropout": 0.05,
        "input_dropout": 0.2,
        "dropout": 0.2,
        "output_dropout": 0.3,
        "weight_dropout": 0.1,
        "chunk": 35,
        "epochs": 9,
        "training": {
            "seed": SEED,
            "batch_size": 20,
            "learning_rate": 2.5e-3,
            "warmup": 0.02,
            "patience": None,
            "validate_every": 1328,  # once an epoch
            "precision": "bfloat16",
        },
    },
    "shakespeare": {
        "tokenizer": "character",
        "hidden_size": 512,
        "embedding_size": 64,
        "num_layers": 1,
        "input_dropout": 0.05,
        "output_dropout": 0.35,
        "weight_dropout": 0.3,
        "chunk": 50,
        "epochs": 20,
        "training": {
            "seed": SEED,
            "batch_size": 64,
            "learning_rate": 4e-3,
            "warmup": 0.03,
            "patience": None,
            "validate_every": 314,  # once an epoch
        },
    },
}
CANDIDATES: dict[str, dict[str, dict[str, Any]]] = {
    "ptb": {
        "as above": {},
        "more dropout": {"input_dropout": 0.3, "dropout": 0.25, "output_dropout": 0.4, "weight_dropout": 0.2},
        "650 units in one layer": {"hidden_size": 650, "num_layers": 1},
        "gru": {"cell": "gru"},
        "activation penalties": {"alpha": 2.0, "beta": 1.0},
    },
    "shakespeare": {
        "as above": {},
        "less dropout": {"output_dropout": 0.2, "weight_dropout": 0.15},
        "448 units in two layers": {"hidden_size": 448, "num_layers": 2, "dropout": 0.2},
        "768 units in one layer": {"hidden_size": 768},
        "gru": {"cell": "gru"},
        "not tied": {"tied": False},
    },
}
GOALS = {
    "ptb": "test perplexity <= 100 within 60 minutes",
    "shakespeare": "<= 2.0 bits a character on the last 5 % within 20 minutes",
}


def main() -> None:
    """Run what was asked for, and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=[*CONFIGS, "speed"])
    parser.add_argument("--trial", type=int, metavar="STEPS")
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--save", type=Path, metavar="FOLDER")
    parser.add_argument("--adapt", type=Path, metavar="FOLDER")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    parts = [asked.only] if asked.only else [*CONFIGS, "speed"]
    if asked.trial or asked.choose:
        for part in [part for part in parts if part in CONFIGS]:
            for name, changes in (CANDIDATES[part] if asked.choose else {"as above": {}}).items():
                print(f"{part}, {name}: {trial(part, changes, asked.trial or 2000)}", flush=True)
        return
    for part in parts:
        if part == "speed":
            keep("text_language_speed", speed())
        elif asked.adapt:
            keep(f"text_language_{part}_adapting", adapt(part, asked.adapt))
        else:
            keep(f"text_language_{part}", measure(part, asked.save))


def parts_of(name: str, model: LanguageModel) -> tuple[PlainText, PlainText, PlainText]:
    """What is learned, what stops the training, and what is measured."""
    if name == "ptb":
        train, valid, test = (model.read(data(f"ptb/ptb.{part}.txt.gz")) for part in ("train", "valid", "test"))
        return train, valid, test
    kept, test = model.split(model.read(data("tinyshakespeare/input.txt.gz")), 0.05, seed=SEED)
    return *model.split(kept, 0.05, seed=SEED), test


def measure(name: str, save: Path | None) -> dict[str, Any]:
    """One training, and what the model makes of the test part."""
    model = LanguageModel(**CONFIGS[name])
    train, valid, test = parts_of(name, model)
    log: list[dict[str, float]] = []
    begin = time.perf_counter()
    model.fit(train, valid=valid, recorder=Recorder(on_step=lambda _, steps, record: note(log, begin, record)))
    seconds = time.perf_counter() - begin
    if save is not None:
        model.save(save)
    result = model.compare(test, train, measured_on=f"{name}, test")
    return {
        "goal": GOALS[name],
        "measured_on": result.measured_on,
        "scores": result.scores,
        "details": result.details,
        "seconds_of_training": round(seconds),
        "peak_memory_mb": peak_memory_mb(),
        "summary": model.summary(),
        "parameters": model.get_params(),
        "settings": model.settings(tokens=model.tokens_learned_ - 1),
        "examples": model.examples(test),
        "log": log,
    }


def adapt(name: str, folder: Path) -> dict[str, Any]:
    """What a saved model makes of the test part, as it is and when it goes on learning from it."""
    model = LanguageModel.load(folder)
    _, valid, test = parts_of(name, model)
    parts = {"held back": valid, "test": test}
    return {
        "goal": GOALS[name],
        "parts": {
            part: model.compare(text, measured_on=f"{name}, {part}", adapt=True).scores for part, text in parts.items()
        },
        "parameters": model.get_params(),
    }


def trial(name: str, changes: dict[str, Any], steps: int) -> dict[str, Any]:
    """A short training, and what the model makes of the part that stops it."""
    config = {**CONFIGS[name], **changes}
    config["training"] = {**config["training"], "steps": steps, "validate_every": max(1, steps // 4)}
    model = LanguageModel(**config)
    train, valid, _ = parts_of(name, model)
    begin, log = time.perf_counter(), list[dict[str, float]]()
    model.fit(train, valid=valid, recorder=Recorder(on_step=lambda _, steps, record: note(log, begin, record)))
    found = model.evaluate(valid)
    return {
        "perplexity": round(found.perplexity, 2),
        "bits_per_character": round(found.bits_per_character, 4),
        "training_tokens_per_second": round(model.training_speed_ or 0),
        "seconds": round(time.perf_counter() - begin),
    }


def note(log: list[dict[str, float]], begin: float, record: StepRecord) -> None:
    """Write down a step that was validated."""
    if record.validation is not None:
        entry = {"step": record.step, "loss": round(record.loss, 4), "bits_a_token": round(record.validation, 4)}
        log.append({**entry, "seconds": round(time.perf_counter() - begin, 1)})
        print(log[-1], flush=True)


class Peer(nn.Module):
    """torch.nn's layers where ours stands, with what ours draws: features and recurrent weights are dropped alike."""

    def __init__(self, ours: Recurrent) -> None:
        super().__init__()
        sizes = [ours.input_size, *[ours.output_size] * ours.num_layers]
        self.layers = nn.ModuleList(nn.LSTM(*pair) for pair in pairwise(sizes))
        self._ours = [ours]  # not a part of this module
        self.input_size, self.output_size = ours.input_size, ours.output_size

    def draw_noise(self, batch: int) -> Noise:
        """As ours."""
        return self._ours[0].draw_noise(batch)

    def forward(self, x: Tensor, state: Any = None, *, noise: Noise) -> tuple[Tensor, Any]:
        """(time, batch, feature), and each layer's state."""
        states = []
        for place, layer in enumerate(self.layers):
            kept, weights = noise.inputs[place], noise.weights[place]
            dropped = {} if weights is None else {"weight_hh_l0": layer.weight_hh_l0 * weights}
            before = None if state is None else state[place]
            x, last = functional_call(layer, dropped, (x if kept is None else x * kept, before))
            states.append(last)
        return x, tuple(states)


def speed(rounds: int = 7, steps: int = 6) -> dict[str, Any]:
    """Tokens a second in training steps of both models, ours over the peer's."""
    return {
        "goal": "1.5 times torch.nn's layers where kernels differ",
        "models": {
            f"{name}, {precision}": _speed(name, precision, rounds, steps)
            for name in CONFIGS
            for precision in ("float32", "bfloat16")
        },
    }


def _speed(name: str, precision: str, rounds: int, steps: int) -> dict[str, Any]:
    torch.set_float32_matmul_precision("medium" if precision == "bfloat16" else "highest")
    model = LanguageModel(**CONFIGS[name])
    train, valid, _ = parts_of(name, model)  # the shorter one is enough
    model.tokenizer_ = Tokenizer.train(train.pieces(), CONFIGS[name]["tokenizer"])
    batch_size = CONFIGS[name]["training"]["batch_size"]
    seconds: dict[str, list[float]] = {"recurra": [], "torch.nn": []}
    with tempfile.TemporaryDirectory() as folder:
        codes = model._encode(valid, Path(folder) / "codes.npy").codes
        stream = SequenceStream([codes[:-1]], batch_size, targets=[codes[1:]])
        networks = {each: model.network(len(model.tokenizer_)) for each in seconds}
        networks["torch.nn"].body = Peer(networks["torch.nn"].body)
        for _ in range(rounds + 1):
            for each, network in networks.items():
                seconds[each].append(_train(model, network, stream, steps))
    medians = {each: statistics.median(values[1:]) for each, values in seconds.items()}  # the first is to warm up
    tokens = batch_size * model.chunk * steps
    return {
        "tokens_per_second": {each: round(tokens / value) for each, value in medians.items()},
        "ratio": round(medians["torch.nn"] / medians["recurra"], 2),
        "tokens_a_round": tokens,
        "rounds": rounds,
    }


def _train(model: LanguageModel, network: Seq2Seq, stream: SequenceStream, steps: int) -> float:
    """Seconds of a round of steps, forward, backward, clipping and AdamW."""
    head = network.head
    loss = TruncatedLoss(
        _Regularised(network, model.regularisation),
        stream,
        lambda y, target: head.loss(head(y[:, :-1]), target) + y[:, -1].mean(),
        k1=model.chunk,
    )
    optimizer = make_optimizer(network.parameters(), TrainingSettings(learning_rate=1e-4))
    network.train()
    begin = time.perf_counter()
    for step in range(steps):
        optimizer.zero_grad(set_to_none=True)
        loss(step).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
