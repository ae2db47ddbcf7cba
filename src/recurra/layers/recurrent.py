"""The recurrent layer: any cell, stacked, in one or both directions, over sequences of any lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from recurra.cells import State
from recurra.engines import Choice, choose, tape
from recurra.errors import ArgumentError
from recurra.layers.arguments import one_per_state
from recurra.layers.building import read_segment
from recurra.layers.forms import Sequences, read_per_step, read_sequences
from recurra.layers.module import RecurrentModule
from recurra.layers.noise import Noise, check_noise
from recurra.layers.sequencing import Sequencer
from recurra.layers.shapes import check_sequence, check_step
from recurra.layers.stack import Passage, needs
from recurra.layers.stepping import Stepper
from recurra.layers.streaming import Stream

__all__ = ["Recurrent"]


class Recurrent(RecurrentModule):
    """A recurrence over time, with torch.nn's parameters: same names, layout, order and initial values.

        h_t = step(W_ih x_t + b_ih, W_hh h_(t-1) + b_hh, state_(t-1))

    cell: a name from `recurra.cells.list_cells()`, a Cell subclass, or a cell.
    input_size: features of x.
    hidden_size: units of every layer, or a sequence with one number each.
    num_layers: recurrences on top of each other; each reads the outputs of the one below.
    bias: whether the projections have biases.
    batch_first: x and y are (batch, time, feature) and not (time, batch, feature); states are the same either way.
    dropout: probability with which elements between two layers are zeroed in training.
    bidirectional: a second recurrence per layer reads from the end; outputs are joined, 2 * hidden_size.

    Dropped for a whole sequence at a time, in training only (Gal & Ghahramani 2016):
    input_dropout: probability for each feature that a layer reads.
    recurrent_dropout: probability for each unit that recurrent projections read, in the same units at every step.
    weight_dropout: probability for each recurrent weight (DropConnect; Merity et al. 2018).

    zoneout: probability with which a unit keeps its state, drawn at every step; in evaluation that share of each is
        kept (Krueger et al. 2017). For all states, or by state: {"h": 0.05, "c": 0.5}.
    layer_norm: normalise each gate's two projections over its units, gain * (W x - mean) / deviation + b (after Ba et
        al. 2016, who take all gates together, and the memory c too). The gains are the parameters gain_ih and gain_hh.
    weight_norm: learn length and direction of each row of weight_ih and weight_hh apart (Salimans & Kingma 2016).
    connectivity: share of the recurrent weights that there are, as many for each unit of a gate; the others are 0 for
        good. Which ones is drawn with the initial values and kept in the buffer connections_hh. A few of many weights
        are as fast as a layer with so few (reservoirs: Jaeger 2001; trained: Narang et al. 2017).
    residual: add a layer's input to its output, from the second layer on.
    learn_initial_state: begin with learned values, one per unit, and not with zeros.
    forget_bias: initial bias of the gate that keeps the memory; 1 holds on to it at first (Jozefowicz et al. 2015).
    initializer: "torch", uniform within 1/sqrt(hidden_size); "orthogonal", "glorot" or "identity", for recurrent
        weights, with Glorot's for the others and biases 0; or a function(name, gate, block) that fills the rows of one
        gate in place.
    proj_size: features of the output, if it is to be smaller than hidden_size (Sak et al. 2014).
    dilation: a step reads the state of so many steps ago (Chang et al. 2017): for every layer, or one number each.
    checkpoint: keep what backpropagation needs for one segment at a time and compute it again: beside x and y, memory
        for the square root of the time steps, and a third more work. True: segments of sqrt(T) steps; or so many.
    seed: initial weights come from this seed alone, but for an initializer of your own; None: from torch's global
        generator. `seed=0` gives what torch.manual_seed(0) gives, on any device.

    Masks are drawn from torch's global generator, whichever engine runs. Dropouts, zoneout, residual, checkpoint and
    what initial values are drawn by may be set on a built layer; the rest is fixed.

    Raises ArgumentError for any invalid argument, and for an option that means nothing for the cell. A Notice
    tells of an option that does nothing with one layer.

    >>> layer = Recurrent("lstm", 3, 8, seed=0)
    >>> y, state = layer(torch.zeros(5, 2, 3))  # time batch feature
    >>> y.shape, state.c.shape
    (torch.Size([5, 2, 8]), torch.Size([1, 2, 8]))
    >>> y_t, state = layer.step(torch.zeros(2, 3), state)
    >>> y_t.shape
    torch.Size([2, 8])
    """

    def forward(
        self,
        x: Tensor | PackedSequence,
        state: Any = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        mask: Tensor | None = None,
        resets: Tensor | None = None,
        gaps: Tensor | None = None,
        noise: Noise | None = None,
    ) -> tuple[Any, State]:
        """Outputs of every time step, and the state after the last.

        x: (time, batch, feature), or (batch, time, feature) if batch_first; or unbatched, (time, feature); or packed;
            or nested, its rows (steps, feature).
        state: where to begin, a State or a tuple of its fields, (layers*directions, batch, hidden) each; None: zeros,
            or what was learned.
        lengths: steps of each row, 0 to time, on any device; None: all. Outputs past a row's end are 0, its final state
            is the one at its end, and the reverse direction begins there. What x holds past the end does not matter.
        mask: the same as (time, batch), batch first if x is: True where a row has a step.
        resets: True where a row begins anew, in the shape of mask: what came before that step is forgotten.
        gaps: time that passed since the step before, in the shape of mask, for a cell that reads it; None: 1, however
            far apart the steps of a dilated layer are.
        noise: what `draw_noise` drew, to drop the same in several calls, in evaluation too; None: drawn anew in
            training.
        Returns (y, state): y in the form of x with the features of the output, the state in the form given.
        Raises ArgumentError if a shape, dtype, device or length does not fit.
        """
        if lengths is None and mask is None and resets is None and gaps is None and noise is None:
            found = self._go_shortly("_sequencer", Sequencer, x, state)
            if found is not None:
                return found
        y, last = self._call(x, state, lengths, mask, resets, gaps, noise)
        return y, last

    def step(
        self,
        x_t: Tensor,
        state: Any = None,
        *,
        gaps: Tensor | None = None,
        noise: Noise | None = None,
    ) -> tuple[Tensor, State]:
        """One time step, for streams; step by step equals the whole sequence.

        x_t: (batch, feature) or (feature,).
        state: what the last step returned; None at the beginning.
        gaps: time that passed since the step before, (batch,) or a number's tensor without a batch.
        noise: as for a whole sequence.
        Hooks, and so torch.nn.utils.prune, run with calls of the layer and not with its steps.
        Returns (y_t, state): (batch, output) or (output,), and the state to pass to the next step.
        Raises ArgumentError if a shape does not fit or the layer is bidirectional.
        """
        if gaps is None and noise is None:
            found = self._go_shortly("_stepper", Stepper, x_t, state)
            if found is not None:
                return found
        if self.bidirectional:
            raise ArgumentError(
                "step was called on a bidirectional layer, whose outputs depend on the future; "
                "call the layer on the whole sequence, or build it with bidirectional=False"
            )
        check_step(x_t, input_size=self.input_size, weight=self._any_weight(), space=self._space)
        batched = x_t.dim() == 2 + len(self._space)
        x = x_t.unsqueeze(0) if batched else x_t[None, None]
        batch = (x_t.shape[0],) if batched else ()
        sequences = Sequences(x, None, batch, False, lambda y: y.squeeze(0) if batched else y[0, 0])
        passed = gaps.unsqueeze(0) if isinstance(gaps, Tensor) else gaps
        y, last = self._run(sequences, state, None, read_per_step("gaps", passed, sequences), noise)
        return sequences.restore(y), last

    def watch(
        self,
        x: Tensor | PackedSequence,
        state: Any = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        mask: Tensor | None = None,
        resets: Tensor | None = None,
        gaps: Tensor | None = None,
        noise: Noise | None = None,
    ) -> tuple[Any, State, list[list[State]]]:
        """What a call returns, and the state after each step of each recurrence, in the order of x: (batch, hidden) per
        field. By the reference engine, whatever is asked for; recurrences count layer by layer, then by direction.

        Raises ArgumentError as a call does, or for a dilated layer.
        """
        if max(self._stack.dilations) > 1:
            raise ArgumentError("watch was called on a dilated layer, whose slots have no common state; use dilation=1")
        watched: list[list[State]] = [[] for _ in self._stack.recurrences]
        y, last = self._call(x, state, lengths, mask, resets, gaps, noise, watched)
        return y, last, watched

    def explain(self) -> str:
        """Which engine runs each layer here and now, and why; one line per layer.

        >>> from recurra import engine
        >>> with engine("reference"):
        ...     print(Recurrent("gru", 1, 2).explain())
        layer 0: gru by reference (asked for by name)
        """
        asked = self._needs()
        choice = choose(self.cell, asked)
        both = ", both directions" if self.bidirectional else ""
        lines = []
        for recurrence in self._stack.recurrences[:: self.num_directions]:
            costs = tape(choice.engine, self.cell, asked, recurrence.hidden_size, self._any_weight().dtype)
            few = f"; {recurrence.connected} of {recurrence.output_size} outputs read" if recurrence.connected else ""
            kept = f"; training keeps {costs * self.num_directions:,} bytes a step and row" if costs is not None else ""
            lines.append(
                f"layer {recurrence.layer}: {self.cell.name}{both} by {choice.engine} ({choice.why}{kept}{few})"
            )
        return "\n".join(lines)

    def stream(self, batch: int | None = None, state: Any = None) -> Stream:
        """The layer as a stream on NumPy arrays: one step costs well under a microsecond beside its arithmetic.

        batch: rows that are stepped together; None: vectors without a batch.
        state: where to begin, as for a step.
        Raises ArgumentError for a layer that cannot run step by step, or has no compiled kernel.
        """
        return Stream(self, batch, state)

    def _go_shortly(
        self, name: str, kind: type[Stepper | Sequencer], x: Any, state: Any
    ) -> tuple[Tensor, State] | None:
        """What the short way of that kind, kept under that name, makes of a call; None where it is not open."""
        if torch.compiler.is_compiling():
            return None
        way: Stepper | Sequencer | None = self.__dict__.get(name)
        if way is None or way.layer is not self:
            way = self.__dict__[name] = kind(self)
        return way(x, state)

    def _call(
        self,
        x: Tensor | PackedSequence,
        state: Any,
        lengths: Tensor | Sequence[int] | None,
        mask: Tensor | None,
        resets: Tensor | None,
        gaps: Tensor | None,
        noise: Noise | None,
        watched: list[list[State]] | None = None,
    ) -> tuple[Any, State]:
        """A whole sequence, in whatever form."""
        weight, rank = self._any_weight(), 3 + len(self._space)
        check_sequence(
            x,
            input_size=self.input_size,
            batch_first=self.batch_first,
            weight=weight,
            space=self._space,
            name=self._x_name,
        )
        sequences = read_sequences(x, rank=rank, batch_first=self.batch_first, lengths=lengths, mask=mask)
        resets = read_per_step("resets", resets, sequences)
        if resets is not None and resets.dtype != torch.bool:
            raise ArgumentError(f"resets has dtype {resets.dtype}; expected booleans, True where a row begins anew")
        gaps = read_per_step("gaps", gaps, sequences)
        y, last = self._run(sequences, state, resets, gaps, noise, watched)
        return sequences.restore(y), last

    def _run(
        self,
        sequences: Sequences,
        state: Any,
        resets: Tensor | None,
        gaps: Tensor | None,
        noise: Noise | None,
        watched: list[list[State]] | None = None,
    ) -> tuple[Tensor, State]:
        """The stack over sequences in the one form."""
        if gaps is not None and not self.cell.reads_gaps:
            raise ArgumentError(f"gaps was passed; cell {self.cell.name!r} reads no time gaps, 'cfc' does")
        if gaps is not None and max(self._stack.dilations) > 1:
            raise ArgumentError(f"gaps was passed to a layer with dilation={self.dilation}; pass them with dilation=1")
        x, batch = sequences.x, sequences.batch
        passage = self._passage(sequences, resets, gaps, noise)
        if watched is None:
            passage = passage._replace(engine=self._choose(passage).engine)
        start = self._begin(x, (x.shape[1],), tuple(x.shape[3:])) if state is None else self._given(state, x, batch)
        y, finals = self._stack.run(self, passage._replace(watch=watched), self._layout.split(start))
        last = self._layout.join(finals)
        return y, last if batch else last.map(lambda part: part.squeeze(1))

    def _passage(
        self, sequences: Sequences, resets: Tensor | None, gaps: Tensor | None, noise: Noise | None
    ) -> Passage:
        batch = sequences.x.shape[1]
        if noise is not None:
            check_noise(noise, self._noise_shapes(batch), batch)
        elif self.draws_once:
            noise = self.draw_noise(batch)
        return Passage(
            sequences.x,
            sequences.lengths,
            resets,
            gaps,
            noise,
            watch=None,
            dropout=self.dropout,
            residual=self.residual,
            zoneout=one_per_state("zoneout", self.zoneout, self.cell.states),
            segment=read_segment(self.checkpoint),
        )

    def _undrawn(self) -> Noise:
        """Noise of no rows where states are dropped, for nothing is drawn to explain."""
        inputs, states, weights = self._noise_shapes(0)
        drops = self.recurrent_dropout and self.training
        dropped = [self._any_weight().new_empty(shape) if drops else None for shape in states]
        return Noise((None,) * len(inputs), tuple(dropped), (None,) * len(weights))

    def _needs(self) -> frozenset[str]:
        """What an engine must be able to do for a call of the layer as it is."""
        example = self._any_weight().new_empty(1, 0, self.input_size, *[1] * len(self._space))
        passage = self._passage(Sequences(example, None, (0,), False, lambda y: y), None, None, self._undrawn())
        return needs(self._stack, passage)

    def _choose(self, passage: Passage) -> Choice:
        return choose(self.cell, needs(self._stack, passage))
