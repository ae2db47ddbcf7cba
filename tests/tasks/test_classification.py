"""A classifier of texts as a library: fitting, predicting, explaining, comparing, saving."""

import json
import shutil
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from recurra.errors import ArgumentError, ArtifactError, DataError, Notice
from recurra.tasks.classification import TextClassifier
from recurra.tasks.examples import surest

TINY = {"hidden_size": 6, "embedding_size": 6, "dropout": 0.0, "embedding_dropout": 0.0}
TRAINING = {"steps": 60, "batch_size": 8, "learning_rate": 0.02, "validate_every": 20}


def mails(count=48, seed=0):
    generator = np.random.default_rng(seed)
    words = ["meeting", "pills", "report", "lottery"]
    texts = [f"about the {words[i % 4]} of {generator.integers(5)}" for i in range(count)]
    return pl.DataFrame({"text": texts, "label": [("ham", "spam")[i % 2] for i in range(count)]})


@pytest.fixture(scope="module")
def fitted():
    return TextClassifier(**TINY, training=TRAINING).fit(mails())


def test_what_tells_the_classes_apart_is_learned(fitted):
    assert fitted.score(mails(40, seed=1)) == 1.0
    assert fitted.predict(["the pills", "the report"]) == ["spam", "ham"]
    assert fitted.classes_ == ["ham", "spam"]


def test_equal_seeds_give_equal_weights_and_others_do_not(fitted):
    same = TextClassifier(**TINY, training=TRAINING).fit(mails())
    other = TextClassifier(**TINY, training={**TRAINING, "seed": 1}).fit(mails())
    texts = mails(8).get_column("text").to_list()
    assert (same.predict_proba(texts) == fitted.predict_proba(texts)).all()
    assert (other.predict_proba(texts) != fitted.predict_proba(texts)).any()


def test_probabilities_add_up_and_do_not_depend_on_the_other_texts(fitted):
    texts = ["about the pills", "", "lottery", "words never seen"]
    found = fitted.predict_proba(texts)
    assert found.shape == (4, 2)
    assert found.sum(1) == pytest.approx(1)
    for row, text in enumerate(texts):
        assert fitted.predict_proba([text])[0] == pytest.approx(found[row], abs=1e-6)


def test_of_several_members_probabilities_are_averaged():
    both = TextClassifier(**TINY, members=2, training={**TRAINING, "steps": 10}).fit(mails())
    each = []
    for network in both.networks_:
        one = TextClassifier(**TINY)
        one.classes_, one.tokenizer_, one.networks_, one.temperature_ = both.classes_, both.tokenizer_, [network], 1.0
        each.append(one.predict_proba(["about the pills"]))
    both.temperature_ = 1.0
    assert both.predict_proba(["about the pills"]) == pytest.approx(np.mean(each, 0))
    assert (each[0] != each[1]).any()


@pytest.mark.parametrize("kind", ["polars", "pandas", "pyarrow"])
def test_a_frame_comes_back_as_its_own_kind(fitted, kind):
    frame = mails(4)
    given = frame if kind == "polars" else frame.to_pandas() if kind == "pandas" else frame.to_arrow()
    found = fitted.predict(given)
    assert type(found) is type(given)
    columns = found.column_names if kind == "pyarrow" else list(found.columns)
    assert columns == ["text", "label", "predicted", "confidence"]


def test_answers_stand_on_the_rows_of_an_index(fitted):
    frame = pd.DataFrame({"text": ["the pills", "the report", "lottery"]}, index=[30, 10, 20])
    frame["answer"] = fitted.predict(frame)["predicted"]
    assert frame["answer"].to_dict() == {30: "spam", 10: "ham", 20: "spam"}


@pytest.mark.parametrize("column", [pd.Series, pl.Series, pa.array])
def test_a_column_of_texts_is_a_list(fitted, column):
    texts = ["the pills", "the report"]
    assert fitted.predict(column(texts)) == ["spam", "ham"]
    assert (fitted.predict_proba(column(texts)) == fitted.predict_proba(texts)).all()


@pytest.mark.parametrize("call", ["predict", "predict_proba"])
def test_what_is_no_list_of_texts_is_named(fitted, call):
    call = getattr(fitted, call)
    with pytest.raises(ArgumentError, match=r"^texts\[1\] is None; expected a text$"):
        call(["a", None])
    with pytest.raises(ArgumentError, match=r"^texts\[0\] is 3; expected a text$"):
        call(pl.Series([3]))
    with pytest.raises(DataError, match=r"^'a good film' is no file that exists; for a text itself pass a list: \["):
        call("a good film")


def test_the_texts_of_a_table_need_no_labels(fitted):
    frame = pl.DataFrame({"text": ["about the pills", "lottery"], "n": [1, 2]})
    assert fitted.texts_of(frame) == ["about the pills", "lottery"]


def test_lines_are_answered_one_by_one(fitted):
    first, second = fitted.predict_lines(["the pills", "the report"])
    assert (first.text, second.text) == ("spam", "ham")
    found = json.loads(first.json())
    assert found["probabilities"] == {"ham": pytest.approx(1 - found["confidence"]), "spam": found["confidence"]}
    assert fitted.predict_lines([]) == []


def test_explanations_add_up_and_name_what_decides(fitted):
    found = fitted.explain("About the  pills of 3")
    assert (found.answer, found.tokens) == ("spam", ["About", "the", "pills", "of", "3"])
    other = fitted.explain("About the  report of 3", "spam")
    assert found.contributions[2] > 0 > other.contributions[2]
    odds = found.base + sum(found.contributions) - found.gap
    assert odds == pytest.approx(np.log(found.probability / (1 - found.probability)), abs=1e-4)
    against = fitted.explain("About the  pills of 3", "ham")
    assert against.contributions == pytest.approx([-share for share in found.contributions], abs=1e-5)
    with pytest.raises(ArgumentError, match=r"answer is 'spm'; did you mean 'spam'\?"):
        fitted.explain("x", "spm")


def test_explanations_of_several_members_add_up_to_what_they_say_together():
    both = TextClassifier(**TINY, members=2, training={**TRAINING, "steps": 30}).fit(mails())
    with torch.no_grad():
        both.networks_[0].head.projection.weight.mul_(5)  # one of them is surer by far
    found = both.explain("about the pills of 3", steps=256)
    odds = np.log(found.probability / (1 - found.probability))
    assert found.base + sum(found.contributions) - found.gap == pytest.approx(odds, abs=1e-4)
    assert abs(found.gap) < 0.02


def test_long_texts_lose_their_middle_and_are_counted():
    short = TextClassifier(**TINY, max_tokens=5, training={**TRAINING, "steps": 2})
    rows, held = mails(), pl.DataFrame({"text": ["a b", "a b c d e f"], "label": ["ham", "spam"]})
    rows = rows.with_columns(text=pl.when(pl.int_range(48) >= 3).then(pl.lit("the lottery")).otherwise("text"))
    longer = rows.with_columns(text=pl.when(pl.int_range(48) == 7).then(pl.lit("x " * 1200)).otherwise("text"))
    with pytest.warns(Notice) as caught:
        short.fit(longer, valid=held)
    assert [str(one.message) for one in caught] == [
        "frame row 7: the text has 1,200 tokens, of which max_tokens=5 are read; 1 row like it. "
        "Their middle is left out; give a larger max_tokens, or none"
    ]
    assert short.summary()["cut"] == 2
    text = "a b c d e f g"
    assert short.explain(text).tokens == ["a", "b", "c", "f", "g"]
    assert short.predict_proba([text]) == pytest.approx(short.predict_proba(["a b c x y z f g"]))


@pytest.mark.parametrize(
    ("tokenizer", "max_tokens", "most"),
    [
        ("word", "auto", 400),
        ("character", "auto", 2000),
        ("byte", "auto", 2000),
        ("byte", 400, 400),
        ("word", None, None),
    ],
)
def test_what_is_read_of_a_text_at_most_goes_by_the_tokenizer(tokenizer, max_tokens, most):
    model = TextClassifier(**TINY, tokenizer=tokenizer, max_tokens=max_tokens, training={**TRAINING, "steps": 1})
    assert model.most_tokens == most
    with warnings.catch_warnings():
        warnings.simplefilter("error", Notice)
        model.fit(mails())
    text = "a " * 2500 if tokenizer == "word" else "a" * 2500
    assert len(model.explain(text, steps=1).tokens) == (most or 2500)
    assert model.summary()["cut"] == 0


def test_texts_of_many_letters_are_explained():
    model = TextClassifier(**TINY, tokenizer="character", training={**TRAINING, "steps": 1}).fit(mails())
    long = mails(4).with_columns(text=pl.lit("a" * 500))
    assert len(model.examples(long)["explanations"]) == 4


def test_a_comparison_holds_baselines_that_learned_from_history(fitted):
    history = fitted.read(mails())
    found = fitted.compare(mails(10, seed=2), history, measured_on="new.csv")
    assert found.measured_on == "10 texts of new.csv"
    assert list(found.scores) == ["LSTM", "NaiveBayes", "MajorityClass"]
    assert found.scores["MajorityClass"]["accuracy"] == 0.5
    assert found.scores["LSTM"]["accuracy"] == 1.0
    assert found.predictions.columns == ["text", "label", "predicted", "confidence"]
    assert json.loads(json.dumps(found.to_json()))["details"]["confusion"] == [[5, 0], [0, 5]]
    assert list(fitted.compare(mails(10)).scores) == ["LSTM"]


@pytest.mark.parametrize("name", ["predicted", "confidence"])
def test_a_column_of_the_user_is_never_lost_to_what_is_predicted(fitted, name):
    frame = mails(4).rename({"label": name})
    with pytest.raises(DataError, match=f"^frame: what is predicted would replace its column '{name}'; rename or drop"):
        fitted.predict(frame)
    model = TextClassifier.__new__(TextClassifier)
    model.__dict__ |= {**fitted.__dict__, "label": name}
    found = model.compare(frame).predictions
    others = {"predicted": "confidence", "confidence": "predicted"}
    assert set(found.columns) == {"text", name, f"model_{name}", others[name]}
    assert found[name].to_list() == frame[name].to_list()


def test_classes_learned_from_csv_are_those_of_parquet(tmp_path):
    rows = mails().with_columns(label=pl.when(pl.col("label") == "ham").then(2.0).otherwise(3.5))
    rows.write_csv(tmp_path / "mails.csv")
    rows.write_parquet(tmp_path / "mails.parquet")
    model = TextClassifier(**TINY, training={**TRAINING, "steps": 1}).fit(tmp_path / "mails.csv")
    assert model.classes_ == ["2", "3.5"]
    first, second = (model.evaluate(tmp_path / name).to_json() for name in ("mails.parquet", "mails.csv"))
    assert first == second
    model.classes_ = ["2.0", "3.5"]  # as of a training with labels that are no numbers, too
    assert model.compare(tmp_path / "mails.parquet").predictions["label"].unique().sort().to_list() == ["2.0", "3.5"]


def test_a_label_for_nearly_every_text_is_told_once():
    ids = mails(40).with_columns(label=pl.int_range(40).clip(upper_bound=37))
    model = TextClassifier(**TINY, training={**TRAINING, "steps": 1})
    with pytest.warns(Notice, match="column 'label' holds 38 labels in 40 rows, 37 of them once") as caught:
        model.fit(ids)
    assert len(caught) == 1


def test_balanced_weights_find_rare_classes():
    """Of ten texts with "odd" three are rare: likelier not, but likelier than elsewhere."""
    label = (["rare"] * 3 + ["usual"] * 7) * 20 + ["usual"] * 200
    frame = pl.DataFrame({"text": ["odd thing"] * 200 + ["plain thing"] * 200, "label": label})
    recalls = {}
    for weights in (None, "balanced"):
        model = TextClassifier(**TINY, class_weights=weights, training={**TRAINING, "batch_size": 32}).fit(frame)
        recalls[weights] = {each.name: each.recall for each in model.evaluate(frame).classes}
    assert recalls[None] == {"rare": 0.0, "usual": 1.0}
    assert recalls["balanced"] == {"rare": 1.0, "usual": pytest.approx(200 / 340)}


def test_examples_are_the_surest_right_and_wrong_answers(fitted):
    rows = mails(20, seed=3)
    rows = rows.with_columns(label=pl.when(pl.int_range(20) < 6).then(pl.lit("ham")).otherwise("label"))
    found = fitted.examples(rows)
    assert [(each["answer"] == each["truth"]) for each in found["explanations"]] == [True] * 3 + [False] * 3
    sure = [each["probability"] for each in found["explanations"]]
    assert sure[:3] == sorted(sure[:3], reverse=True)
    assert found["mistakes"] == []  # the three texts mislabelled are explained
    assert found == fitted.examples(rows)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_examples_are_short_where_they_can_be():
    confidence, every = np.array([0.9, 0.8, 0.7, 0.99, 0.6]), np.ones(5, bool)
    assert surest(confidence, every, [5, 100, 5, 401, 0], 9) == [0, 2, 1]
    assert surest(confidence, ~every, [5] * 5, 9) == []


@pytest.mark.parametrize("tokenizer", ["whitespace", "subword", "character", "byte"])
def test_every_tokenizer_takes_any_text(tokenizer):
    model = TextClassifier(**TINY, tokenizer=tokenizer, training={**TRAINING, "steps": 2}).fit(mails())
    for text in ("שלום עולם", "👩‍👩‍👧 🇩🇪", "", "\u2028", "a" * 5000):
        found = model.explain(text)
        assert found.answer in ("ham", "spam")
        assert len(found.tokens) <= model.most_tokens


def test_rows_to_stop_by_may_be_given(fitted):
    model = TextClassifier(**TINY, training={**TRAINING, "steps": 2}).fit(mails(), valid=mails(8))
    assert len(model.tokenizer_) > 4
    with pytest.raises(DataError, match="'scam', which training did not see; did you mean 'spam'"):
        TextClassifier(**TINY).fit(mails(), valid=pl.DataFrame({"text": ["a"], "label": ["scam"]}))


# --- saved and loaded


def test_what_is_loaded_says_the_same(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    again = TextClassifier.load(tmp_path / "model")
    texts = [*mails(8).get_column("text"), "", "new words 🎉"]
    assert (again.predict_proba(texts) == fitted.predict_proba(texts)).all()
    assert again.get_params() | {"training": None} == fitted.get_params() | {"training": None}
    assert again.summary() == fitted.summary()
    again.save(tmp_path / "again")
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "model" / name).read_bytes()
    with pytest.raises(ArtifactError, match="exists already"):
        fitted.save(tmp_path / "model")


def test_vectors_of_a_file_come_back_with_their_own_size(tmp_path):
    (tmp_path / "vectors.txt").write_text("pills 1 0 0\nreport 0 1 0\n")
    model = TextClassifier(**TINY, vectors=str(tmp_path / "vectors.txt"), training={**TRAINING, "steps": 2})
    model.fit(mails()).save(tmp_path / "model")
    (tmp_path / "vectors.txt").unlink()
    again = TextClassifier.load(tmp_path / "model")
    assert again.networks_[0].input.weight.shape[1] == 3
    assert again.summary()["vectors_share"] == 2 / (len(model.tokenizer_) - 4) > 0.1
    assert (again.predict_proba(["the pills"]) == model.predict_proba(["the pills"])).all()


@pytest.fixture
def saved(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_one_flipped_bit_is_found(saved, name):
    data = bytearray((saved / name).read_bytes())
    data[len(data) // 2] ^= 1
    (saved / name).write_bytes(data)
    with pytest.raises(ArtifactError, match=rf"{name}: its SHA-256 differs"):
        TextClassifier.load(saved)


def test_a_folder_that_is_missing_or_foreign_is_named(saved, tmp_path):
    with pytest.raises(ArtifactError, match=r"nowhere does not exist; pass the folder of a saved classify model"):
        TextClassifier.load(tmp_path / "nowhere")
    with pytest.raises(ArtifactError, match=r"holds no saved classify model \(no manifest.json\)"):
        TextClassifier.load(tmp_path)
    (saved / "tokenizer.json").unlink()
    with pytest.raises(ArtifactError, match=r"tokenizer.json is missing from"):
        TextClassifier.load(saved)


def test_parts_that_do_not_fit_together_are_refused(saved, fitted, tmp_path):
    from recurra.training.store import write_folder

    members = {name: (saved / name).read_bytes() for name in ("config.json", "model.safetensors", "tokenizer.json")}
    for change in ({"classes": ["a", "b", "c"]}, {"classes": 3}, {"temperature": "hot"}):
        config = json.loads(members["config.json"])
        config["fitted"] |= change
        shutil.rmtree(tmp_path / "bad", ignore_errors=True)
        write_folder(tmp_path / "bad", {**members, "config.json": json.dumps(config).encode()}, kind="classify model")
        with pytest.raises(ArtifactError, match=r"what was saved does not fit together \(.*\); save it again"):
            TextClassifier.load(tmp_path / "bad")


def test_what_older_versions_saved_is_loaded_with_less_in_its_summary(saved, tmp_path):
    from recurra.training.store import write_folder

    members = {name: (saved / name).read_bytes() for name in ("config.json", "model.safetensors", "tokenizer.json")}
    config = json.loads(members["config.json"])
    config["fitted"] = {name: config["fitted"][name] for name in ("classes", "temperature")}
    config["parameters"] = {**config["parameters"], "max_tokens": 400}
    del config["parameters"]["class_weights"]
    write_folder(tmp_path / "old", {**members, "config.json": json.dumps(config).encode()}, kind="classify model")
    again = TextClassifier.load(tmp_path / "old")
    found = again.summary()
    assert (found["padding_share"], found["cut"], found["vectors_share"]) == (None, None, None)
    assert found["classes"] == ["ham", "spam"]
    assert again.most_tokens == 400
    again.save(tmp_path / "again")


# --- what is refused


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"members": 0}, "members is 0; it is a whole number, 1 or more"),
        ({"members": None}, "members is None; it is a whole number, 1 or more"),
        ({"max_tokens": 1.5}, "max_tokens is 1.5; it is a whole number"),
        (
            {"max_tokens": "all"},
            "max_tokens is 'all'; it is a whole number, 1 or more, 'auto', or none for whole texts",
        ),
        ({"class_weights": "even"}, "class_weights is 'even'; it is 'balanced', or none"),
        ({"vectors": "v.txt", "tokenizer": "byte"}, "vectors are of words, the tokenizer is 'byte'; use 'word' or"),
        ({"vectors": "v.txt", "tokenizer": "subword"}, "vectors are of words, the tokenizer is 'subword'; use 'word'"),
        ({"epochs": 0}, "epochs is 0; it is a number above 0"),
        ({"dropout": 1.0}, "dropout is 1.0; it is a probability from 0 to below 1"),
        ({"tokenizer": "words"}, "tokenizer is 'words'; did you mean 'word' or 'subword'?"),
        ({"vectors": "/nowhere/vectors.txt"}, "/nowhere/vectors.txt does not exist"),
        ({"training": {"step": 3}}, "step"),
    ],
)
def test_a_parameter_that_is_none_is_named_before_training(parameters, message):
    with pytest.raises((ArgumentError, DataError)) as raised:
        TextClassifier(**{**TINY, **parameters}).fit(mails())
    assert message in str(raised.value)


def test_what_is_not_fitted_says_so(tmp_path):
    model = TextClassifier()
    calls = (
        model.summary,
        lambda: model.predict(["a"]),
        lambda: model.explain("a"),
        lambda: model.save(tmp_path / "m"),
    )
    for call in calls:
        with pytest.raises(ArgumentError, match="this TextClassifier is not fitted; call fit first"):
            call()
