"""Layers under torch.compile, torch.export, torch.func, forward derivatives, autocast and other number types."""

import copy
import shutil

import pytest
import torch
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, stack_module_state, vmap

import recurra
from recurra.cells import Cell, State, list_cells, sigmoid
from recurra.compiler.toolchain import find_compiler
from recurra.errors import ArgumentError
from recurra.nn import GRUCell, LSTMCell, Recurrent, RNNCell
from recurra.testing import assert_lawful, assert_within_rounding
from recurra.testing.options import OPTIONS
from recurra.testing.sampling import draw

NATIVE = ("lstm", "gru", "elman", "elman-relu", "feedback", "feedback-relu")
LENGTHS = torch.tensor([5, 0, 2])
X = draw(4, 5, 3, 2)  # maps time batch feature
# torch's own rules for forward derivatives are written in what it deprecates.
forward_derivatives = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
second_derivatives = pytest.mark.filterwarnings("ignore:a derivative of a derivative was asked for:recurra.Notice")


class Mine(Cell):
    gates = ("f", "n")
    states = ("h", "c")

    def step(self, x, u, s):
        f = sigmoid(x.f + u.f)
        c = f * s.c + (1 - f) * (x.n + u.n)
        return State(h=sigmoid(c) * c, c=c)


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch._dynamo.reset()


def two_ways(cell, **named):
    """Stacked in both directions: everything that a layer has."""
    return Recurrent(cell, 2, 3, 2, bidirectional=True, seed=0, **{"dtype": torch.float64, **named})


def results(call, parameters, x, **named):
    """y, final states and every gradient; a layer in training mode drops the same in every run."""
    x = x.detach().clone().requires_grad_()
    torch.manual_seed(4)
    y, state = call(x, **named)
    loss = (y * y.cos()).sum() + sum(part.sin().sum() for part in state)
    leaves = [x, *parameters]
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
    return [part.detach() for part in (y, *state, *gradients)]


def assert_all_equal(found, expected):
    assert len(found) == len(expected)
    for index, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert_within_rounding(one, other, f"result {index}")


def assert_compiles(layer, backend="eager", x=X[0], **named):
    compiled = torch.compile(layer, fullgraph=True, backend=backend)
    found = results(compiled, layer.parameters(), x, **named)
    assert_all_equal(found, results(layer, layer.parameters(), x, **named))


@pytest.mark.parametrize("cell", [*list_cells(), Mine])
def test_every_cell_compiles_whole_with_lengths(cell):
    assert_compiles(two_ways(cell), lengths=LENGTHS)


@pytest.mark.parametrize(
    ("cell", "engine"),
    [
        ("lstm", "auto"),
        ("lstm", "reference"),
        ("gru", "auto"),
        ("elman-relu", "auto"),
        ("elman-sigmoid", "auto"),
        (Mine, "auto"),
    ],
)
def test_ahead_of_time_compilation_with_and_without_lengths(cell, engine):
    layer = Recurrent(cell, 2, 3, bidirectional=True, seed=0, dtype=torch.float64)
    with recurra.engine(engine):
        for named in ({}, {"lengths": LENGTHS}):
            assert_compiles(layer, "aot_eager", **named)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_compiles(option):
    layer = Recurrent("lstm", 2, 3, 2, seed=0, dtype=torch.float64, **OPTIONS[option])
    assert_compiles(layer, "aot_eager" if "checkpoint" in OPTIONS[option] else "eager")
    if option != "checkpoint":
        assert_compiles(layer.eval(), lengths=LENGTHS)


def test_a_state_a_mask_resets_and_gaps_compile():
    layer = two_ways("gru")
    resets = torch.zeros(5, 3, dtype=torch.bool)
    resets[2, 1] = True
    mask = torch.arange(5)[:, None] < LENGTHS
    state = State(h=draw(4, 3, 3))
    assert_compiles(layer, state=state, mask=mask, resets=resets)
    assert_compiles(layer, resets=resets)
    assert_compiles(two_ways("cfc"), gaps=draw(5, 3).abs())
    step = torch.compile(Recurrent("lstm", 2, 3, dtype=torch.float64, seed=0).step, fullgraph=True, backend="eager")
    y, (h, c) = step(X[0, 0])
    assert torch.equal(y, h[0])
    assert float(c.detach().abs().min()) > 0


def test_a_compiled_layer_takes_other_lengths_and_sizes_without_compiling_anew():
    layer = two_ways("gru")
    compiled = torch.compile(layer, fullgraph=True, backend="eager", dynamic=False)
    compiled(X[0], lengths=LENGTHS)
    with torch.compiler.set_stance("fail_on_recompile"):
        other = torch.tensor([1, 5, 4])
        assert_within_rounding(compiled(X[1], lengths=other)[0], layer(X[1], lengths=other)[0])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")  # imported by inductor
def test_inductor_compiles_forward_and_backward():
    layer = Recurrent("lstm", 2, 3, seed=0, dtype=torch.float64)
    assert_compiles(layer, "inductor", x=X[0, :3], lengths=torch.tensor([3, 0, 2]))


@pytest.mark.parametrize("cell", [*NATIVE, "resetbeforegru", Mine])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_functional_transforms_equal_loops_over_rows(cell, dtype):
    layer, x = two_ways(cell, dtype=dtype), X.to(dtype)
    weights = dict(layer.named_parameters())

    def y_of(one):
        return layer(one)[0]

    def loss(weights, one):
        return functional_call(layer, weights, (one,))[0].square().mean()

    gradients = [torch.autograd.grad(loss(weights, one), list(weights.values())) for one in x]
    assert_within_rounding(vmap(y_of)(x), torch.stack([y_of(one) for one in x]), "vmap")
    assert_all_equal(list(grad(loss)(weights, x[0]).values()), gradients[0])
    mapped = vmap(grad(loss), in_dims=(None, 0))(weights, x)
    assert_all_equal(list(mapped.values()), [torch.stack(parts) for parts in zip(*gradients, strict=True)])
    summed = grad(lambda weights: vmap(lambda one: loss(weights, one))(x).sum())(weights)
    assert_all_equal(list(summed.values()), [torch.stack(parts).sum(0) for parts in zip(*gradients, strict=True)])
    assert_within_rounding(jacrev(y_of)(x[0]), torch.autograd.functional.jacobian(y_of, x[0]), "jacrev")


@forward_derivatives
@second_derivatives
@pytest.mark.parametrize("cell", [*NATIVE, Mine])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_forward_derivatives_equal_those_backward(cell, dtype):
    layer, (x, tangent) = Recurrent(cell, 2, 3, bidirectional=True, seed=0, dtype=dtype), X[:2].to(dtype)
    for lengths in (None, [5, 0, 2]):

        def y_of(one):
            return layer(one, lengths=lengths)[0]  # noqa: B023 - called now

        backward = torch.autograd.functional.jacobian(y_of, x)
        along = (backward * tangent).sum((-3, -2, -1))
        assert_within_rounding(jacfwd(y_of)(x), backward, "jacfwd")
        assert_within_rounding(jvp(y_of, (x,), (tangent,))[1], along, "jvp")
        with forward_ad.dual_level():
            found = forward_ad.unpack_dual(y_of(forward_ad.make_dual(x, tangent))).tangent
        assert_within_rounding(found, along, "a dual number")
        scalar = lambda one: y_of(one).square().mean()  # noqa: E731
        twice = torch.autograd.functional.hessian(scalar, x)
        assert_within_rounding(hessian(scalar)(x), twice, "hessian")


def test_vmap_maps_lengths_masks_and_ensembles():
    layer = two_ways("lstm")
    lengths = torch.tensor([[5, 0, 2], [1, 2, 3], [5, 5, 5], [0, 0, 1]])
    masks = torch.arange(5)[None, :, None] < lengths[:, None]
    expected = torch.stack([layer(x, lengths=steps)[0] for x, steps in zip(X, lengths, strict=True)])
    assert_within_rounding(vmap(lambda x, steps: layer(x, lengths=steps)[0])(X, lengths), expected, "mapped lengths")
    assert_within_rounding(vmap(lambda x, mask: layer(x, mask=mask)[0])(X, masks), expected, "mapped masks")
    members = [Recurrent("gru", 2, 3, seed=seed, dtype=torch.float64) for seed in range(3)]
    weights, buffers = stack_module_state(members)
    shape = copy.deepcopy(members[0])
    together = vmap(lambda weights: functional_call(shape, (weights, buffers), (X[0],))[0])(weights)
    assert_within_rounding(together, torch.stack([member(X[0])[0] for member in members]), "an ensemble")


@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
def test_an_engine_that_knows_no_transform_says_so_and_auto_leaves_it():
    layer, said = Recurrent("lstm", 2, 3, dtype=torch.float64), []

    def explained(one):
        said.append(layer.explain())
        return layer(one)[0]

    vmap(explained)(X)
    vmap(grad(lambda one: explained(one).sum()))(X)
    known = {
        "compiled": "kernels know no transforms of torch.func and no forward mode",
        "torch": "torch's kernels know no vmap and no jvp",
    }
    why = "; ".join(f"{engine}: {words}" for engine, words in known.items())
    for line in said:
        assert line.startswith(f"layer 0: lstm by reference ({why}; scan: a recurrent product reads the output")
    assert len(said) == 2
    assert "by compiled" in layer.explain()
    for engine, words in known.items():
        refused = f"engine '{engine}' cannot run cell 'lstm': {words}; ask for one of: auto, reference"
        with recurra.engine(engine):
            with pytest.raises(ArgumentError, match=refused):
                vmap(lambda one: layer(one)[0])(X)
            with forward_ad.dual_level(), pytest.raises(ArgumentError, match=refused):
                layer(X[0])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("cell", NATIVE)
def test_second_derivatives_of_torchs_kernels_are_those_of_the_reference(cell, dtype):
    def twice(layer, x, lengths, *, of_x, of_weights):
        layer.requires_grad_(of_weights)
        x = x.detach().clone().requires_grad_(of_x)
        leaves = [x] * of_x + list(layer.parameters()) * of_weights
        y, _ = layer(x, lengths=lengths)
        first = torch.autograd.grad((y * y.cos()).sum(), leaves, create_graph=True)
        return torch.autograd.grad(sum(part.square().sum() for part in first), leaves, materialize_grads=True)

    single, exact_layer = Recurrent(cell, 2, 3, seed=0, dtype=dtype), Recurrent(cell, 2, 3, dtype=torch.float64)
    exact_layer.load_state_dict(single.state_dict())
    x = X[0].to(dtype)
    for lengths in (None, LENGTHS):
        for of in (
            {"of_x": True, "of_weights": True},
            {"of_x": True, "of_weights": False},
            {"of_x": False, "of_weights": True},
        ):
            with recurra.engine("torch"):
                found = twice(single, x, lengths, **of)
            with recurra.engine("reference"):
                plain, exact = twice(single, x, lengths, **of), twice(exact_layer, x.double(), lengths, **of)
            for index, parts in enumerate(zip(found, plain, exact, strict=True)):
                assert_lawful(*parts, f"second derivative {index} {of}")


@pytest.mark.parametrize("cell", ["lstm", "gru", "elman", "elman-sigmoid", Mine])
def test_half_precision_and_autocast_stay_near_single(cell):
    layer, x = two_ways(cell, dtype=torch.float32), X[0].float()
    for lengths in (None, LENGTHS):
        exact = results(layer, layer.parameters(), x, lengths=lengths)
        for dtype, bound in ((torch.bfloat16, 2**-5), (torch.float16, 2**-8)):
            narrow = copy.deepcopy(layer).to(dtype)
            for found, wanted in zip(
                results(narrow, narrow.parameters(), x.to(dtype), lengths=lengths), exact, strict=True
            ):
                assert found.dtype == dtype
                assert (found.float() - wanted).abs().max() <= bound * max(1, float(wanted.abs().max()))
        with torch.autocast("cpu", torch.bfloat16):
            cast = results(layer, layer.parameters(), x, lengths=lengths)
        for found, wanted in zip(cast, exact, strict=True):
            assert (found.float() - wanted).abs().max() <= 2**-5 * max(1, float(wanted.abs().max()))
        assert {part.dtype for part in cast[-len(list(layer.parameters())) :]} == {torch.float32}


class Seen(torch.nn.Module):
    """A layer as part of a model; torch.export wants the same containers in and out."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, state, lengths):
        y, last = self.layer(x, state, lengths=lengths)
        return y, tuple(last)


@pytest.mark.parametrize(("cell", "strict"), [("lstm", False), ("lstm", True), ("gru", False), ("cfc", False)])
def test_an_exported_program_computes_the_same_with_state_and_lengths(cell, strict):
    layer = two_ways(cell).eval()
    with torch.no_grad():
        _, state = layer(X[1])
    program = torch.export.export(layer, (X[0], state), strict=strict).module()
    assert_all_equal(
        [*program(X[2], state)[1], program(X[2], state)[0]], [*layer(X[2], state)[1], layer(X[2], state)[0]]
    )
    rows = torch.export.Dim("rows", min=2, max=64)
    shapes = {"x": {1: rows}, "state": tuple({1: rows} for _ in state), "lengths": {0: rows}}
    example = (X[0], tuple(state), LENGTHS)
    program = torch.export.export(Seen(layer), example, dynamic_shapes=shapes, strict=strict).module()
    x, more = torch.cat([X[2], X[3]], 1), tuple(torch.cat([part, part + 0.1], 1) for part in state)
    lengths = torch.tensor([1, 5, 4, 0, 5, 3])
    y, last = program(x, more, lengths)
    expected, final = layer(x, more, lengths=lengths)
    assert_all_equal([y, *last], [expected, *final])


def test_inference_mode_changes_no_number():
    layer = two_ways("lstm")
    expected = [*layer(X[0], lengths=LENGTHS), *layer(X[0])]
    with torch.inference_mode():
        found = [*layer(X[0], lengths=LENGTHS), *layer(X[0])]
        y_t, state = Recurrent("gru", 2, 3).step(X[0, 0].float())
        assert y_t.is_inference() and state.h.is_inference()
    for one, other in ((found[0], expected[0]), (found[2], expected[2]), (found[3].c, expected[3].c)):
        assert torch.equal(one, other) and not one.requires_grad
    layer(X[0])[0].sum().backward()  # what was seen in inference trains afterwards
    assert torch.isfinite(layer.weight_hh_l0.grad).all()


@forward_derivatives
@second_derivatives
@pytest.mark.parametrize("cell", [LSTMCell, GRUCell, RNNCell])
def test_single_steps_under_transforms(cell):
    layer, x = cell(2, 3, dtype=torch.float64), X[0]

    def h_of(rows):
        last = layer(rows)
        return last[0] if isinstance(last, tuple) else last

    assert_within_rounding(vmap(h_of)(x), torch.stack([h_of(rows) for rows in x]))
    assert_within_rounding(jacfwd(h_of)(x[0]), jacrev(h_of)(x[0]))
    for engine in ("auto", "torch", "reference"):
        with recurra.engine(engine):
            assert torch.autograd.gradgradcheck(h_of, (x[0].clone().requires_grad_(),))
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    first = compiled(x[0])
    assert_all_equal(
        list(first) if isinstance(first, tuple) else [first],
        [h_of(x[0])] + ([layer(x[0])[1]] if isinstance(first, tuple) else []),
    )


def test_a_deep_copy_trains_apart():
    layer = two_ways("lstm")
    copied = copy.deepcopy(layer)
    assert torch.equal(copied(X[0])[0], layer(X[0])[0])
    with torch.no_grad():
        copied.weight_hh_l1_reverse.mul_(2)
    assert not torch.equal(copied(X[0])[0], layer(X[0])[0])
