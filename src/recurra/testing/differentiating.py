"""Checks of derivatives, and of every engine against the reference."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from recurra.engines import engine
from recurra.testing.comparing import Error, assert_that, measure_error
from recurra.testing.sampling import Subject, draw, draw_state, run_with_gradients

__all__ = ["CHECKS"]

_LENGTHS = (3, 0, 2)
_MANY = 33  # draws that decide where one is no evidence; a fixed number, so that none is picked
_SIZES = ((1, 1, 1, 1), (7, 3, 2, 7), (4, 5, 3, 3), (12, 2, 1, 17))  # time batch input hidden


def gradients_are_right(subject: Subject) -> None:
    """Of the reference in float64, by finite differences, ragged and in both directions, in training mode."""
    _check_numerically(subject, torch.autograd.gradcheck)


def second_gradients_are_right(subject: Subject) -> None:
    """Likewise."""
    _check_numerically(subject, torch.autograd.gradgradcheck)


def _check_numerically(subject: Subject, check: Any) -> None:
    # Under options two layers, for some act between them, and 3 units, for 2 that are normalised are 1 and -1.
    sizes = {"hidden_size": 3, "num_layers": 2} if subject.options else {"hidden_size": 2}
    layer: Any = subject.layer(2, bidirectional=True, **sizes)
    x, start = draw(max(_LENGTHS), len(_LENGTHS), 2).requires_grad_(), draw_state(layer, len(_LENGTHS))
    layer.train()
    names = [name for name, _ in layer.named_parameters()]

    def results(x: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        state = start._make(values[: len(start)])
        weights = dict(zip(names, values[len(start) :], strict=True))
        torch.manual_seed(5)  # what is dropped must be the same each time
        y, last = torch.func.functional_call(layer, weights, (x, state), {"lengths": _LENGTHS})
        return (y, *last)

    inputs = [x, *(part.requires_grad_() for part in start), *layer.parameters()]
    # Of a plain cell every element; under options a random direction through all of them, which is as sharp.
    with engine("reference"), torch.random.fork_rng(devices=[]):
        fast = bool(subject.options)
        assert_that(check(results, inputs, fast_mode=fast), "a derivative differs from finite differences")


def engines_equal_the_reference(subject: Subject) -> None:
    """Outputs, final states and every gradient, by the law err(kernel) <= 2 err(plain float32) + floor.

    Some equations enlarge rounding so much that one draw says little: a gate that is normalised over few, nearly equal
    units. Where one draw breaks the law, the one in the middle of 33 must keep it.
    """
    for training in (False, True) if subject.options else (False,):
        engines = [name for name in subject.engines(training=training) if name != "reference"]
        for size in _SIZES[1:] if subject.options else _SIZES:
            for ragged in (False, True):
                for what, middle in _broken(partial(_errors, subject, engines, size, training, ragged)).items():
                    where = f"{what} with (time, batch, input, hidden) {size}, ragged {ragged}, training {training}"
                    assert_that(middle.lawful, f"{where} has {middle}, in the middle of {_MANY} draws")


def _broken(errors_of: Callable[[int], dict[str, Error]]) -> dict[str, Error]:
    """What breaks the law in one draw and in the middle of many, with the error there.

    errors_of: the errors of a draw, by its seed.
    """
    first = errors_of(0)
    suspects = [what for what, error in first.items() if not error.lawful]
    if not suspects:
        return {}
    draws = [first, *(errors_of(seed) for seed in range(1, _MANY))]
    middle = {what: _middle([errors[what] for errors in draws]) for what in suspects}
    return {what: error for what, error in middle.items() if not error.lawful}


def _middle(errors: list[Error]) -> Error:
    return sorted(errors, key=lambda error: error.share)[len(errors) // 2]


def _errors(
    subject: Subject, engines: list[str], size: tuple[int, ...], training: bool, ragged: bool, seed: int
) -> dict[str, Error]:
    """Of each result and gradient by each engine, for weights and inputs of that seed."""
    time, batch, features, hidden = size
    named = {"num_layers": 2, "bidirectional": True, "seed": seed}
    exact_layer = subject.layer(features, hidden, **named).train(training)
    single_layer = subject.layer(features, hidden, **named).float().train(training)
    exact_layer.load_state_dict(single_layer.state_dict())
    x = draw(time, batch, features, seed=1 + seed).float()
    start = draw_state(copy.deepcopy(single_layer).eval(), batch)
    doubled = start._make(part.double() for part in start)
    lengths = [(row * 5 + 2) % (time + 1) for row in range(batch)] if ragged else None
    with engine("reference"):
        exact = run_with_gradients(exact_layer, x.double(), doubled, lengths)
        plain = run_with_gradients(single_layer, x, start, lengths)
    errors = {}
    for name in engines:
        with engine(name):
            found = run_with_gradients(single_layer, x, start, lengths)
        for what, result in found.items():
            errors[f"{what} by {name}"] = measure_error(result, plain[what], exact[what], f"{what} by {name}")
    return errors


CHECKS = (gradients_are_right, second_gradients_are_right, engines_equal_the_reference)
