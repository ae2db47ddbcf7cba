"""Checks of what is dropped for a whole sequence, by the engine that a layer takes for it."""

from __future__ import annotations

import torch

from recurra.testing.comparing import assert_that, assert_within_rounding
from recurra.testing.sampling import INPUT, Subject, draw, draw_state

__all__ = ["CHECKS"]

_LENGTHS = (5, 0, 2, 5, 1)
_DROPOUTS = ("input_dropout", "recurrent_dropout", "weight_dropout")


def what_is_dropped_stays_dropped(subject: Subject) -> None:
    """One draw of noise: whole equals chunks, padded equals one by one; and something is dropped if it is asked for."""
    asked = [name for name in _DROPOUTS if subject.options.get(name)]
    layer, x = subject.layer(num_layers=2), draw(max(_LENGTHS), len(_LENGTHS), INPUT)
    start = draw_state(layer, len(_LENGTHS))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        noise = layer.draw_noise(len(_LENGTHS))
    y, _ = layer(x, start, lengths=_LENGTHS, noise=noise)
    for row, length in enumerate(_LENGTHS):
        if length:
            alone = start._make(part[:, row : row + 1] for part in start)
            kept = noise._replace(
                inputs=tuple(mask if mask is None else mask[row : row + 1] for mask in noise.inputs),
                states=tuple(mask if mask is None else mask[row : row + 1] for mask in noise.states),
            )
            first, alone = layer(x[:1, row : row + 1], alone, noise=kept)
            rest = [layer(x[1:length, row : row + 1], alone, noise=kept)[0]] if length > 1 else []
            assert_within_rounding(torch.cat([first, *rest])[:, 0], y[:length, row], f"row {row} in two chunks")
    changed = not torch.equal(layer(x, start, lengths=_LENGTHS)[0], y)
    assert_that(changed == bool(asked), f"noise changed {'something' if changed else 'nothing'}, asked for are {asked}")


CHECKS = (what_is_dropped_stays_dropped,)
