"""The equations, on numbers worked out by hand, without tensors or layers."""

from math import exp, isclose, tanh

import torch

from recurra.cells import State, get_cell


def number(value):
    return torch.tensor(float(value), dtype=torch.float64)


def sigmoid(value):
    return 1 / (1 + exp(-value))


def step(name, x, u, **state):
    cell = get_cell(name)
    after = cell.step(
        cell.by_gate(map(number, x)), cell.by_gate(map(number, u)), State(**{k: number(v) for k, v in state.items()})
    )
    return {field: part.item() for field, part in after._asdict().items()}


def test_lstm():
    after = step("lstm", (0.1, 0.2, 0.3, 0.4), (1, -1, 0.5, -0.5), h=0.9, c=2)
    c = sigmoid(-0.8) * 2 + sigmoid(1.1) * tanh(0.8)
    assert isclose(after["c"], c, rel_tol=1e-12)
    assert isclose(after["h"], sigmoid(-0.1) * tanh(c), rel_tol=1e-12)


def test_gru_resets_after_the_recurrent_product():
    after = step("gru", (0.1, 0.2, 0.3), (1, -1, 0.5), h=0.9)
    z, n = sigmoid(-0.8), tanh(0.3 + sigmoid(1.1) * 0.5)
    assert isclose(after["h"], (1 - z) * n + z * 0.9, rel_tol=1e-12)


def test_elman():
    assert isclose(step("elman", [0.5], [-2], h=0)["h"], tanh(-1.5), rel_tol=1e-12)
    assert step("elman-relu", [0.5], [-2], h=0)["h"] == 0
    assert step("elman-relu", [0.5], [2], h=0)["h"] == 2.5
    assert isclose(step("elman-sigmoid", [0.5], [-2], h=0)["h"], sigmoid(-1.5), rel_tol=1e-12)


class Symbol:
    """What a tracing compiler would pass: it writes down what is done to it."""

    def __init__(self, text):
        self.text = text

    def __add__(self, other):
        return Symbol(f"({self.text} + {getattr(other, 'text', other)})")

    def __mul__(self, other):
        return Symbol(f"{self.text} * {getattr(other, 'text', other)}")

    def __rsub__(self, other):
        return Symbol(f"({other} - {self.text})")

    def tanh(self):
        return Symbol(f"tanh{self.text}")

    def sigmoid(self):
        return Symbol(f"sigmoid{self.text}")


def test_equations_accept_symbols():
    cell = get_cell("lstm")
    x, u = (cell.by_gate(Symbol(f"{side}.{gate}") for gate in cell.gates) for side in "xu")
    after = cell.step(x, u, State(h=Symbol("h"), c=Symbol("c")))
    assert after.c.text == "(sigmoid(x.f + u.f) * c + sigmoid(x.i + u.i) * tanh(x.g + u.g))"
