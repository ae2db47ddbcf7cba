"""A language model from a file: what it measures, what it writes, what it refuses."""

import gzip
import json
import signal
import warnings

import numpy as np
import polars as pl
import pytest
import torch

from recurra.errors import ArgumentError, ArtifactError, DataError, Interrupted, Notice
from recurra.tasks.job import Job

pytest.importorskip("tokenizers")

from recurra.data.tokenizer import Tokenizer
from recurra.tasks import language_data
from recurra.tasks.jobs import job_of, load_fitted
from recurra.tasks.language import LanguageModel
from recurra.tasks.language_job import LanguageJob
from recurra.tasks.source import Source

LINES = ["the cat sat on the mat .", "the dog sat on the cat .", "a dog ran to the mat ."]
TEXT = "\n".join(LINES[(7 * i) % 3] for i in range(120)) + "\n"
KINDS = ("word", "whitespace", "subword", "character", "byte")
TINY = {
    "hidden_size": 12,
    "num_layers": 1,
    "embedding_size": 8,
    "chunk": 16,
    "valid": 0.1,
    "input_dropout": 0.0,
    "output_dropout": 0.0,
    "training": {"steps": 60, "batch_size": 4, "learning_rate": 0.02, "validate_every": 10},
}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The text in a file."""
    path = tmp_path_factory.mktemp("text") / "cats.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def models(file):
    """A trained model of each kind."""
    return {kind: LanguageModel(tokenizer=kind, **TINY).fit(file) for kind in KINDS}


def message(error, function, *arguments, **options):
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- measures


@pytest.mark.parametrize("kind", KINDS)
def test_every_token_of_a_text_counts_once_and_its_characters_are_those_of_the_file(kind, models, file):
    model, found = models[kind], models[kind].evaluate(file)
    expected = {"byte": len(TEXT), "character": len(TEXT), "word": 7 * 120 + 120, "whitespace": 7 * 120 + 120}
    tokens = expected.get(kind, len(model.tokenizer_.encode(TEXT)))
    assert (found.tokens, found.characters, found.rows, found.unknown_share) == (tokens, len(TEXT), 1, 0.0)
    assert found.perplexity == pytest.approx(2 ** (found.bits / tokens), rel=1e-12)
    assert found.bits_per_character == found.bits_per_byte == pytest.approx(found.bits / len(TEXT), rel=1e-12)
    assert found.perplexity < len(model.tokenizer_) / 2
    assert found.tokens_per_second > 0


@pytest.mark.parametrize("kind", KINDS)
def test_lines_one_by_one_are_the_text_of_one_line(kind, models, tmp_path):
    (tmp_path / "line.txt").write_text("the dog ran .\n")
    (line,) = models[kind].predict_lines(["the dog ran ."])
    found = models[kind].evaluate(tmp_path / "line.txt")
    assert line.fields["bits"] == pytest.approx(found.bits, rel=1e-5)
    assert line.fields["bits_per_character"] == pytest.approx(found.bits_per_character, rel=1e-5)
    assert line.fields["perplexity"] == pytest.approx(found.perplexity, rel=1e-5)
    assert line.text == f"{line.fields['bits_per_character']:.4f}\t{line.fields['perplexity']:.4f}\tthe dog ran ."


def test_what_is_like_the_text_has_fewer_bits_than_what_is_not(models):
    model = models["character"]
    like, unlike, empty = model.predict(["the cat sat on the mat .", "tam eht no tas tac eht .", ""])
    assert like < 0.9 * unlike
    assert empty > 0  # its end is foretold
    assert message(ArgumentError, model.predict, "text").startswith("data is str; a language model rates lines")
    assert model.predict(pl.Series(["the cat"])) == model.predict(["the cat"])
    assert message(ArgumentError, model.predict, ["a", None]) == "texts[1] is None; expected a text"


def test_the_comparison_has_the_models_of_counts_beside(models, file):
    found = models["word"].compare(file, models["word"].read(file), measured_on="cats")
    assert list(found.scores) == ["LSTM", "KneserNey", "Unigram"]
    model = models["word"]
    codes = np.array([c for line in TEXT.splitlines() for c in [*model.tokenizer_.encode(line), Tokenizer.end]])
    counts = 1 + np.bincount(codes, minlength=len(model.tokenizer_))
    bits = -np.log2(counts[codes] / counts.sum()).mean()
    assert found.scores["Unigram"]["perplexity"] == pytest.approx(2**bits, rel=1e-9)
    assert found.scores["KneserNey"]["perplexity"] < found.scores["Unigram"]["perplexity"]
    assert found.details["rows"] == 1
    json.dumps(found.to_json())


def test_a_model_that_adapts_learns_what_a_text_repeats_and_stays_as_it_was(models, tmp_path):
    model, path = models["character"], tmp_path / "other.txt"
    path.write_text("tam eht no tas tac eht\n" * 400)
    static, adapted = model.evaluate(path), model.evaluate(path, adapt=True)
    assert adapted.bits < 0.9 * static.bits
    assert (adapted.tokens, adapted.characters, adapted.rows) == (static.tokens, static.characters, 1)
    scores = model.compare(path, adapt=True).scores
    assert list(scores) == ["LSTM", "LSTM, adapting"]
    assert scores["LSTM"]["bits_per_character"] == pytest.approx(static.bits_per_character)
    assert scores["LSTM, adapting"]["bits_per_character"] == pytest.approx(adapted.bits_per_character)


def test_too_long_a_history_is_not_counted_and_said(models, file, monkeypatch):
    monkeypatch.setattr("recurra.tasks.language_scores._MOST_COUNTED", 100)
    with pytest.warns(Notice, match="no n-grams are counted for a comparison: the text learned has 960 tokens"):
        found = models["word"].compare(file, models["word"].read(file))
    assert list(found.scores) == ["LSTM", "Unigram"]


def test_a_text_in_other_words_is_told_by_the_share_of_unknown_ones(models, tmp_path):
    (tmp_path / "other.txt").write_text("wholly other words\nstand here the\n")
    with pytest.warns(Notice, match="62% of the text's tokens are unknown to the model"):  # 5 of 6 words and 2 ends
        found = models["word"].evaluate(tmp_path / "other.txt")
    assert found.unknown_share == 5 / 8


@pytest.mark.parametrize(("known", "told"), [(47, True), (60, False)])
def test_more_than_two_in_a_hundred_unknown_tokens_are_told_with_what_they_do_to_the_measures(
    known, told, models, tmp_path, recwarn
):
    (tmp_path / "other.txt").write_text("the " * known + "zebra\n")  # of 49 tokens or 62, the end among them
    found = models["word"].compare(tmp_path / "other.txt")
    said = [str(each.message) for each in recwarn if each.category is Notice]
    assert said == told * [
        "2% of the text's tokens are unknown to the model, which foretells that one stands there and not its letters: "
        "the measures compare with those of models of the same vocabulary only"
    ]
    assert found.details["unknown_share"] == 1 / (known + 2)
    assert found.details["lowercase"] is False


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_from_windows_is_measured_as_one_with_single_breaks(kind, models, tmp_path):
    (tmp_path / "windows.txt").write_bytes(TEXT.replace("\n", "\r\n").encode())
    (tmp_path / "unix.txt").write_bytes(TEXT.encode())
    one, other = (models[kind].evaluate(tmp_path / name) for name in ("windows.txt", "unix.txt"))
    assert one._replace(tokens_per_second=0) == other._replace(tokens_per_second=0)


def test_a_model_learned_from_a_file_from_windows_never_writes_its_breaks(models, tmp_path):
    (tmp_path / "windows.txt").write_bytes(TEXT.replace("\n", "\r\n").encode())
    for kind in ("character", "subword"):
        training = {**TINY["training"], "steps": 2}
        model = LanguageModel(tokenizer=kind, **{**TINY, "training": training}).fit(tmp_path / "windows.txt")
        assert model.tokenizer_ == models[kind].tokenizer_
        assert model.generate("a dog\r\n", tokens=9, seed=0) == model.generate("a dog\n", tokens=9, seed=0)


def test_a_long_text_is_read_in_several_rows(models, file, monkeypatch):
    monkeypatch.setattr("recurra.tasks.language._ONE_ROW", 1000)
    found = models["character"].evaluate(file)
    assert found.rows == -(-len(TEXT) // 1000)
    assert found.tokens == len(TEXT)


# --- writing


@pytest.mark.parametrize("kind", KINDS)
def test_text_that_streams_is_what_generate_gives_and_goes_by_the_seed(kind, models):
    model, options = models[kind], {"tokens": 30, "temperature": 0.8, "top_k": 5, "top_p": 0.9}
    whole = model.generate("the cat", seed=1, **options)
    pieces = list(model.stream("the cat", seed=1, **options))
    assert "".join(pieces) == whole
    assert "" not in pieces
    assert len(pieces) <= 30
    assert model.generate("the cat", seed=2, **options) != whole
    assert "<unk>" not in whole
    assert "\ufffd" not in model.generate("the cat", seed=1, tokens=30, temperature=0)


def test_a_prompt_of_words_is_gone_on_with_behind_a_blank_and_an_empty_one_begins_a_line(models):
    model = models["word"]
    assert model.generate("the cat", tokens=1, temperature=0)[0] in " \n"
    assert model.generate("", tokens=1, temperature=0)[0] not in " \n"


def test_unknown_words_of_a_prompt_are_told(models):
    with pytest.warns(Notice, match="1 of the prompt's 2 tokens are unknown"):
        said = models["word"].generate("the zebra", tokens=1)
    assert said


def test_arguments_of_writing_are_checked_at_once(models):
    model = models["character"]
    assert "tokens is 0" in message(ArgumentError, model.stream, tokens=0)
    assert "temperature is -1" in message(ArgumentError, model.stream, temperature=-1)
    assert "top_p is 2" in message(ArgumentError, model.stream, top_p=2)
    allowed = len(model.tokenizer_) - 4  # padding, unknown, begin and end are never drawn
    assert f"there are {allowed} tokens; expected" in message(ArgumentError, model.stream, top_k=allowed + 1)
    assert message(ArgumentError, model.stream, 5) == "prompt is int; expected a text"
    assert "not fitted" in message(ArgumentError, LanguageModel().generate)


def test_examples_go_on_with_nothing_and_with_the_first_line(models, file):
    found = models["character"].examples(models["character"].read(file))["samples"]
    assert [each["prompt"] for each in found] == ["", LINES[0]]
    assert all(len(each["text"]) == 200 for each in found)


# --- fitting


def test_the_same_seed_gives_the_same_model(models, file):
    again = LanguageModel(tokenizer="character", **TINY).fit(file)
    for name, value in models["character"].network_.state_dict().items():
        assert torch.equal(value, again.network_.state_dict()[name])


def test_what_is_held_back_is_the_last_part(file):
    model = LanguageModel(tokenizer="character", **TINY)
    kept, _ = model.split(model.read(file), 0.1, seed=1)
    assert "".join(kept.pieces()) == TEXT[: len(TEXT) - round(0.1 * len(TEXT))]
    _, words = LanguageModel(tokenizer="word", **TINY).split(model.read(file), 0.1, seed=1)
    assert TEXT.endswith("\n" + "".join(words.pieces()))


def test_every_way_of_regularising_trains(file):
    options = {"embedding_dropout": 0.1, "input_dropout": 0.1, "dropout": 0.1, "output_dropout": 0.1}
    options |= {
        "weight_dropout": 0.1,
        "alpha": 1.0,
        "beta": 1.0,
        "num_layers": 2,
        "hidden_size": [9, 11],
        "tied": False,
    }
    training = {"steps": 8, "batch_size": 4, "optimizer": "asgd", "validate_every": 2, "trigger": 1}
    model = LanguageModel(tokenizer="word", **{**TINY, **options, "training": training}).fit(file)
    assert np.isfinite(model.evaluate(file).perplexity)


def test_pretrained_vectors_set_the_size_and_are_loaded_with_it(file, tmp_path):
    (tmp_path / "vectors.txt").write_text("cat 1 2 3\ndog 3 2 1\n")
    model = LanguageModel(tokenizer="word", **{**TINY, "vectors": str(tmp_path / "vectors.txt")}).fit(file)
    assert model.network_.input.weight.shape[1] == 3
    model.save(tmp_path / "model")
    found = LanguageModel.load(tmp_path / "model").summary()["vectors_share"]
    assert found == model.summary()["vectors_share"] == 2 / (len(model.tokenizer_) - 4)
    assert LanguageModel.load(tmp_path / "model").evaluate(file).bits == model.evaluate(file).bits


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_is_the_same(kind, models, tmp_path):
    models[kind].save(tmp_path / "model")
    loaded = LanguageModel.load(tmp_path / "model")
    assert loaded.generate("the", tokens=20, seed=0) == models[kind].generate("the", tokens=20, seed=0)
    assert loaded.summary() == models[kind].summary()
    config = tmp_path / "model" / "config.json"
    config.write_text(config.read_text().replace("12", "13"))
    assert "config.json" in message(ArtifactError, LanguageModel.load, tmp_path / "model")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tokenizer": "words"}, "tokenizer is 'words'; did you mean 'word' or"),
        ({"lines": 1}, "lines is 1; expected True, False, or None"),
        ({"chunk": 0}, "chunk is 0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"alpha": -1}, "alpha is -1"),
        ({"output_dropout": 2}, "output_dropout is 2"),
        ({"vectors": "v.txt", "tokenizer": "byte"}, "vectors are of words, the tokenizer is 'byte'"),
        ({"cell": "lstn"}, "lstm"),
        ({"weight_dropout": 7}, "weight_dropout is 7"),
    ],
)
def test_a_wrong_parameter_is_named_before_anything_is_trained(changes, said, file):
    model = LanguageModel(**{**TINY, "tokenizer": "word", **changes})
    assert said in message(ArgumentError, model.check, model.read(file))


def test_texts_that_cannot_be_learnt_are_refused(tmp_path):
    path = tmp_path / "few.txt"
    path.write_text("a b\n" * 4)
    model = LanguageModel(tokenizer="character", **{**TINY, "training": {"batch_size": 7}})
    assert message(DataError, model.fit, path) == (
        "few.txt has 14 tokens to learn from, too few for 7 rows; pass more text, or a smaller batch_size"
    )
    path.write_bytes(b"a b\n" * 4 + b"\xe9")
    assert "byte offset 16" in message(DataError, model.fit, path)


def test_a_line_of_any_length_is_read(tmp_path):
    (tmp_path / "long.txt.gz").write_bytes(gzip.compress(b"the cat " * 300_000))  # 2.4 million characters
    model = LanguageModel(tokenizer="word", **{**TINY, "training": {"steps": 2, "batch_size": 4}})
    model.fit(tmp_path / "long.txt.gz")
    assert 540_000 < model.tokens_learned_ < 540_010  # of 600,000; an end where the line is cut


# --- the job


def start(file, path, **changes):
    parameters = {**TINY, "tokenizer": "character", **changes}
    job = LanguageJob(Source.of(file), parameters, held_back=0.05, more=(Source.of(file),))
    return job, *job.start(path, force=False)


def test_a_job_reads_all_files_measures_the_last_part_and_leaves_no_codes(file, tmp_path):
    job, run, data = start(file, tmp_path / "run")
    assert len(data.train) + len(data.test) == 2 * len(TEXT)
    job.run(run, data)
    assert Job.is_done(run)
    assert [path for path in run.path.iterdir() if "codes" in path.name] == []
    summary = json.loads((run.path / "summary.json").read_text())
    assert summary["training_tokens_per_second"] > 0
    assert summary["rows_measured"] == round(0.05 * 2 * len(TEXT))
    scores = json.loads((run.path / "scores.json").read_text())
    assert scores["details"]["tokens"] == round(0.05 * 2 * len(TEXT))
    assert len(job_of(run).more) == 1
    assert load_fitted(run).generate(tokens=5, seed=0) != ""


def test_a_job_keeps_all_codes_in_its_run_folder(file, tmp_path, monkeypatch):
    folders = []

    def room(folder):
        folders.append(folder)
        return language_data.room(folder)

    monkeypatch.setattr("recurra.tasks.language.room", room)
    job, run, data = start(file, tmp_path / "run", training={"steps": 2, "batch_size": 4})
    job.run(run, data)
    assert folders == [run.path, run.path]  # of training, of measuring
    assert [path for path in run.path.iterdir() if "codes" in path.name] == []


@pytest.mark.parametrize("valid", [False, True])
def test_a_job_that_has_too_little_to_learn_from_makes_no_run(file, tmp_path, valid):
    few = tmp_path / "few.txt"
    few.write_text("a b\n" * 8)
    beside = Source.of(file) if valid else None
    for parameters, said in (
        ({"tokenizer": "character", "training": {"batch_size": 16}}, "too few for 16 rows"),
        ({"tokenizer": "word", "min_count": 9}, "no word token that occurs 9 times"),
    ):
        job = LanguageJob(Source.of(few), {**TINY, "valid": 0.2, **parameters}, valid=beside, test=Source.of(file))
        with pytest.raises((DataError, ArgumentError), match=said):
            job.start(tmp_path / "run", force=False)
        assert not (tmp_path / "run").exists()


def test_a_job_stopped_and_resumed_ends_as_one_that_was_not(file, tmp_path):
    job, run, data = start(file, tmp_path / "whole", weight_dropout=0.2)
    job.run(run, data)
    job, stopped, data = start(file, tmp_path / "stopped", weight_dropout=0.2)

    def interrupt(name, steps, record):
        if record.step == 13:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted):
        job.run(stopped, data, on_step=interrupt)
    job_of(stopped).run(stopped)
    one, other = (load_fitted(each).network_.state_dict() for each in (run, stopped))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_file_that_changed_since_the_run_began_is_refused(file, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    job, run, _ = start(path, tmp_path / "run")
    path.write_text(TEXT + "more\n")
    assert "text.txt has changed since the run began" in message(DataError, job.run, run)


def test_nothing_is_said_where_there_is_nothing_to_say(file):
    with warnings.catch_warnings():
        warnings.simplefilter("error", Notice)
        assert LanguageModel(tokenizer="word", **TINY).fit(file).evaluate(file).unknown_share == 0
