"""Checks of derivatives, and of every engine against the reference."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recurra.cells import Cell
from recurra.engines import available, engine
from recurra.testing.comparing import assert_lawful, assert_that
from recurra.testing.sampling import draw, draw_state, make_layer, run_with_gradients

__all__ = ["CHECKS"]

_LENGTHS = (3, 0, 2)
_SIZES = ((1, 1, 1, 1), (7, 3, 2, 7), (4, 5, 3, 3), (12, 2, 1, 17))  # time batch input hidden


def gradients_are_right(cell: Cell) -> None:
    """Of the reference in float64, by finite differences, ragged and in both directions."""
    _check_numerically(cell, torch.autograd.gradcheck)


def second_gradients_are_right(cell: Cell) -> None:
    """Likewise."""
    _check_numerically(cell, torch.autograd.gradgradcheck)


def _check_numerically(cell: Cell, check: Any) -> None:
    layer = make_layer(cell, input_size=2, hidden_size=2, bidirectional=True)
    x, start = draw(max(_LENGTHS), len(_LENGTHS), 2).requires_grad_(), draw_state(layer, len(_LENGTHS))
    names = [name for name, _ in layer.named_parameters()]

    def results(x: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        state = start._make(values[: len(start)])
        weights = dict(zip(names, values[len(start) :], strict=True))
        y, last = torch.func.functional_call(layer, weights, (x, state), {"lengths": _LENGTHS})
        return (y, *last)

    inputs = [x, *(part.requires_grad_() for part in start), *layer.parameters()]
    with engine("reference"):
        assert_that(check(results, inputs), "a derivative differs from finite differences")


def engines_equal_the_reference(cell: Cell) -> None:
    """Outputs, final states and every gradient, by the law err(kernel) <= 2 err(plain float32) + floor."""
    for time, batch, features, hidden in _SIZES:
        shape = {"input_size": features, "hidden_size": hidden, "num_layers": 2, "bidirectional": True}
        exact_layer: Any = make_layer(cell, **shape)  # type: ignore[arg-type]
        single_layer: Any = make_layer(cell, **shape).float()  # type: ignore[arg-type]
        exact_layer.load_state_dict(single_layer.state_dict())
        x, start = draw(time, batch, features).float(), draw_state(single_layer, batch)
        doubled = start._make(part.double() for part in start)
        for lengths in (None, [(row * 5 + 2) % (time + 1) for row in range(batch)]):
            with engine("reference"):
                exact = run_with_gradients(exact_layer, x.double(), doubled, lengths)
                plain = run_with_gradients(single_layer, x, start, lengths)
            for name in available(cell):
                with engine(name):
                    found = run_with_gradients(single_layer, x, start, lengths)
                for what, result in found.items():
                    where = f"{what} by engine {name!r} with time {time}, batch {batch}, lengths {lengths}"
                    assert_lawful(result, plain[what], exact[what], where)


CHECKS = (gradients_are_right, second_gradients_are_right, engines_equal_the_reference)
