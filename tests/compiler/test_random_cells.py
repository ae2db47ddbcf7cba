"""Random equations: what is compiled from them computes what the reference does, gradients included.

Each example builds one or two libraries, about a second each; RECURRA_RANDOM_CELLS sets how many there are.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import recurra
from recurra.cells import Cell, State, relu, sigmoid, tanh
from recurra.cells._functions import cos, exp, expm1, is_zero, log, log_sigmoid, maximum, sin, sqrt, where
from recurra.compiler.toolchain import find_compiler
from recurra.nn import Recurrent
from recurra.testing import assert_within_rounding
from recurra.testing.comparing import Error, measure_error

pytestmark = [pytest.mark.slow, pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")]

EXAMPLES = int(os.environ.get("RECURRA_RANDOM_CELLS", "12"))
NEAR = 1e-4  # of a kink: rounding may put a value on either side of it


class Term(NamedTuple):
    """A part of the equations.

    size: what its absolute value hardly passes.
    full: whether it has a number for each row and unit: vectors have none for rows, the time gap none for units.
    """

    text: str
    size: float
    full: bool
    compute: Callable[[Scope], Any]

    def __repr__(self) -> str:
        return self.text


class Scope:
    """What a step is given; kinks: how far values were from where a derivative jumps."""

    def __init__(self, x: Any, u: Any, s: Any, p: Any, kinks: list[float]) -> None:
        self.x, self.u, self.s, self.p, self.kinks = x, u, s, p, kinks
        self.known: dict[int, Any] = {}

    def __call__(self, term: Term) -> Any:
        if id(term) not in self.known:
            self.known[id(term)] = term.compute(self)
        return self.known[id(term)]

    def kink(self, distance: Any) -> None:
        if isinstance(distance, torch.Tensor) and distance.numel():
            self.kinks.append(float(distance.detach().abs().min()))


def leaf(kind: str, word: str, size: float) -> Term:
    full = kind != "p" and word != "gap"
    return Term(f"{kind}.{word}", size, full, lambda scope: getattr(getattr(scope, kind), word))


def pair(gate: str) -> Term:
    return Term(f"(x.{gate} + u.{gate})", 3, True, lambda scope: getattr(scope.x, gate) + getattr(scope.u, gate))


def again(gate: str, operand: Term) -> Term:
    return Term(f"u.{gate}({operand})", 3, True, lambda scope: getattr(scope.u, gate)(scope(operand)))


def unary(name: str, function: Callable[[Any], Any], a: Term, size: float) -> Term:
    return Term(name.format(a), size, a.full, lambda scope: function(scope(a)))


def binary(name: str, function: Callable[[Any, Any], Any], a: Term, b: Term, size: float) -> Term:
    return Term(name.format(a, b), size, a.full or b.full, lambda scope: function(scope(a), scope(b)))


def rectified(a: Term) -> Term:
    def compute(scope: Scope) -> Any:
        scope.kink(scope(a))
        return relu(scope(a))

    return Term(f"relu({a})", a.size, a.full, compute)


def larger(a: Term, b: Term) -> Term:
    def compute(scope: Scope) -> Any:
        scope.kink(scope(a) - scope(b))
        return maximum(scope(a), scope(b))

    return Term(f"maximum({a}, {b})", max(a.size, b.size), a.full or b.full, compute)


CONDITIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    "!=": lambda a, b: a != b,
    "==": lambda a, b: is_zero(a - b),
}


def chosen(sign: str, at: float, a: Term, b: Term, c: Term) -> Term:
    def compute(scope: Scope) -> Any:
        scope.kink(scope(a) - at)
        return where(CONDITIONS[sign](scope(a), at), scope(b), scope(c))

    text = f"where({a} {sign} {at}, {b}, {c})"
    return Term(text, max(b.size, c.size), a.full or b.full or c.full, compute)


UNARY: list[tuple[str, Callable[[Any], Any], Callable[[float], float]]] = [
    ("sigmoid({})", sigmoid, lambda size: 1),
    ("tanh({})", tanh, lambda size: 1),
    ("sin({})", sin, lambda size: 1),
    ("cos({})", cos, lambda size: 1),
    ("exp(tanh({}))", lambda a: exp(tanh(a)), lambda size: 3),
    ("expm1(-sigmoid({}))", lambda a: expm1(-sigmoid(a)), lambda size: 1),
    ("log(0.5 + sigmoid({}))", lambda a: log(0.5 + sigmoid(a)), lambda size: 1),
    ("log_sigmoid({})", log_sigmoid, lambda size: size + 1),
    ("sqrt(1 + {0} * {0})", lambda a: sqrt(1 + a * a), lambda size: size + 1),
    ("(-{})", lambda a: -a, lambda size: size),
    ("(1 - {})", lambda a: 1 - a, lambda size: size + 1),
    ("({} - 1.5)", lambda a: a - 1.5, lambda size: size + 1.5),
    ("(0.75 * {})", lambda a: 0.75 * a, lambda size: size),
    ("({} / 4)", lambda a: a / 4, lambda size: size),
    ("({} / 3)", lambda a: a / 3, lambda size: size),
    ("(1 / (1.5 + tanh({})))", lambda a: 1 / (1.5 + tanh(a)), lambda size: 2),
    ("({} + 0)", lambda a: a + 0, lambda size: size),
    ("(-1 * {})", lambda a: -1 * a, lambda size: size),
    ("{}**2", lambda a: a**2, lambda size: size**2),
    ("{}**3", lambda a: a**3, lambda size: size**3),
]
BINARY: list[tuple[str, Callable[[Any, Any], Any], Callable[[float, float], float]]] = [
    ("({} + {})", lambda a, b: a + b, lambda a, b: a + b),
    ("({} - {})", lambda a, b: a - b, lambda a, b: a + b),
    ("({} * {})", lambda a, b: a * b, lambda a, b: a * b),
    ("({} * sigmoid({}))", lambda a, b: a * sigmoid(b), lambda a, b: a),
    ("({} / (1 + {}**2))", lambda a, b: a / (1 + b**2), lambda a, b: a),
    ("{}.logaddexp({})", lambda a, b: a.logaddexp(b), lambda a, b: max(a, b) + 1),
]


@st.composite
def terms(draw: st.DrawFn, pool: list[Term]) -> Term:
    """One more operation on some of the pool."""
    members = st.sampled_from(pool)
    match draw(st.sampled_from(["unary", "binary", "binary", "relu", "maximum", "where"])):
        case "unary":
            name, function, size = draw(st.sampled_from(UNARY))
            a = draw(members)
            made = unary(name, function, a, size(a.size))
        case "binary":
            name, pairing, both = draw(st.sampled_from(BINARY))
            a, b = draw(members), draw(members)
            made = binary(name, pairing, a, b, both(a.size, b.size))
        case "relu":
            made = rectified(draw(members))
        case "maximum":
            made = larger(draw(members), draw(members))
        case _:
            made = chosen(
                draw(st.sampled_from(list(CONDITIONS))),
                draw(st.sampled_from([0.0, 0.25, -0.5])),
                *(draw(members) for _ in range(3)),
            )
    return made if made.size <= 8 else unary("tanh({})", tanh, made, 1)


class Equations(NamedTuple):
    """What a random cell is made of."""

    gates: tuple[str, ...]
    recurrent: tuple[str, ...]
    second: tuple[str, ...]
    vectors: tuple[str, ...]
    reads_gaps: bool
    after: dict[str, Term]

    def cell(self) -> tuple[Cell, list[float]]:
        """A cell of a class of its own, and where the kinks that it comes near are listed."""
        kinks: list[float] = []

        def step(self_: Cell, x: Any, u: Any, s: Any, p: Any = None) -> State:
            scope = Scope(x, u, s, p, kinks)
            return State(**{name: scope(term) for name, term in self.after.items()})

        def step_without_vectors(self_: Cell, x: Any, u: Any, s: Any) -> State:
            return step(self_, x, u, s)

        def step_with_vectors(self_: Cell, x: Any, u: Any, s: Any, p: Any) -> State:
            return step(self_, x, u, s, p)

        declared = {
            "gates": self.gates,
            "states": tuple(self.after),
            "recurrent": self.recurrent,
            "second": self.second,
            "vectors": dict.fromkeys(self.vectors),
            "reads_gaps": self.reads_gaps,
            "step": step_with_vectors if self.vectors else step_without_vectors,
        }
        return type("Random", (Cell,), declared)(), kinks


@st.composite
def equations(draw: st.DrawFn) -> Equations:
    """1 to 3 gates, states and recurrent projections, some of them of what the step computes; up to 2 vectors."""
    gates = "abc"[: draw(st.integers(1, 3))]
    states = "hcm"[: draw(st.integers(1, 3))]
    vectors = "vw"[: draw(st.integers(0, 2))]
    first = draw(st.lists(st.sampled_from(gates), unique=True, max_size=3))
    second = "qr"[: draw(st.integers(0, 2))]
    reads_gaps = draw(st.booleans())
    pool = [pair(gate) for gate in first if draw(st.booleans())]
    pool += [leaf("x", gate, 2) for gate in gates] + [leaf("u", gate, 2) for gate in first]
    pool += [leaf("s", state, 2) for state in states] + [leaf("p", vector, 1) for vector in vectors]
    pool += [leaf("x", "gap", 2)] * reads_gaps
    for gate in second:
        pool += [draw(terms(pool)) for _ in range(draw(st.integers(0, 3)))]
        pool.append(again(gate, draw(st.sampled_from([term for term in pool if term.full]))))
    for _ in range(draw(st.integers(1, 8))):
        pool.append(draw(terms(pool)))
    after = {}
    for state in states:
        ends = st.sampled_from([term for term in pool if term.full][::-1])
        after[state] = bounded(draw(st.sampled_from(["as it is", "tanh", "mixed"])), state, draw(ends), draw(ends))
    return Equations(tuple(gates), (*first, *second), tuple(second), tuple(vectors), reads_gaps, after)


def bounded(how: str, state: str, a: Term, b: Term) -> Term:
    """What a state becomes: it must not grow from step to step."""
    if how == "mixed":

        def mix(scope: Scope) -> Any:
            share = sigmoid(scope(a))
            return share * getattr(scope.s, state) + (1 - share) * tanh(scope(b))

        return Term(f"(sigmoid({a}) * s.{state} + (1 - sigmoid({a})) * tanh({b}))", 2, True, mix)
    return a if how == "as it is" and a.size <= 3 else unary("tanh({})", tanh, a, 1)


class Case(NamedTuple):
    """A layer's arguments and a batch."""

    hidden: int
    options: dict[str, Any]
    lengths: tuple[int, ...] | None
    resets: bool
    seed: int


TIME, BATCH, FEATURES = 5, 3, 2


@st.composite
def cases(draw: st.DrawFn) -> Case:
    return Case(
        draw(st.sampled_from([5, 1, 3, 8, 17])),
        draw(
            st.sampled_from(
                [{}, {}, {"bias": False}, {"layer_norm": True}, {"zoneout": 0.3}, {"recurrent_dropout": 0.4}]
            )
        ),
        draw(st.none() | st.tuples(*[st.integers(0, TIME)] * BATCH)),
        draw(st.booleans()),
        draw(st.integers(0, 99)),
    )


def results(layer: Recurrent, case: Case, engine: str) -> dict[str, torch.Tensor]:
    """Outputs, final states, and the gradients of a weighted sum of them, by name; the same draws in every dtype."""
    dtype = layer.weight_ih_l0.dtype
    generator = torch.Generator().manual_seed(case.seed)

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(dtype)

    x = numbers(TIME, BATCH, FEATURES).requires_grad_()
    state = layer.initial_state(BATCH).map(lambda part: numbers(*part.shape).requires_grad_())
    resets = torch.rand(TIME, BATCH, generator=generator) < 0.3 if case.resets else None
    gaps = numbers(TIME, BATCH).abs() if layer.cell.reads_gaps else None
    with recurra.engine(engine), torch.random.fork_rng(devices=[]):
        torch.manual_seed(case.seed)
        y, last = layer(x, state, lengths=case.lengths, resets=resets, gaps=gaps)
    found = {"y": y, **{f"final {name}": part for name, part in last._asdict().items()}}
    loss = sum((numbers(*part.shape) * part).sum() for part in found.values())
    leaves = {"x": x, **{f"initial {name}": part for name, part in state._asdict().items()}}
    leaves |= dict(layer.named_parameters())
    gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
    found |= {f"gradient of {name}": gradient for name, gradient in zip(leaves, gradients, strict=True)}
    return {name: part.detach() for name, part in found.items()}


def make_layer(cell: Cell, case: Case, dtype: torch.dtype, seed: int) -> Recurrent:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return Recurrent(
            cell, FEATURES, case.hidden, bidirectional=True, seed=seed, dtype=dtype, **case.options
        ).train()


@pytest.fixture(scope="module", autouse=True)
def cache_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Libraries that nobody needs again are not kept among the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECURRA_CACHE", str(tmp_path_factory.mktemp("random-cells")))
        yield


QUIET = settings(
    deadline=None,
    max_examples=EXAMPLES,
    derandomize=EXAMPLES <= 20,
    suppress_health_check=list(HealthCheck),
)


@QUIET
@given(equations(), cases())
def test_float64_differs_from_the_reference_by_rounding_only(made: Equations, case: Case) -> None:
    cell, kinks = made.cell()
    layer = make_layer(cell, case, torch.float64, case.seed)
    expected = results(layer, case, "reference")
    assume(min(kinks, default=1) > NEAR)
    found = results(layer, case, "compiled")
    for name, value in expected.items():
        assert_within_rounding(found[name], value, name)


@QUIET
@given(equations(), cases())
def test_float32_is_as_accurate_as_plain_arithmetic(made: Equations, case: Case) -> None:
    """By the law of twice its error; where one draw of weights breaks it, the one in the middle of seven must not."""
    cell, kinks = made.cell()
    first = errors(cell, case, case.seed)
    assume(min(kinks, default=1) > NEAR)
    broken = [name for name, error in first.items() if not error.lawful]
    if broken:
        more = [first, *(errors(cell, case._replace(seed=case.seed + i), case.seed + i) for i in range(1, 7))]
        for name in broken:
            middle = sorted((one[name] for one in more), key=lambda error: error.share)[3]
            assert middle.lawful, f"{name} has {middle}"


def errors(cell: Cell, case: Case, seed: int) -> dict[str, Error]:
    single = make_layer(cell, case, torch.float32, seed)
    double = make_layer(cell, case, torch.float64, seed)
    double.load_state_dict(single.state_dict())
    exact, plain = results(double, case, "reference"), results(single, case, "reference")
    found = results(single, case, "compiled")
    return {name: measure_error(found[name], plain[name], exact[name], name) for name in exact}
