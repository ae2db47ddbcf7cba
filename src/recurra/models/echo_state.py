"""Echo state networks: a reservoir that is drawn, and a linear readout that is solved for."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra.cells import State
from recurra.errors import ArgumentError
from recurra.layers import Reservoir, RidgeReadout
from recurra.layers.arguments import check_count, check_flag

__all__ = ["EchoStateNetwork", "Forgetting", "forgetting", "valid_steps"]

_CHUNK = 2048  # steps whose states are held at once

_Starts = tuple[tuple[State, ...], ...]


class EchoStateNetwork(nn.Module):
    """An echo state network (Jaeger 2001): only its readout is trained, in closed form.

        h_t = reservoir(x_t [, y_(t-1)], h_(t-1))      y_t = W h_t [+ V x_t] + b

    reservoirs: a `Reservoir`, deep or not; or several side by side, each with its own dynamics, which all read x.
    output_size: features of y.
    ridge: of the readout, as `RidgeReadout` has it.
    washout: first steps of a sequence that are not learned from: what they hold of the beginning must fade.
    feedback: whether reservoirs also read the output of the step before: their input_size is then that of x and y
        together. In `fit` that output is the target.
    read_input: whether the readout reads x, too.

    Raises ArgumentError for an invalid argument.

    >>> wave = torch.sin(torch.arange(400, dtype=torch.float64) / 5)[:, None]  # time feature
    >>> network = EchoStateNetwork(Reservoir(1, 50, seed=0, dtype=torch.float64), 1)
    >>> network.fit(wave[:300])
    >>> going_on = network.generate(wave[:300], steps=100)
    >>> bool((going_on - wave[300:]).abs().max() < 0.01)
    True
    """

    def __init__(
        self,
        reservoirs: Reservoir | Sequence[Reservoir],
        output_size: int,
        *,
        ridge: float = 1e-8,
        washout: int = 100,
        feedback: bool = False,
        read_input: bool = False,
    ) -> None:
        super().__init__()
        several = [reservoirs] if isinstance(reservoirs, Reservoir) else list(reservoirs)
        if not several or not all(isinstance(one, Reservoir) for one in several):
            raise ArgumentError(f"reservoirs is {reservoirs!r}; expected a Reservoir, or a sequence of some")
        sizes = {one.input_size for one in several}
        if len(sizes) > 1 or any(one.batch_first for one in several):
            raise ArgumentError("reservoirs side by side must have one input_size, and be built with batch_first=False")
        check_flag("feedback", feedback)
        check_flag("read_input", read_input)
        if not isinstance(washout, int) or isinstance(washout, bool) or washout < 0:
            raise ArgumentError(f"washout is {washout!r}; expected a number of steps of at least 0")
        self.output_size = check_count("output_size", output_size)
        self.input_size = sizes.pop() - (output_size if feedback else 0)
        if self.input_size < 0:
            raise ArgumentError(f"feedback=True: reservoirs must read at least the {output_size} outputs")
        self.washout, self.feedback, self.read_input = washout, feedback, read_input
        self.reservoirs = nn.ModuleList(several)
        units = sum(one.output_size for one in several) + (self.input_size if read_input else 0)
        dtype = next(several[0].parameters()).dtype
        self.readout = RidgeReadout(units, output_size, ridge=ridge, dtype=dtype)

    def forward(
        self, x: Tensor, state: _Starts | None = None, *, lengths: Tensor | Sequence[int] | None = None
    ) -> tuple[Tensor, _Starts]:
        """Outputs at every step, and where the reservoirs end. With feedback, step by step.

        x: (time, batch, feature) or (time, feature). state: as returned; None: zeros. lengths: steps of each row.
        Raises ArgumentError if a shape does not fit.
        """
        if not self.feedback:
            features, last = self._read(x, x, state, lengths)
            return self.readout(features), last
        if lengths is not None:
            raise ArgumentError("lengths was passed to a network with feedback, which runs step by step; leave it out")
        y_t = x.new_zeros(*x.shape[1:-1], self.output_size)
        outputs = []
        for x_t in x:
            y_t, state = self.step(x_t, state, before=y_t)
            outputs.append(y_t)
        return torch.stack(outputs), state or ()

    def step(
        self, x_t: Tensor, state: _Starts | None = None, *, before: Tensor | None = None
    ) -> tuple[Tensor, _Starts]:
        """One step: x_t (batch, feature) or (feature,). before: with feedback, the output of the step before."""
        read = x_t
        if self.feedback:
            before = x_t.new_zeros(*x_t.shape[:-1], self.output_size) if before is None else before
            read = torch.cat([x_t, before], -1)
        outputs, states = [], []
        for one, start in zip(self._all(), self._starts(state), strict=True):
            y_t, last = one.step(read, start)
            outputs.append(y_t)
            states.append(last)
        if self.read_input:
            outputs.append(x_t)
        return self.readout(torch.cat(outputs, -1)), tuple(states)

    def fit(self, x: Tensor, y: Tensor | None = None, *, lengths: Tensor | Sequence[int] | None = None) -> None:
        """Solve for the readout, forgetting what it was before.

        x: (time, batch, feature) or (time, feature). y: targets, likewise; None: the next x. lengths: steps of a row.
        Raises ArgumentError if they do not fit, or no step is left after the washout.
        """
        self.readout.forget()
        self.add(x, y, lengths=lengths)
        self.readout.solve()

    @torch.no_grad()
    def add(
        self,
        x: Tensor,
        y: Tensor | None = None,
        state: _Starts | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
    ) -> _Starts:
        """Take in a part of the data: `fit` is one `add` and `readout.solve()`.

        state: where the part before ended; None begins anew, with a washout. Returns where it ends.
        """
        x, y = self._pair(x, y)
        read = self._with_outputs(x, y) if self.feedback else x
        first = self.washout if state is None else 0
        if len(x) <= first:
            raise ArgumentError(
                f"x has {len(x)} steps to learn from, washout is {first}; pass more, or a smaller washout"
            )
        if lengths is None:
            for begin in range(0, len(x), _CHUNK):  # the states of all steps at once would be much memory
                part = slice(begin, begin + _CHUNK)
                features, state = self._read(read[part], x[part], state, None)
                kept = slice(max(first - begin, 0), None)
                self.readout.add(features[kept], y[part][kept])
            return state or ()
        features, last = self._read(read, x, state, lengths)
        there = torch.arange(len(x))[:, None] < torch.as_tensor(lengths)
        there[:first] = False
        self.readout.add(features[there], y[there])
        return last

    @torch.no_grad()
    def generate(self, x: Tensor, steps: int, state: _Starts | None = None, *, y: Tensor | None = None) -> Tensor:
        """Go on by itself: each output is the next input, and what is fed back.

        x: what came before, (time, batch, feature) or (time, feature), from which the state is found. A network with
            feedback and no inputs takes (time, 0).
        steps: how many. y: with feedback, the true outputs up to the end of x; None: the network's own.
        Returns (steps, batch, feature) or (steps, feature).
        Raises ArgumentError unless outputs have the features of inputs, or there are no inputs.
        """
        check_count("steps", steps)
        if self.output_size != self.input_size and (self.input_size or not self.feedback):
            raise ArgumentError(
                f"generate feeds outputs to the input, which have {self.output_size} and {self.input_size} features"
            )
        if y is None:
            found, state = self.forward(x, state)
            y_t = found[-1]
        else:
            _, state = self._read(self._with_outputs(x, y), x, state, None)
            y_t = y[-1]
        go_on, outputs = self._stepper(y_t, state), []
        for step in range(steps):
            if step or y is not None:
                y_t = go_on(y_t)
            outputs.append(y_t)
        return torch.stack(outputs)

    def _stepper(self, y_t: Tensor, state: _Starts) -> Callable[[Tensor], Tensor]:
        """From an output to the next: by streams where there are kernels, else by steps."""
        nothing = y_t.new_zeros(*y_t.shape[:-1], 0)
        try:
            streams = [
                one.stream(len(y_t) if y_t.dim() > 1 else None, start)
                for one, start in zip(self._all(), state, strict=True)
            ]
        except ArgumentError:
            carried = [state]

            def step(before: Tensor) -> Tensor:
                x_t = before if self.input_size else nothing
                found, carried[0] = self.step(x_t, carried[0], before=before)
                return found

            return step

        def stream(before: Tensor) -> Tensor:
            x_t = before if self.input_size else nothing
            read = (torch.cat([x_t, before], -1) if self.feedback else x_t).numpy()
            outputs = [torch.from_numpy(one(read)) for one in streams]
            found: Tensor = self.readout(torch.cat([*outputs, x_t] if self.read_input else outputs, -1))
            return found

        return stream

    def _with_outputs(self, x: Tensor, y: Tensor) -> Tensor:
        """What reservoirs with feedback read, if the outputs are these."""
        return torch.cat([x, torch.cat([torch.zeros_like(y[:1]), y[:-1]])], -1)

    def explain(self) -> str:
        """Which engine runs each reservoir here and now, and whether `generate` goes on by streams or by steps."""
        said = [
            f"reservoir {place}, {line}" for place, one in enumerate(self._all()) for line in one.explain().splitlines()
        ]
        try:
            for one in self._all():
                one.stream()
        except ArgumentError as why:
            return "\n".join([*said, f"generate: step by step, slower ({why})"])
        return "\n".join([*said, "generate: by streams"])

    def extra_repr(self) -> str:
        """What is read, and how."""
        return f"washout={self.washout}, feedback={self.feedback}, read_input={self.read_input}"

    def read(self, x: Tensor, state: _Starts | None = None) -> tuple[Tensor, _Starts]:
        """What the readout reads of a sequence, and where the reservoirs end; for a network without feedback."""
        if self.feedback:
            raise ArgumentError("read was called on a network with feedback, which reads its own outputs; use a call")
        return self._read(x, x, state, None)

    def _read(
        self, read: Tensor, x: Tensor, state: _Starts | None, lengths: Tensor | Sequence[int] | None
    ) -> tuple[Tensor, _Starts]:
        """What the readout reads of a sequence."""
        outputs, states = [], []
        for one, start in zip(self._all(), self._starts(state), strict=True):
            y, last = one(read, start, lengths=lengths)
            outputs.append(y)
            states.append(last)
        if self.read_input:
            outputs.append(x)
        return (outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)), tuple(states)

    def _pair(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """Inputs and targets, step by step."""
        if y is None:
            if self.output_size != self.input_size:
                raise ArgumentError(
                    f"y was left out, for which the next x would stand; it has {self.input_size} features, outputs "
                    f"{self.output_size}: pass y"
                )
            x, y = x[:-1], x[1:]
        if x.shape[:-1] != y.shape[:-1] or y.shape[-1] != self.output_size:
            raise ArgumentError(
                f"x is {tuple(x.shape)}, y {tuple(y.shape)}; expected (time, batch, {self.output_size})"
            )
        return x, y

    def _starts(self, state: _Starts | None) -> Sequence[tuple[State, ...] | None]:
        if state is None:
            return [None] * len(self.reservoirs)
        if not isinstance(state, tuple) or len(state) != len(self.reservoirs):
            raise ArgumentError(f"state is {type(state).__name__}; expected what the network returned")
        return state

    def _all(self) -> list[Reservoir]:
        return [one for one in self.reservoirs if isinstance(one, Reservoir)]


class Forgetting(NamedTuple):
    """How a reservoir forgets where it began.

    distances: between two runs on one input from different states, at each step, over the first's.
    steps: until the distance stays below the tolerance; None: it does not.
    """

    distances: Tensor
    steps: int | None

    @property
    def holds(self) -> bool:
        """Whether the echo state property held on this input."""
        return self.steps is not None


@torch.no_grad()
def forgetting(reservoir: Reservoir, x: Tensor, *, tolerance: float = 1e-6, seed: int = 0) -> Forgetting:
    """Whether the echo state property holds on an input: runs from two random states must meet (Jaeger 2001).

    x: (time, feature). tolerance: of the distance, over that at the beginning.
    """
    generator = torch.Generator().manual_seed(seed)
    runs = []
    for _ in range(2):
        starts = []
        for layer in reservoir.layers:
            zeros = layer.initial_state(1)  # type: ignore[operator]
            starts.append(zeros.map(lambda part: 2 * torch.rand(part.shape, generator=generator, dtype=part.dtype) - 1))
        y, _ = reservoir(x[:, None] if not reservoir.batch_first else x[None], tuple(starts))
        runs.append(copy.copy(y.flatten(0, 1)))
    distances = (runs[0] - runs[1]).norm(dim=-1)
    distances = distances / max(float(distances[0]), torch.finfo(distances.dtype).tiny)
    above = (distances > tolerance).nonzero()
    last = int(above[-1]) + 1 if len(above) else 0
    return Forgetting(distances, last if last < len(distances) else None)


def valid_steps(prediction: Tensor, truth: Tensor, *, threshold: float = 0.4) -> int:
    """Steps before a prediction leaves the truth: until its distance, over the truth's spread, exceeds the threshold.

    prediction, truth: (time, feature). For chaotic series; divide by the steps of a Lyapunov time to compare.
    Raises ArgumentError if the shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ArgumentError(f"prediction is {tuple(prediction.shape)}, truth {tuple(truth.shape)}; expected one shape")
    spread: Any = (truth - truth.mean(0)).square().sum(-1).mean().sqrt()
    beyond = ((prediction - truth).norm(dim=-1) > threshold * spread) | ~prediction.isfinite().all(-1)
    left = beyond.nonzero()
    return int(left[0]) if len(left) else len(truth)
