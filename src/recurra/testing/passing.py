"""Checks of how a recurrence passes through time, for every engine that can run the cell."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.cells import Cell
from recurra.layers import Recurrent
from recurra.testing.comparing import assert_that, assert_within_rounding
from recurra.testing.sampling import HIDDEN, INPUT, draw, draw_state, make_layer, run_with_gradients

__all__ = ["CHECKS"]

_LENGTHS = (5, 0, 2, 5, 1)


def whole_equals_chunks_equals_steps(cell: Cell) -> None:
    """The state carries everything: stacked layers, a given state, cut anywhere."""
    layer, x = make_layer(cell, num_layers=2), draw(6, 3, INPUT)
    start = draw_state(layer, 3)
    whole, last = layer(x, start)
    chunks, state = [], start
    for chunk in (x[:1], x[1:4], x[4:]):
        y, state = layer(chunk, state)
        chunks.append(y)
    steps, stepped = [], start
    for x_t in x:
        y_t, stepped = layer.step(x_t, stepped)
        steps.append(y_t)
    assert_within_rounding(torch.cat(chunks), whole, "y in chunks")
    assert_within_rounding(torch.stack(steps), whole, "y step by step")
    for name in cell.states:
        assert_within_rounding(getattr(state, name), getattr(last, name), f"final {name} in chunks")
        assert_within_rounding(getattr(stepped, name), getattr(last, name), f"final {name} step by step")


def no_batch_equals_a_batch_of_one(cell: Cell) -> None:
    """For whole sequences and for steps."""
    layer, x = make_layer(cell), draw(4, INPUT)
    y, last = layer(x)
    batched, batched_last = layer(x.unsqueeze(1))
    assert_within_rounding(y, batched[:, 0], "y without a batch")
    assert_within_rounding(last.h, batched_last.h[:, 0], "final h without a batch")
    y_t, state = layer.step(x[0])
    assert_within_rounding(y_t, y[0], "a step without a batch")
    assert_that(tuple(state.h.shape) == (1, HIDDEN), f"a step without a batch left h {tuple(state.h.shape)}")


def padded_equals_one_by_one(cell: Cell) -> None:
    """In both directions, stacked, rows in any order, one of them empty; outputs past a row's end are 0."""
    for bidirectional in (False, True):
        layer = make_layer(cell, num_layers=2, bidirectional=bidirectional)
        x = draw(max(_LENGTHS), len(_LENGTHS), INPUT)
        start = draw_state(layer, len(_LENGTHS))
        padded, last = layer(x, start, lengths=_LENGTHS)
        for row, length in enumerate(_LENGTHS):
            alone = start._make(part[:, row : row + 1] for part in start)
            assert_that(not padded[length:, row].any(), f"row {row} has outputs past its end at {length}")
            if length:
                y, alone = layer(x[:length, row : row + 1], alone)
                assert_within_rounding(padded[:length, row], y[:, 0], f"row {row} of length {length}")
            for name in cell.states:
                found = getattr(last, name)[:, row : row + 1]
                assert_within_rounding(found, getattr(alone, name), f"final {name} of row {row} of length {length}")


def padding_reaches_nothing(cell: Cell) -> None:
    """Neither results nor gradients, even if it is NaN; its own gradient is 0."""
    layer = make_layer(cell, bidirectional=True)
    x, start = draw(max(_LENGTHS), len(_LENGTHS), INPUT), draw_state(layer, len(_LENGTHS))
    padding = torch.arange(len(x))[:, None] >= torch.tensor(_LENGTHS)  # time batch
    clean = run_with_gradients(layer, x, start, _LENGTHS)
    dirty = run_with_gradients(layer, x.masked_fill(padding[..., None], torch.nan), start, torch.tensor(_LENGTHS))
    for name, result in clean.items():
        assert_within_rounding(dirty[name], result, f"with NaN in the padding, {name}")
    assert_that(not clean["gradient of x"][padding].any(), "the padding has a gradient")


def full_lengths_change_nothing(cell: Cell) -> None:
    """And a batch of empty rows returns the state that it was given."""
    layer, x = make_layer(cell, bidirectional=True), draw(3, 2, INPUT)
    start = draw_state(layer, 2)
    assert_within_rounding(layer(x, start, lengths=[3, 3])[0], layer(x, start)[0], "y with full lengths")
    y, last = layer(x, start, lengths=[0, 0])
    assert_that(not y.any(), "empty rows have outputs")
    assert_that(all(map(torch.equal, last, start)), "empty rows changed the state")


def one_step_and_odd_sizes_run(cell: Cell) -> None:
    """One time step, one unit, one feature, no row at all: right shapes, finite values."""
    for time, batch, features, hidden in ((1, 1, 1, 1), (1, 3, 2, 7), (4, 1, 5, 3), (2, 0, 2, 3)):
        layer = make_layer(cell, input_size=features, hidden_size=hidden, bidirectional=True)
        y, last = layer(draw(time, batch, features), draw_state(layer, batch))
        assert_that(tuple(y.shape) == (time, batch, 2 * hidden), f"y has shape {tuple(y.shape)}")
        for result in (y, *last):
            assert_that(bool(torch.isfinite(result).all()), "a result holds NaN or infinity")


def rows_of_a_batch_do_not_meet(cell: Cell) -> None:
    """Permuted rows give permuted outputs; one changed row changes no other."""
    layer, x = make_layer(cell, bidirectional=True), draw(4, 3, INPUT)
    y, _ = layer(x)
    assert_within_rounding(layer(x[:, [2, 0, 1]])[0], y[:, [2, 0, 1]], "y of permuted rows")
    changed = x.clone()
    changed[:, 1] += 1
    assert_within_rounding(layer(changed)[0][:, [0, 2]], y[:, [0, 2]], "y beside a changed row")


def the_future_never_changes_the_past(cell: Cell) -> None:
    """In one direction: inputs after a step are changed, outputs up to it stay."""
    layer, x = make_layer(cell, num_layers=2), draw(5, 2, INPUT)
    y, _ = layer(x)
    for now in range(len(x)):
        changed = x.clone()
        changed[now + 1 :] = -3 * changed[now + 1 :] + 1
        assert_within_rounding(layer(changed)[0][: now + 1], y[: now + 1], f"y up to step {now}")


def both_directions_are_one_forward_and_one_turned(cell: Cell) -> None:
    """The second half of a bidirectional output is a forward layer with its weights on the reversed sequence."""
    both, x = make_layer(cell, bidirectional=True), draw(5, 2, INPUT)
    y, last = both(x)
    for direction, suffix in enumerate(("", "_reverse")):
        single = _with_weights_of(both, cell, suffix)
        turned: Tensor = x.flip(0) if direction else x
        expected, final = single(turned)
        half = y[..., direction * HIDDEN : (direction + 1) * HIDDEN]
        assert_within_rounding(half, expected.flip(0) if direction else expected, f"y of direction {direction}")
        for name in cell.states:
            found = getattr(last, name)[direction : direction + 1]
            assert_within_rounding(found, getattr(final, name), f"final {name} of direction {direction}")


def _with_weights_of(both: Recurrent, cell: Cell, suffix: str) -> Recurrent:
    single = make_layer(cell)
    weights = both.state_dict()
    single.load_state_dict({name: weights[name + suffix] for name in single.state_dict()})
    return single


CHECKS = (
    whole_equals_chunks_equals_steps,
    no_batch_equals_a_batch_of_one,
    padded_equals_one_by_one,
    padding_reaches_nothing,
    full_lengths_change_nothing,
    one_step_and_odd_sizes_run,
    rows_of_a_batch_do_not_meet,
    the_future_never_changes_the_past,
    both_directions_are_one_forward_and_one_turned,
)
