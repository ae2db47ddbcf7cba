"""Texts given as they are: in lists, in columns of other libraries, and what is neither."""

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from recurra.data.texts import check_path, given_texts
from recurra.errors import ArgumentError, DataError

TEXTS = ["fine", "", "bad"]


@pytest.mark.parametrize(
    "column",
    [
        TEXTS,
        pd.Series(TEXTS, index=[7, 7, 1]),
        pd.Index(TEXTS),
        pl.Series(TEXTS),
        pa.array(TEXTS),
        pa.chunked_array([TEXTS]),
    ],
    ids=lambda column: type(column).__name__,
)
def test_a_column_of_any_library_is_a_list(column):
    assert given_texts(column) == TEXTS


@pytest.mark.parametrize(
    "other",
    ["fine", ("fine",), {"text": TEXTS}, pl.DataFrame({"text": TEXTS}), pa.table({"text": TEXTS}), None, 3],
    ids=lambda other: type(other).__name__,
)
def test_what_is_no_list_and_no_column_is_left_to_others(other):
    assert given_texts(other) is None


def test_a_frame_of_pandas_is_no_column():
    assert given_texts(pd.DataFrame({"text": TEXTS})) is None


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["a", None], "texts[1] is None; expected a text"),
        ([3], "texts[0] is 3; expected a text"),
        ([b"a"], "texts[0] is b'a'; expected a text"),
        (pd.Series(["a", None, "b"], dtype=object), "texts[1] is None; expected a text"),
        (pd.Series([1.5]), "texts[0] is 1.5; expected a text"),
        (pl.Series(["a", None]), "texts[1] is None; expected a text"),
        (pa.array(["a", None]), "texts[1] is None; expected a text"),
        (pa.chunked_array([["a"], [None]]), "texts[1] is None; expected a text"),
    ],
)
def test_what_is_no_text_is_named_by_its_place(texts, said):
    with pytest.raises(ArgumentError) as caught:
        given_texts(texts)
    assert str(caught.value) == said


def message(path, **options):
    with pytest.raises(DataError) as caught:
        check_path(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_text_in_place_of_a_list_is_told_from_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("reviews.csv", ".in", ".a good film"):
        (tmp_path / name).touch()
    assert message("a good film") == ("'a good film' is no file that exists; for a text itself pass a list: [\"...\"]")
    assert message("reviws.csv") == (
        "'reviws.csv' is no file that exists; did you mean 'reviews.csv'? For a text itself pass a list: [\"...\"]"
    )
    assert message("Ann went", example='[["..."]]').endswith('for a text itself pass a list: [["..."]]')
    for text in ("long " * 10_000, "a/b\0c", "", "two\nlines"):
        assert "is no file that exists; for a text itself" in message(text)


def test_paths_that_exist_and_what_is_no_str_pass(tmp_path):
    (tmp_path / "a.csv").touch()
    for data in (str(tmp_path / "a.csv"), tmp_path / "none.csv", str(tmp_path), pl.DataFrame(), ["a"]):
        check_path(data)
