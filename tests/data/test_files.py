import gzip
import os
import threading

import polars as pl
import pytest

from recurra.data import read_table
from recurra.data.files import kind_of
from recurra.data.lines import read_lines
from recurra.errors import ArgumentError, DataError


def message(path, **options):
    with pytest.raises(DataError) as caught:
        read_table(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "ds,y\n2024-01-01,1\n2024-01-02,2\n",
        "ds,y\n2024-01-01,1\n2024-01-02,2",
        "\ufeffds,y\r\n2024-01-01,1\r\n2024-01-02,2\r\n",
        "ds;y\n2024-01-01;1\n2024-01-02;2\n",
        "ds\ty\n2024-01-01\t1\n2024-01-02\t2\n",
        "ds , y\r2024-01-01,1\r2024-01-02,2\r",
        '"ds","y"\n"2024-01-01","1"\n"2024-01-02",2\n',
    ],
    ids=["plain", "no last break", "BOM and CRLF", "semicolons", "tabs", "CR", "quotes"],
)
def test_dialects_read_alike(csv, content):
    table = read_table(csv(content))
    assert table.frame.to_dict(as_series=False) == {"ds": ["2024-01-01", "2024-01-02"], "y": ["1", "2"]}
    assert (table.at(0), table.at(1)) == ("sales.csv line 2", "sales.csv line 3")


def test_gzip_and_parquet(csv, tmp_path):
    zipped = read_table(csv(gzip.compress(b"ds,y\n1,2\n"), "sales.csv.gz"))
    assert zipped.frame.rows() == [("1", "2")]
    pl.DataFrame({"y": [1.5, 2.5]}).write_parquet(tmp_path / "sales.parquet")
    table = read_table(tmp_path / "sales.parquet")
    assert table.frame["y"].to_list() == [1.5, 2.5]
    assert table.at(1) == "sales.parquet row 1"


def test_the_kind_of_a_file_is_read_from_its_name_and_its_first_bytes(csv, tmp_path):
    names = ["a.csv", "a.CSV.GZ", "a.jsonl", "a.ndjson.gz", "a.JSON", "a.parquet", "a.txt", "jsonl"]
    kinds = [kind_of(tmp_path / name) for name in names]
    assert kinds == ["text", "text", "json", "json", "json", "parquet", "text", "text"]
    assert kind_of(csv(b"PAR1...", "a.jsonl")) == "parquet"


def test_line_breaks_in_quotes_and_blank_lines_keep_the_count(csv):
    table = read_table(csv('ds,y,note\n1,2,"two\nlines"\n\n3,4,\r\n   \n5,6,end\n'.replace("   \n", "\n")))
    assert table.frame["y"].to_list() == ["2", "4", "6"]
    assert [table.place(row) for row in range(3)] == ["line 2", "line 5", "line 7"]


def test_ragged_lines_are_named(csv):
    assert message(csv("ds,y\n1,2\n3\n4,5,6\n7,8\n")) == (
        "sales.csv line 3: 1 fields where the header has 2; 1 line like it. "
        "Mend them, or pass --separator if it is not ','"
    )


@pytest.mark.parametrize("content", ["text,label\na,x\nb,y\n", 'text,label\n"a; b",x\n"c, d",y\n'])
def test_a_wrong_separator_is_told_with_the_right_one(csv, content):
    assert message(csv(content), separator=";") == (
        "sales.csv line 1: one field with the separator ';'; pass --separator ',', which the header seems to have, or "
        "leave it out"
    )
    tabs = csv(content.replace(",", "\t"))
    assert "pass --separator tab, which the header seems to have" in message(tabs, separator=";")


def test_a_wrong_separator_of_ragged_lines_is_told_too(csv):
    assert message(csv("text;label;note\na, b;x\nb;y;z\n"), separator=",") == (
        "sales.csv line 2: 2 fields where the header has 1. "
        "Mend them, or pass --separator ';', which the header seems to have"
    )


def test_a_comma_in_the_name_of_an_only_column_is_none_between_columns(csv):
    table = read_table(csv("text, raw\nno\nyes, or no, or both\n"), separator=";")
    assert table.frame.to_dict(as_series=False) == {"text, raw": ["no", "yes, or no, or both"]}


def test_quotes_that_cannot_be_read_are_told_with_the_separator(csv):
    assert message(csv('a,b\n"x"y,"z"\n')) == (
        "sales.csv is not readable as CSV with 2 fields a line and ',' between them; check its quotes, or pass "
        "--separator if it is not ','"
    )


def test_quoted_separators_are_not_ragged(csv):
    assert read_table(csv('ds,y\n"1,5",2\n')).frame.rows() == [("1,5", "2")]


def test_an_open_quote_is_named(csv):
    assert message(csv('ds,y\n1,2\n3,"4\n5,6\n')).startswith('sales.csv line 3: a quote (") is opened and never closed')


def test_latin_1_names_the_byte_offset(csv):
    path = csv("ds,y,caf\n1,2,x\n3,4,café\n".encode("latin-1"))
    assert message(path) == ("sales.csv line 3: the byte 0xe9 at byte offset 22 is not utf-8; pass --encoding latin-1")
    assert read_table(path, encoding="latin-1").frame["caf"].to_list() == ["x", "café"]


def test_utf_16_is_recognised(csv):
    path = csv("ds,y\n1,2\n".encode("utf-16"))
    assert "pass --encoding utf-16" in message(path)
    for name in ("utf-16", "UTF_16", "u16"):
        assert read_table(path, encoding=name).frame.rows() == [("1", "2")]


def test_a_nul_at_the_beginning_is_named_with_its_line(csv):
    assert message(csv(b"ds,y\n1,2\n3,\0\n")) == (
        "sales.csv line 3: holds a NUL character, which no text has; remove it, or pass --encoding utf-16 if it is that"
    )
    assert message(csv("ds,y\n1,2\n".encode("utf-16-le"))).startswith("sales.csv line 1: holds a NUL character")
    assert message(csv(b"PK\x03\x04\0\0")) == "sales.csv holds bytes that no text has; save it as CSV or Parquet"


def test_empty_files(csv):
    assert message(csv("")) == "sales.csv is empty; a header line and rows are needed"
    assert message(csv("\n\n")) == "sales.csv is empty; a header line and rows are needed"
    assert message(csv("ds,y\n")) == "sales.csv has a header and no rows"


def test_duplicate_columns_are_named_with_their_positions(csv):
    assert message(csv("ds,y,y\n1,2,3\n")) == (
        "sales.csv line 1: the column name 'y' stands at positions 2 and 3; rename one"
    )


def test_an_unreadable_header_is_refused(csv):
    path = csv('uni"s,y\n1,2\n3,4"\n')
    assert message(path) == "sales.csv line 1: the header cannot be read; check its quotes"


def test_a_missing_file_gets_its_nearest_names(csv, tmp_path):
    csv("ds,y\n1,2\n")
    assert message(tmp_path / "slaes.csv").endswith("slaes.csv does not exist; did you mean 'sales.csv'?")
    assert message(tmp_path).endswith("is a folder; pass a CSV, JSON lines or Parquet file")


def test_damaged_files(csv, tmp_path):
    pl.DataFrame({"y": [1.5] * 100}).write_parquet(tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    for cut in (4, len(whole) // 2, len(whole) - 1):
        assert message(csv(whole[:cut], "cut.parquet")).startswith("cut.parquet is not a whole Parquet file")
    assert "damaged gzip" in message(csv(gzip.compress(b"ds,y\n1,2\n" * 99)[:-9], "cut.csv.gz"))
    assert "no text has" in message(csv(b"PK\x03\x04\0\0\0\0", "sales.xlsx"))


def test_wrong_options(csv):
    path = csv("ds,y\n1,2\n")
    for separator in (";;", '"', "\n"):
        with pytest.raises(ArgumentError, match=r"^separator is .*; it is one ASCII character such as ';'$"):
            read_table(path, separator=separator)
    with pytest.raises(ArgumentError, match="decimal is 'x'"):
        read_table(path, decimal="x")
    with pytest.raises(ArgumentError, match="encoding 'klingon' is not known"):
        read_table(csv("ds,y\né,2\n"), encoding="klingon")


def test_what_comes_through_a_pipe_is_all_there(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    lines = [f"{row},text {row}" for row in range(20_000)]
    for read in (lambda: list(read_lines(pipe)), lambda: [",".join(row) for row in read_table(pipe).frame.rows()]):
        writer = threading.Thread(target=pipe.write_text, args=("\n".join(["id,text", *lines]) + "\n",), daemon=True)
        writer.start()
        assert kind_of(pipe) == "text"
        assert read()[-20_000:] == lines
        writer.join(10)
