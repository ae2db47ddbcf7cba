"""The encoder-decoder: its equations, whole targets against chunks and steps, padding, and the toys it must learn."""

import copy
import itertools
import math
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import recurra
from recurra.errors import ArgumentError
from recurra.layers import Embedding, Linear, Real, Recurrent, Softmax
from recurra.layers.attention import AdditiveAttention, GeneralAttention
from recurra.layers.local_attention import LocalAttention
from recurra.models.attention_decoder import AttentionDecoder
from recurra.models.bridge import Bridge
from recurra.models.encoder_decoder import EncoderDecoder
from recurra.testing import assert_within_rounding

ATTENTIONS = ["additive", "dot", "general", "local", "monotonic", "multihead", None]
SOURCE_LENGTHS, TARGET_LENGTHS = [6, 0, 2, 4], [3, 5, 0, 4]
BEGIN, END = 10, 11


def words(num, size, seed=0):
    embedding = nn.Embedding(num, size)
    embedding.output_size = size
    nn.init.normal_(embedding.weight, generator=torch.Generator().manual_seed(seed))
    return embedding


def make_head(size, classes, seed=1):
    head = nn.Linear(size, classes)
    head.raw_size = classes
    generator = torch.Generator().manual_seed(seed)
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    return head


def build(attention="general", seed=0, hidden=8, **named):
    if attention == "monotonic":
        attention = LocalAttention(hidden, 2 * hidden, window=1, predictive=False, seed=0)
    named = {"bidirectional": attention != "dot", **named}
    parts = words(9, 5), words(7, 4, seed=2), make_head(hidden, 7)
    return EncoderDecoder(*parts, hidden_size=hidden, attention=attention, seed=seed, **named).double()


def draw(batch=4, source_time=6, target_time=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randint(9, (source_time, batch), generator=generator),
        torch.randint(7, (target_time, batch), generator=generator),
    )


def fields(state):
    """Every tensor of a DecoderState."""
    return [*state.recurrent, state.position, *([] if state.fed is None else [state.fed])]


def run_by_steps(model, source, target, lengths=None):
    memory = model.encode(source, source_lengths=lengths)
    state, raws, alignments = None, [], []
    for token in target:
        raw, state, alignment = model.step(token, state, memory)
        raws.append(raw)
        alignments.append(alignment)
    return torch.stack(raws), alignments if alignments[0] is None else torch.stack(alignments), state


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("input_feeding", [False, True])
@pytest.mark.parametrize("attention", ATTENTIONS)
@torch.no_grad()
def test_the_whole_target_equals_its_chunks_and_its_steps(attention, input_feeding, num_layers):
    model = build(attention, input_feeding=input_feeding, num_layers=num_layers, cell="lstm")
    source, target = draw()
    raw, alignment, state = model(source, target, source_lengths=SOURCE_LENGTHS)
    memory = model.encode(source, source_lengths=SOURCE_LENGTHS)
    first = model.decode(target[:2], memory)
    rest = model.decode(target[2:], memory, first.state)
    by_steps = run_by_steps(model, source, target, SOURCE_LENGTHS)
    assert raw.shape == (5, 4, 7)
    assert_within_rounding(torch.cat([first.raw, rest.raw]), raw)
    assert_within_rounding(by_steps[0], raw)
    for found in (rest.state, by_steps[2]):
        for one, expected in zip(fields(found), fields(state), strict=True):
            assert_within_rounding(one.double(), expected.double())
    assert state.position.tolist() == [5] * 4
    if attention is None:
        assert alignment is None
    else:
        assert_within_rounding(torch.cat([first.alignment, rest.alignment]), alignment)
        assert_within_rounding(by_steps[1], alignment)


@pytest.mark.parametrize("input_feeding", [False, True])
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_with_the_batch_first_everything_is_the_same_transposed(attention, input_feeding):
    model = build(attention, input_feeding=input_feeding, cell="lstm")
    turned = build(attention, input_feeding=input_feeding, cell="lstm", batch_first=True)
    turned.load_state_dict(model.state_dict(), strict=True)
    source, target = draw()
    lengths = {"source_lengths": SOURCE_LENGTHS, "target_lengths": TARGET_LENGTHS}
    expected, found = model(source, target, **lengths), turned(source.T, target.T, **lengths)
    assert found.raw.shape == (4, 5, 7)
    assert_within_rounding(found.raw.transpose(0, 1), expected.raw)
    for one, other in zip(fields(found.state), fields(expected.state), strict=True):
        assert_within_rounding(one.double(), other.double())
    assert (found.alignment is None) == (attention is None)
    if attention is not None:
        assert found.alignment.shape == (4, 5, 6)
        assert_within_rounding(found.alignment.transpose(0, 1), expected.alignment)
    gradients = [
        torch.autograd.grad(decoded.raw.square().sum(), list(one.parameters()))
        for one, decoded in ((model, expected), (turned, found))
    ]
    for one, other in zip(*gradients, strict=True):
        assert_within_rounding(one, other)


@pytest.mark.parametrize("input_feeding", [False, True])
@pytest.mark.parametrize("attention", ATTENTIONS)
@torch.no_grad()
def test_with_the_batch_first_the_whole_equals_its_chunks_and_its_steps(attention, input_feeding):
    model = build(attention, input_feeding=input_feeding, num_layers=2, batch_first=True)
    source, target = (steps.T for steps in draw())
    raw, alignment, state = model(source, target, source_lengths=SOURCE_LENGTHS)
    memory = model.encode(source, source_lengths=SOURCE_LENGTHS)
    first = model.decode(target[:, :2], memory)
    rest = model.decode(target[:, 2:], memory, first.state)
    assert_within_rounding(torch.cat([first.raw, rest.raw], 1), raw)
    stepped = None
    for t in range(target.shape[1]):
        raw_t, stepped, alignment_t = model.step(target[:, t], stepped, memory)
        assert_within_rounding(raw_t, raw[:, t])
        if attention is not None:
            assert_within_rounding(alignment_t, alignment[:, t])
    for found in (rest.state, stepped):
        for one, expected in zip(fields(found), fields(state), strict=True):
            assert_within_rounding(one.double(), expected.double())
    for row, length in enumerate(SOURCE_LENGTHS):
        if length:
            assert_within_rounding(model(source[[row], :length], target[[row]]).raw, raw[[row]])


@pytest.mark.parametrize("options", [{}, {"method": "sample", "seed": 1}, {"method": "beam", "beam_size": 3}])
def test_with_the_batch_first_it_writes_the_same(options):
    model, turned = build(), build(batch_first=True)
    source, _ = draw()
    named = {"source_lengths": SOURCE_LENGTHS, "begin": 0, "end": 1, "max_length": 9, **options}
    expected, found = model.generate(source, **named), turned.generate(source.T, **named)
    assert torch.equal(found.answers.T, expected.answers)
    assert torch.equal(found.lengths, expected.lengths)
    assert_within_rounding(found.scores, expected.scores)
    assert_within_rounding(found.alignment.transpose(0, 1), expected.alignment)
    bare = build(None, batch_first=True).generate(source.T, begin=0, end=None, max_length=3)
    assert bare.answers.shape == (4, 3)
    assert bare.alignment is None


def test_with_the_batch_first_numbers_and_sampled_tokens_are_read_too():
    source, target = nn.Linear(2, 3), nn.Linear(1, 3)
    source.output_size = target.output_size = 3
    named = {"hidden_size": 6, "seed": 0}
    model = EncoderDecoder(source, target, make_head(6, 1), **named)
    turned = EncoderDecoder(source, target, model.decoder.head, batch_first=True, **named)
    x, y = torch.randn(4, 2, 2), torch.randn(3, 2, 1)
    raw = turned(x.transpose(0, 1), y.transpose(0, 1), source_lengths=[4, 2], target_lengths=[3, 1]).raw
    assert_within_rounding(raw.transpose(0, 1), model(x, y, source_lengths=[4, 2], target_lengths=[3, 1]).raw)
    model, turned = build(scheduled_sampling=0.5), build(scheduled_sampling=0.5, batch_first=True)
    source, target = draw()
    torch.manual_seed(0)
    expected = model(source, target).raw
    torch.manual_seed(0)
    assert_within_rounding(turned(source.T, target.T).raw.transpose(0, 1), expected)


@pytest.mark.parametrize("input_feeding", [False, True])
@torch.no_grad()
def test_it_computes_its_equations(input_feeding):
    """An encoder in one direction, general attention and a GRU decoder, one row, by hand."""
    model = build(bidirectional=False, input_feeding=input_feeding)
    source, target = draw(batch=1)
    encoder, decoder = nn.GRU(5, 8).double(), nn.GRUCell(4 + 8 * input_feeding, 8).double()
    encoder.load_state_dict(model.encoder.state_dict())
    weights = model.decoder.recurrent.state_dict()
    decoder.load_state_dict({name.removesuffix("_l0"): value for name, value in weights.items()})
    memory, last = encoder(model.source(source))
    h, fed, expected = last[0], torch.zeros(1, 8, dtype=torch.float64), []
    for token in target:
        x = model.decoder.target(token)
        h = decoder(torch.cat([x, fed], 1) if input_feeding else x, h)
        scores = torch.stack([h[0] @ model.decoder.attention.key.weight @ m[0] for m in memory])
        context = scores.softmax(0) @ memory[:, 0]
        combine = model.decoder.combine
        fed = torch.tanh(combine.weight @ torch.cat([context, h[0]]) + combine.bias).unsqueeze(0)
        expected.append(model.decoder.head(fed))
    assert_within_rounding(model(source, target).raw, torch.stack(expected))


@pytest.mark.parametrize("input_feeding", [False, True])
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_padding_reaches_no_result_and_no_gradient(attention, input_feeding):
    model = build(attention, input_feeding=input_feeding)
    source, target = draw()
    past_source = torch.arange(6)[:, None] >= torch.tensor(SOURCE_LENGTHS)
    past_target = torch.arange(5)[:, None] >= torch.tensor(TARGET_LENGTHS)
    found = []
    for padding in (0, -100):
        inputs = source.masked_fill(past_source, padding), target.masked_fill(past_target, padding)
        decoded = model(*inputs, source_lengths=SOURCE_LENGTHS, target_lengths=TARGET_LENGTHS)
        found.append((decoded, torch.autograd.grad(decoded.raw.square().sum(), list(model.parameters()))))
    decoded, gradients = found[0]
    assert torch.equal(decoded.raw, found[1][0].raw)
    for one, other in zip(gradients, found[1][1], strict=True):
        assert torch.equal(one, other)
        assert one.isfinite().all()
    assert (decoded.raw[past_target] == 0).all()


@pytest.mark.parametrize("input_feeding", [False, True])
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_padded_batch_equals_its_rows_alone_and_its_gradient_is_their_sum(attention, input_feeding):
    model = build(attention, input_feeding=input_feeding)
    source, target = draw()
    decoded = model(source, target, source_lengths=SOURCE_LENGTHS, target_lengths=TARGET_LENGTHS)
    both = [0, 3]  # rows that have a source and a target
    found = torch.autograd.grad(decoded.raw[:, both].square().sum(), list(model.parameters()))
    total = [torch.zeros_like(parameter) for parameter in model.parameters()]
    for row in both:
        read, written = SOURCE_LENGTHS[row], TARGET_LENGTHS[row]
        alone = model(source[:read, [row]], target[:written, [row]])
        assert_within_rounding(decoded.raw[:written, [row]], alone.raw)
        for one, expected in zip(fields(decoded.state), fields(alone.state), strict=True):
            one = one[:, [row]] if one.dim() == 3 else one[[row]]
            assert_within_rounding(one.double(), expected.double())
        if attention is not None:
            assert_within_rounding(decoded.alignment[:written, [row], :read], alone.alignment)
            assert (decoded.alignment[written:, row] == 0).all()
        gradients = torch.autograd.grad(alone.raw.square().sum(), list(model.parameters()))
        total = [before + gradient for before, gradient in zip(total, gradients, strict=True)]
    for one, expected in zip(found, total, strict=True):
        assert_within_rounding(one, expected)


def test_numbers_as_steps_may_be_padded_with_nan():
    source, target = nn.Linear(2, 3), nn.Linear(1, 3)
    source.output_size = target.output_size = 3
    model = EncoderDecoder(source, target, make_head(6, 1), hidden_size=6, seed=0)
    x, y = torch.randn(4, 2, 2), torch.randn(3, 2, 1)
    spoilt_x, spoilt_y = x.clone(), y.clone()
    spoilt_x[2:, 1], spoilt_y[1:, 1] = float("nan"), float("nan")
    raw = model(spoilt_x, spoilt_y, source_lengths=[4, 2], target_lengths=[3, 1]).raw
    assert_within_rounding(raw, model(x, y, source_lengths=[4, 2], target_lengths=[3, 1]).raw)
    raw.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_gradients_are_right(attention):
    model = build(attention, hidden=4)
    source, target = draw(batch=2, source_time=3, target_time=2)
    names = [name for name, _ in model.named_parameters()]

    def call(*values):
        given = dict(zip(names, values, strict=True))
        return torch.func.functional_call(model, given, (source, target), {"source_lengths": [3, 1]}).raw

    assert torch.autograd.gradcheck(call, list(model.parameters()), fast_mode=True)


@pytest.mark.parametrize("cell", ["gru", "lstm", "elman-relu", "lru", "slstm", "jordan"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_bridge_maps_both_directions_layers_and_fields(cell, bidirectional):
    encoder = Recurrent(cell, 3, 4, 2, bidirectional=bidirectional, seed=0)
    bridge = Bridge(encoder, seed=0)
    _, last = encoder(torch.randn(5, 3, 3))
    start = bridge(last)
    for field, found, given in zip(start._fields, start, last, strict=True):
        if not bidirectional:
            assert found is given
            continue
        if cell == "slstm" and field != "h":
            assert found.shape == (2, 3, 4)
            assert not found.any()
            continue
        weight, bias = getattr(bridge, f"weight_{field}"), getattr(bridge, f"bias_{field}")
        for layer in range(2):
            both = torch.cat([given[2 * layer], given[2 * layer + 1]], 1)
            assert_within_rounding(found[layer], both @ weight[layer] + bias[layer])
    assert bool(list(bridge.parameters())) == bidirectional
    y, _ = Recurrent(cell, 2, 4, 2)(torch.randn(2, 3, 2), start)
    assert y.isfinite().all()


def test_without_attention_the_source_is_seen_by_the_first_state_alone():
    model = build(None)
    source, target = draw()
    before = model(source, target)
    assert before.alignment is None
    assert model.encode(source).prepared is None
    assert not torch.allclose(model(source.flip(0), target).raw, before.raw)
    with torch.no_grad():
        for parameter in model.bridge.parameters():
            parameter.zero_()
    assert torch.equal(model(source.flip(0), target).raw, model(source, target).raw)


def test_without_the_alignment_the_rest_is_the_same():
    model = build("multihead")
    source, target = draw()
    expected, found = model(source, target), model(source, target, need_alignment=False)
    assert found.alignment is None
    assert_within_rounding(found.raw, expected.raw)


@torch.no_grad()
def test_scheduled_sampling_reads_the_models_own_tokens():
    model = build(scheduled_sampling=1.0)
    with torch.no_grad():  # so sure of itself that drawing is choosing
        model.decoder.head.weight.mul_(1e4)
    source, target = draw()
    raw = model(source, target).raw
    memory, token, expected, state = model.encode(source), target[0], [], None
    for _ in range(5):
        step, state, _ = model.step(token, state, memory)
        expected.append(step)
        token = step.argmax(-1)
    assert_within_rounding(raw, torch.stack(expected))
    assert not torch.allclose(model.eval()(source, target).raw, raw)  # in training only
    model.train().scheduled_sampling = 0.0
    assert_within_rounding(model(source, target).raw, model.eval()(source, target).raw)


def test_scheduled_sampling_draws_for_as_many_rows_as_it_says():
    model = build(scheduled_sampling=0.3)
    seen = []
    model.decoder.target.register_forward_hook(lambda *_: seen.append(1))
    source, target = draw(batch=2000, target_time=2)
    torch.manual_seed(0)
    with torch.no_grad():
        own = model(source, target).raw[1]
        model.scheduled_sampling = 0.0
        taught = model(source, target).raw[1]
    changed = (own != taught).any(-1).double().mean()
    assert 0.3 * 0.7 < changed < 0.3  # some draw the very token of the target
    assert len(seen) == 3


def test_scheduled_sampling_of_numbers_is_refused():
    source = target = nn.Linear(1, 3)
    source.output_size = 3
    with pytest.raises(
        ArgumentError, match=r"scheduled_sampling is 0.5, the head is Linear; it draws tokens from logits"
    ):
        EncoderDecoder(Real(1), Real(1), Linear(6, 1), hidden_size=6, scheduled_sampling=0.5)
    model = EncoderDecoder(source, target, make_head(6, 1), hidden_size=6, scheduled_sampling=0.5)
    with pytest.raises(
        ArgumentError, match=r"scheduled_sampling is 0.5 and target_inputs has shape \(3, 2, 1\) of torch\.fl"
    ):
        model(torch.randn(3, 2, 1), torch.randn(3, 2, 1))


def test_dropouts_act_in_training_only_and_recurrent_dropout_keeps_its_units_through_a_target():
    source, target = draw()
    model = build(input_feeding=True, recurrent_dropout=0.5)
    drawn = []
    draw_noise = model.decoder.recurrent.draw_noise
    model.decoder.recurrent.draw_noise = lambda batch: drawn.append(draw_noise(batch)) or drawn[-1]
    torch.manual_seed(0)
    one = model(source, target).raw
    torch.manual_seed(0)
    assert torch.equal(model(source, target).raw, one)
    assert not torch.equal(model(source, target).raw, one)
    assert len(drawn) == 3  # one draw a target, and not one a step
    assert torch.equal(model.eval()(source, target).raw, build(input_feeding=True).eval()(source, target).raw)
    wet, dry = build(dropout=0.5, num_layers=2), build(num_layers=2)
    assert not torch.allclose(wet(source, target).raw, dry(source, target).raw)
    assert torch.equal(wet.eval()(source, target).raw, dry.eval()(source, target).raw)
    silent = build(dropout=1.0)
    assert torch.equal(silent(source, target).raw, silent.decoder.head.bias.expand(5, 4, 7))


def test_a_decoder_that_goes_step_by_step_drops_the_same_recurrent_weights_at_all():
    source, target = draw()
    for options in ({"input_feeding": True}, {"scheduled_sampling": 0.5}):
        model = build(**options)
        layer = model.decoder.recurrent
        layer.weight_dropout = 0.5
        noise = layer.draw_noise(4)
        asked: list[int] = []
        layer.draw_noise = lambda batch, noise=noise, asked=asked: asked.append(batch) or noise
        torch.manual_seed(0)
        one = model(source, target).raw
        assert asked == [4]
        torch.manual_seed(0)
        layer.draw_noise = lambda batch, noise=noise: noise._replace(weights=(torch.ones_like(noise.weights[0]),))
        assert not torch.allclose(model(source, target).raw, one)


def test_tied_weights_are_one_and_stay_one():
    model = EncoderDecoder(words(9, 5), words(7, 8), make_head(8, 7), hidden_size=8, tied=True)
    for twin in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model)), copy.deepcopy(model).double()):  # noqa: S301
        assert twin.decoder.head.weight is twin.decoder.target.weight
    one = words(7, 8)
    shared = EncoderDecoder(one, one, make_head(8, 7), hidden_size=8, tied=True)
    names = [name for name, _ in shared.named_parameters()]
    assert "source.weight" in names
    assert "decoder.target.weight" not in names and "decoder.head.weight" not in names
    source, target = draw()
    shared(source % 7, target).raw.sum().backward()
    assert one.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_copies_and_loaded_weights_compute_the_same(attention):
    model = build(attention)
    source, target = draw()
    expected = model(source, target).raw
    loaded = build(attention, seed=3)
    assert not torch.equal(loaded(source, target).raw, expected)
    loaded.load_state_dict(model.state_dict(), strict=True)
    for twin in (loaded, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301
        assert torch.equal(twin(source, target).raw, expected)
    assert torch.equal(build(attention)(source, target).raw, expected)  # the seed alone decides
    memory = pickle.loads(pickle.dumps(model.encode(source)))  # noqa: S301
    assert torch.equal(model.decode(target, memory).raw, expected)
    assert (model.float()(source, target).raw - expected).abs().max() < 1e-5


def test_no_two_parts_begin_with_the_same_numbers():
    model = build("general", num_layers=2)
    own = [p for name, p in model.named_parameters() if not name.endswith(("source.weight", "target.weight"))]
    values = [parameter.flatten()[0].item() for parameter in own]
    assert len(set(values)) == len(values)


def test_one_row_and_one_step():
    model = build()
    source, target = draw(batch=1, source_time=1, target_time=1)
    raw, alignment, state = model(source, target)
    assert raw.shape == (1, 1, 7)
    assert alignment.tolist() == [[[1.0]]]
    assert state.position.tolist() == [1]


@pytest.mark.parametrize("engine", ["reference", "auto"])
def test_every_engine_computes_the_same(engine):
    model = build(cell="lstm")
    source, target = draw()
    with recurra.engine("torch"):
        expected = model(source, target, source_lengths=SOURCE_LENGTHS, target_lengths=TARGET_LENGTHS).raw
    with recurra.engine(engine):
        found = model(source, target, source_lengths=SOURCE_LENGTHS, target_lengths=TARGET_LENGTHS).raw
    assert_within_rounding(found, expected)


def test_explain_says_how_the_target_is_read_and_why():
    with recurra.engine("reference"):
        lines = build().explain().splitlines()
        assert lines == [
            "encoder layer 0: gru, both directions by reference (asked for by name)",
            "decoder layer 0: gru by reference (asked for by name)",
            "decoder: the whole target in one call; GeneralAttention, all steps in one product",
        ]
        fed = build("additive", input_feeding=True).explain().splitlines()[-1]
        assert fed == (
            "decoder: step by step (input feeding: a step reads what the step before attended to); "
            "AdditiveAttention, a product at each step"
        )
        model = build(None, scheduled_sampling=0.2)
        assert "step by step (scheduled sampling: a step may read what the step before put out); no attention" in (
            model.explain()
        )
        assert "the whole target in one call; no attention" in model.eval().explain()


def test_wrong_parts_are_refused():
    parts = words(9, 5), words(7, 4), make_head(8, 7)
    for changes, message in (
        ({"hidden_size": 0}, "hidden_size is 0"),
        ({"attention": "genral"}, "attention is 'genral'; did you mean 'general'"),
        ({"attention": "Bahdanau"}, "attention is 'Bahdanau'; here it is called 'additive'; or pass an Attention"),
        ({"attention": "luong"}, "here it is called 'general', or 'dot' without weights"),
        ({"attention": nn.Linear(2, 2)}, "attention is a Linear; there are: 'additive', .*; or pass an Attention"),
        ({"attention": "dot"}, "use GeneralAttention"),
        ({"attention": GeneralAttention(8, 8)}, r"memory_size 8; .* the encoder has 16 outputs"),
        ({"hidden_size": 9}, r"head does not read hidden_size 9 features: .*build it with that size"),
        ({"dropout": 1.5}, "dropout is 1.5"),
        ({"scheduled_sampling": 2}, "scheduled_sampling is 2"),
        ({"input_feeding": 1}, "input_feeding is 1; expected True or False"),
        ({"cell": "gruu"}, "gru"),
        ({"batch_first": 1}, "batch_first is 1; expected True or False"),
        ({"tied": True}, r"weight of shape \(7, 4\), the head's product \(7, 8\): give both \(classes, 8\)"),
        ({"seed": -2}, "seed is -2"),
    ):
        with pytest.raises(ArgumentError, match=message):
            EncoderDecoder(*parts, **{"hidden_size": 8, **changes})
    with pytest.raises(
        ArgumentError, match=r"target is torch's Embedding .*; use recurra.nn.Embedding\(7, 4\), or set target"
    ):
        EncoderDecoder(words(9, 5), nn.Embedding(7, 4), make_head(8, 7), hidden_size=8)
    with pytest.raises(
        ArgumentError, match=r"source is LSTM with output_size None; .* as Embedding, OneHot or Real of rec"
    ):
        EncoderDecoder(nn.LSTM(2, 3), words(7, 4), make_head(8, 7), hidden_size=8)
    with pytest.raises(
        ArgumentError, match="head reads 6 features, hidden_size is 8; build the head with input_size=8"
    ):
        EncoderDecoder(words(9, 5), words(7, 4), Softmax(6, 7), hidden_size=8)
    with pytest.raises(
        ArgumentError, match="head Softmax has 99 classes, the target Embedding reads codes 0 to 6, too few"
    ):
        EncoderDecoder(words(9, 5), words(7, 4), Softmax(8, 99), hidden_size=8)
    with pytest.raises(ArgumentError, match="the head is tied to another Embedding than the target's"):
        EncoderDecoder(words(9, 5), Embedding(7, 4), Softmax(8, 7, tied=Embedding(7, 4)), hidden_size=8, tied=True)
    with pytest.raises(ArgumentError, match="target has 0 Embedding"):
        numbers = nn.Linear(1, 8)
        numbers.output_size = 8
        EncoderDecoder(numbers, numbers, make_head(8, 7), hidden_size=8, tied=True)


@pytest.mark.parametrize("dtype", [None, torch.float64])
@pytest.mark.parametrize("attention", ["dot", "general", "additive", "local", "multihead", None])
def test_its_numbers_have_the_type_of_its_parts(attention, dtype):
    parts = [Embedding(9, 5, dtype=torch.float64), Embedding(7, 4, dtype=torch.float64)]
    head = Softmax(8, 7, dtype=torch.float64)
    named = {"hidden_size": 8, "attention": attention, "bidirectional": attention != "dot", "seed": 0}
    model = EncoderDecoder(*parts, head, dtype=dtype, **named)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float64}
    source, target = draw()
    assert model(source, target).raw.dtype == torch.float64
    assert model.loss(source, target).dtype == torch.float64
    with pytest.raises(
        ArgumentError, match=r"head has numbers of torch.float64, dtype is torch.float32; convert one, as"
    ):
        EncoderDecoder(*parts, head, dtype=torch.float32, **named)
    with pytest.raises(ArgumentError, match=r"target has numbers of torch.float32, the head's is torch.float64"):
        EncoderDecoder(parts[0], Embedding(7, 4), head, **named)
    assert EncoderDecoder(Real(1), Real(1), Linear(4, 1, device="meta"), hidden_size=4).bridge.weight_h.is_meta


@pytest.mark.parametrize("input_feeding", [False, True])
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_without_a_batch_it_computes_what_a_batch_of_one_does(attention, input_feeding):
    model = build(attention, input_feeding=input_feeding)
    source, target = (steps[:, 0] for steps in draw())
    named = {"source_lengths": [4], "target_lengths": [3]}
    expected, alone = model(source[:, None], target[:, None], **named), model(source, target, **named)
    assert alone.raw.shape == (5, 7)
    assert torch.equal(alone.raw, expected.raw[:, 0])
    assert (alone.alignment is None) == (attention is None)
    if attention is not None:
        assert torch.equal(alone.alignment, expected.alignment[:, 0])
    turned = build(attention, input_feeding=input_feeding, batch_first=True)
    assert torch.equal(turned(source, target, **named).raw, alone.raw)
    state, memory = None, model.encode(source, source_lengths=[4])
    for t, token in enumerate(target[:3]):
        raw, state, alignment = model.step(token, state, memory)
        assert_within_rounding(raw, alone.raw[t])
        if attention is not None:
            assert_within_rounding(alignment, alone.alignment[t])


def test_numbers_without_a_batch_are_told_from_tokens_with_one():
    model = EncoderDecoder(Real(2), Real(3), Linear(6, 3, seed=0), hidden_size=6, seed=0)
    x, y = torch.randn(4, 2), torch.randn(5, 3)
    alone = model(x, y)
    assert alone.raw.shape == (5, 3)
    assert_within_rounding(alone.raw, model(x[:, None], y[:, None]).raw[:, 0])
    assert model.loss(x, y).item() == pytest.approx(model.loss(x[:, None], y[:, None]).item(), rel=1e-6)
    assert model.loss(x, y).item() == pytest.approx((model(x, y[:-1]).raw - y[1:]).square().mean().item(), rel=1e-6)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("input_feeding", [False, True])
def test_the_loss_is_the_mean_over_all_tokens_behind_the_first(batch_first, input_feeding):
    parts = Embedding(9, 5, seed=0), Embedding(7, 4, seed=1), Softmax(8, 7, label_smoothing=0.2, seed=2)
    named = {"hidden_size": 8, "seed": 0, "input_feeding": input_feeding}
    model = EncoderDecoder(*parts, batch_first=batch_first, **named).double()
    source, target = draw()
    total, tokens = 0.0, 0
    for row, (read, written) in enumerate(zip(SOURCE_LENGTHS, TARGET_LENGTHS, strict=True)):
        if written > 1:
            source_row = source[:read, row] if read else source[:, row]
            raw = model(source_row, target[: written - 1, row], source_lengths=[read]).raw
            total += F.cross_entropy(raw, target[1:written, row], reduction="sum", label_smoothing=0.2).item()
            tokens += written - 1
    spoilt = [
        steps.masked_fill(torch.arange(len(steps))[:, None] >= torch.tensor(lengths), -100)
        for steps, lengths in ((source, SOURCE_LENGTHS), (target, TARGET_LENGTHS))
    ]
    loss = model.loss(
        *(steps.T if batch_first else steps for steps in spoilt),
        source_lengths=SOURCE_LENGTHS,
        target_lengths=TARGET_LENGTHS,
    )
    assert loss.item() == pytest.approx(total / tokens, rel=1e-12)
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    nothing = model.loss(
        *(steps.T if batch_first else steps for steps in (source, target)), target_lengths=[0, 1, 1, 0]
    )
    assert nothing.item() == 0


def test_the_loss_says_what_it_cannot_read():
    model = EncoderDecoder(Embedding(9, 5), Embedding(12, 4), Softmax(8, 7), hidden_size=8)
    source, target = draw()
    target[4, 1] = 10
    with pytest.raises(ArgumentError, match=r"^target\[4, 1\] is 10; expected 0 to 6"):
        model.loss(source, target)
    assert model.loss(source, target, target_lengths=[5, 4, 5, 5]).isfinite()
    with pytest.raises(
        ArgumentError, match=r"target has shape \(1, 4\) of .*; expected the begin token and one step behind"
    ):
        model.loss(source, target[:1])
    with pytest.raises(
        ArgumentError, match=r"^target_lengths\[2\] is 9; expected 0 to 5, the time steps of target; mend"
    ):
        model.loss(source, target, target_lengths=[1, 2, 9, 1])
    with pytest.raises(ArgumentError, match=r"head Linear has no loss; use recurra.nn.Softmax"):
        build().loss(source, target)


@pytest.mark.parametrize("tied", [False, True, "head"])
@pytest.mark.parametrize("own_head", [False, True])
def test_training_begins_near_the_loss_of_a_guess(own_head, tied):
    classes, size = 500, 64
    target = Embedding(classes, size, seed=1)
    head = Softmax(size, classes, tied=target if tied == "head" else None, seed=2)
    if own_head:
        head = nn.Linear(size, classes)
        head.raw_size = classes
    model = EncoderDecoder(Embedding(9, 32, seed=0), target, head, hidden_size=size, tied=bool(tied), seed=0)
    generator = torch.Generator().manual_seed(0)
    source, target = (
        torch.randint(9, (12, 16), generator=generator),
        torch.randint(classes, (15, 16), generator=generator),
    )
    loss = F.cross_entropy(model(source, target[:-1]).raw.flatten(0, 1), target[1:].flatten())
    assert loss.item() == pytest.approx(math.log(classes), abs=0.2)


def test_recurras_own_inputs_and_heads_are_parts_of_it():
    embedding = Embedding(7, 8, seed=0)
    model = EncoderDecoder(embedding, embedding, Softmax(8, 7, seed=1), hidden_size=8, tied=True, seed=0)
    source, target = torch.randint(0, 7, (6, 4)), torch.randint(0, 7, (5, 4))
    model.loss(source, target).backward()
    assert model.decoder.head.projection.weight is embedding.weight
    assert embedding.weight.grad.abs().sum() > 0
    greedy = model.generate(source, begin=0, end=1, max_length=4)
    assert torch.equal(
        greedy.answers, model.generate(source, begin=0, end=1, max_length=4, method="beam", beam_size=1).answers
    )


def test_wrong_calls_are_refused():
    model = build()
    source, target = draw()
    memory = model.encode(source)
    with pytest.raises(ArgumentError, match=r"source_lengths\[0\] is 9; expected 0 to 6, the time steps of source"):
        model(source, target, source_lengths=[9, 1, 1, 1])
    with pytest.raises(ArgumentError, match=r"target_lengths has shape \(1,\), target_inputs has batch 4"):
        model(source, target, target_lengths=[9])
    with pytest.raises(ArgumentError, match="target_inputs has batch 4, the source 1"):
        model(source[:, 0], target)
    with pytest.raises(
        ArgumentError, match=r"source has shape \(5,\) of torch.float32; expected one step at least, \(ti"
    ):
        model(torch.zeros(5), target)
    with pytest.raises(ArgumentError, match=r"source is list"):
        model([1, 2], target)
    turned = build(batch_first=True)
    with pytest.raises(
        ArgumentError, match=r"source has shape \(4,\) of .* \(batch, time\) integers or \(batch, time, s"
    ):
        turned(source[0].double(), target)
    with pytest.raises(
        ArgumentError, match=r"target_inputs has shape \(4, 0\) of torch.int64; expected one step at least"
    ):
        turned(source.T, target.T[:, :0])
    with pytest.raises(
        ArgumentError, match=r"source_lengths\[1\] is 7; expected 0 to 6, .*, or pad source to at least"
    ):
        turned(source.T, target.T, source_lengths=[1, 7, 1, 1])
    with pytest.raises(ArgumentError, match=r"recurrent has batch_first=True; build it without"):
        AttentionDecoder(words(7, 4), Recurrent("gru", 4, 8, batch_first=True), None, make_head(8, 7))
    with pytest.raises(ArgumentError, match="target_inputs has batch 3, the source 4"):
        model(source, target[:, :3])
    with pytest.raises(ArgumentError, match="token has batch 2, the source 4"):
        model.step(target[0, :2], None, memory)
    with pytest.raises(ArgumentError, match="token has batch 1, the source 4"):
        model.step(torch.tensor(1), None, memory)
    with pytest.raises(ArgumentError, match=r"token has shape \(\); expected a tensor with one token a row"):
        model.step(torch.tensor(1.0), None, memory)
    fed = build(input_feeding=True)
    with pytest.raises(ArgumentError, match="state is of a model without input feeding, this one is with"):
        fed.step(target[0], memory.start, fed.encode(source))
    with pytest.raises(ArgumentError, match="state is of a model with input feeding, this one is without"):
        model.decode(target, memory, fed.encode(source).start)
    own = EncoderDecoder(Embedding(9, 5), Embedding(7, 4), Softmax(8, 7), hidden_size=8, batch_first=True)
    read, written = source.T.clone(), target.T.clone()
    read[2, 4], written[1, 3] = 9, 8
    with pytest.raises(ArgumentError, match=r"^source\[2, 4\] is 9; expected 0 to 8; map what is unknown"):
        own(read, written)
    read[2, 4] = 0
    for call in (own, own.loss):
        with pytest.raises(ArgumentError, match=r"^target(_inputs)?\[1, 3\] is 8; expected 0 to 6"):
            call(read, written)
    with pytest.raises(ArgumentError, match=r"^token\[1\] is 8; expected 0 to 6"):
        own.step(written[:, 3], None, own.encode(read))
    with pytest.raises(ArgumentError, match="memory is a Tensor; expected the Memory that encode returned"):
        model.decode(target, source)
    with pytest.raises(ArgumentError, match="memory is of a model with no attention, this one has an attention"):
        model.decode(target, build(None).encode(source))
    with pytest.raises(ArgumentError, match="state is a tuple; expected the DecoderState of 4 rows"):
        model.step(target[0], (1, 2, 3), memory)


def make_task(task, batch, low, high, generator):
    """Sources (time, batch), lengths and targets (time + 1, batch) with the end token behind each row."""
    lengths = torch.randint(low, high + 1, (batch,), generator=generator)
    source = torch.randint(10, (high, batch), generator=generator)
    target = torch.full((high + 1, batch), END)
    change = {"copy": lambda s: s, "reverse": lambda s: s.flip(0), "sort": lambda s: s.sort().values}[task]
    for row, length in enumerate(lengths.tolist()):
        target[:length, row] = change(source[:length, row])
    return source, lengths, target


def train(task, low, high, steps=600, batch=64, hidden=64):
    torch.manual_seed(0)
    model = EncoderDecoder(words(10, 32), words(12, 32), make_head(hidden, 12), hidden_size=hidden, seed=0)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        source, lengths, target = make_task(task, batch, low, high, generator)
        inputs = torch.cat([torch.full((1, batch), BEGIN), target[:-1]])
        raw = model(source, inputs, source_lengths=lengths, target_lengths=lengths + 1).raw
        kept = torch.arange(len(target))[:, None] <= lengths
        optimizer.zero_grad()
        F.cross_entropy(raw[kept], target[kept]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model


def count_right(model, task, low, high):
    """The share of fresh sequences written without an error, and what was generated of which sources."""
    source, lengths, target = make_task(task, 500, low, high, torch.Generator().manual_seed(99))
    found = model.generate(source, source_lengths=lengths, begin=BEGIN, end=END, max_length=high + 1)
    tokens = torch.full_like(target, END)
    tokens[: len(found.answers)] = found.answers
    return float((tokens == target).all(0).double().mean()), found, lengths


@pytest.mark.slow
@pytest.mark.parametrize("task", ["copy", "reverse"])
def test_it_learns_to_copy_and_to_reverse_and_looks_where_it_should(task):
    model = train(task, 8, 12)
    right, found, lengths = count_right(model, task, 8, 12)
    assert right >= 0.95
    looked = found.alignment.argmax(-1)  # time batch
    step = torch.arange(len(looked))[:, None]
    expected = step.expand_as(looked) if task == "copy" else lengths - 1 - step
    assert (looked == expected)[step < lengths].double().mean() >= 0.9


@pytest.mark.slow
def test_it_learns_to_sort():
    right, _, _ = count_right(train("sort", 4, 8), "sort", 4, 8)
    assert right >= 0.9


def test_every_parameter_learns_something():
    for attention, feeding in itertools.product(ATTENTIONS, (False, True)):
        model = build(attention, input_feeding=feeding)
        source, target = draw(batch=16)
        model(source, target).raw.square().sum().backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad.abs().max() > 0, (attention, feeding, name)


def test_an_attention_of_ones_own_is_taken():
    attention = AdditiveAttention(8, 16, attention_size=3, seed=0)
    model = build(attention)
    assert model.decoder.attention is attention
    source, target = draw()
    assert model(source, target).alignment.shape == (5, 4, 6)
