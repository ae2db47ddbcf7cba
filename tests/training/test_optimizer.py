"""Steps of each optimizer, against its equations, and what has no fused step."""

import pytest
import torch

from recurra.training.optimizer import make_optimizer
from recurra.training.settings import TrainingSettings

WEIGHTS, RATE = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64), 0.1
GRADIENTS = [torch.tensor(row, dtype=torch.float64) for row in ([0.5, -1.0, 0.0], [0.25, 2.0, -1.0])]


def steps(name, **settings):
    weight = torch.nn.Parameter(WEIGHTS.clone())
    optimizer = make_optimizer([weight], TrainingSettings(optimizer=name, learning_rate=RATE, **settings))
    for gradient in GRADIENTS:
        weight.grad = gradient.clone()
        optimizer.step()
    return weight.detach()


def adam(decay_of_weight, decay_in_gradient):
    weight, first, second = WEIGHTS.clone(), torch.zeros(3), torch.zeros(3)
    for k, given in enumerate(GRADIENTS, 1):
        gradient = given + decay_in_gradient * weight
        weight = weight * (1 - RATE * decay_of_weight)
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        weight = weight - RATE * (first / (1 - 0.9**k)) / ((second / (1 - 0.999**k)).sqrt() + 1e-8)
    return weight


def test_adam_has_weight_decay_in_the_gradient_and_adamw_apart_from_it():
    torch.testing.assert_close(steps("adam", weight_decay=0.1), adam(0.0, 0.1))
    torch.testing.assert_close(steps("adamw", weight_decay=0.1), adam(0.1, 0.0))


@pytest.mark.parametrize(("name", "momentum"), [("sgd", 0.9), ("sgd", 0.0), ("asgd", 0.0)])
def test_sgd_has_the_momentum_of_nesterov_and_asgd_none(name, momentum):
    weight, speed = WEIGHTS.clone(), torch.zeros(3)
    for gradient in GRADIENTS:
        speed = momentum * speed + gradient
        weight = weight - RATE * (gradient + momentum * speed)
    torch.testing.assert_close(steps(name, momentum=0.9 if name == "asgd" else momentum), weight)


def test_rmsprop_divides_by_the_root_of_the_mean_square():
    weight, square = WEIGHTS.clone(), torch.zeros(3)
    for gradient in GRADIENTS:
        square = 0.99 * square + 0.01 * gradient**2
        weight = weight - RATE * gradient / (square.sqrt() + 1e-8)
    torch.testing.assert_close(steps("rmsprop"), weight)


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop", "sgd", "asgd"])
def test_complex_weights_are_learned_too(name):
    weight = torch.nn.Parameter(torch.tensor([1.0 + 2.0j]))
    optimizer = make_optimizer([weight, torch.nn.Parameter(torch.ones(2))], TrainingSettings(optimizer=name))
    before = weight.detach().clone()
    (weight * weight.conj()).real.sum().backward()
    optimizer.step()
    assert weight.detach().abs() < before.abs()
