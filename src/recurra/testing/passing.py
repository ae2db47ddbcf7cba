"""Checks of how a recurrence passes through time, for every engine that can run the cell."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.layers import Recurrent
from recurra.testing.comparing import assert_that, assert_within_rounding
from recurra.testing.sampling import INPUT, Subject, draw, draw_state, run_with_gradients

__all__ = ["CHECKS"]

_LENGTHS = (5, 0, 2, 5, 1)


def whole_equals_chunks_equals_steps(subject: Subject) -> None:
    """The state carries everything: stacked layers, a given state, cut anywhere."""
    layer, x = subject.layer(num_layers=2), draw(6, 3, INPUT)
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
    for name in subject.cell.states:
        assert_within_rounding(getattr(state, name), getattr(last, name), f"final {name} in chunks")
        assert_within_rounding(getattr(stepped, name), getattr(last, name), f"final {name} step by step")


def no_batch_equals_a_batch_of_one(subject: Subject) -> None:
    """For whole sequences and for steps."""
    layer, x = subject.layer(), draw(4, INPUT)
    y, last = layer(x)
    batched, batched_last = layer(x.unsqueeze(1))
    assert_within_rounding(y, batched[:, 0], "y without a batch")
    for name in subject.cell.states:
        assert_within_rounding(getattr(last, name), getattr(batched_last, name)[:, 0], f"final {name} without a batch")
    y_t, state = layer.step(x[0])
    assert_within_rounding(y_t, y[0], "a step without a batch")
    assert_that(state[0].shape == last[0].shape, f"a step without a batch left a state {tuple(state[0].shape)}")


def padded_equals_one_by_one(subject: Subject) -> None:
    """In both directions, stacked, rows in any order, one of them empty; outputs past a row's end are 0."""
    for bidirectional in (False, True):
        layer = subject.layer(num_layers=2, bidirectional=bidirectional)
        x = draw(max(_LENGTHS), len(_LENGTHS), INPUT)
        start = draw_state(layer, len(_LENGTHS))
        padded, last = layer(x, start, lengths=_LENGTHS)
        for row, length in enumerate(_LENGTHS):
            alone = start._make(part[:, row : row + 1] for part in start)
            assert_that(not padded[length:, row].any(), f"row {row} has outputs past its end at {length}")
            if length:
                y, alone = layer(x[:length, row : row + 1], alone)
                assert_within_rounding(padded[:length, row], y[:, 0], f"row {row} of length {length}")
            for name in subject.cell.states:
                found = getattr(last, name)[:, row : row + 1]
                assert_within_rounding(found, getattr(alone, name), f"final {name} of row {row} of length {length}")


def padding_reaches_nothing(subject: Subject) -> None:
    """Neither results nor gradients, even if it is NaN; its own gradient is 0."""
    layer = subject.layer(bidirectional=True)
    x, start = draw(max(_LENGTHS), len(_LENGTHS), INPUT), draw_state(layer, len(_LENGTHS))
    padding = torch.arange(len(x))[:, None] >= torch.tensor(_LENGTHS)  # time batch
    clean = run_with_gradients(layer, x, start, _LENGTHS)
    dirty = run_with_gradients(layer, x.masked_fill(padding[..., None], torch.nan), start, torch.tensor(_LENGTHS))
    for name, result in clean.items():
        assert_within_rounding(dirty[name], result, f"with NaN in the padding, {name}")
    assert_that(not clean["gradient of x"][padding].any(), "the padding has a gradient")


def full_lengths_change_nothing(subject: Subject) -> None:
    """And a batch of empty rows returns the state that it was given."""
    layer, x = subject.layer(bidirectional=True), draw(3, 2, INPUT)
    start = draw_state(layer, 2)
    assert_within_rounding(layer(x, start, lengths=[3, 3])[0], layer(x, start)[0], "y with full lengths")
    y, last = layer(x, start, lengths=[0, 0])
    assert_that(not y.any(), "empty rows have outputs")
    assert_that(all(map(torch.equal, last, start)), "empty rows changed the state")


def one_step_and_odd_sizes_run(subject: Subject) -> None:
    """One time step, one unit, one feature, no row at all: right shapes, finite values."""
    smallest = 1 if not subject.options else 3  # a gate of one unit has no deviation to normalise by
    for time, batch, features, hidden in ((1, 1, 1, smallest), (1, 3, 2, 7), (4, 1, 5, 3), (2, 0, 2, 3)):
        layer = subject.layer(input_size=features, hidden_size=hidden, bidirectional=True)
        y, last = layer(draw(time, batch, features), draw_state(layer, batch))
        assert_that(tuple(y.shape) == (time, batch, layer.output_size), f"y has shape {tuple(y.shape)}")
        for result in (y, *last):
            assert_that(bool(torch.isfinite(result).all()), "a result holds NaN or infinity")


def rows_of_a_batch_do_not_meet(subject: Subject) -> None:
    """Permuted rows give permuted outputs; one changed row changes no other."""
    layer, x = subject.layer(bidirectional=True), draw(4, 3, INPUT)
    y, _ = layer(x)
    assert_within_rounding(layer(x[:, [2, 0, 1]])[0], y[:, [2, 0, 1]], "y of permuted rows")
    changed = x.clone()
    changed[:, 1] += 1
    assert_within_rounding(layer(changed)[0][:, [0, 2]], y[:, [0, 2]], "y beside a changed row")


def the_future_never_changes_the_past(subject: Subject) -> None:
    """In one direction: inputs after a step are changed, outputs up to it stay."""
    layer, x = subject.layer(num_layers=2), draw(5, 2, INPUT)
    y, _ = layer(x)
    for now in range(len(x)):
        changed = x.clone()
        changed[now + 1 :] = -3 * changed[now + 1 :] + 1
        assert_within_rounding(layer(changed)[0][: now + 1], y[: now + 1], f"y up to step {now}")


def both_directions_are_one_forward_and_one_turned(subject: Subject) -> None:
    """The second half of a bidirectional output is a forward layer with its weights on the reversed sequence."""
    both, x = subject.layer(bidirectional=True), draw(5, 2, INPUT)
    y, last = both(x)
    for direction, suffix in enumerate(("", "_reverse")):
        single = _with_weights_of(both, subject, suffix)
        turned: Tensor = x.flip(0) if direction else x
        expected, final = single(turned)
        half = y.chunk(2, -1)[direction]
        assert_within_rounding(half, expected.flip(0) if direction else expected, f"y of direction {direction}")
        for name in subject.cell.states:
            found = getattr(last, name).chunk(2)[direction]
            assert_within_rounding(found, getattr(final, name), f"final {name} of direction {direction}")


def _with_weights_of(both: Recurrent, subject: Subject, suffix: str) -> Recurrent:
    single = subject.layer()
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
