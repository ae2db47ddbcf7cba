"""A batch on its way through all layers and directions of a recurrent layer."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.cells import Cell, State
from recurra.engines import Conditions, get_engine
from recurra.layers.dilation import run_dilated
from recurra.layers.noise import Noise, draw_kept
from recurra.layers.parameters import Recurrence
from recurra.layers.segments import run_in_segments

__all__ = ["Passage", "Stack", "needs", "needs_of"]


class Stack(NamedTuple):
    """What is the same for every batch."""

    cell: Cell
    recurrences: tuple[Recurrence, ...]
    """Layer by layer, direction by direction."""
    directions: int
    dilations: tuple[int, ...]

    def run(self, module: nn.Module, passage: Passage, starts: list[State]) -> tuple[Tensor, list[State]]:
        """Outputs (time, batch, directions*output, ...) and the last state of each recurrence.

        starts: of each recurrence, (slots, batch, unit, ...) per field.
        """
        x = passage.x
        finals: list[State] = []
        for layer in range(len(self.dilations)):
            mask = passage.noise and passage.noise.inputs[layer]
            inputs = x if mask is None else x * mask
            outputs = []
            for direction in range(self.directions):
                index = layer * self.directions + direction
                y, final = self._pass(module, index, inputs, starts[index], passage)
                outputs.append(y)
                finals.append(final)
            y = torch.cat(outputs, 2) if self.directions > 1 else outputs[0]  # time batch directions*output ...
            x = y + x if passage.residual and layer else y
            if passage.dropout and layer < len(self.dilations) - 1:
                x = F.dropout(x, passage.dropout, module.training)  # drawn as torch.nn draws it
        return x, finals

    def _pass(self, module: nn.Module, index: int, x: Tensor, start: State, passage: Passage) -> tuple[Tensor, State]:
        """One layer in one direction."""
        recurrence, noise = self.recurrences[index], passage.noise
        reverse, dilation = recurrence.direction == 1, self.dilations[recurrence.layer]
        weights = recurrence.weights(module, noise and noise.weights[index])
        resets, gaps = passage.per_step(reverse=reverse)
        restart = None
        if resets is not None:
            restart = recurrence.initial(module, start.map(_without_slots))
        conditions = Conditions(
            passage.lengths,
            resets,
            restart,
            gaps,
            noise and noise.states[index],
            passage.kept(start, dilation, module.training),
        )
        backwards = reverse and dilation == 1
        run = partial(get_engine(passage.engine).run, self.cell, reverse=backwards)
        if passage.watch is not None:
            run = partial(run, watch=passage.watch[index])
        elif passage.segment != 0:
            run = partial(run_in_segments, run, steps=passage.segment, reverse=backwards)
        if dilation > 1:
            return run_dilated(partial(run, weights), x, start, conditions, dilation=dilation, reverse=reverse)
        y, final = run(weights, x, start.map(_without_slots), conditions)
        return y, final.map(_with_slot)


class Passage(NamedTuple):
    """One batch, and what the layer's settings say at the time."""

    x: Tensor
    lengths: Tensor | None
    resets: Tensor | None
    gaps: Tensor | None
    noise: Noise | None
    watch: list[list[State]] | None
    dropout: float
    residual: bool
    zoneout: tuple[float, ...]
    """Per state."""
    segment: int | None
    """Steps of a segment of checkpointed backpropagation; None: the root of the sequence's; 0: all at once."""
    engine: str = "reference"

    def kept(self, start: State, dilation: int, training: bool) -> tuple[Tensor | float | None, ...] | None:
        """What zoneout keeps: a draw for every step in training, in evaluation its expectation."""
        if not any(self.zoneout):
            return None
        if not training:
            return tuple(probability or None for probability in self.zoneout)
        time = -(-len(self.x) // dilation)
        return tuple(
            draw_kept(probability, (time, dilation * part.shape[1], *part.shape[2:]), part)
            for probability, part in zip(self.zoneout, start, strict=True)
        )

    def per_step(self, *, reverse: bool) -> tuple[Tensor | None, Tensor | None]:
        """Resets and gaps of one direction.

        In reverse, what stands between a step and the one before it acts on the earlier of the two, which is taken
        after the later; where a row begins, at its end or by a reset, 1 has passed.
        """
        if self.resets is None and self.gaps is None:
            return None, None
        alive = Conditions(self.lengths).alive(len(self.x), self.x.device)

        def seen(value: Tensor | None, usual: int) -> Tensor | None:
            """What stands in the padding is nothing."""
            return value if value is None or alive is None else value.masked_fill(~alive, usual)

        def shifted(value: Tensor | None, first: int) -> Tensor | None:
            return None if value is None else torch.cat([value[1:], torch.full_like(value[:1], first)])

        resets, gaps = seen(self.resets, 0), seen(self.gaps, 1)
        if reverse:
            resets, gaps = shifted(resets, 0), shifted(gaps, 1)
            if gaps is not None and resets is not None:
                gaps = gaps.masked_fill(resets, 1)
        return resets, gaps


def _without_slots(part: Tensor) -> Tensor:
    """Of a recurrence that is not dilated: (batch, unit, ...)."""
    return part[0]


def _with_slot(part: Tensor) -> Tensor:
    """The inverse."""
    return part.unsqueeze(0)


def needs(stack: Stack, passage: Passage) -> frozenset[str]:
    """What an engine must be able to do to run this batch, as `choose` takes it."""
    first = stack.recurrences[0]
    asked = {
        "projection": first.output_size != first.hidden_size,
        "layer normalisation": first.layer_norm,
        "convolution": bool(first.kernel),
        "recurrent dropout": passage.noise is not None and passage.noise.states[0] is not None,
        "zoneout": any(passage.zoneout),
        "resets under torch.compile": passage.resets is not None and torch.compiler.is_compiling(),
        "derivatives of time gaps": passage.gaps is not None and passage.gaps.requires_grad,
    }
    return _those(asked) | needs_of(passage.x)


def needs_of(x: Tensor) -> frozenset[str]:
    """What an engine must be able to do to run on such numbers, whatever the layer."""
    return _those(
        {
            "CUDA": x.device.type != "cpu",
            "half precision": x.dtype not in (torch.float32, torch.float64),
            "autocast": torch._C._is_any_autocast_enabled(),
            "export": torch.compiler.is_exporting(),
        }
    )


def _those(asked: dict[str, bool]) -> frozenset[str]:
    return frozenset(name for name, needed in asked.items() if needed)
