"""Multi30k, German to English, on test_2016_flickr, and the speed of training beside the same model on torch.nn's.

    python benchmarks/text_translation.py [--only bleu|speed] [--trial STEPS] [--choose]

The network learns from train.parquet, stops by val.parquet and is measured once on test_2016_flickr.parquet: cased,
detokenised, by sacrebleu. `--trial` makes so many steps, measures on val.parquet and keeps nothing; `--choose` compares
candidates so. The speed is that of training steps (forward, backward, AdamW), in turn, in this process.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from shared import data, keep, peak_memory_mb
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from recurra.models import EncoderDecoder
from recurra.tasks.translation import Translator
from recurra.tasks.translation_data import encode_pairs, learn_tokenizers
from recurra.training.loop import StepRecord
from recurra.training.optimizer import make_optimizer
from recurra.training.recorder import Recorder
from recurra.training.settings import TrainingSettings
from recurra.training.translator import CodedPairs

SEED = 0
CONFIG: dict[str, Any] = {
    "source": "de",
    "target": "en",
    "hidden_size": 384,
    "embedding_size": 256,
    "vocabulary_size": 6000,
    "dropout": 0.4,
    "epochs": 12,
    "training": {"seed": SEED, "batch_size": 64, "learning_rate": 1.5e-3},
}
CANDIDATES: dict[str, dict[str, Any]] = {
    "as above": {},
    "256 units": {"hidden_size": 256},
    "gru": {"cell": "gru"},
    "additive attention": {"attention": "additive"},
    "dropout 0.5": {"dropout": 0.5},
    "8,000 tokens": {"vocabulary_size": 8000},
}


def main() -> None:
    """Run what was asked for, and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["bleu", "speed"])
    parser.add_argument("--trial", type=int, metavar="STEPS")
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.choose or asked.trial:
        for name, changes in (CANDIDATES if asked.choose else {"as above": {}}).items():
            print(name, trial(changes, asked.trial or 2000), flush=True)
        return
    for part in [asked.only] if asked.only else ["bleu", "speed"]:
        keep(f"text_translation_{part}", {"bleu": bleu, "speed": speed}[part]())


def parts(translator: Translator) -> dict[str, Any]:
    """The three files' pairs."""
    folder = "multi30k_ende"
    return {name: translator.read(data(f"{folder}/{name}.parquet")) for name in ("train", "val", "test_2016_flickr")}


def bleu() -> dict[str, Any]:
    """The whole training, and the test part once."""
    translator = Translator(**CONFIG)
    read = parts(translator)
    log: list[dict[str, float]] = []
    seconds = fit(translator, read, log)
    begin = time.perf_counter()
    result = translator.compare(read["test_2016_flickr"], read["train"], measured_on="Multi30k de-en, test_2016_flickr")
    writing = time.perf_counter() - begin
    assert result.predictions is not None
    (Path(__file__).parent / "results" / "text_translation.txt").write_text(
        "\n".join(result.predictions["predicted"].to_list()) + "\n"
    )
    return {
        "goal": "BLEU >= 32 within 60 minutes of training on two cores",
        "measured_on": result.measured_on,
        "scores": result.scores,
        "details": result.details,
        "met": result.details["bleu"] >= 32 and seconds <= 3600,
        "seconds_of_training": round(seconds),
        "seconds_of_measuring": round(writing),
        "peak_memory_mb": peak_memory_mb(),
        "summary": translator.summary(),
        "parameters": translator.get_params(),
        "settings": translator.settings(rows=len(read["train"])),
        "log": log,
    }


def trial(changes: dict[str, Any], steps: int) -> dict[str, Any]:
    """So many steps of a candidate, measured on the part that it stops by."""
    training = {**CONFIG["training"], "steps": steps, "validate_every": max(1, steps // 4)}
    translator = Translator(**{**CONFIG, **changes, "training": training})
    read = parts(translator)
    log: list[dict[str, float]] = []
    seconds = fit(translator, read, log)
    found = translator.evaluate(read["val"])
    perplexity = translator.perplexity(read["val"])
    print(translator.predict(read["val"].sources[:3]), read["val"].targets[:3])
    return {
        "bleu": round(found.bleu, 2),
        "perplexity": round(perplexity, 2),
        "seconds": round(seconds),
        "tokens_per_second": round(translator.tokens_per_second_ or 0),
        "steps_per_epoch": -(-len(read["train"]) // translator.settings(rows=len(read["train"])).batch_size),
    }


def fit(translator: Translator, read: dict[str, Any], log: list[dict[str, float]]) -> float:
    """Seconds of training, validations and what is written at its end among them."""
    begin = time.perf_counter()
    translator.fit(
        read["train"],
        valid=read["val"],
        recorder=Recorder(on_step=lambda name, steps, record: note(log, begin, record)),
    )
    return time.perf_counter() - begin


def note(log: list[dict[str, float]], begin: float, record: StepRecord) -> None:
    """Write down a step that was validated."""
    if record.validation is not None:
        entry = {"step": record.step, "loss": round(record.loss, 4), "nats_a_token_of_val": round(record.validation, 4)}
        log.append({**entry, "seconds": round(time.perf_counter() - begin, 1)})
        print(log[-1], flush=True)


class Peer(nn.Module):
    """The same model as it is written on torch.nn's layers: a packed encoder in both directions, a decoder over the
    whole target, general attention for all steps in one product, tied vectors."""

    def __init__(self, codes: int, translator: Translator) -> None:
        super().__init__()
        size, hidden = translator.embedding_size, translator.hidden_size
        self.drop = nn.Dropout(translator.dropout)
        self.smoothing = translator.label_smoothing
        self.vectors = nn.Embedding(codes, size, padding_idx=0)
        self.encoder = nn.LSTM(size, hidden, bidirectional=True)
        self.bridge = nn.ModuleList(nn.Linear(2 * hidden, hidden) for _ in range(2))
        self.decoder = nn.LSTM(size, hidden)
        self.keys = nn.Linear(2 * hidden, hidden, bias=False)
        self.combine = nn.Linear(3 * hidden, hidden)
        self.projection = nn.Linear(hidden, size, bias=False)
        self.bias = nn.Parameter(torch.zeros(codes))

    @torch.no_grad()
    def take(self, ours: EncoderDecoder) -> None:
        """Take over the weights, so that the two can be compared."""
        decoder = ours.decoder
        self.vectors.weight.copy_(decoder.target.weight)
        self.encoder.load_state_dict(ours.encoder.state_dict())
        self.decoder.load_state_dict(decoder.recurrent.state_dict())
        for bridge, field in zip(self.bridge, "hc", strict=True):
            bridge.weight.copy_(ours.bridge.get_parameter(f"weight_{field}")[0].T)
            bridge.bias.copy_(ours.bridge.get_parameter(f"bias_{field}")[0, 0])
        self.keys.load_state_dict(decoder.attention.key.state_dict())
        self.combine.load_state_dict(decoder.combine.state_dict())
        self.projection.load_state_dict(decoder.head.projection.state_dict())
        self.bias.copy_(decoder.head.bias)

    def loss(self, source: Tensor, target: Tensor, *, source_lengths: Tensor, target_lengths: Tensor) -> Tensor:
        """As `EncoderDecoder.loss`."""
        packed = pack_padded_sequence(self.drop(self.vectors(source)), source_lengths, enforce_sorted=False)
        y, last = self.encoder(packed)
        memory = pad_packed_sequence(y)[0].transpose(0, 1)  # batch time feature
        start = tuple(
            bridge(torch.cat([part[0], part[1]], 1)).unsqueeze(0)
            for bridge, part in zip(self.bridge, last, strict=True)
        )
        h, _ = self.decoder(self.drop(self.vectors(target[:-1])), start)
        h = h.transpose(0, 1)
        scores = torch.bmm(h, self.keys(memory).transpose(1, 2))  # batch target source
        absent = torch.arange(len(source)) >= source_lengths[:, None]
        weights = scores.masked_fill(absent.unsqueeze(1), -torch.inf).softmax(-1)
        attended = self.drop(torch.tanh(self.combine(torch.cat([torch.bmm(weights, memory), h], -1))))
        there = torch.arange(len(target) - 1) < (target_lengths - 1)[:, None]
        raw = F.linear(self.projection(attended[there]), self.vectors.weight, self.bias)
        return F.cross_entropy(raw, target[1:].T[there], label_smoothing=self.smoothing)


def speed(rounds: int = 5, steps: int = 8) -> dict[str, Any]:
    """Target tokens a second in training steps, ours over the peer's."""
    translator = Translator(**CONFIG)
    train = parts(translator)["train"]
    tokenizers = learn_tokenizers(translator, train)
    codes, pairs = len(tokenizers[0]), encode_pairs(tokenizers, train)
    torch.manual_seed(SEED)
    ours, peer = translator.network(codes, codes), Peer(codes, translator)
    peer.take(ours)
    networks = {"recurra": ours, "torch.nn": peer}
    ready, tokens = batches(pairs, translator.settings(rows=len(train)), steps)
    source, source_lengths, target, target_lengths = ready[0]
    losses = [
        network.eval().loss(source, target, source_lengths=source_lengths, target_lengths=target_lengths).item()
        for network in (ours, peer)
    ]
    if abs(losses[0] - losses[1]) > 1e-4:
        sys.exit(f"the peer is another model: with the same weights their losses are {losses}")
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(rounds + 1):
        for name, network in networks.items():
            seconds[name].append(_train(network, ready))
    medians = {name: statistics.median(each[1:]) for name, each in seconds.items()}  # the first is to warm up
    return {
        "goal": "1.5 times torch.nn's layers where kernels differ",
        "tokens_per_second": {name: round(tokens / each) for name, each in medians.items()},
        "ratio": round(medians["torch.nn"] / medians["recurra"], 2),
        "weights": {name: sum(part.numel() for part in network.parameters()) for name, network in networks.items()},
        "losses_with_the_same_weights": losses,
        "tokens_a_round": tokens,
        "rounds": rounds,
        "parameters": translator.get_params(),
    }


def batches(pairs: CodedPairs, settings: TrainingSettings, steps: int) -> tuple[list[tuple[Tensor, ...]], int]:
    """The first batches of a training, and the target tokens in them."""
    order = pairs.batches(settings)
    ready = [pairs.batch(order.at(step)) for step in range(steps)]
    return ready, sum(int(lengths.sum()) - len(lengths) for _, _, _, lengths in ready)


def _train(network: Any, ready: list[tuple[Tensor, ...]]) -> float:
    """Seconds of a round of steps, forward, backward and AdamW."""
    optimizer = make_optimizer(network.parameters(), TrainingSettings(learning_rate=1e-4))
    network.train()
    begin = time.perf_counter()
    for source, source_lengths, target, target_lengths in ready:
        optimizer.zero_grad(set_to_none=True)
        network.loss(source, target, source_lengths=source_lengths, target_lengths=target_lengths).backward()
        optimizer.step()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
