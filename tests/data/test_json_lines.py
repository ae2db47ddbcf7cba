"""JSON lines as tables."""

import gzip
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.data import read_table
from recurra.errors import DataError


def message(path, **options):
    with pytest.raises(DataError) as caught:
        read_table(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.json", "A.JSONL"])
def test_objects_are_rows_and_places_are_lines(csv, name):
    table = read_table(csv('{"text": "fine", "label": 1}\n\n{"label": 0, "text": "bad"}\r\n', name))
    assert table.frame.to_dict(as_series=False) == {"text": ["fine", "bad"], "label": [1, 0]}
    assert [table.at(row) for row in (0, 1)] == [f"{name} line 1", f"{name} line 3"]


def test_gzip_byte_order_mark_and_encoding(csv):
    line = '{"text": "é"}\n'
    for content, encoding in [
        (gzip.compress(line.encode()), "utf-8"),
        ("\ufeff" + line, "utf-8"),
        (line.encode("latin-1"), "latin-1"),
    ]:
        assert read_table(csv(content, "a.jsonl.gz"), encoding=encoding).frame["text"].to_list() == ["é"]


def test_missing_keys_are_nulls(csv):
    frame = read_table(csv('{"a": 1}\n{"b": "x"}\n{"a": 2, "c": null}\n', "a.jsonl")).frame
    assert frame.rows() == [(1, None, None), (None, "x", None), (2, None, None)]
    assert frame.dtypes == [pl.Int64, pl.String, pl.Null]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1, None, 3], pl.Int64, [1, None, 3]),
        ([1, 2.5], pl.Float64, [1.0, 2.5]),
        ([True, None], pl.Boolean, [True, None]),
        ([1, "x", None], pl.String, ["1", "x", None]),
        ([True, 1], pl.String, ["true", "1"]),
        ([1.5, "é", ["é"]], pl.String, ["1.5", "é", '["é"]']),
        ([1 << 70, 1], pl.String, [str(1 << 70), "1"]),
        ([["a"], [], None, [None]], pl.List(pl.String), [["a"], [], None, [None]]),
        ([[1], [2, 3]], pl.List(pl.Int64), [[1], [2, 3]]),
        ([[1, 2.5], [3]], pl.List(pl.Float64), [[1.0, 2.5], [3.0]]),
        ([["a", 1], [True]], pl.List(pl.String), [["a", "1"], ["true"]]),
        ([[["a"]], [{"b": 1}]], pl.List(pl.String), [['["a"]'], ['{"b": 1}']]),
    ],
)
def test_a_column_has_the_one_type_that_holds_its_values(csv, values, kind, expected):
    lines = "".join(json.dumps({"y": value}) + "\n" for value in values)
    column = read_table(csv(lines, "a.jsonl")).frame["y"]
    assert column.dtype == kind
    assert column.to_list() == expected


def test_objects_within_are_laid_flat(csv):
    path = csv('{"translation": {"en": "dog", "de": {"x": "Hund"}}, "id": 1}\n{"translation": null}\n', "a.jsonl")
    assert read_table(path).frame.to_dict(as_series=False) == {
        "translation.en": ["dog", None],
        "translation.de.x": ["Hund", None],
        "id": [1, None],
        "translation": [None, None],
    }


@given(
    st.lists(
        st.fixed_dictionaries({}, optional={"a": st.text(), "b": st.integers(-(1 << 63), (1 << 63) - 1)}),
        min_size=1,
    ).filter(any)
)
def test_what_is_written_is_read(records):
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.jsonl")
        path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
        rows = read_table(path).frame.rows(named=True)
    assert [{key: value for key, value in row.items() if value is not None} for row in rows] == records


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"a": 1', "no JSON object (Expecting ',' delimiter at character 8): '{\"a\": 1'; mend it"),
        ("a,b", "no JSON object (Expecting value at character 1): 'a,b'; mend it"),
        ("3", '3 is no JSON object; write one a line, such as {"text": ...}'),
        ("[1, 2]", "a list; write one object a line, as jq -c '.[]' does"),
        ("[", "a list opens; write one object a line, as jq -c '.[]' does"),
        ('{"a": 1, "a": 2}', "the key 'a' stands twice; mend it"),
        (
            '{"a": {"b": 1}, "a.b": 2}',
            "the key 'a.b' stands twice, inside an object and beside it; mend it",
        ),
        ('{"a": "\\ud800"}', "half of a surrogate pair is no character; remove or complete it"),
        ("[" * 100_000, "nested too deeply; one flat object a line is needed"),
    ],
    ids=["open", "CSV", "number", "list", "open list", "twice", "twice within", "surrogate", "deep"],
)
def test_a_line_that_is_no_object_is_named(csv, line, expected):
    assert message(csv(f'{{"a": 0}}\n\n{line}\n', "a.jsonl")) == f"a.jsonl line 3: {expected}"


def test_a_number_of_too_many_digits_is_named(csv):
    assert message(csv('{"a": ' + "1" * 5000 + "}", "a.jsonl")).startswith("a.jsonl line 1: Exceeds the limit (4300")


def test_empty_files(csv):
    assert message(csv("", "a.jsonl")) == "a.jsonl is empty; a JSON object on each line is needed"
    assert message(csv("\n \n", "a.jsonl")) == "a.jsonl is empty; a JSON object on each line is needed"
    assert message(csv("\n{}\n", "a.jsonl")) == (
        "a.jsonl line 2: objects without keys; a key for each column is needed"
    )


def test_bytes_that_are_no_text_are_named(csv):
    assert message(csv(b'{"a": 1}\n{"a": "\xe9"}\n', "a.jsonl")) == (
        "a.jsonl line 2: the byte 0xe9 at byte offset 16 is not utf-8; pass --encoding latin-1"
    )
