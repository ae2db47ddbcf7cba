"""Networks that foretell the next token of a text: their training on a stream, what they make of a text, and how they
go on with it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.data.batching import padded
from recurra.data.corpus import Codes
from recurra.data.streams import SequenceStream
from recurra.layers.arguments import check_seed
from recurra.layers.noise import draw_mask
from recurra.layers.sampling import check_sampling, draw_classes
from recurra.models import Seq2Seq
from recurra.training.loop import StepRecord, train
from recurra.training.recorder import Recorder
from recurra.training.regularising import activation_penalty
from recurra.training.rows import by_length
from recurra.training.settings import TrainingSettings
from recurra.training.truncated import TruncatedLoss

__all__ = ["Regularisation", "bits_of_lines", "bits_of_text", "draw_codes", "foretell_counts", "train_language"]

_RAW = 1 << 22  # raw outputs that are in memory at once when a text is measured
_BLOCK = 1 << 20  # tokens
_LONG = 4096  # tokens of a line beyond which it is read in chunks


class Regularisation(NamedTuple):
    """What keeps a network from learning its text by heart, beside what its layers do.

    input_dropout, output_dropout: for each feature of a token's vector, and of the last layer's outputs: dropped at all
        steps of a chunk.
    alpha, beta: see `recurra.training.regularising.activation_penalty`.
    """

    input_dropout: float = 0.0
    output_dropout: float = 0.0
    alpha: float = 0.0
    beta: float = 0.0


def train_language(
    network: Seq2Seq,
    learned: Codes,
    held: Codes,
    settings: TrainingSettings,
    regularisation: Regularisation,
    recorder: Recorder,
    *,
    chunk: int,
    opening: int,
    name: str,
) -> float | None:
    """Train the network on a text, whose state is carried from chunk to chunk; it keeps the weights that did best on
    the text held.

    The text is cut into `settings.batch_size` rows, read side by side, `chunk` tokens a training step; gradients stay
    within them. Its first token is read, and not foretold.

    opening: the code before a text's first token. name: of the stage, in the run folder and in the progress shown.
    Returns the tokens a second of this call's steps, validations left out; None if there were none.
    """
    stream = SequenceStream([learned[:-1]], settings.batch_size, targets=[learned[1:]])
    head = network.head

    def loss(features: Tensor, target: Tensor) -> Tensor:
        said: Tensor = head.loss(head(features[:, :-1]), target) + features[:, -1].mean()
        return said

    waited, steps = 0.0, 0

    def validate() -> float:
        nonlocal waited
        start = time.perf_counter()
        bits = bits_of_text(network, held, opening=opening, rows=max(1, min(16, len(held) // 1000)))
        waited += time.perf_counter() - start
        return bits / len(held)

    watch = recorder.watch(name, settings.steps)

    def note(record: StepRecord) -> None:
        nonlocal steps
        steps += 1
        if watch:
            watch(record)

    truncated = TruncatedLoss(_Regularised(network, regularisation), stream, loss, k1=chunk)
    start = time.perf_counter()
    train(network, truncated, settings, validate=validate, stage=recorder.stage(name), on_step=note)
    spent = time.perf_counter() - start - waited
    return steps * (len(learned) - 1) / truncated.steps_per_epoch / spent if steps else None


@torch.no_grad()
def foretell_counts(network: Seq2Seq, codes: Codes) -> None:
    """Set the biases of the head to how often each code occurs, one time more than it does: what a network that has
    learned nothing says then, and what it would else learn first, for thousands of steps if there are many codes."""
    counts = np.ones(network.head.num_classes, np.int64)
    for start in range(0, len(codes), _BLOCK):
        counts += np.bincount(codes[start : start + _BLOCK], minlength=len(counts))
    bias = network.head.bias if network.head.tied is not None else network.head.projection.bias
    bias.copy_(torch.from_numpy(np.log(counts / counts.sum())))


class _Regularised(nn.Module):
    """What the head of a network reads in training, and behind its features, as one more, the penalty on them."""

    def __init__(self, network: Seq2Seq, regularisation: Regularisation) -> None:
        super().__init__()
        self.network, self.regularisation = network, regularisation

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        chosen, body = self.regularisation, self.network.body
        vectors = _drop(self.network.input(x), chosen.input_dropout)
        noise = body.draw_noise(x.shape[1])
        noise = noise._replace(inputs=(None, *noise.inputs[1:]))  # the lowest layer's were dropped above
        outputs, state = body(vectors, state, noise=noise)
        dropped = _drop(outputs, chosen.output_dropout)
        penalty = dropped.new_zeros(())
        if chosen.alpha or chosen.beta:
            there = x != 0  # rows differ by a token in the last chunk, and no text has the code of padding
            penalty = activation_penalty(outputs, dropped, alpha=chosen.alpha, beta=chosen.beta, mask=there)
        return torch.cat([dropped, penalty.expand(*dropped.shape[:2], 1)], -1), state


def _drop(features: Tensor, probability: float) -> Tensor:
    """Features (time, batch, feature), some of them dropped at all steps."""
    kept = draw_mask(probability, tuple(features.shape[1:]), features)
    return features if kept is None else features * kept


@torch.no_grad()
def bits_of_text(network: Seq2Seq, codes: Codes, *, opening: int, rows: int = 1) -> float:
    """-log2 of the probability of a text: of each of its tokens once, given all before it in its row.

    codes: (token,). opening: the code that is read before the first.
    rows: contiguous parts, about equally long, that are read side by side, each in a state without a past but behind
        the token before it; 1: the text's exact probability.
    """
    network.eval()
    edges = len(codes) * np.arange(rows + 1) // rows
    longest = int(np.diff(edges).max())
    steps = max(1, _RAW // (rows * network.head.num_classes))
    before = torch.tensor([opening, *(int(codes[edge - 1]) for edge in edges[1:-1])])
    total, state = 0.0, None
    for start in range(0, longest, steps):
        parts = [codes[first + start : min(first + start + steps, last)] for first, last in pairwise(edges.tolist())]
        target, lengths = padded([part.astype(np.int64) for part in parts])
        x = torch.cat([before[None], target[:-1]])
        raw, state = network(x, state)
        nats = F.cross_entropy(raw.flatten(0, 1), target.flatten(), reduction="none")
        there = torch.arange(len(target))[:, None] < torch.as_tensor(lengths)
        total += float(nats.double()[there.flatten()].sum())
        before = target[-1]
    return total / float(np.log(2))


@torch.no_grad()
def bits_of_lines(network: Seq2Seq, lines: Sequence[Sequence[int]], *, opening: int) -> NDArray[np.float64]:
    """(line,) -log2 of the probability of each of some texts of codes; 0 of one without any."""
    network.eval()
    found = np.zeros(len(lines))
    lengths = [len(line) if len(line) <= _LONG else 0 for line in lines]
    for batch in by_length(lengths, steps=max(_LONG, _RAW // network.head.num_classes)):
        if not lengths[batch[0]]:
            continue
        target, counts = padded([lines[row] if lengths[row] else [] for row in batch])
        x = torch.cat([torch.full_like(target[:1], opening), target[:-1]])
        raw, _ = network(x)
        nats = F.cross_entropy(raw.flatten(0, 1), target.flatten(), reduction="none").view_as(target)
        there = torch.arange(len(target))[:, None] < torch.as_tensor(counts)
        found[batch] = (nats.double() * there).sum(0).numpy() / np.log(2)
    for row, line in enumerate(lines):
        if len(line) > _LONG:
            found[row] = bits_of_text(network, np.asarray(line, np.uint32), opening=opening)
    return found


def draw_codes(
    network: Seq2Seq,
    prompt: Sequence[int],
    *,
    never: Sequence[int],
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
) -> Iterator[int]:
    """Codes that go on after a prompt, one by one and without end, each read before the next is drawn.

    prompt: one code at least. never: codes that are not drawn.
    temperature, top_k, top_p: see `recurra.layers.heads.Softmax`. seed: None: from torch's global generator.

    Raises ArgumentError for an argument that is none, at once.
    """
    check_sampling(temperature, top_k, top_p, network.head.num_classes)
    check_seed(seed)
    network.eval()
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    barred = torch.zeros(network.head.num_classes)
    barred[list(never)] = -torch.inf
    with torch.no_grad():
        y, state = network.body(network.input(torch.tensor(prompt)[:, None]))
        raw = network.head(y[-1])

    def each() -> Iterator[int]:
        nonlocal raw, state
        while True:
            with torch.no_grad():
                drawn = draw_classes(
                    raw + barred.to(raw), temperature=temperature, top_k=top_k, top_p=top_p, generator=generator
                )
            yield int(drawn)
            with torch.no_grad():
                raw, state = network.step(drawn, state)

    return each()
