"""Batches of words with their letters, the tags of several networks, long sentences, and training that resumes."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch

from recurra.layers import Recurrent
from recurra.layers.crf import ConditionalRandomField
from recurra.layers.heads import Softmax
from recurra.layers.inputs import Embedding
from recurra.layers.words import WordInput
from recurra.models import Seq2Seq
from recurra.training import tagger
from recurra.training.recorder import Recorder
from recurra.training.run import RunFolder
from recurra.training.settings import TrainingSettings
from recurra.training.tagger import CodedSentences, TaggedCodes, tag_sentences, train_tagger

LETTERS = np.array([[5, 6, 0, 0], [4, 0, 0, 0], [7, 5, 4, 6]])
SENTENCES = CodedSentences([[4, 5, 1], [], [6]], [[0, 1, 2], [], [1]], LETTERS)


def network_of(head="softmax", seed=0, *, letters=True, tags=3):
    source = WordInput(9, 4, 9, character_size=3, character_hidden=2, kind="gru", seed=seed)
    source = source if letters else Embedding(9, 4, padding=0, seed=seed)
    body = Recurrent("gru", source.output_size, 5, bidirectional=True, seed=seed)
    kind = {"softmax": Softmax, "crf": ConditionalRandomField}[head]
    network = Seq2Seq(source, body, kind(10, tags, seed=seed))
    if head == "crf":
        with torch.no_grad():
            drawn = torch.Generator().manual_seed(seed)
            for scores in (network.head.transitions, network.head.starts, network.head.ends):
                scores.normal_(generator=drawn)
    return network.eval()


def test_a_batch_holds_words_and_letters_up_to_the_longest_that_is_there():
    x, lengths = SENTENCES.batch([2, 0])
    assert lengths.tolist() == [1, 3]
    assert x.shape == (3, 2, 5)
    assert x[:, 1].tolist() == [[4, 5, 6, 0, 0], [5, 4, 0, 0, 0], [1, 7, 5, 4, 6]]
    assert x[:, 0].tolist() == [[6, 4, 0, 0, 0], [0] * 5, [0] * 5]
    x, _ = SENTENCES.batch([2])
    assert x.tolist() == [[[6, 4]]]


def test_a_batch_without_letters_holds_words_alone():
    x, lengths = CodedSentences(SENTENCES.words).batch([0, 1])
    assert x.T.tolist() == [[4, 5, 1], [0, 0, 0]]
    assert lengths.tolist() == [3, 0]


@pytest.mark.parametrize("head", ["softmax", "crf"])
def test_sentences_are_tagged_as_each_alone_and_empty_ones_have_no_tag(head):
    network = network_of(head)
    said = tag_sentences([network], SENTENCES)
    assert [len(row) for row in said.tags] == [3, 0, 1]
    assert said.probabilities[1].shape == (0, 3)
    for row in (0, 2):
        alone = tag_sentences([network], CodedSentences([SENTENCES.words[row]], [SENTENCES.spelt[row]], LETTERS))
        assert alone.tags[0].tolist() == said.tags[row].tolist()
        assert np.allclose(alone.probabilities[0], said.probabilities[row], atol=1e-6)
        assert np.allclose(said.probabilities[row].sum(1), 1, atol=1e-5)


def test_networks_of_a_random_field_agree_on_the_mean_of_their_scores():
    networks = [network_of("crf", seed) for seed in range(3)]
    words = CodedSentences([[4, 5, 1]], [[0, 1, 2]], LETTERS)
    said = tag_sentences(networks, words)
    x, _ = words.batch([0])

    def score(network, path):
        raw = network(x)[0][:, 0]
        head = network.head
        total = head.starts[path[0]] + head.ends[path[-1]] + sum(raw[step, tag] for step, tag in enumerate(path))
        return float(total + sum(head.transitions[a, b] for a, b in pairwise(path)))

    with torch.no_grad():
        means = {path: np.mean([score(network, path) for network in networks]) for path in product(range(3), repeat=3)}
    assert tuple(said.tags[0]) == max(means, key=means.get)
    weights = {path: np.exp(value) for path, value in means.items()}
    share = sum(weight for path, weight in weights.items() if path[1] == 2) / sum(weights.values())
    assert said.probabilities[0][1, 2] == pytest.approx(share, abs=1e-6)


def test_networks_of_a_plain_head_agree_on_the_geometric_mean():
    networks = [network_of("softmax", seed) for seed in range(2)]
    alone = [tag_sentences([network], SENTENCES).probabilities[0] for network in networks]
    mean = np.sqrt(alone[0] * alone[1])
    assert np.allclose(
        tag_sentences(networks, SENTENCES).probabilities[0], mean / mean.sum(1, keepdims=True), atol=1e-6
    )


@pytest.mark.parametrize("letters", [True, False])
def test_a_long_sentence_is_tagged_in_pieces(monkeypatch, letters):
    monkeypatch.setattr(tagger, "_LONGEST", 4)
    network = network_of(letters=letters)
    words, spelt = [4, 5, 6, 7, 8, 4, 5, 6, 7], [0, 1, 2, 0, 1, 2, 0, 1, 2]

    def coded(*slices):
        rows, spellings = [words[one] for one in slices], [spelt[one] for one in slices]
        return CodedSentences(rows, spellings, LETTERS) if letters else CodedSentences(rows)

    (whole, last) = tag_sentences([network], coded(slice(0, 9), slice(0, 2))).tags
    pieces = tag_sentences([network], coded(slice(0, 4), slice(4, 8), slice(8, 9), slice(0, 2))).tags
    assert whole.tolist() == np.concatenate(pieces[:3]).tolist()
    assert last.tolist() == pieces[3].tolist()


def _sentences_of(count):
    """Sentences in which a word behind word 4 has tag 2, another has tag 1 if it is word 6, else 0."""
    generator = np.random.default_rng(0)
    words = [generator.integers(4, 7, size=generator.integers(1, 7)).tolist() for _ in range(count)]
    tags = [
        [2 if before == 4 else int(word == 6) for before, word in zip([0, *row], row, strict=False)] for row in words
    ]
    return TaggedCodes(CodedSentences(words), tags)


@pytest.mark.parametrize("head", ["softmax", "crf"])
def test_a_tagger_learns_what_depends_on_the_word_before(head):
    learned, held = _sentences_of(60), _sentences_of(20)
    settings = TrainingSettings(steps=150, batch_size=12, learning_rate=3e-2, validate_every=30)
    network = network_of(head, letters=False)
    seen = []

    def error(found):
        wrong = sum(int((np.array(tags) != said).sum()) for tags, said in zip(held.tags, found, strict=True))
        seen.append(wrong / sum(map(len, held.tags)))
        return seen[-1]

    speed = train_tagger(network, learned, held, settings, Recorder(), "member-0", error=error)
    assert speed > 100
    assert seen[0] > seen[-1]
    found = tag_sentences([network], held.sentences).tags
    assert [row.tolist() for row in found] == held.tags


def test_the_weights_kept_are_those_whose_error_was_least():
    learned = _sentences_of(20)
    errors = iter([0.5, 0.1, 0.4, 0.4])
    weights = []
    network = network_of(letters=False)

    def error(found):
        weights.append(network.head.projection.weight.clone())
        return next(errors)

    settings = TrainingSettings(steps=4, batch_size=8, validate_every=1)
    train_tagger(network, learned, learned, settings, Recorder(), "member-0", error=error)
    assert torch.equal(network.head.projection.weight, weights[1])


def test_a_training_that_was_stopped_ends_as_the_whole_one_did(tmp_path):
    learned = _sentences_of(30)
    settings = TrainingSettings(steps=8, batch_size=7, validate_every=4, checkpoint_every=4)

    def trained(name, steps_first=None):
        run = RunFolder(tmp_path / name)
        if not run.path.exists():
            run = RunFolder.create(tmp_path / name, {"task": "tag"}, force=False)
        network = network_of("crf", letters=False)

        def stop(stage, steps, record):
            if record.step == steps_first:
                raise KeyboardInterrupt

        train_tagger(network, learned, learned, settings, Recorder(run, on_step=stop), "m", error=lambda found: 0.5)
        return network.state_dict()

    whole = trained("whole")
    with pytest.raises(KeyboardInterrupt):
        trained("stopped", steps_first=5)
    again = trained("stopped")
    assert all(torch.equal(value, again[name]) for name, value in whole.items())


def test_a_pace_counts_steps_and_leaves_out_what_lies_between(monkeypatch):
    now = iter([10.0, 12.0, 50.0, 51.0, 53.0])
    monkeypatch.setattr(tagger.time, "perf_counter", lambda: next(now))
    pace = tagger._Pace()
    assert np.isnan(pace.end())
    pace.begin(30)  # at 10
    assert pace.end() == 30 / 2  # at 12
    pace.begin(20)  # at 50
    pace.begin(10)  # the one before is over at 51; it begins at 53, as if nothing were between
    assert pace.tokens == 60
    assert pace.seconds == 3
