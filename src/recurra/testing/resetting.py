"""Checks of rows that begin anew in mid-sequence, for every engine that can run the cell."""

from __future__ import annotations

import itertools

import torch

from recurra.cells import State
from recurra.layers import Recurrent
from recurra.testing.comparing import assert_within_rounding
from recurra.testing.sampling import INPUT, Subject, draw, draw_state

__all__ = ["CHECKS"]

_TIME = 6
_ROWS = ((6, ()), (6, (3,)), (6, (0,)), (6, (1, 4, 5)), (4, (2, 5)))  # length, and where it begins anew


def a_row_that_begins_anew_forgets(subject: Subject) -> None:
    """`resets` equal sequences of their own, in both directions; the given state is for the first of them."""
    resets = torch.tensor([[t in cuts for _, cuts in _ROWS] for t in range(_TIME)])
    for bidirectional in (False, True):
        layer = subject.layer(num_layers=1, bidirectional=bidirectional)
        x, start = draw(_TIME, len(_ROWS), INPUT), draw_state(layer, len(_ROWS))
        y, last = layer(x, start, lengths=[length for length, _ in _ROWS], resets=resets)
        for row, (length, cuts) in enumerate(_ROWS):
            edges = [0, *(cut for cut in cuts if 0 < cut < length), length]
            parts = []
            for first, after in itertools.pairwise(edges):
                given = _given(layer, start, row, begins=first == 0 and 0 not in cuts, ends=after == length)
                part, final = layer(x[first:after, row : row + 1], given)
                parts.append(part[:, 0])
                if after == length:
                    _assert_same_final(last, final, row, 0, layer.num_directions)
                if first == 0 and bidirectional:
                    _assert_same_final(last, final, row, 1, 2)
            assert_within_rounding(y[:length, row], torch.cat(parts), f"row {row} that begins anew at {cuts}")


def _given(layer: Recurrent, start: State, row: int, *, begins: bool, ends: bool) -> State:
    """The given state for a direction that begins with it, a fresh one for the other."""
    fresh, given = layer.initial_state(1), start._make(part[:, row : row + 1] for part in start)
    if layer.num_directions == 1:
        return given if begins else fresh
    return start._make(
        torch.cat([(old if keeps else new).chunk(2)[half] for half, keeps in enumerate((begins, ends))])
        for new, old in zip(fresh, given, strict=True)
    )


def _assert_same_final(last: State, final: State, row: int, direction: int, directions: int) -> None:
    for name, part in final._asdict().items():
        found = getattr(last, name)[:, row : row + 1].chunk(directions)[direction]
        expected = part.chunk(directions)[direction]
        assert_within_rounding(found, expected, f"final {name} of row {row}, direction {direction}, with resets")


CHECKS = (a_row_that_begins_anew_forgets,)
