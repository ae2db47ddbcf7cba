"""Whether a recurrent layer's gradients vanish or explode, in words and as a picture."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple

from recurra.layers.gradients import LARGEST_STATE, GradientFlow, measure_gradients
from recurra.layers.recurrent import Recurrent

__all__ = ["GONE", "Diagnosis", "Health", "diagnose", "judge"]

GONE = 0.01  # of the gradient, by convention: less of it is lost beside what nearer steps contribute
Kind = Literal["healthy", "vanishing", "exploding", "not finite"]
_FLOAT32_MAX = 3.4028234663852886e38


class Health(NamedTuple):
    """The verdict on one recurrence, by its norms relative to the one at lag 0."""

    flow: GradientFlow
    kind: Kind
    """exploding: a norm is 100 times that at lag 0, or more; not finite: it is not, and one is NaN or infinite;
    vanishing: from some lag on all are under 1 %; healthy: neither, within the steps of the batch."""
    horizon: int | None
    """The lag from which on norms stay under 1 % of that at lag 0: nothing further back is learnt in practice. None: it
    lies beyond the batch."""
    rate: float
    """What one step back multiplies the norm by, on average up to the horizon, the end, or where it is not finite."""
    last_rate: float
    """The same over the later half of these lags, where what happens at first is past: for extrapolation."""

    @property
    def finite(self) -> list[float]:
        """The norms before the first that is NaN or infinite."""
        return list(takewhile(math.isfinite, self.flow.norms))


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found; `str()` gives the words.

    cell: the layer's, by name.
    rows: sequences in the batch; steps: of the longest.
    health: of each recurrence, layer by layer, then by direction.
    """

    cell: str
    rows: int
    steps: int
    health: tuple[Health, ...]

    @property
    def words(self) -> str:
        """The verdict in sentences, one paragraph a recurrence."""
        head = (
            f"{self.cell} on {_counted(self.rows, 'sequence')} of {'up to ' if self.rows > 1 else ''}"
            f"{self.steps} steps, by a gradient of norm 1 sent back from the last output of each."
        )
        both = any(health.flow.direction for health in self.health)
        return "\n".join([head, *(f"{name_of(health.flow, both)}: {describe(health)}" for health in self.health)])

    def draw(self, path: str | os.PathLike[str]) -> Path:
        """Write a PNG: the norms by lag on a logarithmic scale, the horizon, and the spectral radii beneath.

        Returns the path. Raises RecurraError if it cannot be written.
        """
        from recurra.reports.gradients import write_gradients

        return write_gradients(path, {"": self})

    def __str__(self) -> str:
        return self.words


def diagnose(
    layer: Recurrent,
    batch: Any,
    *,
    lengths: Sequence[int] | Any = None,
    state: Any = None,
    loss: Callable[[Any], Any] | None = None,
) -> Diagnosis:
    """How far back in time a recurrent layer learns on a batch: print what comes back, or `draw` it.

    The gradient of a random projection of each row's last output is followed through every step, |dL/ds_t| of the whole
    state and of each field; and the spectral radius of ds_t / ds_(t-1) is taken at some of them. The verdict is on the
    whole state: an LSTM's gradient travels in c, which dL/dh_t alone does not show. `measure_gradients` in
    `recurra.layers.gradients` has the definitions, `Health` the thresholds.

    layer: a `Recurrent` or drop-in, of one or more layers and directions, as it stands in training or evaluation; it is
        not changed.
    batch, lengths, state: as for a call of the layer: x padded, packed or nested.
    loss: of y, to a scalar, as training has it; its norms are told beside, and change nothing in the verdict: a loss
        that asks every step puts a new gradient in at every step, and would hide how far one reaches.

    Raises ArgumentError if the layer is no recurrent layer of recurra's or is dilated, the batch does not fit it or has
    a single time step, or the loss returns something else than a scalar made of y.

    >>> import torch
    >>> from recurra.nn import Recurrent
    >>> layer = Recurrent("elman-linear", 1, 1, seed=0)
    >>> _ = torch.nn.init.constant_(layer.weight_hh_l0, 0.5)
    >>> diagnose(layer, torch.ones(20, 4, 1)).health[0].horizon
    7
    """
    flows = measure_gradients(layer, batch, lengths=lengths, state=state, loss=loss)
    return Diagnosis(layer.cell.name, flows[0].rows, len(flows[0].norms), tuple(map(judge, flows)))


def judge(flow: GradientFlow) -> Health:
    """The verdict on the norms of one recurrence."""
    finite = list(takewhile(math.isfinite, flow.norms))
    felt = [lag for lag, norm in enumerate(finite) if norm >= GONE * finite[0] > 0]
    horizon = felt[-1] + 1 if felt else 0
    kind: Kind = "healthy"
    if felt and max(finite) >= finite[0] / GONE:
        kind = "exploding"
    elif len(finite) < len(flow.norms):
        kind = "not finite"
    elif horizon < len(finite):
        kind = "vanishing"
    end = min(horizon, len(finite) - 1)
    reach = horizon if horizon < len(finite) == len(flow.norms) else None
    return Health(flow, kind, reach, _rate(finite, 0, end), _rate(finite, end // 2, end))


def _rate(norms: Sequence[float], start: int, end: int) -> float:
    """What a step multiplies the norm by, on average between two lags."""
    if end <= start or not norms[start]:
        return math.nan
    return math.exp(math.log(norms[end] / norms[start]) / (end - start)) if norms[end] else 0.0


def name_of(flow: GradientFlow, both: bool) -> str:
    """Which recurrence it is: "layer 1", and its direction if there are both."""
    return f"layer {flow.layer}" + (f" {'backward' if flow.direction else 'forward'}" if both else "")


def describe(health: Health) -> str:
    """The verdict on one recurrence in sentences."""
    tell = {"healthy": _reach, "vanishing": _vanish, "exploding": _explode, "not finite": _break}[health.kind]
    parts = [f"{health.kind}. {tell(health)}", _fields(health), _radius(health.flow), _of_loss(health.flow)]
    return " ".join(part for part in parts if part)


def _vanish(health: Health) -> str:
    if not health.horizon:
        return "No gradient arrives at its last step: nothing is learnt in it."
    return (
        f"{_average(health)}: {_left(health, health.horizon)} is left after {_counted(health.horizon, 'step')}. "
        f"This is the horizon, beyond which nothing is learnt in practice."
    )


def _reach(health: Health) -> str:
    last = len(health.flow.norms) - 1
    text = (
        f"{_average(health)}: {_left(health, last)} is left after {_counted(last, 'step')}, so the horizon lies beyond "
        f"the {last + 1} steps of the batch."
    )
    if health.last_rate < 1:
        fall = math.log(GONE * health.flow.norms[0] / health.flow.norms[last])
        beyond = last + math.ceil(fall / math.log(health.last_rate))
        return f"{text} Extrapolated from the later half, it would be at about {_rough(beyond)} steps."
    return f"{text} In the later half nothing is lost, so none can be extrapolated."


def _explode(health: Health) -> str:
    norms = health.finite
    peak = max(range(len(norms)), key=norms.__getitem__)
    text = f"{_average(health)}: after {_counted(peak, 'step')} it is {norms[peak] / norms[0]:.3g} times what it was"
    over = next((lag for lag, norm in enumerate(norms) if norm > _FLOAT32_MAX), None)
    if over is not None:
        text += f"; float32 overflows after {_counted(over, 'step')}"
    elif health.last_rate > 1:
        more = math.log(_FLOAT32_MAX / norms[-1]) / math.log(health.last_rate)
        lag = _rough(len(norms) - 1 + more)
        text += f"; extrapolated from the later half, float32 would overflow after about {lag} steps"
    if health.horizon is not None:
        text += f"; then it falls, to under 1 % from {health.horizon} steps on"
    return f"{text}. Clipping bounds what a step of training can break: clip_norm=1.0 in TrainingSettings."


def _break(health: Health) -> str:
    lag = len(health.finite)
    found = "NaN" if math.isnan(health.flow.norms[lag]) else "infinite"
    return (
        f"The gradient is {found} from lag {lag} on: look for NaN and extremes in the batch, the state and the weights."
    )


def _fields(health: Health) -> str:
    """What each field carries, where there are several."""
    flow = health.flow
    if len(flow.by_field) < 2 or health.kind == "not finite" or not flow.norms[0]:
        return ""
    lag = len(flow.norms) - 1 if health.horizon is None else health.horizon
    shares = [f"|dL/d{name}| {norms[lag]:.2g}" for name, norms in flow.by_field.items()]
    return f"There {', '.join(shares[:-1])} and {shares[-1]}; the verdict is on the whole state."


def _radius(flow: GradientFlow) -> str:
    if not flow.radii:
        return f"The spectral radius was not taken: a state of {flow.state_size} numbers, more than {LARGEST_STATE}."
    values = [radius.value for radius in flow.radii]
    if any(math.isnan(value) for value in values):
        return "The Jacobian is not finite either."
    low, high = f"{min(values):.3g}", f"{max(values):.3g}"
    spread = low if low == high else f"{low} to {high}, with the median {median(values):.3g}"
    return f"The Jacobian's spectral radius is {spread} ({_counted(len(values), 'step')} measured)."


def _of_loss(flow: GradientFlow) -> str:
    if flow.by_loss is None:
        return ""
    wrong = next((lag for lag, norm in enumerate(flow.by_loss) if not math.isfinite(norm)), None)
    if wrong is not None:
        return f"By the loss given, the gradient is {flow.by_loss[wrong]} at lag {wrong}."
    first, last = flow.by_loss[-1], flow.by_loss[0]
    return f"By the loss given, |dL/ds_t| is {last:.3g} at its last step and {first:.3g} at its first."


def _average(health: Health) -> str:
    return f"Each step back multiplies the gradient by {health.rate:.3g} on average"


def _left(health: Health, lag: int) -> str:
    """How much is left at a lag, in per cent: "0.93 %"."""
    share = 100 * health.flow.norms[lag] / health.flow.norms[0]
    return f"{share:.2g} %" if share < 10 else f"{share:.0f} %"


def _rough(steps: float) -> str:
    """A number of steps to two digits."""
    return f"{float(f'{steps:.2g}'):,.0f}"


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
