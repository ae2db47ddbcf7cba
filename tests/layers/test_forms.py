"""One batch of sequences in every form that a layer takes: the same outputs, final states and gradients."""

import itertools

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence, pad_sequence

import recurra
from recurra.errors import ArgumentError
from recurra.nn import LSTM, ConvGRU, Recurrent
from recurra.testing import assert_within_rounding
from recurra.testing.sampling import draw

LENGTHS = (3, 5, 1, 5)
WITH_EMPTY = (0, 5, 2, 0)
# torch tells that strided nested tensors are a prototype, once in a process.
pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype:UserWarning")


def rows_of(lengths, features=2):
    return [draw(length, features, seed=row).requires_grad_() for row, length in enumerate(lengths)]


def mask_of(lengths):
    """(batch, time), True where a row has a step."""
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def nest(rows, layout=torch.jagged):
    return torch.nested.as_nested_tensor(rows, layout=layout)


def padded(lengths, batch_first, **more):
    return lambda rows: (pad_sequence(rows, batch_first, padding_value=torch.nan), {"lengths": lengths, **more})


# From rows to what the layer is called with; the number that fills the padding must reach nothing.
FORMS = {
    "lengths": lambda lengths, first: padded(list(lengths), first),
    "lengths, a tuple": lambda lengths, first: padded(lengths, first),
    "lengths, int64": lambda lengths, first: padded(torch.tensor(lengths), first),
    "lengths, int32": lambda lengths, first: padded(torch.tensor(lengths, dtype=torch.int32), first),
    "lengths, uint8": lambda lengths, first: padded(torch.tensor(lengths, dtype=torch.uint8), first),
    "mask": lambda lengths, first: padded(None, first, mask=mask_of(lengths) if first else mask_of(lengths).T),
    "packed": lambda lengths, first: lambda rows: (pack_sequence(rows, enforce_sorted=False), {}),
    "jagged": lambda lengths, first: lambda rows: (nest(rows), {}),
    "strided": lambda lengths, first: lambda rows: (nest(rows, torch.strided), {}),
}


def unpadded(y, lengths, batch_first):
    """The rows of outputs in any form; what is padded is 0 past each row's end."""
    if isinstance(y, torch.Tensor) and y.is_nested:
        return list(y.unbind())
    if not isinstance(y, torch.Tensor):
        y, batch_first = pad_packed_sequence(y)[0], False
    by_row = y if batch_first else y.transpose(0, 1)
    assert not any(row[length:].any() for row, length in zip(by_row, lengths, strict=True))
    return [row[:length] for row, length in zip(by_row, lengths, strict=True)]


def results(layer, make, lengths, **named):
    """Outputs by row, final states, and gradients of the rows and the parameters."""
    rows = rows_of(lengths, layer.input_size)
    x, more = make(rows)
    y, state = layer(x, **more, **named)
    shown = unpadded(y, lengths, layer.batch_first)
    loss = sum((part * part.cos()).sum() for part in (*shown, *state))
    gradients = torch.autograd.grad(loss, [*rows, *layer.parameters()])
    return [part.detach() for part in (*shown, *state, *gradients)]


def one_by_one(layer, lengths):
    """The same by calls on single sequences; a row without steps keeps the state it began with."""
    rows, begun = rows_of(lengths, layer.input_size), layer.initial_state()
    pairs = [layer(row) if len(row) else (row.new_zeros(0, layer.output_size), begun) for row in rows]
    states = [torch.stack(parts, 1) for parts in zip(*(state for _, state in pairs), strict=True)]
    shown = [y for y, _ in pairs]
    loss = sum((part * part.cos()).sum() for part in (*shown, *states))
    leaves = [*rows, *layer.parameters()]
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
    return [part.detach() for part in (*shown, *states, *gradients)]


def assert_all_equal(found, expected):
    assert len(found) == len(expected)
    for index, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert_within_rounding(one, other, f"result {index}")


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "elman-sigmoid"])
@pytest.mark.parametrize(
    ("form", "lengths"),
    [*((form, LENGTHS) for form in FORMS), *((form, WITH_EMPTY) for form in FORMS if form != "packed")],
)
def test_every_form_gives_what_single_sequences_give(form, lengths, cell, batch_first):
    layer = Recurrent(cell, 2, 3, 2, bidirectional=True, batch_first=batch_first, seed=0, dtype=torch.float64)
    assert_all_equal(results(layer, FORMS[form](lengths, batch_first), lengths), one_by_one(layer, lengths))


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_the_same_steps_agree_bit_for_bit(form):
    """Whatever form, one kernel gets one padded batch."""
    layer = Recurrent("lstm", 2, 3, bidirectional=True, seed=0, dtype=torch.float64)
    expected = results(layer, FORMS["lengths"](LENGTHS, False), LENGTHS)
    found = results(layer, FORMS[form](LENGTHS, False), LENGTHS)
    count = len(LENGTHS) + 2
    assert all(map(torch.equal, found[:count], expected[:count]))


@pytest.mark.parametrize("form", ["lengths", "mask", "packed", "jagged", "strided"])
def test_the_form_of_x_is_the_form_of_y(form):
    layer = Recurrent("gru", 2, 2, batch_first=True, seed=0, dtype=torch.float64)
    x, more = FORMS[form](LENGTHS, True)(rows_of(LENGTHS))
    y, _ = layer(x, **more)
    assert type(y) is type(x)
    if form == "packed":
        for found, expected in zip(y[1:], x[1:], strict=True):
            assert torch.equal(found, expected)
    else:
        assert y.layout == x.layout
    if form == "packed":
        assert y.data.shape == x.data.shape
    if form == "jagged":
        assert_within_rounding((y + x).values(), y.values() + x.values())  # torch adds only what has the same offsets


@pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
def test_a_nested_leaf_gets_its_gradient(layout):
    layer = Recurrent("gru", 2, 3, seed=0, dtype=torch.float64)
    nested = torch.nested.nested_tensor(
        [row.detach() for row in rows_of(WITH_EMPTY)], layout=layout, requires_grad=True
    )
    rows = rows_of(WITH_EMPTY)
    sum(y.square().sum() for y in layer(nested)[0].unbind()).backward()
    sum(layer(row)[0].square().sum() for row in rows if len(row)).backward()
    for found, row in zip(nested.grad.unbind(), rows, strict=True):
        if len(row):
            assert_within_rounding(found, row.grad)


@pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
def test_nested_rows_without_any_step_keep_the_state(layout):
    layer = Recurrent("lstm", 2, 3, bidirectional=True, seed=0, dtype=torch.float64)
    start = layer.initial_state(2).map(lambda part: part + 0.5)
    y, last = layer(nest([torch.zeros(0, 2, dtype=torch.float64)] * 2, layout), start)
    assert [row.shape for row in y.unbind()] == [(0, 6), (0, 6)]
    assert all(map(torch.equal, last, start))


def test_a_jagged_tensor_cut_out_of_a_padded_one():
    """torch.nested.narrow shares the padded memory: the offsets leave holes."""
    layer, x = Recurrent("elman-sigmoid", 2, 3, seed=0, dtype=torch.float64), draw(3, 5, 2)
    begin, count = torch.tensor([0, 1, 0]), torch.tensor([3, 2, 5])
    y, state = layer(torch.nested.narrow(x, 1, begin, count, layout=torch.jagged))
    for row, (first, steps) in enumerate(zip(begin.tolist(), count.tolist(), strict=True)):
        expected, last = layer(x[row, first : first + steps])
        assert_within_rounding(y.unbind()[row], expected)
        assert_within_rounding(state.h[:, row], last.h)


def test_the_drop_in_and_images_take_forms_too():
    layer = LSTM(2, 3, seed=0, dtype=torch.float64)
    rows = rows_of(LENGTHS)
    y, (h_n, _) = layer(nest(rows))
    for row, shown in enumerate(y.unbind()):
        expected, (h, _) = layer(rows[row])
        assert_within_rounding(shown, expected)
        assert_within_rounding(h_n[:, row], h)
    images = [draw(steps, 1, 4, 4, seed=steps) for steps in (2, 4)]
    layer = ConvGRU(1, 2, seed=0, dtype=torch.float64)
    for form in (nest(images), pack_sequence(images, enforce_sorted=False)):
        y, _ = layer(form)
        shown = unpadded(y, (2, 4), False)
        for found, image in zip(shown, images, strict=True):
            assert_within_rounding(found, layer(image)[0])


def test_a_mask_without_a_batch():
    layer, x = Recurrent("gru", 2, 3, bidirectional=True, seed=0, dtype=torch.float64), draw(5, 2)
    y, last = layer(x, mask=torch.tensor([True, True, True, False, False]))
    expected, final = layer(x[:3])
    assert_within_rounding(y[:3], expected)
    assert not y[3:].any()
    assert_within_rounding(last.h, final.h)


CUTS = ((), (2,), (0,), (1, 4))  # steps at which each row of LENGTHS begins anew


def resets_of(form, batch_first):
    flags = [torch.tensor([step in cuts for step in range(length)]) for cuts, length in zip(CUTS, LENGTHS, strict=True)]
    if form == "packed":
        return pack_sequence(flags, enforce_sorted=False)
    if form in ("jagged", "strided"):
        return nest(flags, torch.jagged if form == "jagged" else torch.strided)
    return pad_sequence(flags, batch_first, padding_value=True)  # what stands past a row's end acts on nothing


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "elman-sigmoid"])
@pytest.mark.parametrize("form", ["lengths", "mask", "packed", "jagged", "strided"])
def test_resets_in_each_form_equal_sequences_of_their_own(form, cell, batch_first):
    layer = Recurrent(cell, 2, 3, bidirectional=True, batch_first=batch_first, seed=0, dtype=torch.float64)
    rows = rows_of(LENGTHS)
    x, more = FORMS[form](LENGTHS, batch_first)(rows)
    y, last = layer(x, resets=resets_of(form, batch_first), **more)
    for row, shown in enumerate(unpadded(y, LENGTHS, batch_first)):
        edges = sorted({0, *CUTS[row], LENGTHS[row]})
        parts = [layer(rows[row][first:after]) for first, after in itertools.pairwise(edges)]
        assert_within_rounding(shown, torch.cat([part for part, _ in parts]))
        assert_within_rounding(last.h[0, row], parts[-1][1].h[0])  # forward ends with the last part
        assert_within_rounding(last.h[1, row], parts[0][1].h[1])  # and the reverse direction with the first


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # torch's own look
@pytest.mark.parametrize("form", ["packed", "jagged"])
@pytest.mark.parametrize("compiler", ["", "none"])
def test_forms_under_compilation(form, compiler, monkeypatch):
    """torch traces neither into one graph; around the breaks the results stay, also where the layer is new to it."""
    monkeypatch.setenv("RECURRA_CC", compiler)
    torch._dynamo.reset()
    layer = Recurrent("elman-sigmoid", 2, 3, bidirectional=True, seed=0, dtype=torch.float64)
    x, _ = FORMS[form](LENGTHS, False)([row.detach() for row in rows_of(LENGTHS)])
    y, _ = torch.compile(layer, backend="eager")(x)
    expected, _ = layer(x)
    for found, wanted in zip(unpadded(y, LENGTHS, False), unpadded(expected, LENGTHS, False), strict=True):
        assert_within_rounding(found, wanted)


LAYER = Recurrent("lstm", 2, 3)
FIRST = Recurrent("lstm", 2, 3, batch_first=True)
BATCH = torch.zeros(5, 4, 2)
MASK = torch.ones(5, 4, dtype=torch.bool)
HOLE = MASK.clone()
HOLE[1, 2] = False
ROWS = [torch.zeros(3, 2), torch.zeros(1, 2)]


@pytest.mark.parametrize(
    ("layer", "x", "named", "words"),
    [
        (LAYER, BATCH, {"mask": HOLE}, "mask has a step behind a False in row 2; a row's steps come first"),
        (FIRST, BATCH.transpose(0, 1), {"mask": HOLE.T}, "mask has a step behind a False in row 2"),
        (LAYER, BATCH, {"mask": MASK.T}, "mask is (4, 5) of torch.bool; expected a boolean tensor (5, 4), True where"),
        (FIRST, BATCH, {"mask": MASK.T}, "mask is (4, 5) of torch.bool; expected a boolean tensor (5, 4)"),
        (LAYER, BATCH, {"mask": MASK.float()}, "mask is (5, 4) of torch.float32; expected a boolean tensor"),
        (LAYER, BATCH, {"mask": MASK.tolist()}, "mask is list; expected a boolean tensor"),
        (LAYER, BATCH[:, 0], {"mask": MASK}, "mask is (5, 4) of torch.bool; expected a boolean tensor (5,)"),
        (LAYER, BATCH, {"mask": MASK, "lengths": [5] * 4}, "lengths and mask were both passed; they say the same"),
        (LAYER, pack_sequence(ROWS), {"lengths": [3, 1]}, "lengths was passed with a packed x, which holds its own"),
        (LAYER, pack_sequence(ROWS), {"mask": MASK}, "mask was passed with a packed x, which holds its own lengths"),
        (LAYER, nest(ROWS), {"lengths": [3, 1]}, "lengths was passed with a nested x, which holds its own lengths"),
        (LAYER, nest(ROWS), {"mask": MASK}, "mask was passed with a nested x"),
        (LAYER, BATCH, {"resets": MASK.T}, "resets has shape (4, 5); expected one value per row and step of x, (5, 4)"),
        (FIRST, BATCH, {"resets": MASK.T}, "resets has shape (4, 5); expected one value per row and step of x, (5, 4)"),
        (LAYER, BATCH, {"resets": MASK.int()}, "resets has dtype torch.int32; expected booleans"),
        (LAYER, BATCH, {"resets": [True]}, "resets is list; expected a tensor with one value per row and step"),
        (LAYER, BATCH, {"gaps": MASK.float()}, "gaps was passed; cell 'lstm' reads no time gaps"),
        (LAYER, nest(ROWS).transpose(1, 2), {}, "features, the layer's input_size is 2; axis -1 must be the features"),
        (LAYER, nest([torch.zeros(3, 4), torch.zeros(1, 4)]), {}, "x has 4 features, the layer's input_size is 2"),
        (LAYER, nest([torch.zeros(3), torch.zeros(1)]), {}, "x is a nested tensor with 2 axes; expected 3, its rows"),
        (LAYER, nest([row.double() for row in ROWS]), {}, "x has dtype torch.float64, the weights torch.float32"),
        (LAYER, BATCH.to_sparse(), {}, "x has layout torch.sparse_coo; expected a dense tensor: x.to_dense()"),
    ],
)
def test_forms_that_do_not_fit_are_refused_in_words(layer, x, named, words):
    for engine in ("auto", "torch", "reference"):
        with recurra.engine(engine), pytest.raises(ArgumentError) as caught:
            layer(x, **named)
        assert words in str(caught.value)


def test_strided_rows_of_unlike_features_and_no_rows_at_all():
    with pytest.raises(ArgumentError, match=r"rows of steps \[\(2,\), \(3,\)\]; expected all alike, \(feature\)"):
        LAYER(nest([torch.zeros(3, 2), torch.zeros(1, 3)], torch.strided))
    with pytest.raises(ArgumentError, match="x is a nested tensor with 1 axes; expected 3"):
        LAYER(torch.nested.nested_tensor([]))
