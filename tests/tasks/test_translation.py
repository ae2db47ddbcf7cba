"""Writing one text for another: what is learnt, how it is written and measured, and what is refused."""

import datetime
import json
import math
import random
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from recurra.data.pairs import Pairs
from recurra.errors import ArgumentError, ArtifactError, DataError, Notice
from recurra.tasks.text_artifact import save_text_task
from recurra.tasks.translation import Translator

TINY = {"hidden_size": 16, "embedding_size": 8, "dropout": 0.1, "tokenizer": "word", "min_count": 1}
TRAINING = {"steps": 200, "batch_size": 8, "learning_rate": 3e-2, "validate_every": 50}
WORDS = {"ein": "a", "Hund": "dog", "Mann": "man", "Kind": "child", "rennt": "runs", "lacht": "laughs"}
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


def sentences(count=40, seed=0):
    draw = np.random.default_rng(seed)
    sources = [f"ein {draw.choice(['Hund', 'Mann', 'Kind'])} {draw.choice(['rennt', 'lacht'])}." for _ in range(count)]
    return sources, [" ".join(WORDS[word] for word in text[:-1].split()) + "." for text in sources]


def dates(count, seed=0):
    draw = random.Random(seed)
    days = [datetime.date(2000, 1, 1) + datetime.timedelta(draw.randrange(9000)) for _ in range(count)]
    return [f"{day.day} {MONTHS[day.month - 1]} {day.year}" for day in days], [day.isoformat() for day in days]


def tiny(**changes):
    return Translator(**{**TINY, "training": TRAINING, **changes})


def message(kind, function, *arguments, **named):
    with pytest.raises(kind) as caught:
        function(*arguments, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def fitted():
    return tiny().fit(sentences())


def test_a_translator_learns_to_translate(fitted):
    assert fitted.predict(["ein Kind rennt.", "ein Hund lacht."]) == ["a child runs.", "a dog laughs."]
    found = fitted.evaluate(sentences(20, seed=1))
    assert (found.exact, found.rows) == (1.0, 20)
    assert found.bleu == pytest.approx(100)
    assert fitted.score(sentences(20, seed=1)) == found.chrf == pytest.approx(100)
    assert 1 < fitted.perplexity(sentences(20, seed=1)) < 1.3


@pytest.mark.slow
def test_dates_are_written_in_another_form_letter_by_letter():
    sources, targets = dates(700)
    seen = set(sources[:600])
    new = [place for place in range(600, 700) if sources[place] not in seen]
    translator = Translator(
        cell="gru", tokenizer="character", hidden_size=64, embedding_size=32, dropout=0.1, label_smoothing=0.0,
        epochs=30, training={"batch_size": 32, "learning_rate": 1e-2},
    )  # fmt: skip
    translator.fit((sources[:600], targets[:600]))
    found = translator.evaluate(([sources[place] for place in new], [targets[place] for place in new]))
    assert found.exact > 0.95
    assert translator.predict(["3 May 2024"]) == ["2024-05-03"]


@pytest.mark.parametrize("tokenizer", ["subword", "character", "whitespace", "byte"])
@pytest.mark.parametrize("shared", [True, False])
def test_every_tokenizer_gives_text(tokenizer, shared):
    translator = tiny(
        tokenizer=tokenizer, shared=shared, vocabulary_size=300, cell="gru", training={**TRAINING, "steps": 2}
    )
    translator.fit(sentences(12))
    assert (translator.source_tokenizer_ == translator.target_tokenizer_) == (shared or tokenizer == "byte")
    (found,) = translator.predict(["ein Hund lacht."])
    assert isinstance(found, str)
    assert "< end >" not in found
    network = translator.network_
    assert (network.source is network.decoder.target) == shared
    assert network.decoder.head.tied is network.decoder.target


def test_lower_case_is_measured_as_such():
    translator = tiny(lowercase=True).fit(sentences())
    found = translator.evaluate((["EIN Hund rennt."], ["A Dog runs."]))
    assert found.exact == 1.0
    assert "case:lc" in found.bleu_signature


def test_order_is_kept_and_a_blank_line_stays_blank(fitted):
    lines = ["ein Hund rennt.", "", "ein Mann lacht.", "   ", "ein Hund rennt."]
    found = fitted.predict_lines(lines)
    assert [line.text for line in found] == ["a dog runs.", "", "a man laughs.", "", "a dog runs."]
    assert json.loads(found[1].json()) == {"translation": "", "score": None}
    assert math.exp(found[0].fields["score"]) > 0.5
    assert fitted.predict([]) == []


def test_what_is_written_does_not_hang_on_the_batch(fitted):
    sources = [*sentences(10, seed=3)[0], "ein " * 30 + "Hund."]
    assert fitted.predict(sources) == [fitted.predict([text])[0] for text in sources]


def test_no_translation_breaks_the_line_of_a_pipe(fitted, monkeypatch):
    monkeypatch.setattr(fitted, "_written", lambda lines: [("one\ntwo\u2028three", None)])
    assert fitted.predict_lines(["x"])[0].text == "one two three"


def test_an_unknown_word_is_taken_over(fitted):
    (found,) = fitted.predict(["ein Zebulon rennt."])
    codes = fitted.source_tokenizer_.encode("ein Zebulon rennt.")
    assert fitted.source_tokenizer_.unknown in codes
    assert "<unk>" not in found


def test_frames_come_back_in_their_kind(fitted, tmp_path):
    frame = pl.DataFrame({"text": ["ein Hund rennt.", None], "n": [1, 2]})
    assert fitted.predict(frame)["predicted"].to_list() == ["a dog runs.", ""]
    back = fitted.predict(frame.to_pandas())
    assert isinstance(back, pd.DataFrame)
    assert back.columns.tolist() == ["text", "n", "predicted"]
    frame.write_parquet(tmp_path / "new.parquet")
    assert fitted.predict(tmp_path / "new.parquet").columns == ["text", "n", "predicted"]


def test_answers_stand_on_the_rows_of_an_index(fitted):
    frame = pd.DataFrame({"text": ["ein Hund rennt.", "ein Mann lacht."]}, index=[30, 10])
    frame["answer"] = fitted.predict(frame)["predicted"]
    assert frame["answer"].to_dict() == {30: "a dog runs.", 10: "a man laughs."}


def test_a_column_of_texts_is_a_list_and_what_is_none_is_named(fitted):
    texts = ["ein Hund rennt.", "ein Mann lacht."]
    assert fitted.predict(pd.Series(texts, index=[3, 1])) == fitted.predict(texts)
    assert message(ArgumentError, fitted.predict, [None]) == "texts[0] is None; expected a text"
    assert message(ArgumentError, fitted.predict, pl.Series([1])) == "texts[0] is 1; expected a text"
    said = message(DataError, fitted.predict, "ein Hund rennt.")
    assert said == "'ein Hund rennt.' is no file that exists; for a text itself pass a list: [\"...\"]"


def test_the_source_column_of_training_is_looked_for():
    sources, targets = sentences(20)
    frame = pl.DataFrame({"en": targets, "de": sources, "n": range(20)})
    translator = tiny(source="de", target="en", training={**TRAINING, "steps": 2}).fit(frame)
    assert translator.predict(frame.select("n", "de")).columns == ["n", "de", "predicted"]
    assert "no column 'de'" in message(DataError, translator.predict, frame.select("en"))


def test_the_texts_of_a_table_are_its_sources(fitted):
    frame = pl.DataFrame({"text": ["ein Hund rennt.", None], "n": [1, 2]})
    assert fitted.texts_of(frame) == ["ein Hund rennt.", ""]
    assert "not fitted" in message(ArgumentError, Translator().texts_of, frame)


def test_a_column_of_the_users_is_not_overwritten(fitted):
    frame = pl.DataFrame({"text": ["ein Hund rennt."], "predicted": ["mine"]})
    said = message(DataError, fitted.predict, frame)
    assert said == "frame: what is predicted would replace its column 'predicted'; rename or drop the column"


def test_rivals_are_measured_beside_it(fitted):
    history = fitted.read(sentences(30))
    found = fitted.compare(sentences(20, seed=1), history, measured_on="new ones")
    assert list(found.scores) == ["LSTM", "NearestSource", "CopySource"]
    assert found.measured_on == "20 pairs of new ones"
    assert found.scores["LSTM"]["exact"] == 1.0
    assert found.scores["CopySource"]["exact"] == 0.0
    assert found.scores["NearestSource"]["perplexity"] is None
    assert found.scores["LSTM"]["perplexity"] == pytest.approx(fitted.perplexity(sentences(20, seed=1)))
    assert found.details["bleu_signature"].startswith("nrefs:1|case:mixed")
    assert found.predictions.columns == ["source", "target", "predicted"]
    assert json.loads(json.dumps(found.to_json()))["details"]["tokens"] == 20 * 5


def test_an_explanation_is_the_alignment_of_what_was_written(fitted):
    found = fitted.explain("ein Kind rennt.")
    assert found.translation == "a child runs."
    assert found.source == ("ein", "Kind", "rennt", ".")
    assert found.target == ("a", "child", "runs", ".", "< end >")
    assert found.weights.shape == (5, 4)
    assert found.weights.sum(1) == pytest.approx(1, rel=1e-4)
    assert found.to_text().splitlines()[0] == "a child runs."
    assert fitted.explain("ein Zebulon rennt.").source == ("ein", "Zebulon", "rennt", ".")
    blank = fitted.explain(" ")
    assert (blank.to_text(), blank.to_json()["weights"]) == ("", [])


def test_examples_for_a_report(fitted):
    (first, *_), count = fitted.examples(sentences(9))["alignments"], len(fitted.examples(sentences(9))["alignments"])
    assert count == 6
    assert first["reference"] == sentences(9)[1][0]
    assert np.shape(first["weights"]) == (len(first["target"]), len(first["source"]))


def test_without_attention_there_is_nothing_to_explain():
    translator = tiny(attention=None, training={**TRAINING, "steps": 2}).fit(sentences(12))
    assert "attention is None" in message(ArgumentError, translator.explain, "ein Hund")
    assert translator.examples(sentences(3))["translations"][0].keys() == {"text", "translation", "reference"}


def test_saved_and_loaded_it_writes_the_same(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    same = Translator.load(tmp_path / "model")
    rows = sentences(10, seed=5)
    assert same.predict(rows[0]) == fitted.predict(rows[0])
    assert same.perplexity(rows) == fitted.perplexity(rows)
    count = [sum(part.numel() for part in each.network_.parameters()) for each in (same, fitted)]
    assert count[0] == count[1]
    assert same.network_.source is same.network_.decoder.target
    assert same.summary() == fitted.summary()
    assert same.summary()["valid"]["pairs"] == 4
    message(ArtifactError, fitted.save, tmp_path / "model")


def test_a_translator_that_was_saved_without_its_pace_has_none(fitted, tmp_path, monkeypatch):
    def save(task, fitted, *arguments, **options):
        save_text_task(task, {name: fitted[name] for name in ("ratio", "column")}, *arguments, **options)

    monkeypatch.setattr("recurra.tasks.translation.save_text_task", save)
    fitted.save(tmp_path / "model")
    found = Translator.load(tmp_path / "model").summary()
    assert [found[name] for name in ("padding_share", "tokens_per_second", "valid")] == [None, None, None]
    assert found["weights"] == fitted.summary()["weights"]


@pytest.mark.parametrize("options", [{"shared": False}, {"tied": False}, {"shared": False, "tied": False}])
def test_tables_of_vectors_come_back_as_they_were(options, tmp_path):
    translator = tiny(training={**TRAINING, "steps": 2}, **options).fit(sentences(12))
    translator.save(tmp_path / "model")
    same = Translator.load(tmp_path / "model")
    assert same.predict(["ein Hund"]) == translator.predict(["ein Hund"])
    assert len(list(same.network_.parameters())) == len(list(translator.network_.parameters()))


@pytest.mark.parametrize(
    "options",
    [
        {"input_feeding": True},
        {"scheduled_sampling": 0.5},
        {"weight_dropout": 0.3, "recurrent_dropout": 0.2, "embedding_dropout": 0.1},
        {"coverage_penalty": 0.2, "beam_size": 2, "length_penalty": 1.0},
        {"attention": "additive", "num_layers": 2},
        {"bidirectional": False, "attention": "dot", "beam_size": 1},
    ],
)
def test_every_option_trains_and_writes(options):
    torch.manual_seed(0)
    translator = tiny(training={**TRAINING, "steps": 3}, **options).fit(sentences(12))
    assert len(translator.predict(["ein Hund", "ein Mann lacht."])) == 2
    for layer in (translator.network_.encoder, translator.network_.decoder.recurrent):
        assert layer.weight_dropout == options.get("weight_dropout", 0.0)


def test_the_same_seed_gives_the_same_network():
    first, second = (tiny(training={**TRAINING, "steps": 4}).fit(sentences(16)) for _ in range(2))
    other = tiny(training={**TRAINING, "steps": 4, "seed": 1}).fit(sentences(16))
    bias = [each.network_.decoder.head.bias for each in (first, second, other)]
    assert torch.equal(bias[0], bias[1])
    assert not torch.equal(bias[0], bias[2])


def test_pairs_too_long_are_left_out_and_texts_too_long_are_cut():
    sources, targets = sentences(20)
    sources[3] = "ein " * 20
    with pytest.warns(Notice, match="lists line 4: a side has 20 tokens and max_tokens is 6. Left out of training"):
        translator = tiny(max_tokens=6, valid=0.05, training={**TRAINING, "steps": 2}).fit(
            (sources, targets), valid=sentences(4)
        )
    said = "^'ein ein ein ein ein ein ein Hund' has 8 tokens and max_tokens is 6; 1 text like it. Cut there"
    with pytest.warns(Notice, match=said):
        found = translator.predict(["ein Hund", "ein " * 7 + "Hund", "ein " * 9])[:2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert translator.predict(["ein " * 6])[0] == translator.predict(["ein " * 6])[0]
    assert len(found) == 2
    with pytest.raises(DataError, match="raise max_tokens"):
        tiny(max_tokens=2).fit(sentences(9))


def test_pairs_too_long_stop_no_training_and_measure_no_perplexity():
    sources, targets = sentences(20)
    held = sentences(6, seed=1)
    held[1][2] = "a " * 5000
    translator = tiny(max_tokens=6, training={**TRAINING, "steps": 2})
    with pytest.warns(Notice, match="lists line 3: a side has 5000 tokens and max_tokens is 6. Left out of validation"):
        translator.fit((sources, targets), valid=held)
    assert "max_tokens is 6, as in all other pairs, and none is left for validation; raise max_tokens" in message(
        DataError, translator.fit, (sources, targets), valid=(["a " * 9], ["b"])
    )

    short = tuple([text for place, text in enumerate(side) if place != 2] for side in held)
    expected = translator.perplexity(short)
    with pytest.warns(Notice, match="lists line 3: a side has 5000 tokens .* Left out of the perplexity"):
        assert translator.perplexity(held) == expected
    with pytest.warns(Notice, match="Left out of the perplexity"):
        found = translator.compare(held)
    assert (found.scores["LSTM"]["perplexity"], found.details["pairs_too_long_for_perplexity"]) == (expected, 1)
    with pytest.warns(Notice, match="1 row like it. Left out of the perplexity"):
        found = translator.compare((["b"] * 2, ["a " * 9] * 2))
    assert found.scores["LSTM"]["perplexity"] is None
    with pytest.warns(Notice, match="Left out of the perplexity"), pytest.raises(DataError, match="every pair has a"):
        translator.perplexity((["b"], ["a " * 9]))


def test_one_pair_only():
    one = (["ein Hund"], ["a dog"])
    assert "cannot be held back" in message(ArgumentError, tiny().fit, one)
    translator = tiny(training={**TRAINING, "steps": 30}).fit(one, valid=one)
    assert translator.predict(["ein Hund"]) == ["a dog"]


def test_what_is_no_pair_is_refused(tmp_path):
    assert "2 sources and 1 targets" in message(DataError, tiny().fit, (["a", "b"], ["c"]))
    assert "target 1 is ' '" in message(DataError, tiny().fit, (["a", "b"], ["c", " "]))
    for name, lines in (("de", "a\nb\n"), ("en", "a\n")):
        (tmp_path / name).write_text(lines)
    assert "de has 2 lines and en 1" in message(DataError, tiny().fit, (tmp_path / "de", tmp_path / "en"))
    assert "holds no pair" in message(DataError, tiny().check, Pairs([], [], "none", []))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"beam_size": 0}, "beam_size is 0"),
        ({"max_tokens": 1.5}, "max_tokens is 1.5"),
        ({"epochs": 0}, "epochs is 0; it is a number above 0"),
        ({"attention": "bahdanau"}, "here it is called 'additive'"),
        ({"attention": None, "coverage_penalty": 0.1}, "it needs weights"),
        ({"bleu_tokenizer": "zhh"}, "did you mean 'zh'?"),
        ({"tokenizer": "charcter"}, "tokenizer is 'charcter'; did you mean 'character'?"),
        ({"tokenizer": "subword", "vocabulary_size": 100}, "vocabulary_size is 100; kind 'subword' needs 260"),
        ({"min_count": 0}, "min_count is 0"),
        ({"shared": 1}, "shared is 1; expected True or False"),
        ({"length_penalty": -1}, "length_penalty is -1"),
        ({"dropout": 2}, "dropout is 2"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0"),
        ({"cell": "gruu"}, "did you mean"),
    ],
)
def test_wrong_parameters_are_told_before_anything_is_trained(changes, said):
    assert said in message(ArgumentError, tiny(**changes).check, tiny().read(sentences(4)))


def test_before_fit():
    assert message(ArgumentError, Translator().predict, ["a"]) == "this Translator is not fitted; call fit first"
    assert "not fitted" in message(ArgumentError, Translator().predict, pl.DataFrame({"de": ["a"]}))
    assert "not fitted" in message(ArgumentError, Translator().save, "x")


def test_right_to_left_and_emoji_just_work():
    sources = ["שלום עולם", "👩‍👩‍👧 hi", "мир", "שלום"] * 4
    targets = ["hello world", "family 👋", "world", "hello"] * 4
    translator = tiny(tokenizer="subword", vocabulary_size=320, training=TRAINING).fit(
        (sources, targets), valid=(sources[:4], targets[:4])
    )
    assert translator.predict(sources[:4]) == targets[:4]
    found = translator.explain("👩‍👩‍👧 hi")
    assert len(found.source) == found.weights.shape[1]
    assert len(found.to_text().splitlines()) > 3
