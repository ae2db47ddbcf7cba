"""What an echo state network has below its readout: reservoirs, outputs that they read again, and where it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from recurra.errors import ArgumentError
from recurra.layers import Reservoir
from recurra.layers.arguments import check_count, check_flag, check_not_negative, check_seed
from recurra.layers.lengths import mask_of_lengths
from recurra.layers.shapes import check_sequence, check_step
from recurra.models.echo_parts import EchoState, last_step
from recurra.models.reservoir_group import ReservoirGroup

__all__ = ["EchoBody", "Lengths"]

Lengths = Tensor | Sequence[int] | None


class EchoBody(nn.Module):
    """Reservoirs side by side, and outputs that are fed back to them. Its arguments are `EchoStateNetwork`'s.

    Raises ArgumentError for an invalid argument.
    """

    def __init__(
        self,
        reservoirs: Reservoir | Sequence[Reservoir],
        output_size: int,
        *,
        feedback: bool,
        read_input: bool,
        noise: float,
        seed: int,
    ) -> None:
        super().__init__()
        self.reservoirs = ReservoirGroup(reservoirs)
        check_flag("feedback", feedback)
        check_flag("read_input", read_input)
        if check_not_negative("noise", noise) and not feedback:
            raise ArgumentError(f"noise is {noise!r}, and there is no feedback that it is added to; use feedback=True")
        check_seed(seed)
        self.output_size = check_count("output_size", output_size)
        self.input_size = self.reservoirs.input_size - (output_size if feedback else 0)
        if self.input_size < 0:
            raise ArgumentError(
                f"feedback=True: reservoirs must read at least the {output_size} outputs, and x; theirs is an "
                f"input_size of {self.reservoirs.input_size}: build them for x and y together"
            )
        self.feedback, self.read_input, self.noise, self.seed = feedback, read_input, noise, seed

    @property
    def features(self) -> int:
        """What the readout reads: units, and the features of x if read_input."""
        return self.reservoirs.output_size + (self.input_size if self.read_input else 0)

    def explain(self) -> str:
        """Which engine runs each reservoir here and now, and whether `generate` goes on by streams or by steps."""
        return self.reservoirs.explain()

    def _read(self, read: Tensor, x: Tensor, state: EchoState, mask: Tensor | None) -> tuple[Tensor, EchoState]:
        """What the readout reads of a sequence, of which the reservoirs read `read`."""
        counts = None if mask is None else mask.sum(0).cpu()
        units, ends = self.reservoirs(read, state.reservoirs, None if counts is None else counts.reshape(-1))
        steps = state.steps + (len(x) if counts is None else counts)
        return self._with_input(units, x), EchoState(ends, steps)

    def _force(
        self, x: Tensor, y: Tensor | None, state: EchoState, mask: Tensor | None = None, *, noise: float = 0.0
    ) -> tuple[Tensor, EchoState]:
        """What the readout reads if y are the outputs, the last of which the state has; None: the next x."""
        counts, read = None if mask is None else mask.sum(0), x
        if self.feedback:
            if y is None:
                begun = (state.steps > 0).to(x.device).unsqueeze(-1)
                fed = torch.cat([x[:1].where(begun, 0.0), x[1:]])
            else:
                assert state.y is not None
                fed = torch.cat([state.y[None], y[:-1]])
            read = torch.cat([x, self._disturbed(fed, state.steps, noise) if noise else fed], -1)
        features, last = self._read(read, x, state, mask)
        if y is None:
            return features, last._replace(waiting=last_step(features, counts, state.waiting))
        return features, last._replace(y=last_step(y, counts, state.y) if self.feedback else None)

    def _disturbed(self, fed: Tensor, steps: Tensor, noise: float) -> Tensor:
        """With noise of that deviation, each step's own, and so the same whatever the parts. steps: those before."""
        first = int(steps.max())
        numbers = range(first, first + len(fed))
        drawn = [np.random.default_rng((self.seed, number)).standard_normal(fed.shape[1:]) for number in numbers]
        return fed + noise * torch.from_numpy(np.stack(drawn)).to(fed)

    def _with_input(self, units: Tensor, x: Tensor) -> Tensor:
        return torch.cat([units, x], -1) if self.read_input else units

    def _begin(self, batch: int | None, state: EchoState | None) -> EchoState:
        """The state; zeros where it is None."""
        if state is None:
            lead = () if batch is None else (batch,)
            y = self.reservoirs.weight.new_zeros(*lead, self.output_size) if self.feedback else None
            return EchoState(self.reservoirs.initial_state(batch), torch.zeros(lead, dtype=torch.int64), y)
        if not isinstance(state, EchoState) or len(state.reservoirs) != len(self.reservoirs):
            raise ArgumentError(f"state is {type(state).__name__}; expected what the network returned")
        return state

    def _check(self, x: Tensor, *, step: bool = False) -> int | None:
        """The rows of x; None without a batch. Raises ArgumentError unless it is what the network reads."""
        if self.feedback and isinstance(x, Tensor) and x.dim() and x.shape[-1] != self.input_size:
            raise ArgumentError(
                f"x has {x.shape[-1]} features; reservoirs with feedback read x and the {self.output_size} outputs, "
                f"and theirs is an input_size of {self.reservoirs.input_size}: pass x with {self.input_size} features, "
                f"or build them with input_size={x.shape[-1] + self.output_size}"
            )
        if step:
            check_step(x, input_size=self.input_size, weight=self.reservoirs.weight)
            return len(x) if x.dim() == 2 else None
        if not isinstance(x, Tensor) or x.is_nested:
            raise ArgumentError(f"x is {type(x).__name__}; expected a tensor (time, batch, feature) or (time, feature)")
        check_sequence(x, input_size=self.input_size, batch_first=False, weight=self.reservoirs.weight)
        return x.shape[1] if x.dim() == 3 else None

    def _check_pair(self, x: Tensor, y: Tensor | None) -> int | None:
        """The rows of x; None without a batch. Raises ArgumentError unless y fits it, or the next x stands for y."""
        batch = self._check(x)
        if y is not None:
            self._check_outputs("y", y, x)
        elif self.output_size != self.input_size:
            raise ArgumentError(
                f"y was left out, for which the next x would stand; it has {self.input_size} features, outputs "
                f"{self.output_size}: pass y"
            )
        return batch

    def _check_outputs(self, name: str, y: object, x: Tensor) -> Tensor:
        """y; raise ArgumentError unless it has the steps and rows of x, and the features of an output."""
        expected = (*x.shape[:-1], self.output_size)
        if not isinstance(y, Tensor) or tuple(y.shape) != expected:
            came = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
            raise ArgumentError(f"{name} is {came}, x {tuple(x.shape)}; expected {expected}, an output for each step")
        if y.dtype != x.dtype:
            raise ArgumentError(f"{name} has dtype {y.dtype}, x {x.dtype}; convert one: {name}.to({x.dtype})")
        return y

    def _mask(self, x: Tensor, lengths: Lengths) -> Tensor | None:
        """True where a row has a step, (time, batch) or (time,); None if all have all."""
        if lengths is None:
            return None
        self._check(x)
        return mask_of_lengths(lengths, shape=x.shape[:-1], batch_first=False, device=x.device)
