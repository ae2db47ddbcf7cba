"""A word is its embedding and its spelling, read once however often it stands there, and padding is nothing."""

import copy
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from recurra.errors import ArgumentError
from recurra.layers import Recurrent, Softmax
from recurra.layers.words import WordInput, _apart
from recurra.models import Seq2Seq

KINDS = ["lstm", "gru", "convolution"]
# time batch 1+letters: "on" twice, an unknown word spelt alike, one without letters, padding.
X = torch.tensor(
    [
        [[7, 3, 1, 0, 0], [9, 5, 2, 4, 6], [7, 3, 1, 0, 0]],
        [[1, 3, 1, 0, 0], [4, 8, 0, 0, 0], [0, 0, 0, 0, 0]],
        [[5, 0, 0, 0, 0], [7, 3, 1, 0, 0], [0, 0, 0, 0, 0]],
    ]
)


def words_of(kind, **options):
    sizes = {"character_size": 3, "character_hidden": 5}
    return WordInput(10, 4, 9, kind=kind, seed=0, dtype=torch.float64, **sizes, **options)


def spelt(words, letters):
    """The spelling of one word, (letter,) codes, as the papers say it."""
    if not len(letters):
        return torch.zeros(words.output_size - 4, dtype=torch.float64)
    vectors = words.letters.weight[letters]
    if words.kind == "convolution":
        kernel = words.reader.weight.view(5, 3, words.width)  # output feature width
        y = F.conv1d(vectors.T.unsqueeze(0), kernel, words.reader.bias, padding=words.width // 2)
        return y[0].amax(1)
    y, _ = words.reader(vectors)
    return torch.cat([y[-1, :5], y[0, 5:]])


def one_by_one(words, x):
    rows = [
        torch.cat([words.words.weight[row[0]] * (row[0] != 0), spelt(words, row[1:][row[1:] != 0])])
        for row in x.flatten(0, -2)
    ]
    return torch.stack(rows).view(*x.shape[:-1], -1)


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_and_gradients_are_those_of_words_read_one_by_one(kind):
    words = words_of(kind)
    assert words.output_size == 4 + (5 if kind == "convolution" else 10)
    y, expected = words(X), one_by_one(words, X)
    assert y.shape == (3, 3, words.output_size)
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-14)
    weights = torch.randn(y.shape, dtype=torch.float64)
    grads = torch.autograd.grad((y * weights).sum(), list(words.parameters()))
    exact = torch.autograd.grad((expected * weights).sum(), list(words.parameters()))
    for grad, other in zip(grads, exact, strict=True):
        torch.testing.assert_close(grad, other, rtol=1e-11, atol=1e-13)
        assert grad.any()


def test_the_width_of_a_convolution_is_the_letters_that_it_sees():
    words = words_of("convolution", width=5)
    torch.testing.assert_close(words(X), one_by_one(words, X), rtol=1e-12, atol=1e-14)
    assert words.reader.in_features == 15


@pytest.mark.parametrize("kind", KINDS)
def test_words_that_are_spelt_alike_are_read_once(kind):
    words, seen = words_of(kind), []
    words.letters.register_forward_hook(lambda module, given, y: seen.append(tuple(y.shape)))
    words(X)
    assert seen == [(4, 4, 3)]  # letters, words: on, five..., eight, none


@pytest.mark.parametrize("kind", KINDS)
def test_many_words_read_in_groups_of_like_length_are_those_of_each_alone(kind):
    words, x = words_of(kind), torch.randint(1, 9, (700, 7), generator=torch.Generator().manual_seed(0))
    lengths = torch.arange(700)[:, None] % 7
    x[:, 1:][torch.arange(6) >= lengths] = 0
    y = words(x)
    for row in (0, 1, 250, 300, 699):
        torch.testing.assert_close(y[row], words(x[row]), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_is_zeros_and_letters_behind_the_first_zero_are_not_read(kind):
    words = words_of(kind)
    y = words(X)
    assert not y[1:, 2].any()
    assert not y[2, 0, 4:].any()
    strewn = X.clone()
    strewn[0, 0, 4] = 8
    assert torch.equal(words(strewn), y)
    wider = F.pad(X, (0, 3))
    torch.testing.assert_close(words(wider), y, rtol=1e-12, atol=1e-14)
    assert not words(torch.zeros(2, 1, 4, dtype=torch.int64)).any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_that_of_the_whole_and_any_axes_lead(kind):
    words = words_of(kind)
    y = words(X)
    for t in range(3):
        torch.testing.assert_close(words(X[t]), y[t], rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(words(X[0, 1].int()), y[0, 1], rtol=1e-12, atol=1e-14)
    assert words(X[:, :0]).shape == (3, 0, words.output_size)


def test_dropped_words_are_unknown_and_keep_their_spelling():
    words, x = words_of("gru", word_dropout=0.3, unknown=2), X[:1, :1].expand(100, 50, -1)
    torch.manual_seed(0)
    y = words(x)
    dropped = (y[..., :4] == words.words.weight[2]).all(-1)
    assert dropped.double().mean().item() == pytest.approx(0.3, abs=4 * (0.21 / 5000) ** 0.5)
    assert bool((y[..., :4][~dropped] == words.words.weight[7]).all())
    whole = words.eval()(x)
    assert torch.equal(y[..., 4:], whole[..., 4:])
    assert bool((whole[..., :4] == words.words.weight[7]).all())
    padding = words_of("gru", word_dropout=1.0)(X)
    assert not padding[1:, 2].any()
    assert bool((padding[0, :, :4] == words.words.weight[1]).all())


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_an_input_of_seq2seq_whole_and_step_by_step(kind):
    words = words_of(kind)
    body = Recurrent("gru", words.output_size, 6, seed=0, dtype=torch.float64)
    model = Seq2Seq(words, body, Softmax(6, 3, seed=0, dtype=torch.float64))
    raw, _ = model(X)
    state = None
    for t in range(3):
        raw_t, state = model.step(X[t], state)
        torch.testing.assert_close(raw_t, raw[t], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_the_same_weights_again(kind):
    words, again = words_of(kind), words_of(kind)
    other = WordInput(10, 4, 9, kind=kind, seed=1, dtype=torch.float64, character_size=3, character_hidden=5)
    for one, same, different in zip(words.parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, same)
        assert not torch.equal(one, different)
    assert words.words.weight.flatten()[0] != words.letters.weight.flatten()[0]
    with torch.no_grad():
        for parameter in again.parameters():
            parameter.zero_()
    again.reset_parameters()
    assert torch.equal(again(X), words(X))


@pytest.mark.parametrize("kind", KINDS)
def test_copies_and_stored_weights_are_the_same_input(kind):
    words = words_of(kind)
    blank = WordInput(10, 4, 9, kind=kind, character_size=3, character_hidden=5, dtype=torch.float64)
    blank.load_state_dict(words.state_dict())
    for twin in (copy.deepcopy(words), pickle.loads(pickle.dumps(words)), blank):  # noqa: S301
        assert torch.equal(twin(X), words(X))
    assert words.float()(X).dtype == torch.float32


@given(st.integers(2, 10**6), st.data())
def test_rows_that_differ_are_found_each_once(base, data):
    width = data.draw(st.integers(1, 9))
    digit = st.sampled_from([0, 1, base // 2, base - 1])
    rows = torch.tensor(data.draw(st.lists(st.lists(digit, min_size=width, max_size=width), min_size=1, max_size=30)))
    apart, which = _apart(rows, base)
    assert torch.equal(apart[which], rows)
    assert len(apart) == len(rows.unique(dim=0))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: WordInput(1, 4, 9), "num_words is 1; expected 2 at least, for code 0 is padding"),
        (lambda: WordInput(10, 0, 9), "embedding_size is 0"),
        (lambda: WordInput(10, 4, 9, character_hidden=0), "character_hidden is 0"),
        (lambda: WordInput(10, 4, 9, unknown=0), "unknown is 0; expected a code from 1 to 9"),
        (lambda: WordInput(10, 4, 9, word_dropout=2), "word_dropout is 2; expected a probability"),
        (lambda: WordInput(10, 4, 9, kind="convolutional"), "kind is 'convolutional'; did you mean 'convolution'?"),
        (lambda: WordInput(10, 4, 9, kind="convolution", width=4), "width is 4; expected an odd number of letters"),
        (lambda: WordInput(10, 4, 9, kind="gru", width=3), "width is 3, kind 'gru'; it is for kind='convolution'"),
        (lambda: words_of("gru")(X[..., :1]), "x has shape (3, 3, 1); expected codes (..., 1 + letters)"),
        (lambda: words_of("gru")([1, 2]), "x is list; expected codes"),
        (lambda: words_of("gru")(X + 5), "word[0, 0] is 12, one of 5 out of range; expected 0 to 9"),
        (lambda: words_of("gru")(X.double()), "word has dtype torch.float64; expected codes"),
        (
            lambda: words_of("gru")(X + 9 * F.one_hot(torch.tensor(2), 5)),
            "letter[0, 0, 1] is 10, one of 9 out of range; expected 0 to 8",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert words in str(caught.value)


def test_it_says_what_it_is():
    assert "kind='convolution', width=3" in repr(words_of("convolution"))
    assert isinstance(words_of("gru").reader, nn.Module)
    assert "kind='gru', word_dropout=0.1" in repr(words_of("gru", word_dropout=0.1))
