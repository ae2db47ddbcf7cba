"""A chain of labels decided together: a conditional random field, which scores how one label follows another."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count, check_flag
from recurra.layers.chains import LogPartition, accumulate, best_path, distribute, draw_path
from recurra.layers.head import Head, check_mask, check_raw, check_shape
from recurra.layers.inputs import check_codes
from recurra.layers.lengths import lengths_of_mask, mask_of_lengths
from recurra.layers.sampling import check_temperature

__all__ = ["Allowed", "ConditionalRandomField"]

# Added to the score of what is forbidden. Its exponential is 0 exactly, so that it is as good as -inf beside any path
# that is allowed; but differences of it are numbers, where those of -inf are not.
_FORBIDDEN = -1e30


class Allowed(NamedTuple):
    """Which labels may follow which, as booleans."""

    transitions: Tensor
    """(from, to): whether the second may follow the first."""
    starts: Tensor
    """(class,): whether a sequence may begin with it."""
    ends: Tensor
    """(class,): whether a sequence may end with it."""


class ConditionalRandomField(Head):
    """Labels of a whole sequence at once, for tagging (Lafferty et al. 2001; on recurrent nets: Lample et al. 2016).

        score(y) = s[y_1] + sum_t raw_t[y_t] + sum_t A[y_t, y_(t+1)] + e[y_T],  raw_t = V h_t + c
        p(y) = exp score(y) / Z,  Z the sum over all sequences          loss: -log p(target), per step of the batch

    num_classes: codes of the target, 0 to num_classes - 1.
    batch_first: raw outputs are (batch, time, raw) and not (time, batch, raw).
    constraints: which labels may follow which: booleans (from, to), or `Allowed` with those of the ends too, as
        `bio_transitions` makes them of the names of tags. What is forbidden has probability 0. None: all may.
    seed: initial values of V and c come from this seed alone; None: from torch's global generator.

    A, s and e are the parameters transitions (from, to), starts and ends; they begin with 0, as `Softmax` would decide.
    Z, the best sequence and the probabilities take one pass over time of a few operations on (batch, from, to) a step,
    a backward pass the same; what training keeps are two numbers a step and class. Numbers of half precision are
    computed with in float32.

    Raises ArgumentError for any invalid argument, or constraints that leave no sequence of some length.

    >>> head = ConditionalRandomField(4, 3, constraints=~torch.eye(3, dtype=torch.bool), seed=0)
    >>> raw = head(torch.zeros(5, 2, 4))  # time batch feature
    >>> raw.shape, head.loss(raw, torch.tensor([[0, 2], [1, 0], [0, 1], [2, 0], [1, 2]])).shape
    (torch.Size([5, 2, 3]), torch.Size([]))
    >>> head.predict(torch.tensor([[9.0, 0, 0], [8.0, 5, 0], [9.0, 0, 0]]))  # no label twice
    tensor([0, 1, 0])
    """

    stepwise = False
    _forbidden: Tensor
    _no_start: Tensor
    _no_end: Tensor

    def __init__(
        self,
        input_size: int,
        num_classes: int,
        *,
        batch_first: bool = False,
        constraints: Allowed | Tensor | None = None,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_flag("batch_first", batch_first)
        allowed = _read_constraints(constraints, check_count("num_classes", num_classes))
        super().__init__(input_size, num_classes, seed=seed, device=device, dtype=dtype)
        self.num_classes, self.batch_first = num_classes, batch_first
        self.transitions = nn.Parameter(torch.zeros(num_classes, num_classes, device=device, dtype=dtype))
        self.starts = nn.Parameter(torch.zeros(num_classes, device=device, dtype=dtype))
        self.ends = nn.Parameter(torch.zeros(num_classes, device=device, dtype=dtype))
        for name, may in zip(("_forbidden", "_no_start", "_no_end"), allowed, strict=True):
            self.register_buffer(name, ~may.to(device or torch.get_default_device()), persistent=False)

    def reset_parameters(self) -> None:
        """Draw V and c anew, and forget what follows what."""
        super().reset_parameters()
        for name in ("transitions", "starts", "ends"):
            if name in self._parameters:  # the first time the head is not built yet
                nn.init.zeros_(getattr(self, name))

    def loss(self, raw: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """-log p(target) of all rows, divided by the steps that they have together; 0 if they have none.

        raw: outputs (time, batch, raw_size), or (time, raw_size).
        target: the label of each step, in the shape of the steps.
        mask: True where a row has a step, at its front, in the shape of the steps; None: everywhere. What stands
            elsewhere does not matter.
        Raises ArgumentError if a shape, type or code does not fit, or a target is forbidden.
        """
        self._check(raw)
        if mask is not None:
            check_mask(mask, raw.shape[:-1])
            batch_first = self.batch_first and raw.dim() == 3
            shape = tuple(raw.shape[1::-1] if batch_first else raw.shape[:-1])
            lengths_of_mask(mask, shape=shape, batch_first=batch_first)  # no row has a hole
        check_shape(target, raw.shape[:-1], "one code each")
        target = check_codes("target", target, self.num_classes, mask=mask)
        emissions, transitions, kept = self._scores(raw, mask)
        labels = self._by_time(target, 1)
        labels = labels if kept is None else labels.masked_fill(~kept, 0)
        self._check_allowed(labels, kept)
        followed = transitions[labels[:-1], labels[1:]]  # time-1 batch
        followed = followed if kept is None else followed * kept[1:]
        chosen = emissions.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
        total = emissions.new_tensor(labels.numel()) if kept is None else kept.sum()
        normalisers: Tensor = LogPartition.apply(emissions, transitions, kept)  # type: ignore[no-untyped-call]
        return (normalisers.sum() - chosen.sum() - followed.sum()) / total.clamp(min=1)

    def predict(self, raw: Tensor, *, lengths: Any = None) -> Tensor:
        """The likeliest labels of each row (Viterbi 1967), in the shape of the steps; 0 behind a row's end.

        raw: outputs of whole sequences, (time, batch, raw_size) or (time, raw_size).
        lengths: steps of each row; None: all.
        Raises ArgumentError if a shape or length does not fit.
        """
        with torch.no_grad():
            emissions, transitions, kept = self._read(raw, lengths)
            return self._by_row(best_path(emissions, transitions, kept), kept, raw)

    def marginals(self, raw: Tensor, *, lengths: Any = None) -> Tensor:
        """The probability of each label at each step, over all sequences, in the shape of raw; 0 behind a row's end.

        Arguments and errors are those of `predict`. No gradient runs through it.
        """
        with torch.no_grad():
            emissions, transitions, kept = self._read(raw, lengths)
            alphas, norms = accumulate(emissions, transitions, kept)
            shares, _ = distribute(alphas, norms, transitions, kept, emissions.new_ones(emissions.shape[1]))
            return self._by_row(shares, None if kept is None else kept.unsqueeze(-1), raw).to(raw.dtype)

    def sample(
        self,
        raw: Tensor,
        *,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        lengths: Any = None,
    ) -> Tensor:
        """Labels of each row at random, with probability proportional to exp(score(y) / temperature).

        raw, lengths and what is returned: as of `predict`. Raises ArgumentError for a temperature below 0.
        """
        if not check_temperature(temperature):
            return self.predict(raw, lengths=lengths)
        with torch.no_grad():
            emissions, transitions, kept = self._read(raw, lengths)
            path = draw_path(emissions / temperature, transitions / temperature, kept, generator)
            return self._by_row(path, kept, raw)

    def _check(self, raw: Tensor) -> None:
        check_raw(raw, self.raw_size)
        if raw.dim() not in (2, 3) or not raw.shape[int(self.batch_first and raw.dim() == 3)]:
            axes = "(batch, time, raw_size)" if self.batch_first else "(time, batch, raw_size)"
            raise ArgumentError(
                f"raw has shape {tuple(raw.shape)}; expected {axes} or (time, raw_size), with one step at least: "
                f"labels are decided for whole sequences"
            )

    def _read(self, raw: Tensor, lengths: Any) -> tuple[Tensor, Tensor, Tensor | None]:
        self._check(raw)
        batch_first = self.batch_first and raw.dim() == 3
        mask = mask_of_lengths(lengths, shape=raw.shape[:-1], batch_first=batch_first, device=raw.device)
        return self._scores(raw, mask)

    def _scores(self, raw: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Scores of labels (time, batch, class), 0 where no step is, and of transitions; and the mask (time, batch).

        Those of labels have the ends' scores too, and the same taken off all labels of a step, which changes no
        probability: sums over long sequences stay small.
        """
        steps, kept = self._by_time(raw, 2), None if mask is None else self._by_time(mask, 1)
        dtype = torch.promote_types(steps.dtype, torch.float32)
        if kept is not None:
            steps = steps.masked_fill(~kept.unsqueeze(-1), 0)
        emissions = steps.to(dtype)
        emissions = emissions - emissions.detach().logsumexp(-1, keepdim=True)
        transitions = self.transitions.to(dtype).masked_fill(self._forbidden, _FORBIDDEN)
        starts = self.starts.to(dtype).masked_fill(self._no_start, _FORBIDDEN)
        ends = self.ends.to(dtype).masked_fill(self._no_end, _FORBIDDEN)
        place = torch.arange(len(steps), device=steps.device).view(-1, 1, 1)
        last = len(steps) - 1 if kept is None else kept.sum(0).unsqueeze(-1) - 1  # batch 1
        emissions = emissions + (place == 0) * starts + (place == last) * ends
        return emissions if kept is None else emissions * kept.unsqueeze(-1), transitions, kept

    def _check_allowed(self, labels: Tensor, kept: Tensor | None) -> None:
        """Raise ArgumentError if a target (time, batch) is forbidden."""
        if not (self._forbidden.any() or self._no_start.any() or self._no_end.any()):
            return
        here = torch.ones_like(labels, dtype=torch.bool) if kept is None else kept
        after = torch.cat([here[1:], torch.zeros_like(here[:1])])  # a step follows
        wrong = torch.zeros_like(here)
        wrong[:-1] = self._forbidden[labels[:-1], labels[1:]] & after[:-1]
        for what, found in (
            ("is followed by", wrong),
            ("begins a sequence", (self._no_start[labels] & here) & (torch.arange(len(here)).to(labels) == 0)[:, None]),
            ("ends a sequence", self._no_end[labels] & here & ~after),
        ):
            if bool(found.any()):
                step, row = found.nonzero()[0].tolist()
                follower = f" {int(labels[step + 1, row])}" if found is wrong else ""
                raise ArgumentError(
                    f"target {int(labels[step, row])} {what}{follower} at step {step} of row {row}, which the "
                    f"constraints forbid; mend the labels, or build the head without constraints"
                )

    def _by_time(self, values: Tensor, axes: int) -> Tensor:
        """Time first, with a batch. axes: of values without a batch."""
        if values.dim() == axes:
            return values.unsqueeze(1)
        return values.transpose(0, 1) if self.batch_first else values

    def _by_row(self, values: Tensor, kept: Tensor | None, raw: Tensor) -> Tensor:
        """(time, batch, ...) in the order of raw, 0 where no step is."""
        values = values if kept is None else values * kept
        return values.squeeze(1) if raw.dim() == 2 else values.transpose(0, 1) if self.batch_first else values


def _read_constraints(constraints: Any, num_classes: int) -> Allowed:
    """What is allowed; raise ArgumentError unless it is booleans of these shapes, and some sequence of any length."""
    everything = torch.ones(num_classes, num_classes, dtype=torch.bool, device="cpu")
    given = constraints if isinstance(constraints, tuple) else (constraints, None, None)
    if len(given) != 3:
        raise ArgumentError(f"constraints has {len(given)} parts; expected booleans (from, to), or Allowed")
    usual = (everything, everything[0], everything[0])
    parts = [default if part is None else part for part, default in zip(given, usual, strict=True)]
    for name, part, default in zip(Allowed._fields, parts, usual, strict=True):
        if not isinstance(part, Tensor) or part.dtype != torch.bool or part.shape != default.shape:
            came = f"{tuple(part.shape)} of {part.dtype}" if isinstance(part, Tensor) else type(part).__name__
            said = f"constraints.{name}" if isinstance(constraints, tuple) else "constraints"
            raise ArgumentError(f"{said} is {came}; expected a boolean tensor {tuple(default.shape)}, True for allowed")
    allowed = Allowed(*(part.cpu() for part in parts))
    reached = allowed.starts
    seen: set[tuple[bool, ...]] = set()
    # What can be reached after so many steps comes round again; more kinds of it than that are not looked for.
    while (key := tuple(reached.tolist())) not in seen and len(seen) <= num_classes**2:
        seen.add(key)
        if not bool((reached & allowed.ends).any()):
            raise ArgumentError(
                f"constraints allow no sequence of {len(seen)} steps; allow some transition, start or end"
            )
        reached = allowed.transitions[reached].any(0)
    return allowed
