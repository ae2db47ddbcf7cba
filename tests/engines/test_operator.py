"""Kernels as operators of torch: their schema, their shapes ahead of time, their derivatives, and torch.compile."""

import copy

import pytest
import torch

import recurra
from recurra.compiler.program import make_program
from recurra.compiler.toolchain import find_compiler
from recurra.engines import Conditions
from recurra.engines.operator import number_of
from recurra.engines.task import Task, form_of
from recurra.nn import Recurrent
from recurra.testing import assert_within_rounding

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")


def draw(*shape, dtype=torch.float64):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).to(dtype)


def arguments(layer, conditions):
    """Of the operator, for the first recurrence of a layer."""
    x = draw(4, 3, 2).requires_grad_()
    weights = layer._stack.recurrences[0].weights(layer, None)
    start = layer.initial_state(3).map(lambda part: part[0].clone().requires_grad_())
    if conditions.resets is not None:
        conditions = conditions._replace(restart=start.map(lambda part: part.detach() + 1))
    form = form_of(conditions, weights)
    task = Task(layer.cell, form, conditions, False)
    inputs = task.inputs(task.flatten(weights, x, start))
    return (*inputs, number_of(make_program(layer.cell, form)), False, True)


# All rows are whole, for where a row has no step the tape, one of the results, holds what was there before.
MEASURED = Conditions(torch.tensor([4, 4, 4]), torch.tensor([[0, 1, 0]] * 4).bool())
CASES = [
    ("lstm", {}, MEASURED),
    ("gru", {"layer_norm": True}, Conditions()),
    ("peepholelstm", {"proj_size": 2}, Conditions()),
    ("cfc", {"bias": False}, Conditions(gaps=torch.ones(4, 3, dtype=torch.float64))),
    ("lstm", {}, Conditions(zoneout=(torch.ones(4, 3, 3).bool(), 0.5), dropout=torch.ones(3, 3, dtype=torch.float64))),
    ("mingru", {}, Conditions()),
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("cell", "options", "conditions"), CASES, ids=["measured", "normal", "projected", "gaps", "dropped", "unlooped"]
)
def test_the_operator_is_what_torch_asks_of_one(cell, options, conditions):
    """Its schema, its fake results and its derivative, traced with shapes that change."""
    layer = Recurrent(cell, 2, 3, seed=0, dtype=torch.float64, **options)
    passed = torch.library.opcheck(torch.ops.recurra.sequence.default, arguments(layer, conditions))
    assert set(passed.values()) == {"SUCCESS"}


def results(layer, call, **named):
    x = draw(5, 3, 2, dtype=layer.weight_ih_l0.dtype).requires_grad_()
    start = layer.initial_state(3).map(lambda part: (part.detach() + 0.5).requires_grad_())
    y, last = call(x, start, **named)
    loss = sum((part * torch.linspace(-1, 2, part.numel()).view_as(part)).sum() for part in (y, *last))
    return [y, *last, *torch.autograd.grad(loss, [x, *start, *layer.parameters()])]


LAYERS = [
    ("lstm", {"num_layers": 2, "bidirectional": True}, {"lengths": torch.tensor([5, 0, 2])}),
    ("peepholelstm", {}, {}),
    ("gru", {"layer_norm": True, "zoneout": 0.3}, {}),
    ("sru", {"checkpoint": 2}, {}),
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("cell", "options", "named"), LAYERS, ids=[case[0] for case in LAYERS])
def test_a_layer_is_compiled_whole_and_computes_the_same(cell, options, named):
    torch._dynamo.reset()
    layer = Recurrent(cell, 2, 3, seed=0, **options).eval()
    whole = torch.compile(layer, fullgraph=True, backend="aot_eager")
    with recurra.engine("compiled"):
        found, expected = results(layer, whole, **named), results(layer, layer, **named)
    for one, other in zip(found, expected, strict=True):
        assert_within_rounding(one, other)


def operators(layer, *inputs, **named):
    """The names of those in the graph that torch.compile makes of a layer."""
    torch._dynamo.reset()
    seen = []

    def look(graph, example):
        seen.extend(str(node.target) for node in graph.graph.nodes if node.op == "call_function")
        return graph

    torch.compile(layer, fullgraph=True, backend=look)(*inputs, **named)
    return [name for name in seen if name.startswith("recurra")]


def test_a_compiled_graph_holds_one_operator_for_each_recurrence():
    layer = Recurrent("lstm", 2, 3, num_layers=2, bidirectional=True, seed=0)
    assert operators(layer, draw(5, 3, 2).float()) == ["recurra.sequence"] * 4


@pytest.mark.filterwarnings("ignore")
def test_batches_of_any_size_share_one_graph():
    torch._dynamo.reset()
    layer, graphs = Recurrent("gru", 2, 3, seed=0), []

    def count(graph, example):
        graphs.append(graph)
        return graph

    whole = torch.compile(layer, fullgraph=True, dynamic=True, backend=count)
    for batch in (3, 5, 8, 2):
        x = draw(4, batch, 2).float()
        assert_within_rounding(whole(x)[0], layer(x)[0])
    assert len(graphs) == 1


def test_a_step_is_compiled_too():
    torch._dynamo.reset()
    layer, x = Recurrent("lstm", 2, 3, seed=0), draw(3, 2).float()
    step = torch.compile(lambda x_t, state: layer.step(x_t, state), fullgraph=True, backend="eager")
    with torch.no_grad():
        y, state = layer.step(x)
        found, expected = step(y[:, :2].contiguous(), state), layer.step(y[:, :2].contiguous(), state)
    assert_within_rounding(found[0], expected[0])
    assert_within_rounding(found[1].c, expected[1].c)


def test_weights_changed_after_compiling_are_seen():
    torch._dynamo.reset()
    layer, x = Recurrent("gru", 2, 3, seed=0), draw(4, 3, 2).float()
    whole = torch.compile(layer, fullgraph=True, backend="eager")
    before = whole(x)[0].detach().clone()
    with torch.no_grad():
        layer.weight_hh_l0.mul_(2)
    after = whole(x)[0]
    assert not torch.equal(after, before)
    assert_within_rounding(after, copy.deepcopy(layer)(x)[0])


def test_an_exported_layer_holds_no_operator_of_this_machine():
    layer = Recurrent("gru", 2, 3, seed=0).eval()
    program = torch.export.export(layer, (torch.ones(4, 3, 2),))
    assert not [node for node in program.graph.nodes if "recurra" in str(node.target)]
    x = draw(4, 3, 2).float()
    assert_within_rounding(program.module()(x)[0], layer(x)[0])
