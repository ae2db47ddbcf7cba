"""The equations, on numbers worked out by hand, without tensors of more than one number and without layers."""

import cmath
from math import exp, isclose, log, pi, sqrt, tanh

import pytest
import torch

from recurra.cells import State, get_cell, list_cells


def number(value):
    return torch.tensor(float(value), dtype=torch.float64)


def sigmoid(value):
    return 1 / (1 + exp(-value))


def step(name, x, u=(), p=(), **state):
    """One step on numbers. x: input projections, then the gap; u: recurrent ones, functions among them; p: vectors."""
    cell = get_cell(name)
    terms = [
        cell.by_gate(map(number, x)),
        cell.by_recurrent_gate(value if callable(value) else number(value) for value in u),
        State(**{field: number(value) for field, value in state.items()}),
    ]
    if cell.vectors:
        terms.append(cell.by_vector(map(number, p)))
    return {field: part.item() for field, part in cell.step(*terms)._asdict().items()}


def assert_close(found, **expected):
    assert set(found) == set(expected)
    for field, value in expected.items():
        assert isclose(found[field], value, rel_tol=1e-12, abs_tol=1e-300), (field, found[field], value)


def test_lstm():
    c = sigmoid(-0.8) * 2 + sigmoid(1.1) * tanh(0.8)
    found = step("lstm", (0.1, 0.2, 0.3, 0.4), (1, -1, 0.5, -0.5), h=0.9, c=2)
    assert_close(found, h=sigmoid(-0.1) * tanh(c), c=c)


def test_peepholes_of_input_and_forget_gate_see_the_old_memory_and_that_of_the_output_gate_the_new_one():
    c = sigmoid(-0.8 - 0.6 * 2) * 2 + sigmoid(1.1 + 0.7 * 2) * tanh(0.8)
    found = step("peepholelstm", (0.1, 0.2, 0.3, 0.4), (1, -1, 0.5, -0.5), (0.7, -0.6, 0.5), h=0.9, c=2)
    assert_close(found, h=sigmoid(-0.1 + 0.5 * c) * tanh(c), c=c)


def test_cifg_writes_what_it_forgets():
    f = sigmoid(-0.9)
    c = f * 2 + (1 - f) * tanh(-0.8)
    assert_close(step("cifg", (0.1, 0.2, 0.3), (-1, -1, 0.5), h=0.9, c=2), h=sigmoid(0.8) * tanh(c), c=c)


def test_gru_resets_after_the_recurrent_product():
    z, n = sigmoid(-0.8), tanh(0.3 + sigmoid(1.1) * 0.5)
    assert_close(step("gru", (0.1, 0.2, 0.3), (1, -1, 0.5), h=0.9), h=(1 - z) * n + z * 0.9)


def test_the_other_gru_resets_before_the_recurrent_product():
    z, n = sigmoid(-0.8), tanh(0.3 + (5 * sigmoid(1.1) * 0.9 + 7))
    found = step("resetbeforegru", (0.1, 0.2, 0.3), (1, -1, lambda value: 5 * value + 7), h=0.9)
    assert_close(found, h=(1 - z) * n + z * 0.9)


def test_mgu_has_one_gate_for_both():
    f = sigmoid(1.1)
    n = tanh(0.2 + (5 * f * 0.9 + 7))
    assert_close(step("mgu", (0.1, 0.2), (1, lambda value: 5 * value + 7), h=0.9), h=(1 - f) * 0.9 + f * n)


def test_elman():
    assert_close(step("elman", [0.5], [-2], h=0), h=tanh(-1.5))
    assert step("elman-relu", [0.5], [-2], h=0)["h"] == 0
    assert step("elman-relu", [0.5], [2], h=0)["h"] == 2.5
    assert_close(step("elman-sigmoid", [0.5], [-2], h=0), h=sigmoid(-1.5))
    assert step("elman-linear", [0.5], [-2], h=9)["h"] == -1.5


def test_feedback_is_elman_by_another_name():
    assert_close(step("feedback", [0.5], [-2], y=9), y=tanh(-1.5))
    assert_close(step("feedback-sigmoid", [0.5], [-2], y=9), y=sigmoid(-1.5))


def test_jordan_feeds_its_output_back():
    found = step("jordan", [0.5], [-2, lambda h: 3 * h + 1], y=0.4)
    assert_close(found, y=sigmoid(3 * tanh(-1.5) + 1))
    assert_close(step("jordan-linear", [0.5], [-2, lambda h: 3 * h + 1], y=0.4), y=3 * tanh(-1.5) + 1)


def test_leaky_moves_a_part_of_the_way():
    assert_close(step("leaky", [0.5], [-2], h=0.9), h=0.7 * 0.9 + 0.3 * tanh(-1.5))
    assert_close(step("leaky-1", [0.5], [-2], h=0.9), h=tanh(-1.5))
    assert_close(step("leaky-0.25-linear", [0.5], [-2], h=0.9), h=0.75 * 0.9 + 0.25 * -1.5)


def test_mingru_and_minlstm_know_the_input_alone():
    assert_close(step("mingru", (0.1, 2), h=0.9), h=(1 - sigmoid(0.1)) * 0.9 + sigmoid(0.1) * 2)
    f, i = sigmoid(0.1), sigmoid(0.2)
    assert_close(step("minlstm", (0.1, 0.2, 3), h=0.9), h=f / (f + i) * 0.9 + i / (f + i) * 3)


def test_indrnn_multiplies_each_unit_by_its_own_number():
    assert_close(step("indrnn", [0.5], p=[-0.2], h=2), h=0.1)
    assert step("indrnn", [0.5], p=[-0.3], h=2)["h"] == 0
    assert_close(step("indrnn-tanh", [0.5], p=[-0.3], h=2), h=tanh(-0.1))


def test_sru():
    f, r = sigmoid(0.2 + 0.5 * 2), sigmoid(0.3 - 0.6 * 2)
    c = f * 2 + (1 - f) * 0.1
    assert_close(step("sru", (0.1, 0.2, 0.3, 0.4), p=(0.5, -0.6), h=9, c=2), h=r * c + (1 - r) * 0.4, c=c)


def test_qrnn_pools():
    f = sigmoid(0.2)
    c = f * 2 + (1 - f) * tanh(0.1)
    assert_close(step("qrnn", (0.1, 0.2, 0.3), h=9, c=2), h=sigmoid(0.3) * c, c=c)


def test_lru_is_a_complex_number_turning():
    nu, theta = -2.0, -1.0
    turn = cmath.exp(-exp(nu) + 1j * exp(theta))
    s = turn * (0.5 - 0.7j) + sqrt(1 - abs(turn) ** 2) * (0.1 + 0.2j)
    found = step("lru", (0.1, 0.2, 0.3), (lambda re: 2 * re, lambda im: 3 * im), (nu, theta), h=9, re=0.5, im=-0.7)
    assert_close(found, h=2 * s.real - 3 * s.imag + 0.3, re=s.real, im=s.imag)


def test_lru_begins_within_its_ring():
    nu, theta = (
        shape(torch.tensor([0.0, 0.5, 0.999999], dtype=torch.float64)) for shape in get_cell("lru").vectors.values()
    )
    size, angle = (-nu.exp()).exp(), theta.exp()
    assert torch.allclose(size[[0, 2]].sort().values, torch.tensor([0.9, 0.999], dtype=torch.float64), atol=1e-6)
    assert angle.min() > 0 and angle.max() < pi / 10 * 1.001


def test_slstm_is_its_plain_equations_at_another_scale():
    """c and n hold e^-m of what the unscaled equations with i = exp, f = sigmoid give."""
    i, f, m = exp(0.1 + 1), sigmoid(0.2 - 1), 0.3
    c, n = f * 2 * exp(m) + i * tanh(0.8), f * 1.5 * exp(m) + i
    after = step("slstm", (0.1, 0.2, 0.3, 0.4), (1, -1, 0.5, -0.5), h=0.9, c=2, n=1.5, m=m)
    assert isclose(after["m"], max(log(f) + m, 1.1), rel_tol=1e-12)
    assert isclose(after["c"] * exp(after["m"]), c, rel_tol=1e-12)
    assert isclose(after["n"] * exp(after["m"]), n, rel_tol=1e-12)
    assert isclose(after["h"], sigmoid(-0.1) * c / n, rel_tol=1e-12)


def test_slstm_stays_finite_where_exp_does_not():
    for asked in (-1e4, 1e4):
        after = step("slstm", (asked, 0, 0.3, 50), (0, 0, 0.2, 0), h=0, c=1.2, n=2.0, m=0)
        assert isclose(after["h"], tanh(0.5) if asked > 0 else 0.6, rel_tol=1e-9)


@pytest.mark.parametrize("asked", [-1e4, -90, 0, 90, 1e4])
def test_the_first_step_of_slstm_is_its_candidate_however_small_its_gates(asked):
    after = step("slstm", (asked, -asked, 0.3, 50), (0, 0, 0.2, 0), h=0, c=0, n=0, m=0)
    assert_close(after, h=tanh(0.5), c=tanh(0.5), n=1, m=asked)


@pytest.mark.parametrize(("f", "i"), [(-1e4, -1e4), (-800, -801), (50, -1e4), (-1e4, 50), (700, 700)])
def test_minlstm_shares_by_what_is_next_to_nothing_too(f, i):
    ratio = exp(min(700, max(-700, min(0, f) - min(0, i))))  # of the two sigmoids, where both are far from 0.5
    assert_close(step("minlstm", (f, i, 3), h=0.9), h=(ratio * 0.9 + 3) / (ratio + 1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("nu", [-80.0, -18.0, -3.0, 3.0])
def test_lru_is_finite_with_its_derivative_wherever_nu_is(dtype, nu):
    cell = get_cell("lru")
    nu = torch.full((1, 1), nu, dtype=dtype, requires_grad=True)
    one = torch.ones(1, 1, dtype=dtype)
    terms = [
        cell.by_gate([one] * 3),
        cell.by_recurrent_gate([lambda value: value] * 2),
        cell.by_state([one] * 3),
        cell.by_vector([nu, one]),
    ]
    after = cell.step(*terms)
    (gradient,) = torch.autograd.grad(after.h.sum(), nu)
    assert torch.isfinite(gradient).all() and torch.isfinite(after.h).all()


def test_cfc_passes_as_much_time_as_the_gap_says():
    heads = (lambda z: z, lambda z: 2 * z, lambda z: 3 * z, lambda z: z - 1)
    z = 1.7159 * tanh((0.5 - 2) * 2 / 3)
    for gap in (0, 1, 2.5):
        w = sigmoid(3 * z * gap + z - 1)
        found = step("cfc", (0.5, gap), (-2, *heads), h=9)
        assert_close(found, h=(1 - w) * tanh(z) + w * tanh(2 * z))


class Symbol:
    """What a tracing compiler would pass: it writes down what is done to it, whatever that is."""

    def __init__(self, text):
        self.text = text

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *others: Symbol(f"{name}({', '.join([self.text, *map(_text, others)])})")

    def __call__(self, value):
        return Symbol(f"{self.text}[{_text(value)}]")

    def __neg__(self):
        return Symbol(f"-{self.text}")


def _text(value):
    return getattr(value, "text", str(value))


for _operator, _sign in (("add", "+"), ("sub", "-"), ("mul", "*"), ("truediv", "/")):
    setattr(Symbol, f"__{_operator}__", lambda s, o, sign=_sign: Symbol(f"({s.text} {sign} {_text(o)})"))
    setattr(Symbol, f"__r{_operator}__", lambda s, o, sign=_sign: Symbol(f"({_text(o)} {sign} {s.text})"))


def symbols(cell):
    terms = [
        cell.by_gate(Symbol(f"x.{gate}") for gate in (*cell.gates, *["gap"] * cell.reads_gaps)),
        cell.by_recurrent_gate(Symbol(f"u.{gate}") for gate in cell.recurrent_gates),
        cell.by_state(Symbol(f"s.{state}") for state in cell.states),
    ]
    return [*terms, cell.by_vector(Symbol(f"p.{name}") for name in cell.vectors)] if cell.vectors else terms


@pytest.mark.parametrize("name", list_cells())
def test_equations_accept_symbols_and_use_what_is_declared(name):
    cell = get_cell(name)
    after = cell.step(*symbols(cell))
    assert after._fields == cell.states
    said = " ".join(part.text for part in after)
    declared = [f"x.{gate}" for gate in cell.gates] + [f"p.{vector}" for vector in cell.vectors]
    declared += [f"u.{gate}" + "[" * (gate in cell.second) for gate in cell.recurrent_gates]
    assert [term for term in declared if term not in said] == []


def test_what_the_symbols_of_an_lstm_say():
    after = get_cell("lstm").step(*symbols(get_cell("lstm")))
    i, f, g = "sigmoid((x.i + u.i))", "sigmoid((x.f + u.f))", "tanh((x.g + u.g))"
    assert after.c.text == f"(({f} * s.c) + ({i} * {g}))"


@pytest.mark.parametrize("name", list_cells())
def test_every_cell_names_its_paper_and_states_its_equations(name):
    cell = get_cell(name)
    assert cell.paper, name
    assert f"{cell.states[0]}_t = " in type(cell).__doc__


@pytest.mark.parametrize("leak", ["0", "1.5", "-0.5", "much", float("nan"), None])
def test_a_leak_out_of_range_is_refused(leak):
    from recurra.cells.leaky import Leaky
    from recurra.errors import ArgumentError

    with pytest.raises(ArgumentError, match="expected a number above 0 and at most 1"):
        Leaky(leak)


def test_a_small_leak_has_a_name_without_another_dash():
    cell = get_cell("leaky-0.00001")
    assert cell.name == "leaky-0.00001"
    assert get_cell(cell.name) == cell
