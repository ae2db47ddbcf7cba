"""Which columns of a table are sources and targets."""

import polars as pl
import pytest

from recurra.data.files import Table
from recurra.data.pairs import Pairs
from recurra.errors import ArgumentError, DataError
from recurra.tasks.pair_columns import pairs_of_table, source_column, source_texts
from recurra.tasks.translation import Translator

FRAME = pl.DataFrame({"de": ["ein Hund", "zwei"], "en": ["a dog", "two"]})


def message(function, *arguments, kind=DataError):
    with pytest.raises(kind) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_only_two_columns_or_those_named():
    assert pairs_of_table(Table(FRAME), None, None).targets == ["a dog", "two"]
    assert pairs_of_table(Table(FRAME.with_columns(n=1)), "en", "de").sources == ["a dog", "two"]


def test_what_is_missing_is_named():
    assert "frame has 1 columns, de" in message(pairs_of_table, Table(FRAME.select("de")), None, None)
    assert "no column 'fr' for the target" in message(pairs_of_table, Table(FRAME), "de", "fr")
    said = message(pairs_of_table, Table(pl.DataFrame({"a": ["x", "y", "z"], "b": ["x", " ", None]})), None, None)
    assert said == "frame row 1: column 'b' is empty, 2 in all; remove these rows, for they teach nothing"
    assert "columns of a table have names" in message(pairs_of_table, Table(FRAME), 1, 2, kind=ArgumentError)


def test_one_column_alone_is_not_enough(tmp_path):
    said = message(pairs_of_table, Table(FRAME), "de", None, kind=ArgumentError)
    assert said == "source is 'de' and target is None; pass target=..., too; columns: 'de', 'en'"
    FRAME.write_parquet(tmp_path / "a.parquet")
    said = message(Translator(target="en").read, tmp_path / "a.parquet", kind=ArgumentError)
    assert said == "source is None and target is 'en'; pass source=..., too; columns: 'de', 'en'"
    said = message(Translator(source=2).read, tmp_path / "a.tsv", kind=ArgumentError)
    assert said == "source is 2 and target is None; pass target=..., too"


def test_sources_of_a_table_without_targets():
    table = Table(pl.DataFrame({"n": [1, 2], "de": ["ein", None]}))
    assert source_texts(table, "de") == ["ein", ""]
    assert "no column 'en' for the source" in message(source_texts, table, "en")


def test_the_first_line_of_a_file_is_not_lost_as_a_header():
    table = Table(FRAME, "new.csv", text=True)
    assert message(source_texts, table, None) == (
        "new.csv: training had lines without a header, so that none of its columns is known; name that of the sources "
        "with source=..., or pass them as lines"
    )
    assert source_texts(Table(FRAME), None) == ["ein Hund", "zwei"]


def test_where_sources_came_from():
    assert source_column(Pairs(["a"], ["b"], "x.tsv", [0]), None) is None
    pairs = pairs_of_table(Table(FRAME), None, None)
    assert source_column(pairs, None) == "de"
    assert source_column(pairs, "en") == "en"
