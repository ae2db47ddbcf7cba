"""Rows of different lengths: a training step of our layer on a padded batch with lengths, against torch.nn's on the
same batch packed. One process, alternating, medians; one thread, and two.

Predicted before it was run: on a CPU torch's packed sequences leave oneDNN's kernels, and lose most at many steps.
Usage: python ragged.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from shared import keep
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import recurra.nn

SIZES = ((50, 32, 64, 64), (100, 32, 128, 128), (500, 16, 64, 64))  # time batch input hidden
LENGTHS = ("uniform", "one long")  # from 1 to T; or T for one row and T / 50 for all others, where padding costs most
KINDS = ("LSTM", "GRU", "RNN")
ROUNDS, SEED = 5, 0


def compare(kind: str, spread: str, time_steps: int, batch: int, features: int, hidden: int) -> dict[str, Any]:
    """Milliseconds of both, and the largest difference of their outputs."""
    torch.manual_seed(SEED)
    theirs = getattr(nn, kind)(features, hidden)
    ours = getattr(recurra.nn, kind)(features, hidden)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(time_steps, batch, features)
    lengths = torch.randint(1, time_steps + 1, (batch,))
    if spread == "one long":
        lengths[:] = time_steps // 50
    lengths[0] = time_steps

    def our_step() -> torch.Tensor:
        y, _ = ours(x, lengths=lengths)
        y.square().sum().backward()
        return y.detach()

    def their_step() -> torch.Tensor:
        y, _ = theirs(pack_padded_sequence(x, lengths, enforce_sorted=False))
        y.data.square().sum().backward()
        return nn.utils.rnn.pad_packed_sequence(y)[0].detach()

    difference = float((our_step() - their_step()).abs().max())
    rounds = [(seconds(our_step), seconds(their_step)) for _ in range(ROUNDS)]
    mine, peer = (1000 * statistics.median(column) for column in zip(*rounds, strict=True))
    return {
        "layer": kind,
        "lengths": spread,
        "time, batch, input, hidden": [time_steps, batch, features, hidden],
        "threads": torch.get_num_threads(),
        "ours, ms": round(mine, 2),
        "torch packed, ms": round(peer, 2),
        "torch / ours": round(peer / mine, 2),
        "largest difference": difference,
    }


def seconds(step: Callable[[], Any]) -> float:
    """Of one call."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def main() -> None:
    """Every layer at every size."""
    rows = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        rows += [compare(kind, spread, *sizes) for kind in KINDS for spread in LENGTHS for sizes in SIZES]
    keep("ragged", {"rounds": ROUNDS, "seed": SEED, "rows": rows})


if __name__ == "__main__":
    main()
