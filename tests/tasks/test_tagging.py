"""Tagging sentences: what is learnt and said, schemes of spans, honest measures, and what is refused."""

import json
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

from recurra.baselines.taggers import MostFrequentTag
from recurra.data.tagged import Tagged, read_tagged
from recurra.errors import ArgumentError, ArtifactError, DataError, Notice
from recurra.layers.crf import ConditionalRandomField
from recurra.tasks.tagging import SequenceTagger
from recurra.training.spans import convert_tags, score_spans, token_accuracy
from recurra.training.store import pack_json, write_folder

TINY = {
    "hidden_size": 6,
    "embedding_size": 5,
    "character_size": 4,
    "character_hidden": 3,
    "characters": "gru",
    "dropout": 0.1,
}
TRAINING = {"steps": 200, "batch_size": 8, "learning_rate": 2e-2, "validate_every": 20}
NAMES, PLACES = ("Ann", "Bo", "Cem", "Dora"), ("Rome", "Oslo", "Lima")


def sentences(count=40, seed=0):
    """Sentences such as `Ann Bo went to Rome .`, with tags BIO of people and places."""
    draw = np.random.default_rng(seed)
    tokens, tags = [], []
    for _ in range(count):
        size = draw.integers(1, 3)
        tokens.append([*draw.choice(NAMES, size).tolist(), "went", "to", str(draw.choice(PLACES)), "."])
        tags.append([*["B-person", "I-person"][:size], "O", "O", "B-place", "O"])
    return tokens, tags


def tiny(**changes):
    return SequenceTagger(**{**TINY, "training": TRAINING, **changes})


@pytest.fixture(scope="module")
def fitted():
    return tiny(head="crf").fit(sentences())


@pytest.fixture(scope="module")
def plain():
    return tiny().fit(sentences())


@pytest.mark.parametrize("head", ["softmax", "crf"])
def test_a_tagger_learns_the_tags_of_words(head, fitted, plain):
    tagger = fitted if head == "crf" else plain
    assert tagger.predict([["Dora", "Ann", "went", "to", "Lima", "."], [], ["Bo"]]) == [
        ["B-person", "I-person", "O", "O", "B-place", "O"],
        [],
        ["B-person"],
    ]
    assert tagger.evaluate(sentences(seed=1)).spans.micro.f1 > 0.9


def test_a_random_field_says_no_tag_that_the_scheme_forbids(fitted):
    nonsense = [list(row) for row in np.random.default_rng(0).choice([*NAMES, *PLACES, "to", "zzz"], (200, 7))]
    for row in fitted.predict(nonsense):
        for before, tag in zip(["O", *row], row, strict=False):
            assert tag[0] != "I" or before[1:] == tag[1:]


def test_the_measures_are_those_of_the_tags_that_were_said(plain):
    tokens, tags = sentences(20, seed=2)
    tokens[0][0], tokens[3][-2] = "Zoe", "Bern"
    scores = plain.evaluate((tokens, tags))
    found = plain.predict(tokens)
    assert scores.accuracy == token_accuracy(tags, found)
    assert scores.spans == score_spans(tags, found)
    assert scores.tokens_new == 2
    right = [found[0][0] == tags[0][0], found[3][-2] == tags[3][-2]]
    assert scores.accuracy_new == sum(right) / 2
    place = plain.tags_.names.index("B-place")
    confusion = np.array(scores.tags.confusion)
    assert confusion.sum() == scores.tokens == sum(map(len, tokens))
    assert confusion[place, place] == sum(
        t == f == "B-place" for a, b in zip(tags, found, strict=True) for t, f in zip(a, b, strict=True)
    )


def test_the_baseline_stands_beside_it_and_knows_the_same_words(plain):
    history, rows = plain.read(sentences()), plain.read(sentences(10, seed=3))
    rows.tokens[0][0] = "Zoe"
    result = plain.compare(rows, history, measured_on="ten")
    rival = MostFrequentTag()
    rival.fit(history.tokens, history.tags)
    said = rival.predict(rows.tokens)
    assert list(result.scores) == ["LSTM", "MostFrequentTag"]
    assert result.scores["MostFrequentTag"]["accuracy"] == token_accuracy(rows.tags, said)
    assert result.scores["MostFrequentTag"]["f1"] == score_spans(rows.tags, said).micro.f1
    assert result.scores["MostFrequentTag"]["f1"] < 1  # a second name is a first one to it
    assert result.scores["LSTM"]["accuracy_new"] in (0.0, 1.0)  # of one word
    assert [measure.key for measure in result.measures] == ["precision", "recall", "f1", "accuracy", "accuracy_new"]
    assert result.measured_on == f"{sum(map(len, rows.tokens))} tokens in 10 sentences of ten"
    assert result.predictions["predicted"].to_list() == [tag for row in plain.predict(rows.tokens) for tag in row]
    json.dumps(result.to_json(), allow_nan=False)


def test_tags_that_are_no_spans_have_no_measures_of_spans():
    tokens, _ = sentences()
    tags = [["NOUN" if word[0].isupper() else "X" for word in row] for row in tokens]
    tagger = tiny(head="crf").fit((tokens, tags))
    assert tagger.tags_.scheme == "none"
    assert tagger.tags_.names == ("NOUN", "X")
    assert tagger.evaluate((tokens, tags)).spans is None
    assert [measure.key for measure in tagger.compare((tokens, tags)).measures] == ["accuracy", "accuracy_new"]
    assert tagger.predict([["Bo", "went"]]) == [["NOUN", "X"]]


# --- schemes


def test_iob1_is_rewritten_and_said():
    tokens, tags = sentences()
    iob1 = [[tag.replace("B-", "I-") for tag in row] for row in tags]
    with pytest.warns(
        Notice, match=r"^sentences row 0: token 1: 'I-person' is rewritten as 'B-person'; \d+ tokens like it"
    ):
        tagger = tiny(head="crf").fit((tokens, iob1))
    assert tagger.tags_.names == ("O", "B-person", "I-person", "B-place", "I-place")
    assert tagger.evaluate((tokens, iob1)).spans.micro.f1 == tagger.evaluate((tokens, tags)).spans.micro.f1 > 0.9


def test_biluo_is_learnt_with_its_spans_and_measured_on_files_of_either_spelling(tmp_path):
    tokens, tags = sentences()
    bioes = [convert_tags(row, "bioes") for row in tags]
    biluo = [[tag.replace("E-", "L-").replace("S-", "U-") for tag in row] for row in bioes]
    with pytest.warns(Notice, match=r"row 0: token 2: 'L-person' is rewritten as 'E-person'; \d+ tokens like it"):
        tagger = tiny(head="crf").fit((tokens, biluo))
    assert tagger.tags_.names[1:5] == ("B-person", "I-person", "E-person", "S-person")
    tagger.save(tmp_path / "model")
    again = SequenceTagger.load(tmp_path / "model")
    for marks in (biluo, bioes, tags):
        assert again.evaluate((tokens, marks)).spans.micro.f1 > 0.9


def test_tags_are_learnt_in_the_scheme_asked_for():
    tokens, tags = sentences()
    with warnings.catch_warnings():
        warnings.simplefilter("error", Notice)
        tagger = tiny(head="crf", scheme="bioes").fit((tokens, tags))
    assert tagger.tags_.names[1:5] == ("B-person", "I-person", "E-person", "S-person")
    assert tagger.predict([["Ann", "Bo", "went", "to", "Rome", "."]]) == [
        ["B-person", "E-person", "O", "O", "S-place", "O"]
    ]
    assert tagger.evaluate(sentences(seed=1)).spans.micro.f1 == 1.0


def test_spans_are_not_looked_for_where_none_is_asked_for():
    tagger = tiny(scheme="none").fit(sentences())
    assert tagger.tags_.names == ("B-person", "B-place", "I-person", "O")
    assert tagger.evaluate(sentences()).spans is None


# --- words


def test_tokens_that_hold_blanks_are_known_and_take_no_other_word_with_them(tmp_path):
    tokens, tags = sentences()
    tokens = [
        ["New York" if word == "Rome" else "100\u00a0000" if word == "." else word for word in row] for row in tokens
    ]
    tagger = tiny(characters=None).fit((tokens, tags))
    assert tagger.vocabulary_.known == 4 + len({word for row in tokens for word in row})
    said = [["B-person", "O", "O", "B-place", "O"]]
    assert tagger.predict([["Ann", "went", "to", "New York", "100\u00a0000"]]) == said
    tagger.save(tmp_path / "model")
    assert SequenceTagger.load(tmp_path / "model").predict([["Ann", "went", "to", "New York", "100\u00a0000"]]) == said


def test_letters_tell_words_apart_that_training_did_not_see():
    draw = np.random.default_rng(0)
    stems = ["".join(draw.choice(list("abcdefgh"), 4)) for _ in range(150)]
    tokens = [[stem + ("ing" if draw.random() < 0.5 else "ed") for stem in draw.choice(stems, 3)] for _ in range(60)]
    tags = [["ING" if word.endswith("ing") else "ED" for word in row] for row in tokens]
    new = [["xxxxing", "yyyyed", "zzing"]]
    assert tiny().fit((tokens, tags)).predict(new) == [["ING", "ED", "ING"]]
    blind = tiny(characters=None).fit((tokens, tags)).predict(new)[0]
    assert len(set(blind[1:])) == 1 or blind != ["ING", "ED", "ING"]


@pytest.mark.parametrize("characters", ["lstm", "convolution", None])
def test_letters_may_be_read_by_anything_or_nothing(characters):
    tagger = tiny(characters=characters).fit(sentences())
    assert tagger.predict([["Ann", "went", "to", "Oslo", "."]]) == [["B-person", "O", "O", "B-place", "O"]]


def test_words_are_known_in_lower_case_but_letters_as_they_are(plain):
    coded = plain.vocabulary_.encode([["ann", "Ann"]], spell=True)
    assert coded.words[0][0] == coded.words[0][1] != plain.vocabulary_.words.unknown
    assert coded.letters[coded.spelt[0][0]].tolist() != coded.letters[coded.spelt[0][1]].tolist()


def test_rare_words_are_seen_though_they_are_not_known():
    tokens, tags = sentences()
    tokens[0][0] = "Xerxes"
    tagger = tiny(valid=0.05).fit((tokens, tags))
    assert tagger.vocabulary_.saw(["Xerxes", "Zoe", "ANN"]) == [True, False, True]
    assert tagger.vocabulary_.encode([["Xerxes", "Ann"]], spell=False).words[0][0] == 1
    assert tiny(min_count=1, valid=0.05).fit((tokens, tags)).vocabulary_.encode([["Xerxes"]], spell=False).words[0] > [
        3
    ]


def test_pretrained_vectors_are_where_the_words_are(tmp_path):
    (tmp_path / "v.txt").write_text("ann 9 8 7\nrome 1 2 3\nnobody 0 0 0\n")
    tagger = tiny(vectors=str(tmp_path / "v.txt"), training={**TRAINING, "steps": 1, "learning_rate": 1e-9})
    tagger.fit(sentences())
    table = tagger.networks_[0].input.words.weight
    code = tagger.vocabulary_.words.encode_words(["Ann"])[0]
    assert table[code].tolist() == pytest.approx([9, 8, 7], abs=1e-6)
    tagger.save(tmp_path / "model")
    again = SequenceTagger.load(tmp_path / "model")
    assert again.predict([["Ann"]]) == tagger.predict([["Ann"]])
    assert again.summary()["vectors_share"] == tagger.summary()["vectors_share"] == 2 / (tagger.vocabulary_.known - 4)
    (tmp_path / "v.txt").write_text("ann 9 8 7\nrome 1 2\n")
    with pytest.raises(DataError, match=r"v.txt line 2: 2 numbers after the word where 3 are expected"):
        tagger.check(tagger.read(sentences()))


def test_a_long_word_is_read_from_both_ends(plain):
    word = "A" + "n" * 100 + "e"
    coded = plain.vocabulary_.encode([[word]], spell=True)
    assert coded.letters.shape == (1, 40)
    assert coded.letters[0, [0, -1]].tolist() == [plain.vocabulary_.letters.encode(one)[0] for one in "Ae"]


# --- data in and out


def test_a_file_comes_back_with_tags_and_its_places(plain, tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("Ann\nwent\n\nBo\n")
    found = plain.predict(path)
    assert isinstance(found, Tagged)
    assert (found.tokens, found.tags) == ([["Ann", "went"], ["Bo"]], [["B-person", "O"], ["B-person"]])
    assert found.at(1) == "a.conll line 4"
    (first, second) = plain.predict_file(path)
    assert first.text == "Ann\tB-person\nwent\tO\n"
    assert second.fields["spans"] == [{"type": "person", "begin": 0, "end": 1, "text": "Bo"}]


@pytest.mark.parametrize("kind", [pl.DataFrame, pd.DataFrame])
def test_a_frame_comes_back_in_its_kind_with_two_more_columns(plain, kind):
    given = kind({"id": [7, 8], "tokens": [["Ann", "went"], ["Bo"]]})
    if kind is pd.DataFrame:
        given.index = [5, 3]
    found = plain.predict(given)
    assert isinstance(found, kind)
    assert [list(row) for row in found["predicted"]] == [["B-person", "O"], ["B-person"]]
    assert all(0.2 < float(row[0]) <= 1 for row in found["confidence"])
    assert list(found["id"]) == [7, 8]


@pytest.mark.parametrize("name", ["predicted", "confidence"])
@pytest.mark.parametrize("kind", ["polars", "lazy", "pandas", "pyarrow"])
def test_a_column_that_would_be_lost_is_refused(plain, name, kind):
    frame = pl.DataFrame({"tokens": [["Ann"]], name: [1]})
    given = {"lazy": frame.lazy, "pandas": frame.to_pandas, "pyarrow": frame.to_arrow}.get(kind, frame.clone)()
    with pytest.raises(DataError, match=f"^frame: what is predicted would replace its column '{name}'; rename or drop"):
        plain.predict(given)


def test_a_file_of_columns_comes_back_with_all_that_it_holds(plain, tmp_path):
    path = tmp_path / "a.conllu"
    rest = "\t_" * 6
    path.write_text(f"# text = Ann went\n1-2\tAnn went\t_\t_{rest}\n1\tAnn\tann\tX{rest}\n2\twent\tgo\tX{rest}\n")
    (line,) = plain.predict_file(path)
    assert line.text == path.read_text().replace("ann\tX", "ann\tB-person").replace("go\tX", "go\tO")
    assert line.fields["words"] == ["Ann", "went"]


def test_columns_with_names_but_none_for_the_tags_come_back_as_token_and_tag(plain, tmp_path):
    (tmp_path / "a.conll").write_text("# global.columns = FORM LEMMA\nAnn\tann\nwent\tgo\n")
    (line,) = plain.predict_file(tmp_path / "a.conll")
    assert line.text == "Ann\tB-person\nwent\tO\n"


FRAME = pl.DataFrame(
    {"id": [7, 8, 9], "words": [["Ann", "went"], ["Bo", "ran"], None], "codes": [[2, 1], [2, 3], []]},
    schema_overrides={"words": pl.Array(pl.String, 2)},
)


@pytest.mark.parametrize("kind", ["polars", "lazy", "pandas", "pyarrow", "parquet", "jsonl"])
def test_a_frame_is_read_as_its_file_is(kind, tmp_path):
    frame = FRAME if kind in ("polars", "lazy") else FRAME.with_columns(pl.col("words").arr.to_list())
    if kind in ("parquet", "jsonl"):
        given = tmp_path / f"a.{kind}"
        frame.write_parquet(given) if kind == "parquet" else frame.write_ndjson(given)
    else:
        given = {"lazy": frame.lazy, "pandas": frame.to_pandas, "pyarrow": frame.to_arrow}.get(kind, frame.clone)()
    with pytest.warns(Notice, match=r"(row 2|line 3): column 'words' is empty. Kept as sentences of no tokens$"):
        data = tiny(token="words").read(given)
    assert data.tokens == [["Ann", "went"], ["Bo", "ran"], []]
    assert data.tags == [["2", "1"], ["2", "3"], []]
    assert data.at(1, 1).endswith((" row 1: token 2", " line 2: token 2"))
    with pytest.raises(DataError, match="has no column 'word' for the token; did you mean 'words'"):
        tiny(token="word").read(given)
    with pytest.raises(ArgumentError, match="have names; pass them for token and tag, not numbers"):
        tiny(token="words", tag=2).read(given)


def test_an_arrow_table_comes_back_as_one(plain):
    found = plain.predict(pl.DataFrame({"tokens": [["Ann", "went"]]}).to_arrow())
    assert found.column("predicted").to_pylist() == [["B-person", "O"]]


def test_a_line_is_answered_with_words_and_tags(plain):
    lines = plain.predict_lines(["Ann went  to Rome .", "", "\u202bBo 😀 a/b"])
    assert lines[0].text == "Ann/B-person went/O to/O Rome/B-place ./O"
    assert lines[1] == ("", {"words": [], "tags": [], "confidences": [], "spans": []})
    assert [word.rpartition("/")[0] for word in lines[2].text.split()] == ["\u202bBo", "😀", "a/b"]
    said = json.loads(lines[0].json())
    assert said["spans"][1] == {"type": "place", "begin": 3, "end": 4, "text": "Rome"}
    assert len(said["confidences"]) == 5


def test_the_confidence_is_the_probability_of_the_tag(fitted):
    network, words = fitted.networks_[0], [["Ann", "Bo", "went"]]
    x, lengths = fitted.vocabulary_.encode(words, spell=True).batch([0])
    raw, _ = network(x, lengths=lengths)
    shares = network.head.marginals(raw, lengths=lengths)[:, 0]
    (line,) = fitted.predict_lines(["Ann Bo went"])
    codes = [fitted.tags_.names.index(tag) for tag in line.fields["tags"]]
    assert line.fields["confidences"] == pytest.approx(shares[range(3), codes].tolist(), abs=1e-6)


def test_examples_hold_truth_and_answer(plain):
    tokens, tags = sentences(3)
    (first, *rest) = plain.examples(([[], *tokens], [[], *tags]))["sentences"]
    assert first["words"] == tokens[0]
    assert first["truth"] == tags[0]
    assert first["tags"] == plain.predict(tokens)[0]
    assert len(rest) == 2


# --- parts held back


def test_the_only_sentence_with_a_tag_is_never_held_back():
    tokens, tags = sentences(30)
    for row in range(3, 30, 4):
        tags[row][0] = f"B-kind{row}"
    tagger = tiny(scheme="none")
    for seed in range(5):
        kept, held = tagger.split(tagger.read((tokens, tags)), 0.4, seed=seed)
        assert len(kept) + len(held) == 30
        assert len(held) > 0
        assert {tag for row in kept.tags for tag in row} == {tag for row in tags for tag in row}


def test_a_part_keeps_its_places(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("".join(f"w{k} A\nv B\n\n" for k in range(10)))
    kept, held = tiny().split(read_tagged(path), 0.3, seed=0)
    for part in (kept, held):
        for row, words in enumerate(part.tokens):
            assert part.at(row, 1) == f"a.conll line {3 * int(words[0][1:]) + 2}"


# --- saved and loaded


@pytest.mark.parametrize("changes", [{}, {"head": "crf"}, {"characters": None}, {"head": "crf", "members": 2}])
def test_a_saved_tagger_says_the_same(tmp_path, changes):
    tagger = tiny(**changes).fit(sentences(20))
    tagger.save(tmp_path / "model")
    again = SequenceTagger.load(tmp_path / "model")
    lines = ["Ann went to Rome .", "Bo Zoe Cem"]
    assert again.predict_lines(lines) == tagger.predict_lines(lines)
    assert again.get_params() == tagger.get_params()
    assert again.evaluate(sentences(5)).to_json() == tagger.evaluate(sentences(5)).to_json()
    if tagger.head == "crf":
        assert isinstance(again.networks_[0].head, ConditionalRandomField)
        assert again.networks_[0].head._forbidden.tolist() == tagger.networks_[0].head._forbidden.tolist()


def test_a_loaded_tagger_says_what_was_made_but_not_how_fast(plain, tmp_path):
    plain.save(tmp_path / "model")
    found = SequenceTagger.load(tmp_path / "model").summary()
    assert found == {**plain.summary(), "tokens_per_second": None}
    assert 0 <= found["padding_share"] < 1
    with pytest.raises(ArgumentError, match="is not fitted; call fit first"):
        tiny().summary()


def test_a_tagger_that_was_saved_before_padding_was_kept_is_loaded(plain, tmp_path):
    plain.save(tmp_path / "model")
    members = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir() if path.name != "manifest.json"}
    config = json.loads(members["config.json"])
    del config["fitted"]["padding_share"]
    write_folder(tmp_path / "old", {**members, "config.json": pack_json(config)}, kind="tag model", overwrite=False)
    old = SequenceTagger.load(tmp_path / "old")
    assert old.summary()["padding_share"] is None
    assert old.predict([["Ann"]]) == plain.predict([["Ann"]])
    old.save(tmp_path / "again")
    assert SequenceTagger.load(tmp_path / "again").summary() == old.summary()


def test_a_damaged_model_is_refused(plain, tmp_path):
    plain.save(tmp_path / "model")
    path = tmp_path / "model" / "words.json"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=r"words\.json"):
        SequenceTagger.load(tmp_path / "model")


def test_the_same_seed_learns_the_same():
    first, second, other = (
        tiny(training={**TRAINING, "steps": 5, "seed": seed}).fit(sentences(20)) for seed in (1, 1, 2)
    )
    line = ["Ann went to Rome ."]
    assert first.predict_lines(line) == second.predict_lines(line)
    assert first.predict_lines(line) != other.predict_lines(line)


def test_a_summary_says_what_was_made(plain):
    found = plain.summary()
    assert found["tags"] == ["O", "B-person", "I-person", "B-place", "I-place"]
    assert found["weights"] == sum(part.numel() for part in plain.networks_[0].parameters())
    assert found["tokens_per_second"] > 0
    assert "lstm" in found["explain"]


# --- what is refused


def test_a_tag_that_training_did_not_see_is_named_with_its_place_and_count(plain, tmp_path):
    path = tmp_path / "new.conll"
    path.write_text("Ann B-person\n\nUN B-group\nand O\nEU B-group\nat I-time\n")
    with pytest.raises(DataError) as caught:
        plain.evaluate(path)
    assert str(caught.value) == (
        "new.conll line 3: 'UN' has the tag 'B-group', which training did not see; 1 token like it; 1 more with other "
        "unseen tags; there are: 'O', 'B-person', 'I-person', 'B-place', 'I-place'. Mend the tag, remove the sentence, "
        "or train with it"
    )
    with pytest.raises(DataError, match="did you mean 'B-person'"):
        plain.evaluate(([["Ann"]], [["B-persn"]]))


def test_one_tag_is_too_few():
    with pytest.raises(DataError, match=r"^the sentences holds one tag only, 'O', in 3 tokens; two are needed"):
        tiny().fit(([["a", "b"], ["c"]], [["O", "O"], ["O"]]))


def test_no_token_at_all_is_refused(plain):
    for call in (tiny().fit, plain.evaluate):
        with pytest.raises(DataError, match="holds no tokens in its 2 sentences; one at least is needed"):
            call(([[], []], [[], []]))


def test_empty_sentences_teach_nothing_and_are_kept():
    tokens, tags = sentences()
    with_empty = ([*tokens, [], []], [*tags, [], []])
    tagger = tiny().fit(with_empty, valid=([[], *tokens[:9]], [[], *tags[:9]]))
    assert tagger.compare(with_empty).measured_on.startswith(f"{sum(map(len, tokens))} tokens in 42 sentences")


def test_a_scheme_of_spans_needs_tags_of_spans(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("Ann B-person\nsings VERB\n")
    with pytest.raises(DataError, match=r"^a\.conll line 2: the tag 'VERB' says no span, which scheme 'bio' needs"):
        tiny(scheme="bio").fit(path)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"head": "crv"}, "head is 'crv'; did you mean 'crf'"),
        ({"scheme": "bilou"}, "scheme is 'bilou'"),
        ({"characters": "gruu"}, "characters is 'gruu'; did you mean 'gru'"),
        ({"characters": "foo"}, "characters is 'foo'; there are: 'none', 'convolution', "),
        ({"characters": "none"}, "characters is 'none'; pass None"),
        ({"members": 0}, "members is 0; it is a whole number, 1 or more"),
        ({"min_count": 1.5}, "min_count is 1.5; it is a whole number, 1 or more"),
        ({"vocabulary_size": 4}, "vocabulary_size is 4; it is a whole number, 5 or more"),
        ({"epochs": 0}, "epochs is 0; it is a number above 0"),
        ({"valid": 0}, "valid is 0; it is a share above 0 and below 1, such as 0.1"),
        ({"characters": None, "word_dropout": 0.1}, "word_dropout is 0.1, and characters None"),
        ({"embedding_dropout": 2}, "embedding_dropout"),
        ({"training": {"step": 3}}, "'step' is no training setting"),
    ],
)
def test_a_parameter_that_is_none_is_refused_before_training(parameters, message):
    with pytest.raises(ArgumentError, match=message.replace(".", r"\.")):
        tiny(**parameters).fit(sentences())


def test_lists_that_do_not_fit_are_refused(plain):
    with pytest.raises(ArgumentError, match=r"tokens\[0\] is the text 'Ann went'; expected a list of words"):
        plain.predict(["Ann went"])
    with pytest.raises(DataError, match=r"^'Ann went' is no file that exists; for a text itself pass a list: \[\["):
        plain.predict("Ann went")
    with pytest.raises(ArgumentError, match=r"tokens\[1\] has 2 words, tags\[1\] 1; pass a tag a word"):
        plain.evaluate(([["a"], ["b", "c"]], [["O"], ["O"]]))
    with pytest.raises(ArgumentError, match="tokens are 1 sentences, tags 2"):
        plain.evaluate(([["a"]], [["O"], ["O"]]))
    with pytest.raises(ArgumentError, match="without tags; pass"):
        plain.evaluate([["a"]])
    with pytest.raises(ArgumentError, match="is not fitted; call fit first"):
        tiny().predict([["a"]])
    with pytest.raises(DataError, match="frame: column 'tokens' is of type String; a list of strings a row is needed"):
        plain.predict(pl.DataFrame({"tokens": ["Ann went"]}))
