"""Beam search: the likeliest sequences kept side by side, ranked with penalties."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count
from recurra.models.decoding import Generated, Selectable, Step, check_raw

__all__ = ["Penalties", "check_beam", "search_beam"]


class Penalties(NamedTuple):
    """How hypotheses of different lengths are compared (Wu et al. 2016).

    s(Y) = log P(Y) / lp(Y) + cp(Y)
    lp(Y) = ((5 + |Y|) / 6)^length                      |Y| counts the end token
    cp(Y) = coverage * sum_i log(min(sum_j a_ij, 1))    a_ij: weight of source step i at token j
    """

    length: float
    """0: plain log-probabilities, which favour short sequences."""
    coverage: float
    """Above 0, source steps that no token looked at cost. Only complete hypotheses pay; the search is not led by it."""

    def rank(self, log_probability: Tensor, lengths: Tensor, covered: Tensor | None, present: Tensor | None) -> Tensor:
        """s(Y) of hypotheses, of |Y|, of sum_j a_ij (..., source_time) and where the source has a step."""
        scores = log_probability / ((5 + lengths.to(log_probability.dtype)) / 6) ** self.length
        if covered is None or not self.coverage:
            return scores
        seen = covered.clamp(min=torch.finfo(covered.dtype).tiny, max=1.0).log()
        return scores + self.coverage * (seen if present is None else seen.masked_fill(~present, 0.0)).sum(-1)


class _Beam(NamedTuple):
    """The hypotheses, beam_size a row."""

    log_probability: Tensor  # batch beam; -inf for a place that nothing took
    ended: Tensor  # batch beam
    lengths: Tensor  # batch beam; with the end token
    covered: Tensor | None  # batch beam source_time

    def select(self, places: Tensor) -> _Beam:
        """The hypotheses at these places (batch, beam)."""
        covered = self.covered
        if covered is not None:
            covered = covered.gather(1, places.unsqueeze(-1).expand(-1, -1, covered.shape[-1]))
        log_probability, ended, lengths = (part.gather(1, places) for part in self[:3])
        return _Beam(log_probability, ended, lengths, covered)


def check_beam(beam_size: object, length_penalty: object, coverage_penalty: object) -> None:
    """Raise ArgumentError for an invalid argument of beam search."""
    check_count("beam_size", beam_size)
    for name, value in (("length_penalty", length_penalty), ("coverage_penalty", coverage_penalty)):
        valid = isinstance(value, int | float) and not isinstance(value, bool)
        if not valid or not 0 <= value < math.inf:  # type: ignore[operator]
            raise ArgumentError(f"{name} is {value!r}; expected a number of at least 0; 0 for none")


@torch.no_grad()
def search_beam(
    step: Step,
    state: Selectable,
    *,
    first: Tensor,
    end: int | None,
    max_length: int,
    beam_size: int,
    penalties: Penalties,
    present: Tensor | None = None,
) -> Generated:
    """The best complete sequence found for each row.

    At each step every open hypothesis is continued by every token, and the likeliest fill the places of the open ones.
    One that ends keeps its place, so that fewer are open (Sutskever et al. 2014). The search is over when none is, or
    when no open one can still become better than the best that ended. One that was cut off at max_length counts only
    where none ended.

    step, end, max_length: as for `decode`, for beam_size neighbouring rows in place of each.
    state: what the first step takes, of such rows.
    first: the begin tokens, (batch,).
    present: where the source has a step, (batch, 1, source_time); None: everywhere.
    Raises DivergedError if a logit is NaN.
    """
    batch, offsets = len(first), torch.arange(len(first), device=first.device).unsqueeze(1) * beam_size
    token = first.repeat_interleave(beam_size)
    beam: _Beam | None = None
    history: list[tuple[Tensor, Tensor, Tensor | None]] = []  # tokens, places one step earlier, alignment
    for _ in range(max_length):
        raw, state, alignment = step(token, state)
        check_raw(raw)
        log_p = raw.log_softmax(-1).unflatten(0, (batch, beam_size))  # batch beam classes
        aligned = None if alignment is None else alignment.unflatten(0, (batch, beam_size))
        beam, places, tokens = _advance(beam or _begin(log_p, aligned), log_p, aligned, end)
        if aligned is not None:
            aligned = aligned.gather(1, places.unsqueeze(-1).expand(-1, -1, aligned.shape[-1]))
        history.append((tokens, places, aligned))
        state, token = state.select((places + offsets).flatten()), tokens.flatten()
        if _is_over(beam, penalties, present, max_length):
            break
    assert beam is not None  # max_length is 1 at least
    return _read_best(beam, history, end, penalties, present)


def _begin(log_p: Tensor, aligned: Tensor | None) -> _Beam:
    """One empty hypothesis a row, and no other."""
    places = log_p[..., 0]
    begun = torch.full_like(places, -math.inf)
    begun[:, 0] = 0.0
    nothing = torch.zeros_like(places, dtype=torch.long)
    return _Beam(begun, nothing.bool(), nothing, None if aligned is None else torch.zeros_like(aligned))


def _advance(beam: _Beam, log_p: Tensor, aligned: Tensor | None, end: int | None) -> tuple[_Beam, Tensor, Tensor]:
    """The hypotheses after one more token; for each the place of what it continues, and the token."""
    beam_size, classes = log_p.shape[1:]
    grown = (beam.log_probability.unsqueeze(-1) + log_p).masked_fill(beam.ended.unsqueeze(-1), -math.inf)
    best, chosen = grown.flatten(1).topk(beam_size, -1)  # batch beam
    turn = ((~beam.ended).cumsum(1) - 1).clamp(min=0)  # which of the open places each is, counted from 0
    best, chosen = best.gather(1, turn), chosen.gather(1, turn)
    own = torch.arange(beam_size, device=best.device).expand_as(chosen)
    places = torch.where(beam.ended, own, chosen // classes)
    tokens = torch.where(beam.ended, end or 0, chosen % classes)
    before, was_open = beam.select(places), ~beam.ended
    covered = before.covered
    if covered is not None and aligned is not None:
        looked = aligned.gather(1, places.unsqueeze(-1).expand(-1, -1, aligned.shape[-1]))
        covered = covered + looked * was_open.unsqueeze(-1)
    log_probability = torch.where(was_open, best, beam.log_probability)
    ended = beam.ended | ((tokens == end) & log_probability.isfinite()) if end is not None else beam.ended
    return _Beam(log_probability, ended, before.lengths + was_open, covered), places, tokens


def _is_over(beam: _Beam, penalties: Penalties, present: Tensor | None, max_length: int) -> bool:
    """Whether no open hypothesis can become the best of its row any more."""
    scores = penalties.rank(beam.log_probability, beam.lengths, beam.covered, present)
    done = scores.masked_fill(~beam.ended, -math.inf).amax(1)
    open_ones = beam.log_probability.masked_fill(beam.ended, -math.inf).amax(1)
    # A log-probability only falls, and weighs least at the greatest length; coverage costs nothing at best.
    reachable = penalties.rank(open_ones, torch.full_like(beam.lengths[:, 0], max_length), None, None)
    return bool(((reachable <= done) | (open_ones == -math.inf)).all())


def _read_best(
    beam: _Beam,
    history: list[tuple[Tensor, Tensor, Tensor | None]],
    end: int | None,
    penalties: Penalties,
    present: Tensor | None,
) -> Generated:
    scores = penalties.rank(beam.log_probability, beam.lengths, beam.covered, present)
    counted = torch.where(beam.ended.any(1, keepdim=True), scores.masked_fill(~beam.ended, -math.inf), scores)
    best = counted.argmax(1, keepdim=True)
    place, written, looked = best, [], []
    for tokens, places, aligned in reversed(history):
        written.append(tokens.gather(1, place).squeeze(1))
        if aligned is not None:
            looked.append(aligned.gather(1, place.unsqueeze(-1).expand(-1, -1, aligned.shape[-1])).squeeze(1))
        place = places.gather(1, place)
    steps, ended = beam.lengths.gather(1, best).squeeze(1), beam.ended.gather(1, best).squeeze(1)
    longest = int(steps.max()) if len(steps) else 0
    tokens = torch.stack(written[::-1])[:longest]
    past = torch.arange(longest, device=steps.device).unsqueeze(1) >= steps
    alignment = torch.stack(looked[::-1])[:longest].masked_fill(past.unsqueeze(-1), 0.0) if looked else None
    return Generated(
        tokens.masked_fill(past, end or 0), steps - ended.long(), counted.gather(1, best).squeeze(1), alignment
    )
