"""Whether an echo state network forgets where it began, and how long a prediction of chaos holds."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.cells import State
from recurra.errors import ArgumentError
from recurra.layers import Reservoir
from recurra.models.echo_parts import EchoState
from recurra.models.echo_state import EchoStateNetwork
from recurra.models.reservoir_group import Starts

__all__ = ["EchoStateCheck", "check_echo_state", "valid_steps"]


class EchoStateCheck(NamedTuple):
    """How fast a reservoir forgets where it began.

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
def check_echo_state(
    network: Reservoir | EchoStateNetwork,
    x: Tensor,
    *,
    y: Tensor | None = None,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> EchoStateCheck:
    """Whether the echo state property holds on an input: runs from two random states must meet (Jaeger 2001).

    network: a reservoir; or a network, whose units are compared.
    x: (time, feature).
    y: the outputs that are fed back to a network with feedback, (time, feature): those it was taught.
    tolerance: of the distance, over that at the first step.
    seed: of the states.
    Raises ArgumentError if a shape does not fit, or y is missing or in vain.

    >>> check = check_echo_state(Reservoir(1, 50, spectral_radius=0.8, seed=0), torch.zeros(200, 1))
    >>> check.holds, check.steps < 200
    (True, True)
    """
    _check(network, x, y)
    generator = torch.Generator().manual_seed(seed)
    runs = [_run(network, x, y, generator) for _ in range(2)]
    distances = (runs[0] - runs[1]).norm(dim=-1)
    distances = distances / max(float(distances[0]), torch.finfo(distances.dtype).tiny)
    above = (distances > tolerance).nonzero()
    last = int(above[-1]) + 1 if len(above) else 0
    return EchoStateCheck(distances, last if last < len(distances) else None)


def valid_steps(prediction: Tensor, truth: Tensor, *, threshold: float = 0.4) -> int:
    """Steps before a prediction leaves the truth: until its distance, over the truth's spread, exceeds the threshold.

    prediction, truth: (time, feature). For chaotic series; divide by the steps of a Lyapunov time to compare.
    Raises ArgumentError if the shapes differ, or there is a batch.
    """
    if prediction.shape != truth.shape or truth.dim() != 2:
        raise ArgumentError(
            f"prediction is {tuple(prediction.shape)}, truth {tuple(truth.shape)}; expected one shape for both, "
            f"(time, feature): of a batch, a row at a time"
        )
    spread: Any = (truth - truth.mean(0)).square().sum(-1).mean().sqrt()
    beyond = ((prediction - truth).norm(dim=-1) > threshold * spread) | ~prediction.isfinite().all(-1)
    left = beyond.nonzero()
    return int(left[0]) if len(left) else len(truth)


def _check(network: object, x: object, y: Tensor | None) -> None:
    if not isinstance(network, Reservoir | EchoStateNetwork):
        raise ArgumentError(f"network is {type(network).__name__}; expected a Reservoir or an EchoStateNetwork")
    if not isinstance(x, Tensor) or x.dim() != 2:
        came = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ArgumentError(f"x is {came}; expected one sequence, (time, feature)")
    feedback = isinstance(network, EchoStateNetwork) and network.feedback
    if feedback and y is None:
        raise ArgumentError("y was left out; a network with feedback reads outputs too: pass those it was taught")
    if y is not None and not feedback:
        raise ArgumentError("y was passed, and nothing is fed back that would be compared; leave it out")


def _run(network: Reservoir | EchoStateNetwork, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Tensor:
    """The units at each step, (time, unit), from states that are drawn."""
    if isinstance(network, Reservoir):
        units, _ = network(x, _drawn((network.initial_state(),), generator)[0])
        return units  # type: ignore[no-any-return]
    drawn = _drawn(network.reservoirs.initial_state(), generator)
    nothing = network.reservoirs.weight.new_zeros(network.output_size)
    return network.read(x, EchoState(drawn, torch.tensor(0), nothing), y=y)[0]


def _drawn(zeros: Starts, generator: torch.Generator) -> Starts:
    """States from -1 to 1."""

    def draw(part: Tensor) -> Tensor:
        return (2 * torch.rand(part.shape, generator=generator, dtype=part.dtype) - 1).to(part.device)

    def drawn(state: State) -> State:
        return state.map(draw)

    return tuple(tuple(map(drawn, layers)) for layers in zeros)
