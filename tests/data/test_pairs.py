"""Pairs of texts."""

import json
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.data.pairs import Pairs, read_pairs, read_sources
from recurra.errors import ArgumentError, DataError, Notice

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0\t")).map("x{}".format)


def message(path, **options):
    with pytest.raises(DataError) as caught:
        read_pairs(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def notices(path, **options):
    with pytest.warns(Notice) as caught:
        pairs = read_pairs(path, **options)
    assert {one.filename for one in caught} == {__file__}
    return pairs, [str(one.message) for one in caught]


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("a.tsv", 'a "dog\tein Hund\ncats\tKatzen\n', {}),
        ("a.txt", '\ufeffa "dog\tein Hund\r\ncats\tKatzen', {}),
        ("a.tsv", 'ein Hund\t1\ta "dog\nKatzen\t2\tcats\n', {"source": 3, "target": 1}),
        ("a.tsv", 'id\ten\tde\n1\t"a ""dog"\tein Hund\n2\tcats\tKatzen\n', {"source": "en", "target": "de"}),
        ("a.csv", 'en,de\n"a ""dog",ein Hund\ncats,Katzen\n', {}),
        ("a.csv", 'en;de\n"a ""dog";ein Hund\ncats;Katzen\n', {"separator": ";"}),
        ("a.jsonl", '{"en": "a \\"dog", "de": "ein Hund"}\n{"en": "cats", "de": "Katzen"}\n', {}),
    ],
    ids=["TSV", "text", "numbers", "named", "CSV", "semicolons", "JSON lines"],
)
def test_kinds_of_files_read_alike(csv, name, content, options):
    pairs = read_pairs(csv(content, name), **options)
    assert pairs.sources == ['a "dog', "cats"]
    assert pairs.targets == ["ein Hund", "Katzen"]
    assert len(pairs) == 2


def test_columns_of_parquet_stand_either_way(tmp_path):
    pl.DataFrame({"en": ["dog"], "de": ["Hund"]}).write_parquet(tmp_path / "a.parquet")
    assert read_pairs(tmp_path / "a.parquet").sources == ["dog"]
    assert read_pairs(tmp_path / "a.parquet", source="de", target="en").sources == ["Hund"]


def test_columns_within_an_object_are_named_by_a_dot(csv):
    path = csv('{"translation": {"en": "dog", "de": "Hund"}}\n', "a.jsonl")
    assert read_pairs(path, source="translation.en", target="translation.de").targets == ["Hund"]


def test_some_of_the_pairs_keep_their_places():
    pairs = Pairs(["a", "b", "c"], ["x", "y", "z"], "p.tsv", [0, 2, 3]).take([2, 0])
    assert (pairs.sources, pairs.targets) == (["c", "a"], ["z", "x"])
    assert pairs.at(0) == "p.tsv line 4"


def test_two_files_stand_side_by_side(csv):
    pairs = read_pairs(csv("dog\nc\u2028a\rts\n", "a.en"), target_path=csv("Hund\nKatzen", "a.de"))
    assert pairs.sources == ["dog", "c\u2028a\rts"]
    assert pairs.targets == ["Hund", "Katzen"]
    assert pairs.at(1) == "a.en line 2"


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1))
def test_what_is_written_is_read(drawn):
    with TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("a.tsv", "a.jsonl", "a.en", "a.de")]
        lines = [
            [f"{source}\t{target}" for source, target in drawn],
            [json.dumps({"s": source, "t": target}) for source, target in drawn],
            [source for source, _ in drawn],
            [target for _, target in drawn],
        ]
        for path, content in zip(paths, lines, strict=True):
            path.write_bytes("".join(f"{line}\n" for line in content).encode())
        found = [read_pairs(paths[0]), read_pairs(paths[1]), read_pairs(paths[2], target_path=paths[3])]
    for pairs in found:
        assert list(zip(pairs.sources, pairs.targets, strict=True)) == drawn


def test_sources_alone_are_a_field_of_each_line(csv):
    path = csv("1\tein Hund\ta dog\nzwei\n\n \t \t \n3\tKatzen\nx\0\ty\tz\n", "a.tsv")
    assert next(read_sources(path, 2))[:5] == ["ein Hund", "zwei", "", " \t \t ", "Katzen"]
    assert next(read_sources(path, 1))[:2] == ["1", "zwei"]
    found = next(read_sources(path, 3, alone=False))
    remedy = "between tabs, 3 are needed; choose another with source=..."
    assert [getattr(line, "message", line) for line in found[:5]] == [
        *("a dog", f"a.tsv line 2: 1 field {remedy}", "", " \t \t ", f"a.tsv line 5: 2 fields {remedy}"),
    ]
    assert found[5].message.startswith("a.tsv line 6: holds a NUL character")


def test_blank_pairs_are_left_out_with_one_notice(csv):
    expected = "source or target is empty; 2 rows like it. Left out, since they teach nothing"
    pairs, told = notices(csv("a\tb\n\nc\t \n\tf\ng\th\n", "a.tsv"))
    assert (pairs.sources, pairs.targets, pairs.rows) == (["a", "g"], ["b", "h"], [0, 4])
    assert told == [f"a.tsv line 2: {expected}"]
    assert pairs.at(1) == "a.tsv line 5"

    pairs, told = notices(csv("a\n \n\n\ne", "a.en"), target_path=csv("A\nB\nC\n\nE\n", "a.de"))
    assert (pairs.sources, pairs.targets, pairs.rows) == (["a", "e"], ["A", "E"], [0, 4])
    assert told == [f"a.en line 2: {expected}"]

    lines = [{"s": "a", "t": "b"}, {"s": "c"}, {"s": "", "t": "d"}, {"t": None, "s": "x"}, {"s": "e", "t": "f"}]
    pairs, told = notices(csv("\n".join(map(json.dumps, lines)), "a.jsonl"))
    assert (pairs.sources, pairs.targets, pairs.rows) == (["a", "e"], ["b", "f"], [0, 4])
    assert told == [f"a.jsonl line 2: {expected}"]
    assert pairs.at(1) == "a.jsonl line 5"


def test_further_columns_are_told_of(csv):
    path = csv("Go.\tGeh.\tCC-BY\nHi.\tHallo!\tCC-BY\n", "deu.txt")
    pairs, told = notices(path)
    assert pairs.targets == ["Geh.", "Hallo!"]
    assert told == [
        "deu.txt line 1: 3 fields between tabs; the first is taken as source, the second as target. "
        "Choose others with source=... and target=..."
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_pairs(path, source=2, target=1).sources == ["Geh.", "Hallo!"]


def test_different_counts_of_lines_are_refused_with_both(csv):
    short, long = csv("a\nb\n", "a.en"), csv("A\nB\nC\n\n", "a.de")
    ending = "each line of the one must be the target of the same line of the other. Mend the shorter one"
    assert message(short, target_path=long) == f"a.en has 2 lines and a.de 4; {ending}"
    assert message(long, target_path=short) == f"a.de has 4 lines and a.en 2; {ending}"


def test_a_missing_column_gets_its_nearest_names(csv):
    path = csv("english,german\na,b\n")
    assert message(path, source="englsh", target="german") == (
        "sales.csv has no column 'englsh' for the source; did you mean 'english'? Choose one with source=..."
    )
    assert message(path, source="english", target="x") == (
        "sales.csv has no column 'x' for the target; there are: 'english', 'german'. Choose one with target=..."
    )


def test_more_than_two_columns_must_be_chosen_from(csv):
    assert message(csv("id,en,de\n1,a,b\n")) == (
        "sales.csv has 3 columns, 'id', 'en', 'de'; choose two with source=... and target=..."
    )


def test_lines_without_a_tab_are_named(csv):
    assert message(csv("\na dog\n", "a.tsv")) == (
        "a.tsv line 2: 1 field between tabs, 2 are needed: 'a dog'. Put a tab between source and target, or pass "
        "--target-file for two files"
    )
    assert message(csv("a\tb\n", "a.tsv"), source=1, target=5).startswith(
        "a.tsv line 1: 2 fields between tabs, 5 are needed: 'a'"
    )


def test_ragged_lines_are_named(csv):
    assert message(csv("a\tb\nc\td\te\n", "a.tsv")) == (
        "a.tsv line 2: 3 fields between tabs where the lines before have 2: 'c\\td\\te'. Mend it, or pass "
        "source=... and target=... if the file has a header"
    )


def test_files_without_a_pair_are_refused(csv):
    ending = "holds no pair with a text on both sides; one at least is needed"
    assert message(csv("", "a.tsv")) == f"a.tsv {ending}"
    assert message(csv("\n", "a.en"), target_path=csv("A\n", "a.de")) == f"a.en {ending}"
    assert message(csv('{"a": "x", "b": ""}', "a.jsonl")) == f"a.jsonl {ending}"


def test_a_nul_character_is_refused_with_its_place(csv):
    assert message(csv("a\tb\nc\0\td\n", "a.tsv")).startswith("a.tsv line 2: holds a NUL character")
    assert message(csv('{"a": "x", "b": "\\u0000"}', "a.jsonl")).startswith(
        "a.jsonl line 1: column 'b' holds a NUL character"
    )


def test_files_that_are_missing_are_named(csv, tmp_path):
    path = csv("a\n", "a.en")
    assert message(tmp_path / "b.en").endswith("b.en does not exist; did you mean 'a.en'?")
    assert message(path, target_path=tmp_path / "a.de").endswith(
        f"a.de does not exist; nothing like it is in {tmp_path}"
    )
    assert message(tmp_path).endswith(
        "is a folder; pass a file of pairs: TSV, CSV, JSON lines or Parquet, or one of two text files"
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"source": "en"}, "source is 'en' and target is None; pass two names, two numbers or neither"),
        ({"source": "en", "target": 2}, "source is 'en' and target is 2; pass two names, two numbers or neither"),
        ({"source": 1, "target": 1}, "column 1 is both source and target; give each its own"),
        ({"source": 0, "target": 1}, "source is 0 and target is 1; columns are counted from 1"),
        (
            {"source": "en", "target": "de", "target_path": "a.de"},
            "source or target was passed beside target_path; two files have no columns, omit them",
        ),
    ],
)
def test_columns_that_do_not_go_together_are_refused(csv, options, expected):
    with pytest.raises(ArgumentError) as caught:
        read_pairs(csv("a\tb\n", "a.tsv"), **options)
    assert str(caught.value) == expected


def test_columns_with_names_have_no_numbers(csv):
    with pytest.raises(ArgumentError, match=r"^source is 1; the columns of a.jsonl have names, pass them$"):
        read_pairs(csv('{"a": "x", "b": "y"}', "a.jsonl"), source=1, target=2)
