"""Random equations: what is compiled from them computes what the reference does, gradients, steps and streams included.

Each example builds a library or two, about a second each. RECURRA_RANDOM_CELLS sets how many there are, as in
RECURRA_RANDOM_CELLS=200; above 20 they differ from run to run.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

import recurra
from recurra.cells import Cell, State, _functions
from recurra.compiler.toolchain import find_compiler
from recurra.nn import Recurrent
from recurra.testing import assert_within_rounding
from recurra.testing.comparing import Error, measure_error

pytestmark = [pytest.mark.slow, pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")]

EXAMPLES = int(os.environ.get("RECURRA_RANDOM_CELLS", "10"))
RANDOMLY = settings(
    deadline=None,
    max_examples=EXAMPLES,
    derandomize=EXAMPLES <= 20,
    phases=[Phase.generate],  # to make a failing one smaller would take minutes, and it is not long
    suppress_health_check=list(HealthCheck),
)
NEAR = 1e-4  # of a kink: rounding may put a value on either side of it

# An operation, and what the absolute value of its result hardly passes for operands of these sizes.
OPERATIONS: list[tuple[str, Callable[[float, float, float], float]]] = [
    ("sigmoid({a})", lambda a, b, c: 1),
    ("tanh({a})", lambda a, b, c: 1),
    ("sin({a})", lambda a, b, c: 1),
    ("cos({a})", lambda a, b, c: 1),
    ("exp(tanh({a}))", lambda a, b, c: 3),
    ("expm1(-sigmoid({a}))", lambda a, b, c: 1),
    ("log(0.5 + sigmoid({a}))", lambda a, b, c: 1),
    ("log_sigmoid({a})", lambda a, b, c: a + 1),
    ("sqrt(1 + {a} * {a})", lambda a, b, c: a + 1),
    ("-{a}", lambda a, b, c: a),
    ("1 - {a}", lambda a, b, c: a + 1),
    ("{a} - 1.5", lambda a, b, c: a + 1.5),
    ("0.75 * {a}", lambda a, b, c: a),
    ("-1 * {a} + 0", lambda a, b, c: a),
    ("{a} / 4 - {b} / 3", lambda a, b, c: a + b),
    ("1 / (1.5 + tanh({a}))", lambda a, b, c: 2),
    ("{a}**2", lambda a, b, c: a**2),
    ("{a}**3", lambda a, b, c: a**3),
    ("{a} + {b}", lambda a, b, c: a + b),
    ("{a} + {b} + {c}", lambda a, b, c: a + b + c),
    ("{a} - {b}", lambda a, b, c: a + b),
    ("{a} * {b}", lambda a, b, c: a * b),
    ("{a} * sigmoid({b})", lambda a, b, c: a),
    ("{a} / (1 + {b}**2)", lambda a, b, c: a),
    ("{a}.logaddexp({b})", lambda a, b, c: max(a, b) + 1),
    ("relu(near({a}, 0))", lambda a, b, c: a),
    ("maximum(near({a}, {b}), {b})", lambda a, b, c: max(a, b)),
    ("where(near({a}, 0.25) > 0.25, {b}, {c})", lambda a, b, c: max(b, c)),
    ("where(near({a}, -0.5) >= -0.5, {b}, {c})", lambda a, b, c: max(b, c)),
    ("where(near({a}, {b}) < {b}, {c}, {a})", lambda a, b, c: max(a, c)),
    ("where(near({a}, 0.125) <= 0.125, {b}, 0.5)", lambda a, b, c: max(b, 0.5)),
    ("where(relu(near({a}, 0)) != 0, {b}, {c})", lambda a, b, c: max(b, c)),
    ("where(is_zero(relu(near({a}, 0))), {b}, {c})", lambda a, b, c: max(b, c)),
]
ENDINGS = ["{a}", "tanh({a})", "sigmoid({b}) * s.{state} + (1 - sigmoid({b})) * tanh({a})"]


class Value(NamedTuple):
    """size: what its absolute value hardly passes. full: whether it has a number for each row and unit, which vectors
    and the time gap have not."""

    name: str
    size: float
    full: bool


class Equations(NamedTuple):
    """What a random cell is made of; lines: those of its step."""

    gates: tuple[str, ...]
    states: tuple[str, ...]
    recurrent: tuple[str, ...]
    second: tuple[str, ...]
    vectors: tuple[str, ...]
    reads_gaps: bool
    lines: tuple[str, ...]

    def __repr__(self) -> str:
        declared = [f"{name} = {getattr(self, name)!r}" for name in self._fields if name != "lines"]
        return "\n    ".join(["", *declared, *self.text.splitlines()])

    @property
    def text(self) -> str:
        """The step as Python."""
        taken = "self, x, u, s, p" if self.vectors else "self, x, u, s"
        return "\n    ".join([f"def step({taken}):", *self.lines])

    def make(self) -> tuple[Cell, list[float]]:
        """A cell of a class of its own; and a list that takes how near its values come to where a derivative jumps."""
        kinks: list[float] = []

        def near(value: Any, kink: Any) -> Any:
            distance = value - kink
            if isinstance(distance, torch.Tensor) and distance.numel():
                kinks.append(float(distance.detach().abs().min()))
            return value

        known = {**vars(_functions), "State": State, "near": near}
        exec(self.text, known)  # noqa: S102 - of the lines above
        declared = self._asdict() | {"vectors": dict.fromkeys(self.vectors), "step": known["step"]}
        del declared["lines"]
        return type("Random", (Cell,), declared)(), kinks


@st.composite
def equations(draw: st.DrawFn) -> Equations:
    """1 to 3 gates and states, recurrent projections, some of what the step computes, up to 2 vectors."""
    gates, states = tuple("abc"[: draw(st.integers(1, 3))]), tuple("hcm"[: draw(st.integers(1, 3))])
    first = tuple(draw(st.lists(st.sampled_from(gates), unique=True, max_size=3)))
    second, vectors = tuple("qr"[: draw(st.integers(0, 2))]), tuple("vw"[: draw(st.integers(0, 2))])
    reads_gaps = draw(st.booleans())
    pool = [Value(f"(x.{gate} + u.{gate})", 3, True) for gate in first]
    pool += [Value(f"x.{gate}", 2, True) for gate in gates] + [Value(f"u.{gate}", 2, True) for gate in first]
    pool += [Value(f"s.{state}", 2, True) for state in states] + [Value(f"p.{name}", 1, False) for name in vectors]
    pool += [Value("x.gap", 2, False)] * reads_gaps
    lines: list[str] = []
    names = (f"t{number}" for number in itertools.count())

    def add(text: str, size: float, full: bool) -> None:
        name = next(names)
        lines.append(f"{name} = {text}")
        pool.append(Value(name, size, full))

    def operate(times: int) -> None:
        for _ in range(times):
            text, size = draw(st.sampled_from(OPERATIONS))
            used = {slot: draw(st.sampled_from(pool)) for slot in "abc"}
            full = any(value.full for slot, value in used.items() if f"{{{slot}}}" in text)
            text, result = text.format(**{s: v.name for s, v in used.items()}), size(*(v.size for v in used.values()))
            add(*((text, result) if result <= 8 else (f"tanh({text})", 1)), full)

    def pick() -> Value:
        return draw(st.sampled_from([value for value in pool if value.full][::-1]))

    for gate in second:
        operate(draw(st.integers(0, 3)))
        add(f"u.{gate}({pick().name})", 3, True)
    operate(draw(st.integers(1, 8)))
    ends = []
    for state in states:
        a, b = pick(), pick()
        text = draw(st.sampled_from(ENDINGS if a.size <= 3 else ENDINGS[1:]))
        ends.append(f"{state}={text.format(a=a.name, b=b.name, state=state)}")
    lines.append(f"return State({', '.join(ends)})")
    return Equations(gates, states, (*first, *second), second, vectors, reads_gaps, tuple(lines))


TIME, BATCH, FEATURES = 5, 3, 2
OPTIONS: list[dict[str, Any]] = [
    {},
    {"bias": False},
    {"layer_norm": True},
    {"zoneout": 0.3},
    {"recurrent_dropout": 0.4},
    {"layer_norm": True, "zoneout": 0.3, "recurrent_dropout": 0.4},
]


class Case(NamedTuple):
    """A layer's arguments and a batch."""

    hidden: int
    options: dict[str, Any]
    lengths: tuple[int, ...] | None
    resets: bool
    seed: int

    def layer(self, cell: Cell, dtype: torch.dtype, seed: int, **options: Any) -> Recurrent:
        named = {"bidirectional": True, **self.options, **options}
        return Recurrent(cell, FEATURES, self.hidden, seed=seed, dtype=dtype, **named).train()


@st.composite
def cases(draw: st.DrawFn, made: Equations) -> Case:
    """Options that mean something for the cell."""
    feeds_back = len(made.recurrent) > len(made.second)
    fitting = [one for one in OPTIONS if feeds_back or "recurrent_dropout" not in one]
    options = draw(st.sampled_from(fitting))
    hidden = draw(st.sampled_from([5, 3, 8, 17, 64] if "layer_norm" in options else [5, 1, 3, 8, 17, 64]))
    lengths = draw(st.none() | st.tuples(*[st.integers(0, TIME)] * BATCH))
    return Case(hidden, options, lengths, draw(st.booleans()), draw(st.integers(0, 99)))


def results(layer: Recurrent, case: Case, engine: str) -> dict[str, torch.Tensor]:
    """Outputs, final states, and the gradients of a weighted sum of them, by name; the same draws in every dtype."""
    dtype, generator = layer.weight_ih_l0.dtype, torch.Generator().manual_seed(case.seed)

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


@pytest.fixture(scope="module", autouse=True)
def cache_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Libraries that nobody needs again are not kept among the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECURRA_CACHE", str(tmp_path_factory.mktemp("random-cells")))
        yield


@RANDOMLY
@given(st.data())
def test_float64_differs_from_the_reference_by_rounding_only(data: st.DataObject) -> None:
    made = data.draw(equations())
    case = data.draw(cases(made))
    cell, kinks = made.make()
    layer = case.layer(cell, torch.float64, case.seed)
    expected = results(layer, case, "reference")
    assume(min(kinks, default=1) > NEAR)
    found = results(layer, case, "compiled")
    for name, value in expected.items():
        assert_within_rounding(found[name], value, name)
    if not {"zoneout", "recurrent_dropout"} & set(case.options):
        assert_steps_and_streams(case.layer(cell, torch.float64, case.seed, bidirectional=False).eval(), case.seed)


@torch.no_grad()
def assert_steps_and_streams(layer: Recurrent, seed: int) -> None:
    x = torch.randn(TIME, BATCH, FEATURES, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    with recurra.engine("reference"):
        expected, last = layer(x)
    stream, state = layer.stream(BATCH), None
    for x_t, expected_t in zip(x, expected, strict=True):
        y_t, state = layer.step(x_t, state)
        assert_within_rounding(y_t, expected_t, "y of a step")
        assert_within_rounding(torch.from_numpy(np.array(stream(x_t.numpy()))), expected_t, "y of a stream")
    for part, streamed, other in zip(state, stream.state, last, strict=True):
        assert_within_rounding(part, other, "the state after steps")
        assert_within_rounding(streamed, other, "the state of a stream")


@RANDOMLY
@given(st.data())
def test_float32_is_as_accurate_as_plain_arithmetic(data: st.DataObject) -> None:
    """By the law of twice its error; where one draw of weights breaks it, the one in the middle of seven must not."""
    made = data.draw(equations())
    case = data.draw(cases(made))
    cell, kinks = made.make()
    first = errors(cell, case)
    assume(min(kinks, default=1) > NEAR)
    broken = [name for name, error in first.items() if not error.lawful]
    if broken:
        more = [first, *(errors(cell, case._replace(seed=case.seed + other)) for other in range(1, 7))]
        for name in broken:
            middle = sorted((one[name] for one in more), key=lambda error: error.share)[3]
            assert middle.lawful, f"{name} has {middle}"


def errors(cell: Cell, case: Case) -> dict[str, Error]:
    single, double = (case.layer(cell, dtype, case.seed) for dtype in (torch.float32, torch.float64))
    double.load_state_dict(single.state_dict())
    exact, plain = results(double, case, "reference"), results(single, case, "reference")
    found = results(single, case, "compiled")
    return {name: measure_error(found[name], plain[name], exact[name], name) for name in exact}
