"""Attention: tokens a second of a training step of the encoder-decoder, whose decoder runs over the whole target in one
call, against the same model written as a loop over torch.nn's single-step cells with the same attention at each step.

One process, alternating, medians; same weights, and losses and gradients compared first. Both have the same encoder,
and the loop computes the keys of its attention once per sequence, as ours does. Also the decoders alone, where the
encoder's outputs are given and get no gradient.

Predicted before it was run: most of the work is products that both make, the loop 64 rows at a time; five times faster
is out of reach where these take longer than Python's calls do, and near at small sizes.
Usage: python attention.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from shared import keep
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.models.encoder_decoder import EncoderDecoder
from recurra.models.memory import Memory

SIZES = ((64, 30, 256, 1000), (64, 30, 128, 100), (16, 50, 64, 60))  # batch length hidden classes
CELLS = {"gru": nn.GRUCell, "lstm": nn.LSTMCell}
ROUNDS, SEED = 7, 0


class Loop(nn.Module):
    """The decoder of an `EncoderDecoder` step by step, as it is usually written."""

    def __init__(self, model: EncoderDecoder, cell: str) -> None:
        super().__init__()
        self.model, decoder = model, model.decoder
        self.cell = CELLS[cell](decoder.recurrent.input_size, model.hidden_size)
        for name, parameter in self.cell.named_parameters():
            parameter.data = decoder.recurrent.get_parameter(f"{name}_l0").data

    def forward(self, inputs: Tensor, memory: Memory) -> Tensor:
        """Raw outputs, (time, batch, classes)."""
        decoder, prepared = self.model.decoder, memory.prepared
        state: Any = tuple(part[0] for part in memory.start.recurrent)
        state = state if len(state) > 1 else state[0]
        outputs = []
        for x_t in decoder.target(inputs).unbind(0):
            state = self.cell(x_t, state)
            h_t = state[0] if isinstance(state, tuple) else state
            scores = torch.bmm(prepared.keys, h_t.unsqueeze(2)).squeeze(2)  # batch time
            context = torch.bmm(scores.softmax(1).unsqueeze(1), prepared.values).squeeze(1)
            outputs.append(decoder.head(torch.tanh(decoder.combine(torch.cat([context, h_t], 1)))))
        return torch.stack(outputs)


def compare(cell: str, batch: int, length: int, hidden: int, classes: int) -> dict[str, Any]:
    """Tokens a second of both, of the whole model and of the decoders alone."""
    torch.manual_seed(SEED)
    words, head = nn.Embedding(classes, hidden), nn.Linear(hidden, classes)
    words.output_size, head.raw_size = hidden, classes
    model = EncoderDecoder(words, words, head, hidden_size=hidden, cell=cell, attention="general", seed=SEED)
    loop = Loop(model, cell)
    source, inputs, target = (torch.randint(classes, (length, batch)) for _ in range(3))
    found: dict[str, Any] = {}

    def train(decode: Callable[[Tensor, Memory], Tensor], memory: Memory | None) -> Tensor:
        for parameter in loop.parameters():
            parameter.grad = None
        raw = decode(inputs, model.encode(source) if memory is None else memory)
        loss = F.cross_entropy(raw.flatten(0, 1), target.flatten())
        loss.backward()
        return loss.detach()

    def ours(memory: Memory | None = None) -> Tensor:
        return train(lambda *given: model.decoder(*given).raw, memory)

    def theirs(memory: Memory | None = None) -> Tensor:
        return train(loop, memory)

    losses, gradients = zip(*((step(), read_gradients(model, loop, cell)) for step in (ours, theirs)), strict=True)
    found["loss, ours"], found["loss, loop"] = (float(loss) for loss in losses)
    found["largest difference of a gradient"] = max(
        float((one - other).abs().max()) for one, other in zip(*gradients, strict=True)
    )
    memory = model.encode(source)
    prepared = memory.prepared._replace(keys=memory.prepared.keys.detach(), values=memory.prepared.values.detach())
    given = Memory(prepared, memory.start._replace(recurrent=memory.start.recurrent.detach()))
    for name, memory in (("whole model", None), ("decoder alone", given)):
        rounds = [(seconds(ours, memory), seconds(theirs, memory)) for _ in range(ROUNDS)]
        mine, peer = (statistics.median(column) for column in zip(*rounds, strict=True))
        found |= {
            f"{name}: ours, tokens/s": round(batch * length / mine),
            f"{name}: loop, tokens/s": round(batch * length / peer),
            f"{name}: ours / loop": round(peer / mine, 2),
        }
    sizes = {"cell": cell, "batch, length, hidden, classes": [batch, length, hidden, classes]}
    return {**sizes, "threads": torch.get_num_threads(), **found}


def read_gradients(model: EncoderDecoder, loop: Loop, cell: str) -> list[Tensor]:
    """Of the decoder's recurrence, whichever ran, and of all that both share."""
    recurrent = model.decoder.recurrent
    own = [
        parameter.grad if parameter.grad is not None else loop.cell.get_parameter(name.removesuffix("_l0")).grad
        for name, parameter in recurrent.named_parameters()
    ]
    rest = [parameter.grad for name, parameter in model.named_parameters() if not name.startswith("decoder.recurrent")]
    return [gradient.clone() for gradient in own + rest]


def seconds(step: Callable[[Any], Any], memory: Any) -> float:
    """Of one call."""
    start = time.perf_counter()
    step(memory)
    return time.perf_counter() - start


def main() -> None:
    """Both cells at every size."""
    rows = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        rows += [compare(cell, *sizes) for cell in CELLS for sizes in SIZES]
    keep("attention", {"rounds": ROUNDS, "seed": SEED, "rows": rows})


if __name__ == "__main__":
    main()
