"""torch.nn's packed LSTM or GRU in place of our layer, and training steps of both in turn."""

from __future__ import annotations

import statistics
import time
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from recurra.training.optimizer import make_optimizer
from recurra.training.settings import TrainingSettings

Batches = list[tuple[Tensor, Tensor, Tensor]]


class Peer(nn.Module):
    """torch.nn's layer where ours stands: packed rows, both directions."""

    bidirectional = True

    def __init__(self, cell: str, input_size: int, hidden_size: int, *, dropout: float) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, 2 * hidden_size
        self.drop = nn.Dropout(dropout)
        self.layer = {"lstm": nn.LSTM, "gru": nn.GRU}[cell](input_size, hidden_size, bidirectional=True)

    def forward(self, x: Tensor, state: Any = None, *, lengths: Tensor) -> tuple[Tensor, Any]:
        """(time, batch, feature) of rows of so many steps; those of none are read as one step."""
        packed = pack_padded_sequence(self.drop(x), lengths.clamp(min=1), enforce_sorted=False)
        y, state = self.layer(packed)
        return pad_packed_sequence(y, total_length=len(x))[0], state


def compare(ours: Any, theirs: Any, batches: Batches, *, rounds: int) -> dict[str, Any]:
    """Tokens a second in rounds of training steps on the batches (x, lengths, target), ours over the peer's."""
    tokens = sum(int(lengths.sum()) for _, lengths, _ in batches)
    seconds: dict[str, list[float]] = {"recurra": [], "torch.nn": []}
    for _ in range(rounds + 1):
        for name, network in (("recurra", ours), ("torch.nn", theirs)):
            seconds[name].append(_train(network, batches))
    medians = {name: statistics.median(each[1:]) for name, each in seconds.items()}  # the first is to warm up
    return {
        "tokens_per_second": {name: round(tokens / each) for name, each in medians.items()},
        "ratio": round(medians["torch.nn"] / medians["recurra"], 2),
        "tokens_a_round": tokens,
        "rounds": rounds,
    }


def _train(network: Any, batches: Batches) -> float:
    """Seconds of a round of steps, forward, backward and AdamW."""
    optimizer = make_optimizer(network.parameters(), TrainingSettings(learning_rate=1e-4))
    network.train()
    begin = time.perf_counter()
    for x, lengths, target in batches:
        optimizer.zero_grad(set_to_none=True)
        network.loss(x, target, lengths=lengths).backward()
        optimizer.step()
    return time.perf_counter() - begin
