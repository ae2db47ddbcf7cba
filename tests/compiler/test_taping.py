"""What is kept for the way back: enough, and never more than the cheapest choice."""

import itertools
import random

import pytest

from recurra.cells import get_cell, list_cells
from recurra.compiler import taping
from recurra.compiler.forms import Form
from recurra.compiler.graph import CONDITIONS, Graph, ancestors
from recurra.compiler.program import make_program
from recurra.compiler.taping import choose_kept

CELLS = [*list_cells(), "elman-relu", "elman-linear", "leaky-0.3-sigmoid", "jordan-linear", "indrnn-linear"]
FORMS = [Form(), Form(layer_norm=True), Form(thinned=True), Form(zoneout=("drawn",) * 4), Form(zoneout=("share",) * 4)]


def program_of(name, form):
    cell = get_cell(name)
    return make_program(cell, form._replace(zoneout=form.zoneout[: len(cell.states)]))


def kept_of(name):
    return {repr(node) for node in make_program(get_cell(name)).kept}


def test_an_lstm_keeps_its_gates_and_its_memory():
    assert kept_of("lstm") == {"s.c", "sigmoid(a.f)", "sigmoid(a.i)", "sigmoid(a.o)", "tanh(a.g)"}


@pytest.mark.parametrize("name", ["elman", "elman-relu", "elman-sigmoid", "elman-linear", "feedback", "indrnn"])
def test_what_the_output_tells_is_not_kept(name):
    assert kept_of(name) == set()


@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(map(str, form)))
@pytest.mark.parametrize("name", CELLS)
def test_what_is_kept_and_what_is_at_hand_suffice(name, form):
    program = program_of(name, form)
    wanted = [*program.gradients, *(one for one in program.before if one), *program.vector_gradients]
    at_hand = {"tape", "after", "vector", "row", "thin", "kept", "d"}
    for node in ancestors([*wanted, *program.operands_again]):
        if node.op == "leaf":
            assert node.name[0] in at_hand or node.name == ("s", program.cell.states[0]), node
        if node.op == "product":
            assert node.name[0] == "back", node


@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(map(str, form)))
@pytest.mark.parametrize("name", CELLS)
def test_nothing_is_kept_that_is_not_read_or_is_at_hand_anyway(name, form):
    program = program_of(name, form)
    wanted = [*program.gradients, *(one for one in program.before if one), *program.vector_gradients]
    leaves = {node.name for node in ancestors([*wanted, *program.operands_again]) if node.op == "leaf"}
    normal = {column.node for column in program.columns} if form.layer_norm else set()
    for place, node in enumerate(program.kept):
        assert ("tape", str(place)) in leaves or node in normal, node
        assert (node.name or ("",))[0] not in ("vector", "row", "thin", "kept"), node
        assert node.op not in (*CONDITIONS, "constant"), node


def test_layer_normalisation_keeps_every_column():
    program = make_program(get_cell("gru"), Form(layer_norm=True))
    assert {column.node for column in program.columns} <= set(program.kept)


def choices(graph, needed, free, forced):
    """The cost of the cheapest of all choices, by trying each."""
    at_hand = {node for node in ancestors([*needed, *forced]) if node.op == "constant" or node in free}
    values = [node for node in ancestors([*needed, *forced], stop=at_hand) if node not in at_hand]
    best = None
    for picks in itertools.product((0, 1, 2), repeat=len(values)):  # absent, kept, computed again
        chosen = dict(zip(values, picks, strict=True))
        cost = _cost(chosen, needed, free, forced)
        if cost is not None and (best is None or cost < best):
            best = cost
    return best


def _cost(chosen, needed, free, forced):
    """Of a choice; None if it does not do."""
    total = 0
    for node, pick in chosen.items():
        if pick == 0 and (node in needed or node in forced):
            return None
        if pick == 2:
            if node.op in ("leaf", "product") or node in forced:
                return None
            if any(chosen.get(one, 1) == 0 for one in node.inputs):
                return None
            total += taping._COSTS.get(node.op, 1)
        if pick == 1:
            total += taping._NEVER if node.op in CONDITIONS else taping._KEEP
    return total


def cost_of(kept, needed, free, forced):
    """Of keeping these and computing the rest of what is needed again."""
    again = set()
    waiting = [node for node in {*needed, *forced} if node not in kept]
    while waiting:
        node = waiting.pop()
        if node in again or node in free or node.op == "constant":
            continue
        assert node.op not in ("leaf", "product"), f"{node!r} can only be kept"
        again.add(node)
        waiting += [one for one in node.inputs if one not in kept]
    keeping = sum(taping._NEVER if node.op in CONDITIONS else taping._KEEP for node in kept)
    return keeping + sum(taping._COSTS.get(node.op, 1) for node in again)


def random_graph(chance):
    graph = Graph()
    nodes = [graph.leaf("x", word) for word in "abc"]
    while len(nodes) < 8:
        op = chance.choice(["tanh", "sin", "add", "mul", "logaddexp", "product", "where"])
        match op:
            case "tanh" | "sin":
                node = graph.apply(op, chance.choice(nodes))
            case "product":
                node = graph.product(("u", str(len(nodes))), chance.choice(nodes))
            case "where":
                condition = graph.apply("gt", chance.choice(nodes), chance.choice(nodes))
                node = graph.apply("where", condition, chance.choice(nodes), chance.choice(nodes))
            case _:
                node = graph.apply(op, chance.choice(nodes), chance.choice(nodes))
        if node not in nodes:
            nodes.append(node)
    return graph, nodes


@pytest.mark.parametrize("seed", range(40))
def test_no_choice_is_cheaper(seed):
    chance = random.Random(seed)
    graph, nodes = random_graph(chance)
    needed = set(chance.sample(nodes, 3))
    free = set(chance.sample(nodes, chance.choice([0, 1, 2])))
    forced = chance.sample([node for node in nodes if node not in free], chance.choice([0, 0, 1]))
    kept = choose_kept(needed, is_free=free.__contains__, must_keep=forced)
    assert set(forced) <= set(kept)
    assert not free & set(kept)
    assert kept == sorted(kept, key=lambda node: node.number)
    assert cost_of(kept, needed, free, forced) == choices(graph, needed, free, forced)


def test_nothing_is_kept_for_nothing():
    graph = Graph()
    assert choose_kept([], is_free=lambda node: False) == []
    assert choose_kept([graph.constant(1)], is_free=lambda node: False) == []


def test_a_sine_is_kept_and_an_addition_is_not():
    graph = Graph()
    a, b = graph.leaf("x", "a"), graph.leaf("x", "b")
    total, sine = graph.add(a, b), graph.apply("sin", a)
    assert choose_kept([total, a, b], is_free=lambda node: False) == [a, b]
    assert choose_kept([sine, a], is_free=lambda node: False) == [a, sine]
