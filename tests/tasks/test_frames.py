"""Predictions as CSV and as JSON: no cell runs as a formula, no number is changed, values within values are kept."""

from datetime import date

import polars as pl
import pytest

from recurra.errors import DataError
from recurra.tasks.frames import csv_bytes, json_rows, write_table

NUMBERS = ["-1", "+3.5", "-3.5", "-1e-3", "-.5", "+1.E+6", "-0"]
FORMULAS = ["=1", "+1+1", "-1-1", "-inf", "-3,5", "-", "+", "-e5", "--1", "- 1", "-1 ", "-\u0661", "@A", "\t-1", "\rx"]


def cells(values):
    """The cells of a column of these values, read as text."""
    frame = pl.DataFrame({"n": range(len(values)), "cell": values})
    return pl.read_csv(csv_bytes(frame), infer_schema=False)["cell"].to_list()


def test_text_that_is_a_number_stays_and_any_other_formula_is_led_by_an_apostrophe():
    assert cells(NUMBERS) == NUMBERS
    assert cells(FORMULAS) == [f"'{text}" for text in FORMULAS]
    assert cells(["plain", None, "a=1"]) == ["plain", None, "a=1"]


def test_names_of_columns_are_guarded_alike():
    frame = pl.DataFrame({"=1": ["a"], "-1": ["b"], "^x$": ["=c"]})
    assert csv_bytes(frame) == b"'=1,-1,^x$\na,b,'=c\n"


def test_lists_and_structs_are_json_in_their_cell():
    frame = pl.DataFrame(
        {
            "tags": [["a", "ü"], None],
            "place": [{"town": "Oslo", "since": date(1048, 1, 1)}, {"town": "=1", "since": None}],
            "rates": [[0.5, float("nan")], []],
        }
    )
    assert pl.read_csv(csv_bytes(frame), infer_schema=False).rows() == [
        ('["a", "ü"]', '{"town": "Oslo", "since": "1048-01-01"}', "[0.5, null]"),
        (None, '{"town": "=1", "since": null}', "[]"),
    ]
    pairs = pl.DataFrame({"pair": pl.Series([[1, 2]], dtype=pl.Array(pl.Int64, 2))})
    assert csv_bytes(pairs) == b'pair\n"[1, 2]"\n'


def test_bytes_are_text_where_they_are_utf_8_and_named_where_not(tmp_path):
    assert cells([b"caf\xc3\xa9", None, b"=1"]) == ["café", None, "'=1"]
    frame = pl.DataFrame({"blob": [b"fine", b"no\xff"]})
    for write in (csv_bytes, json_rows, lambda frame, name: write_table(frame, tmp_path / "out.csv", name)):
        with pytest.raises(DataError) as caught:
            write(frame, "new.parquet")
        assert str(caught.value) == (
            "new.parquet row 1: column 'blob' holds bytes that are no UTF-8 text, 0xff at byte 2, and CSV and JSON "
            "hold text alone; drop the column, or pass --out with a name that ends in .parquet"
        )
    assert not (tmp_path / "out.csv").exists()
    write_table(frame, tmp_path / "out.parquet")
    assert pl.read_parquet(tmp_path / "out.parquet").equals(frame)


def test_rows_for_json_hold_nothing_that_json_has_no_word_for():
    frame = pl.DataFrame(
        {"y": [1.5, float("nan"), float("-inf")], "in": [[float("nan")], None, [2.0]], "s": [{"a": float("inf")}] * 3}
    )
    assert json_rows(frame) == [
        {"y": 1.5, "in": [None], "s": {"a": None}},
        {"y": None, "in": None, "s": {"a": None}},
        {"y": None, "in": [2.0], "s": {"a": None}},
    ]
