"""Echo state networks: a reservoir that is drawn, and a linear readout that is solved for or learns step by step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.errors import ArgumentError
from recurra.layers import LeastSquares, Reservoir, RidgeReadout
from recurra.layers.arguments import check_count, check_flag
from recurra.models.background import Background
from recurra.models.echo_body import EchoBody, Lengths
from recurra.models.echo_parts import EchoState, choose, keep, pairs

__all__ = ["Continuation", "EchoStateNetwork"]

_CHUNK = 2048  # steps whose states are held at once


class Continuation(NamedTuple):
    """How a network goes on by itself.

    answers: its outputs, (steps, batch, feature) or (steps, feature).
    state: has read all answers but the last, so that `generate(answers[-1:], ..., state)` goes on.
    """

    answers: Tensor
    state: EchoState


class EchoStateNetwork(EchoBody):
    """An echo state network (Jaeger 2001): only its readout is trained, in closed form or online.

        h_t = reservoir(x_t [, y_(t-1)], h_(t-1))      y_t = W h_t [+ V x_t] + b

    reservoirs: a `Reservoir`, deep or not; or several side by side, each with its own dynamics, which all read x.
    output_size: features of y.
    ridge: of the readout, as `RidgeReadout` or `LeastSquares` has it; None: their own.
    washout: first steps of a row that are not learned from: what they hold of the beginning must fade.
    feedback: whether reservoirs also read the output of the step before: build them with an input_size of the features
        of x and y together. While learning that output is the target.
    read_input: whether the readout reads x, too.
    noise: deviation of what is added to the targets that are fed back while learning, so that the network learns to
        come back from its own errors (after Jaeger 2001, who adds it to the states); with feedback only.
    seed: of the noise.
    online: whether the readout learns step by step, by `update` (`LeastSquares`), and not from whole sequences by
        `fit` (`RidgeReadout`).
    forgetting: weight of a step for each one after it, online only; 1: all steps count alike.

    Raises ArgumentError for an invalid argument.

    >>> wave = torch.sin(torch.arange(400, dtype=torch.float64) / 5)[:, None]  # time feature
    >>> network = EchoStateNetwork(Reservoir(1, 50, seed=0, dtype=torch.float64), 1)
    >>> network.fit(wave[:300])
    >>> answers, state = network.generate(wave[:300], steps=100)
    >>> bool((answers - wave[300:]).abs().max() < 0.01)
    True
    """

    def __init__(
        self,
        reservoirs: Reservoir | Sequence[Reservoir],
        output_size: int,
        *,
        ridge: float | None = None,
        washout: int = 100,
        feedback: bool = False,
        read_input: bool = False,
        noise: float = 0.0,
        seed: int = 0,
        online: bool = False,
        forgetting: float = 1.0,
    ) -> None:
        super().__init__(reservoirs, output_size, feedback=feedback, read_input=read_input, noise=noise, seed=seed)
        check_flag("online", online)
        if not isinstance(washout, int) or isinstance(washout, bool) or washout < 0:
            raise ArgumentError(f"washout is {washout!r}; expected a number of steps of at least 0")
        if forgetting != 1 and not online:
            raise ArgumentError(
                f"forgetting is {forgetting!r}; it is for a readout that learns online, use online=True"
            )
        self.washout, self.online, self.forgetting = washout, online, forgetting
        options: dict[str, Any] = {"dtype": self.reservoirs.weight.dtype} | ({} if ridge is None else {"ridge": ridge})
        self.readout: RidgeReadout | LeastSquares = (
            LeastSquares(self.features, output_size, forgetting=forgetting, **options)
            if online
            else RidgeReadout(self.features, output_size, **options)
        )

    def forward(
        self, x: Tensor, state: EchoState | None = None, *, lengths: Lengths = None
    ) -> tuple[Tensor, EchoState]:
        """Outputs at every step, and where the network ends. With feedback it reads its own outputs.

        x: (time, batch, feature) or (time, feature). state: as returned; None: zeros.
        lengths: steps of each row, 0 to time; None: all. Outputs past a row's end are 0, its state is the one there.
        Raises ArgumentError if a shape does not fit, or nothing was learned yet.
        """
        batch, mask = self._check(x), self._mask(x, lengths)
        state = self._begin(batch, state)
        if mask is not None:
            x = x.where(mask.unsqueeze(-1), 0.0)
        if not self.feedback:
            features, last = self._read(x, x, state, mask)
            y = self.readout(features)
        elif mask is None and not (torch.is_grad_enabled() and self._has_gradients(x)):
            y, last = self._walk(x, batch, self._with_output(state))
        else:
            y, last = self._step_through(x, self._with_output(state), mask)
        return (y if mask is None else y.where(mask.unsqueeze(-1), 0.0)), last

    def step(
        self, x_t: Tensor, state: EchoState | None = None, *, before: Tensor | None = None
    ) -> tuple[Tensor, EchoState]:
        """One step: x_t (batch, feature) or (feature,); step by step equals the whole sequence.

        before: with feedback, the output of the step before, if it is another than the state's: a measured one.
        Raises ArgumentError if a shape does not fit, or nothing was learned yet.
        """
        state = self._begin(self._check(x_t, step=True), state)
        read = x_t
        if self.feedback:
            before = self._with_output(state).y if before is None else before
            read = torch.cat([x_t, self._check_outputs("before", before, x_t)], -1)
        elif before is not None:
            raise ArgumentError("before was passed to a network without feedback, which reads no outputs; leave it out")
        units, ends = self.reservoirs.step(read, state.reservoirs)
        y_t: Tensor = self.readout(self._with_input(units, x_t))
        return y_t, EchoState(ends, state.steps + 1, y_t if self.feedback else None)

    def fit(self, x: Tensor, y: Tensor | None = None, *, lengths: Lengths = None) -> None:
        """Solve for the readout, forgetting what it was before.

        x: (time, batch, feature) or (time, feature). y: targets, likewise; None: the next x.
        lengths: steps of each row of x; None: all.
        Raises ArgumentError if they do not fit, no step is left after the washout, or the readout learns online.
        """
        self._ridge_readout("fit").forget()
        state = self.add(x, y, lengths=lengths)
        if not self._ridge_readout("fit").steps:
            last = ", the last without a next x to learn" if y is None else ""
            raise ArgumentError(
                f"the longest row of x has {int(state.steps.max())} steps{last}, washout is {self.washout}, and none "
                f"is left to learn from; pass more, or a smaller washout"
            )
        self.solve()

    @torch.no_grad()
    def add(
        self, x: Tensor, y: Tensor | None = None, state: EchoState | None = None, *, lengths: Lengths = None
    ) -> EchoState:
        """Take in a part of the data: `fit` is one `add` and `solve`; so are many, each with the state of the last.

        x, y, lengths: as for `fit`. state: where the part before ended; None begins anew, with a washout.
        Returns where it ends: with feedback, the last target is fed back next.
        Raises ArgumentError if they do not fit, or the readout learns online.
        """
        readout, mask = self._ridge_readout("add"), self._mask(x, lengths)
        state = self._begin(self._check_pair(x, y), state)
        with Background() as background:
            for begin in range(0, len(x), _CHUNK):  # the states of all steps at once would be much memory
                part = slice(begin, begin + _CHUNK)
                some = None if mask is None else mask[part]
                targets = None if y is None else y[part]
                features, last = self._taught(x[part], targets, state, some)
                counts = None if some is None else some.sum(0).cpu()
                for pair in pairs(features, x[part], targets, state, counts, self.washout):
                    background.run(readout.add, *pair)
                state = last
        return state

    def solve(self, ridge: float | None = None) -> None:
        """Set the readout's weights by all that was added. ridge: another than its own, which it becomes.

        Raises ArgumentError where nothing was added, a larger ridge is needed, or the readout learns online.
        """
        readout = self._ridge_readout("solve")
        if not readout.steps:
            raise ArgumentError(
                f"solve was called before any step was taken in; call add first, with more steps than the washout of "
                f"{self.washout}"
            )
        readout.solve(ridge)

    @torch.no_grad()
    def update(self, x_t: Tensor, y_t: Tensor, state: EchoState | None = None) -> tuple[Tensor, EchoState]:
        """One step online: read x_t, say what y_t will be, then learn from it, unless it is within the washout.

        x_t: (batch, feature) or (feature,). y_t: the target, likewise. state: as returned; None at the beginning.
        Returns (y, state): the output before it was learned, and the state; with feedback, y_t is fed back next.
        Raises ArgumentError if a shape does not fit, or the network was not built with online=True.
        """
        if not isinstance(self.readout, LeastSquares):
            raise ArgumentError(
                "update was called on a network whose readout is solved for; build it with online=True, or call fit"
            )
        state = self._begin(self._check(x_t, step=True), state)
        self._check_outputs("y_t", y_t, x_t)
        features, last = self._taught(x_t[None], y_t[None], state)
        y = self.readout(features[0])
        self.readout.update(*choose(features, y_t[None], state.steps, None, self.washout))
        return y, last

    @torch.no_grad()
    def generate(
        self, x: Tensor, steps: int, state: EchoState | None = None, *, y: Tensor | None = None
    ) -> Continuation:
        """Go on by itself: each output is the next input, and what is fed back.

        x: what came before, (time, batch, feature) or (time, feature), from which the state is found. A network with
            feedback and no inputs takes (time, 0).
        steps: answers wanted.
        state: where x begins.
        y: with feedback, the true outputs up to the end of x; None: the network's own.
        Returns (answers, state).
        Raises ArgumentError if a shape does not fit, nothing was learned yet, or outputs have not the features of
        inputs where there are inputs.
        """
        check_count("steps", steps)
        if self.output_size != self.input_size and (self.input_size or not self.feedback):
            raise ArgumentError(
                f"generate feeds outputs to the input, which have {self.output_size} and {self.input_size} features"
            )
        batch, answers = self._check(x), []
        if y is None:
            found, state = self.forward(x, state)
            answers.append(found[-1:])
        elif not self.feedback:
            raise ArgumentError(
                "y is for a network with feedback, which reads outputs; leave it out, x is all it reads"
            )
        else:
            self._check_pair(x, y)
            _, state = self._force(x, y, self._with_output(self._begin(batch, state)))
        left = steps - len(answers)
        if left:
            inputs = repeat(None if self.input_size else x[-1], left)
            more, state = self._walk(inputs, batch, state._replace(y=found[-1] if y is None else y[-1]))
            answers.append(more)
        return Continuation(torch.cat(answers), state)

    @torch.no_grad()
    def read(self, x: Tensor, state: EchoState | None = None, *, y: Tensor | None = None) -> tuple[Tensor, EchoState]:
        """What the readout reads of a sequence, and where the network ends. y: with feedback, what is fed back."""
        batch = self._check(x)
        if self.feedback:
            self._check_outputs("y", y, x)
        elif y is not None:
            raise ArgumentError(
                "y is for a network with feedback, which reads outputs; leave it out, x is all it reads"
            )
        return self._force(x, y, self._with_output(self._begin(batch, state)))

    def extra_repr(self) -> str:
        """What is read, and how."""
        return f"washout={self.washout}, feedback={self.feedback}, read_input={self.read_input}"

    def _taught(
        self, x: Tensor, y: Tensor | None, state: EchoState, mask: Tensor | None = None
    ) -> tuple[Tensor, EchoState]:
        """What the readout reads while it learns."""
        return self._force(x, y, state if y is None else self._with_output(state), mask, noise=self.noise)

    def _walk(self, inputs: Iterable[Tensor | None], batch: int | None, state: EchoState) -> tuple[Tensor, EchoState]:
        """Step by step without gradients. inputs: None: the output before, which for the first is the state's y."""
        walk, y_t, outputs = self.reservoirs.walk(batch, state.reservoirs), state.y, []
        for given in inputs:
            x_t = y_t if given is None else given
            assert x_t is not None
            units = walk(torch.cat([x_t, y_t], -1) if self.feedback and y_t is not None else x_t)
            y_t = self.readout(self._with_input(units, x_t))
            outputs.append(y_t)
        steps = state.steps + len(outputs)
        return torch.stack(outputs), EchoState(walk.state, steps, y_t if self.feedback else None)

    def _step_through(self, x: Tensor, state: EchoState, mask: Tensor | None) -> tuple[Tensor, EchoState]:
        """Step by step with gradients, and with rows that end before others."""
        outputs = []
        for place, x_t in enumerate(x.unbind()):
            y_t, after = self.step(x_t, state)
            state = after if mask is None else keep(mask[place], after, state)
            outputs.append(y_t)
        return torch.stack(outputs), state

    def _with_output(self, state: EchoState) -> EchoState:
        """With the output that is fed back next, where there is feedback: the network's own, if no other is known."""
        if not self.feedback or state.y is not None:
            return state
        if state.waiting is None:
            raise ArgumentError("state is of a network without feedback; expected what this network returned")
        return state._replace(y=self.readout(state.waiting))

    def _has_gradients(self, x: Tensor) -> bool:
        return x.requires_grad or any(one.requires_grad for one in self.reservoirs.parameters())

    def _ridge_readout(self, name: str) -> RidgeReadout:
        if not isinstance(self.readout, RidgeReadout):
            raise ArgumentError(
                f"{name} was called on a network that learns online; call update(x_t, y_t, state) at each step, or "
                f"build it with online=False"
            )
        return self.readout
