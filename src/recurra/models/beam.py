"""Beam search: the likeliest sequences kept side by side, ranked with penalties."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count, check_not_negative
from recurra.models.decoding import Generated, Step, check_diverged
from recurra.models.memory import DecoderState, Memory

__all__ = ["BEAM_SIZE", "Penalties", "Searched", "check_beam", "search_beam"]


BEAM_SIZE = 5
_LEAST_COVERED = 1e-3
_WORTH = 0.2  # share of rows that must be over for the others to be copied away from them


class Penalties(NamedTuple):
    """How hypotheses of different lengths are compared (Wu et al. 2016).

    s(Y) = log P(Y) / lp(Y) + cp(Y)
    lp(Y) = ((5 + |Y|) / 6)^length                      |Y| counts the end token
    cp(Y) = coverage * sum_i log(clip(sum_j a_ij, 0.001, 1))    a_ij: weight of source step i at token j

    The floor is ours: weights outside of a window are exactly 0, and log 0 would silence all else.
    """

    length: float = 0.6
    """0: plain log-probabilities, which favour short sequences."""
    coverage: float = 0.0
    """Above 0, source steps that no token looked at cost, at most 6.9 times as much each. Only complete hypotheses pay;
    the search is not led by it."""

    def rank(self, log_probability: Tensor, lengths: Tensor, covered: Tensor | None, present: Tensor | None) -> Tensor:
        """s(Y) of hypotheses, of |Y|, of sum_j a_ij (..., source_time) and where the source has a step."""
        scores = log_probability / ((5 + lengths.to(log_probability.dtype)) / 6) ** self.length
        if covered is None or not self.coverage:
            return scores
        seen = covered.clamp(min=_LEAST_COVERED, max=1.0).log()
        return scores + self.coverage * (seen if present is None else seen.masked_fill(~present, 0.0)).sum(-1)


class Searched(NamedTuple):
    """What a step of the search reads, with beam_size neighbouring rows for each of the batch."""

    memory: Memory
    state: DecoderState

    def move(self, rows: Tensor) -> Searched:
        """With the states of these rows, in their order, beside memories that are the same for neighbours."""
        return self._replace(state=self.state.select(rows))

    def select(self, rows: Tensor) -> Searched:
        """Of these rows, in their order."""
        return Searched(self.memory.select(rows), self.state.select(rows))


class _Past(NamedTuple):
    """What was chosen at a step for each hypothesis."""

    tokens: Tensor  # batch beam
    places: Tensor  # batch beam; of what it continues
    aligned: Tensor | None  # batch beam source_time

    def of(self, rows: Tensor) -> _Past:
        """Of these rows of the batch."""
        return _Past(self.tokens[rows], self.places[rows], None if self.aligned is None else self.aligned[rows])


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

    def of(self, rows: Tensor) -> _Beam:
        """Of these rows of the batch."""
        log_probability, ended, lengths = (part[rows] for part in self[:3])
        return _Beam(log_probability, ended, lengths, None if self.covered is None else self.covered[rows])


class _Search(NamedTuple):
    """A search between two steps."""

    rows: Tensor  # batch; which of all rows these are
    beam: _Beam
    history: list[_Past]
    searched: Searched
    present: Tensor | None  # batch 1 source_time

    def of(self, rows: Tensor) -> _Search:
        """Of these rows of the batch."""
        places = torch.arange(self.beam.ended.shape[1], device=rows.device)
        neighbours = (rows.unsqueeze(1) * len(places) + places).flatten()
        present = None if self.present is None else self.present[rows]
        history = [past.of(rows) for past in self.history]
        return _Search(self.rows[rows], self.beam.of(rows), history, self.searched.select(neighbours), present)


def check_beam(method: object, beam_size: object, penalties: Penalties) -> None:
    """Raise ArgumentError for an invalid argument of beam search, or one that means nothing for the method."""
    check_count("beam_size", beam_size)
    check_not_negative("length_penalty", penalties.length)
    check_not_negative("coverage_penalty", penalties.coverage)
    if method != "beam" and (beam_size, penalties) != (BEAM_SIZE, Penalties()):
        raise ArgumentError(
            f"beam_size is {beam_size}, length_penalty {penalties.length}, coverage_penalty {penalties.coverage} and "
            f"method {method!r}, which keeps one sequence; leave them out, or use method='beam'"
        )


@torch.no_grad()
def search_beam(
    step: Step,
    searched: Searched,
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
    where none ended. Rows whose search is over are left out of the steps that others still need.

    step, end, max_length: as for `Writing`, for beam_size neighbouring rows in place of each.
    searched: what the first step takes, of such rows.
    first: the begin tokens, (batch,).
    present: where the source has a step, (batch, 1, source_time); None: everywhere.
    Raises DivergedError if a logit is NaN.
    """
    token = first.repeat_interleave(beam_size)
    rows = torch.arange(len(first), device=first.device)
    search: _Search | None = None
    found: list[tuple[Tensor, Generated]] = []
    for left in reversed(range(max_length)):
        raw, reached, alignment = step(token, searched if search is None else search.searched)
        log_p, tokens = (part.unflatten(0, (-1, beam_size)) for part in _likeliest(raw, beam_size))  # batch beam kept
        aligned = None if alignment is None else alignment.unflatten(0, (-1, beam_size))
        if search is None:
            search = _Search(rows, _begin(log_p, aligned), [], searched, present)
        search = _go_on(search, log_p, tokens, aligned, reached, end)
        over = _are_over(search, penalties, max_length)
        if not left or bool(over.all()):
            break
        if int(over.sum()) >= _WORTH * len(over):
            done, search = (search.of(part.nonzero().squeeze(1)) for part in (over, ~over))
            found.append((done.rows, _read(done, penalties, end)))
        token = search.history[-1].tokens.flatten()
    assert search is not None  # max_length is 1 at least
    return _merge([*found, (search.rows, _read(search, penalties, end))], end)


def _likeliest(raw: Tensor, beam_size: int) -> tuple[Tensor, Tensor]:
    """log P and number of the tokens that can be among the best of a row: those likeliest in each hypothesis."""
    likeliest, tokens = raw.topk(min(beam_size, raw.shape[-1]), -1)
    log_p = likeliest - raw.logsumexp(-1, keepdim=True)
    check_diverged(log_p)
    return log_p, tokens


def _begin(log_p: Tensor, aligned: Tensor | None) -> _Beam:
    """One empty hypothesis a row, and no other."""
    places = log_p[..., 0]
    begun = torch.full_like(places, -math.inf)
    begun[:, 0] = 0.0
    nothing = torch.zeros_like(places, dtype=torch.long)
    return _Beam(begun, nothing.bool(), nothing, None if aligned is None else torch.zeros_like(aligned))


def _advance(
    beam: _Beam, log_p: Tensor, tokens: Tensor, aligned: Tensor | None, end: int | None
) -> tuple[_Beam, Tensor, Tensor]:
    """The hypotheses after one more token, of those kept of each; for each the place of what it continues, and the
    token."""
    beam_size, kept = log_p.shape[1:]
    grown = (beam.log_probability.unsqueeze(-1) + log_p).masked_fill(beam.ended.unsqueeze(-1), -math.inf)
    best, chosen = grown.flatten(1).topk(beam_size, -1)  # batch beam
    turn = ((~beam.ended).cumsum(1) - 1).clamp(min=0)  # which of the open places each is, counted from 0
    best, chosen = best.gather(1, turn), chosen.gather(1, turn)
    own = torch.arange(beam_size, device=best.device).expand_as(chosen)
    places = torch.where(beam.ended, own, chosen // kept)
    tokens = tokens.flatten(1).gather(1, chosen).masked_fill(beam.ended, end or 0)
    before, was_open = beam.select(places), ~beam.ended
    covered = before.covered
    if covered is not None and aligned is not None:
        looked = aligned.gather(1, places.unsqueeze(-1).expand(-1, -1, aligned.shape[-1]))
        covered = covered + looked * was_open.unsqueeze(-1)
    log_probability = torch.where(was_open, best, beam.log_probability)
    ended = beam.ended | ((tokens == end) & log_probability.isfinite()) if end is not None else beam.ended
    return _Beam(log_probability, ended, before.lengths + was_open, covered), places, tokens


def _go_on(
    search: _Search, log_p: Tensor, tokens: Tensor, aligned: Tensor | None, reached: Searched, end: int | None
) -> _Search:
    """The search after a step that reached this."""
    beam, places, tokens = _advance(search.beam, log_p, tokens, aligned, end)
    if aligned is not None:
        aligned = aligned.gather(1, places.unsqueeze(-1).expand(-1, -1, aligned.shape[-1]))
    offsets = torch.arange(len(places), device=places.device).unsqueeze(1) * places.shape[1]
    history = [*search.history, _Past(tokens, places, aligned)]
    return search._replace(beam=beam, history=history, searched=reached.move((places + offsets).flatten()))


def _are_over(search: _Search, penalties: Penalties, max_length: int) -> Tensor:
    """Whether no open hypothesis can become the best of its row any more, (batch,)."""
    beam = search.beam
    scores = penalties.rank(beam.log_probability, beam.lengths, beam.covered, search.present)
    done = scores.masked_fill(~beam.ended, -math.inf).amax(1)
    open_ones = beam.log_probability.masked_fill(beam.ended, -math.inf).amax(1)
    # A log-probability only falls, and weighs least at the greatest length; coverage costs nothing at best.
    reachable = penalties.rank(open_ones, torch.full_like(beam.lengths[:, 0], max_length), None, None)
    return (reachable <= done) | (open_ones == -math.inf)


def _rank(beam: _Beam, penalties: Penalties, present: Tensor | None) -> Tensor:
    """s(Y) of the hypotheses that count, (batch, beam); -inf for one that was cut off where another ended."""
    scores = penalties.rank(beam.log_probability, beam.lengths, beam.covered, present)
    return torch.where(beam.ended.any(1, keepdim=True), scores.masked_fill(~beam.ended, -math.inf), scores)


def _read(search: _Search, penalties: Penalties, end: int | None) -> Generated:
    """The hypothesis of the best score, backwards through what was chosen."""
    beam = search.beam
    scores = _rank(beam, penalties, search.present)
    best = scores.argmax(1, keepdim=True)
    place, written, looked = best, [], []
    for tokens, places, aligned in reversed(search.history):
        written.append(tokens.gather(1, place).squeeze(1))
        if aligned is not None:
            looked.append(aligned.gather(1, place.unsqueeze(-1).expand(-1, -1, aligned.shape[-1])).squeeze(1))
        place = places.gather(1, place)
    steps, ended = beam.lengths.gather(1, best).squeeze(1), beam.ended.gather(1, best).squeeze(1)
    longest = int(steps.max()) if len(steps) else 0
    answers = torch.stack(written[::-1])[:longest]
    past = torch.arange(longest, device=steps.device).unsqueeze(1) >= steps
    rows = torch.arange(len(best), device=best.device) * scores.shape[1] + best.squeeze(1)
    return Generated(
        answers.masked_fill(past, end or 0),
        search.searched.state.select(rows),
        steps - ended.long(),
        scores.gather(1, best).squeeze(1),
        torch.stack(looked[::-1])[:longest].masked_fill(past.unsqueeze(-1), 0.0) if looked else None,
    )


def _merge(found: list[tuple[Tensor, Generated]], end: int | None) -> Generated:
    """One batch of parts of it, each with the rows that it is made of."""
    parts = [part for _, part in found]
    if len(parts) == 1:
        return parts[0]
    order = torch.cat([rows for rows, _ in found]).argsort()
    longest = max(len(part.answers) for part in parts)
    answers = [F.pad(part.answers, (0, 0, 0, longest - len(part.answers)), value=end or 0) for part in parts]
    looked = [weights for weights in (part.alignment for part in parts) if weights is not None]
    aligned = [F.pad(weights, (0, 0, 0, 0, 0, longest - len(weights))) for weights in looked]
    lengths = torch.cat([part.lengths for part in parts])[order]
    scores = torch.cat([part.scores for part in parts if part.scores is not None])[order]
    state = parts[0].state.join([part.state for part in parts[1:]]).select(order)
    return Generated(
        torch.cat(answers, 1)[:, order], state, lengths, scores, torch.cat(aligned, 1)[:, order] if aligned else None
    )
