"""Texts of tables and their labels."""

import datetime
import warnings

import numpy as np
import polars as pl
import pytest

from recurra.data import Table, read_table
from recurra.data.labelled import (
    Labelled,
    check_classes,
    check_repeated,
    class_places,
    list_classes,
    note_unique,
    read_labelled,
)
from recurra.errors import ArgumentError, DataError, Notice


def table(**columns):
    return Table(pl.DataFrame(columns), "reviews.csv", text=True)


def labelled(*labels):
    return Labelled(["x"] * len(labels), list(labels), table(), "label")


def message(action, *arguments, **options):
    with pytest.raises(DataError) as caught:
        action(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_texts_and_labels_of_a_file(csv):
    data = read_labelled(read_table(csv("text,label\nfine,pos\nשלום 👋,neg\n")))
    assert (data.texts, data.labels, len(data)) == (["fine", "שלום 👋"], ["pos", "neg"], 2)
    assert data.at(1) == "sales.csv line 3"


def test_rows_that_are_taken_keep_their_places():
    data = read_labelled(table(text=["a", "b", "c", "d"], label=[0, 1, 2, 3]))
    part = data.take(np.array([3, 0, 2])).take([2, 0])
    assert (part.texts, part.labels) == (["c", "d"], ["2", "3"])
    assert [part.at(0), part.at(1)] == ["reviews.csv line 4", "reviews.csv line 5"]
    assert message(check_classes, part, ["2"]).startswith("reviews.csv line 5: column 'label' holds '3'")
    assert read_labelled(table(text=["a", "b"]), label=None).take([1]).labels is None


def test_texts_alone_need_no_label():
    data = read_labelled(table(words=["a", "b"]), text="words", label=None)
    assert data.labels is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pl.Series([3, 1], dtype=pl.Int8), ["3", "1"]),
        (pl.Series([3.0, 0.5, -2.0, 1e300]), ["3", "0.5", "-2", "1e+300"]),
        (pl.Series([3.0, 0.5], dtype=pl.Float32), ["3", "0.5"]),
        (pl.Series([0.1, 1.0], dtype=pl.Float32), ["0.1", "1"]),
        (pl.Series(["3.0", "-2.", "4", "0.50"]), ["3", "-2", "4", "0.50"]),
        (pl.Series(["3.0", "none"]), ["3.0", "none"]),
        (pl.Series(["007", "1"]), ["007", "1"]),
        (pl.Series([True, False]), ["true", "false"]),
        (pl.Series(["pos", " neg"]), ["pos", " neg"]),
        (pl.Series(["NA", "none"]), ["NA", "none"]),
        (pl.Series(["b", "a"], dtype=pl.Categorical), ["b", "a"]),
        (pl.Series([datetime.date(2024, 5, 1)]), ["2024-05-01"]),
    ],
)
def test_labels_of_any_type_become_strings(values, expected):
    assert read_labelled(table(text=["x"] * len(values), label=values)).labels == expected


@pytest.mark.parametrize("values", [["a", None, "", "b", " \t"], [1.0, None, float("nan"), 2.0, None]])
def test_a_missing_label_is_refused_with_its_row_and_the_count(values):
    assert message(read_labelled, table(text=["x"] * 5, label=values)) == (
        "reviews.csv line 3: column 'label' has no label; 2 rows like it. Label or remove them"
    )


def test_missing_and_blank_texts_are_kept_with_one_notice():
    with pytest.warns(Notice) as caught:
        data = read_labelled(table(text=["x", None, "", "  \n"], label=["a", "b", "a", "b"]))
    assert data.texts == ["x", "", "", ""]
    assert [str(one.message) for one in caught] == [
        "reviews.csv line 3: column 'text' is empty; 2 rows like it. Kept as texts without a word"
    ]
    assert caught[0].filename == __file__


def test_a_missing_column_gets_its_nearest_names():
    reviews = table(text=["a"], lable=["b"])
    assert message(read_labelled, reviews) == (
        "reviews.csv has no column 'label' for the label; did you mean 'lable'? Choose one with label=..."
    )
    assert message(read_labelled, reviews, text="review", label=None) == (
        "reviews.csv has no column 'review' for the text; there are: 'text', 'lable'. Choose one with text=..."
    )


def test_an_only_column_that_seems_to_be_several_tells_of_the_separator():
    for mark, option in ((",", "','"), ("\t", "tab")):
        reviews = Table(pl.DataFrame({f"text{mark}label": ["a"]}), "reviews.csv", text=True)
        assert message(read_labelled, reviews).endswith(
            f". Pass --separator {option} if that stands between names. Choose one with text=..."
        )
    assert "--separator" not in message(read_labelled, table(**{"text,label": ["a"], "b": ["c"]}))


def test_a_table_of_many_columns_is_not_listed_whole():
    wide = table(**{f"column{number}": [1] for number in range(300)})
    assert message(read_labelled, wide).endswith("'column19' and 280 more. Choose one with text=...")


def test_a_nul_character_is_refused_with_its_place():
    assert message(read_labelled, table(text=["a", "b\0", "\0"], label=[1, 2, 3])) == (
        "reviews.csv line 3: column 'text' holds a NUL character, which no text has; 1 row like it. Remove it"
    )


@pytest.mark.parametrize("column", ["text", "label"])
def test_lists_are_no_texts_and_no_labels(column):
    columns = {"text": ["a"], "label": ["b"], column: [["c"]]}
    assert message(read_labelled, table(**columns)) == (
        f"reviews.csv: column '{column}' is of type List(String); one text, number or date a row is needed"
    )


def test_one_column_cannot_be_both():
    with pytest.raises(ArgumentError, match=r"^column 'text' is both text and label; give each its own$"):
        read_labelled(table(text=["a"]), label="text")


def test_classes_stand_in_order():
    labels = ["b", "10", "9", "-1", "a", "0.5", "B", "9", "1_0", "nan"]
    assert list_classes(labelled(*labels)) == ["-1", "0.5", "9", "10", "1_0", "B", "a", "b", "nan"]


def test_one_class_only_is_refused():
    assert message(list_classes, labelled("pos", "pos", "pos")) == (
        "reviews.csv: column 'label' holds one class only, 'pos', in all 3 rows; two at least are needed. "
        "Add rows of another, or name another column"
    )


def test_an_unseen_label_is_named_with_the_count_and_the_known_ones():
    data = labelled("pos", "nge", "neutral", "nge", "neg")
    assert message(check_classes, data, ["neg", "pos"]) == (
        "reviews.csv line 3: column 'label' holds 'nge', which training did not see; 1 row like it; "
        "1 more with other unseen labels; did you mean 'neg'? Mend the label, remove the row, or train with it"
    )
    assert message(check_classes, labelled("x"), [str(number) for number in range(100)]).endswith(
        "there are: '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12', '13', '14', '15', '16', '17', "
        "'18', '19' and 80 more. Mend the label, remove the row, or train with it"
    )


def test_a_label_is_the_same_in_files_of_all_types(tmp_path):
    frame = pl.DataFrame({"text": ["a", "b", "c"], "label": [3.0, 0.5, 1e20]})
    frame.write_csv(tmp_path / "a.csv")
    frame.write_parquet(tmp_path / "a.parquet")
    frame.write_ndjson(tmp_path / "a.jsonl")
    found = [read_labelled(read_table(tmp_path / f"a.{kind}")) for kind in ("csv", "parquet", "jsonl")]
    classes = list_classes(found[0])
    assert classes[:2] == ["0.5", "3"]
    for data in found:
        check_classes(data, classes)
        assert class_places(data.labels, classes) == [1, 0, 2]


def test_a_number_may_be_written_in_another_way_unless_it_could_be_two():
    assert class_places(["3", "0.50", "x", "3.1", "3.10", " 7"], ["0.5", "3.0", "3.1", "3.10", "7"]) == [
        1, 0, None, 2, 3, 4,
    ]  # fmt: skip
    assert class_places(["3.100"], ["3.1", "3.10"]) == [None]
    check_classes(labelled("3", "none"), ["3.0", "none"])
    assert message(check_classes, labelled("3", "4"), ["3.0", "none"]).startswith("reviews.csv line 3: column 'label'")


def test_labels_of_which_none_comes_again_are_refused():
    assert message(check_repeated, labelled(*map(str, range(20)))) == (
        "reviews.csv: column 'label' holds another label in each of 20 rows, as ids do, and none can be held back; "
        "name the column of the classes as label"
    )
    check_repeated(labelled(*map(str, range(20)), "3"))
    check_repeated(labelled(*map(str, range(19))))
    check_repeated(Labelled(["x"] * 40, None, table()))


def test_a_column_of_ids_that_was_taken_for_labels_is_told():
    with pytest.warns(Notice) as caught:
        note_unique(labelled(*map(str, range(38)), "1", "1"))
    assert [str(one.message) for one in caught] == [
        "reviews.csv: column 'label' holds 38 labels in 40 rows, 37 of them once, as ids and measurements do. "
        "If they are no classes, name another column as label"
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        note_unique(labelled(*map(str, range(20)), *map(str, range(10))))  # two of three are there twice
        note_unique(labelled(*map(str, range(19))))  # too few to tell
        note_unique(Labelled(["x"] * 40, None, table()))


def test_seen_labels_pass_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_classes(labelled("pos", "pos"), ["neg", "pos"])


def test_texts_without_labels_cannot_be_checked():
    bare = Labelled(["a"], None, table())
    with pytest.raises(ArgumentError, match="without labels, which training needs; name their column as label"):
        list_classes(bare)
    with pytest.raises(ArgumentError, match="without labels, which evaluation needs; name their column as label"):
        check_classes(bare, ["a"])
