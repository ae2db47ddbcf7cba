"""Networks that write one text for another, against plain loops over single pairs."""

import math

import numpy as np
import pytest
import torch

from recurra.data.tokenizer import Tokenizer
from recurra.layers import Embedding, Softmax
from recurra.models import EncoderDecoder
from recurra.models.beam import Penalties
from recurra.training.recorder import Recorder
from recurra.training.settings import TrainingSettings
from recurra.training.translator import CodedPairs, Search, padding_share, token_losses, train_translator, write

PAIRS = CodedPairs([[5, 6, 7], [8], [4] * 20, [6, 6]], [[9, 4], [], [5, 5, 5, 5], [7]])
SEARCH = Search(3, Penalties(), 1.5)


def build(seed=0, **options):
    torch.manual_seed(seed)
    words = Embedding(12, 6, padding=0)
    head = Softmax(8, 12, tied=words, label_smoothing=0.1)
    return EncoderDecoder(words, words, head, hidden_size=8, **options)


def test_a_batch_has_begin_and_end_about_each_target():
    source, source_lengths, target, target_lengths = PAIRS.batch([0, 1])
    assert source.T.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert source_lengths.tolist() == [3, 1]
    assert target.T.tolist() == [[2, 9, 4, 3], [2, 3, 0, 0]]
    assert target_lengths.tolist() == [4, 2]


def test_losses_of_tokens_are_those_of_pairs_one_by_one_without_smoothing():
    network = build().eval()
    alone = []
    for source, target in zip(*PAIRS, strict=True):
        inputs = torch.tensor([2, *target]).unsqueeze(1)
        with torch.no_grad():
            raw = network(torch.tensor(source).unsqueeze(1), inputs).raw[:, 0]
        truth = [*target, 3]
        alone += [-raw.log_softmax(-1)[step, code].item() for step, code in enumerate(truth)]
    found = token_losses(network, PAIRS)
    assert found.shape == (2 + 0 + 4 + 1 + 4,)
    assert found == pytest.approx(alone, rel=1e-5)


def test_what_is_written_for_a_source_does_not_hang_on_its_neighbours():
    network = build()
    together = write(network, PAIRS.sources, SEARCH)
    for source, found in zip(PAIRS.sources, together, strict=True):
        (alone,) = write(network, [source], SEARCH)
        assert alone.codes == found.codes
        assert alone.score == pytest.approx(found.score, rel=1e-4)
        assert found.alignment.shape[1] == len(source)
        assert found.alignment.shape[0] in (len(found.codes), len(found.codes) + 1)
        assert found.alignment.sum(1) == pytest.approx(1.0, rel=1e-4)


def test_a_longer_source_may_have_a_longer_target_and_no_target_is_endless():
    assert SEARCH.longest(1) == SEARCH.longest(16) == 16 + 24
    assert SEARCH.longest(17) == 16 + 48
    network = build()
    with torch.no_grad():
        network.decoder.head.bias[3] = -1e4  # the end is never written
    assert [len(found.codes) for found in write(network, [[5], [4] * 17], SEARCH)] == [40, 64]


def test_one_sequence_is_kept_by_a_search_of_size_1():
    network = build().eval()
    (found,) = write(network, [[5, 6]], Search(1, Penalties(), 1.5))
    greedy = network.generate(torch.tensor([[5], [6]]), begin=2, end=3, max_length=40)
    assert found.codes == greedy.answers[: int(greedy.lengths[0]), 0].tolist()


def test_without_attention_there_is_no_alignment():
    (found,) = write(build(attention=None), [[5, 6]], SEARCH)
    assert found.alignment is None


def test_nothing_is_written_for_no_source():
    assert write(build(), [], SEARCH) == []


def test_the_share_of_padding_by_hand():
    settings = TrainingSettings(batch_size=4, steps=1)
    steps = 4 * 20 + 4 * 5
    there = (3 + 1 + 20 + 2) + (3 + 1 + 5 + 2)
    assert padding_share(PAIRS, settings) == pytest.approx(1 - there / steps)


def test_both_sides_of_the_pairs_of_a_batch_are_about_as_long():
    draw = np.random.default_rng(0)
    sizes = draw.integers(1, 21, 2000)
    pairs = CodedPairs(
        [[5] * size for size in sizes], [[5] * size for size in np.clip(sizes + draw.integers(-4, 5, 2000), 1, None)]
    )
    settings = TrainingSettings(batch_size=20, steps=1)
    batches = pairs.batches(settings)
    assert sorted(row for step in range(100) for row in batches.at(step)) == list(range(2000))
    assert padding_share(pairs, settings) < 0.08  # 0.15 by the sum of both


def reversing(count, seed=0):
    draw = np.random.default_rng(seed)
    sources = [draw.integers(4, 12, int(draw.integers(1, 5))).tolist() for _ in range(count)]
    return CodedPairs(sources, [row[::-1] for row in sources])


def test_reversing_is_learnt_and_the_best_weights_are_kept():
    learned, held = reversing(120), reversing(20, seed=1)
    network = build(cell="lstm")
    before = token_losses(network, held).mean()
    settings = TrainingSettings(steps=150, batch_size=24, learning_rate=2e-2, validate_every=50)
    pace = train_translator(network, learned, held, settings, Recorder(), "network")
    after = token_losses(network, held).mean()
    assert before == pytest.approx(math.log(12), abs=1.0)
    assert after < 0.5 * before
    assert pace.tokens == sum(len(row) + 1 for row in learned.targets) * 30  # five batches an epoch
    assert pace.tokens_per_second > 100


def test_scheduled_sampling_rises_to_what_was_asked_and_stays():
    seen = []

    class Watching(EncoderDecoder):
        def loss(self, *arguments, **named):
            seen.append(self.scheduled_sampling)
            return super().loss(*arguments, **named)

    torch.manual_seed(0)
    words = Embedding(12, 6, padding=0)
    network = Watching(words, words, Softmax(8, 12), hidden_size=8, scheduled_sampling=0.4)
    settings = TrainingSettings(steps=4, batch_size=4, validate_every=2)
    train_translator(network, PAIRS, PAIRS, settings, Recorder(), "network")
    assert seen == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert network.scheduled_sampling == 0.4


def test_the_special_codes_are_the_tokenizers():
    assert (Tokenizer.padding, Tokenizer.begin, Tokenizer.end) == (0, 2, 3)
