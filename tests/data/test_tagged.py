"""Sentences of tagged tokens."""

import gzip
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.data.tagged import read_tagged, tagged_lines
from recurra.errors import ArgumentError, DataError, Notice

UNIVERSAL = """# newdoc id = 1
# text = They don't.
1\tThey\tthey\tPRON\tPRP\t_\t3\tnsubj\t_\t_
2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
2\tdo\tdo\tAUX\tVBP\t_\t3\taux\t_\t_
3\tn't\tnot\tPART\tRB\t_\t0\troot\t_\t_
3.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t_\t_

# text = 10 000
1\t10 000\t10000\tNUM\tCD\tNumType=Card\t0\troot\t_\t_
"""


def message(path, **options):
    with pytest.raises(DataError) as caught:
        read_tagged(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def lists(csv, *records):
    return csv("".join(json.dumps(record) + "\n" for record in records), "a.jsonl")


@pytest.mark.parametrize(
    "content",
    [
        "I O\nsaw O\nAnn B\n\nHi O\n",
        "I\tO\nsaw\tO\nAnn\tB\n\nHi\tO",
        "\ufeffI  PRP O\r\nsaw VBD\tO \r\nAnn NNP B\r\n\r\n\r\nHi UH O\r\n\r\n",
        "-DOCSTART- O\n\nI O\nsaw O\nAnn B\n\n-DOCSTART- O\n\nHi O\n",
        "# id = 1\nI O\nsaw O\nAnn B\n\n# id = 2\nHi O\n",
        "I\tO\nsaw\tO\nAnn\tB\n\t\nHi\tO\n",
        gzip.compress(b"I O\nsaw O\nAnn B\n\nHi O\n"),
    ],
    ids=["spaces", "tabs", "many columns", "documents", "comments", "tabs between sentences", "gzip"],
)
def test_columns_read_alike(csv, content):
    data = read_tagged(csv(content, "a.conll"))
    assert data.tokens == [["I", "saw", "Ann"], ["Hi"]]
    assert data.tags == [["O", "O", "B"], ["O"]]
    assert len(data) == 2


def test_places_are_the_lines_of_tokens(csv):
    data = read_tagged(csv("# id = 1\nI O\nsaw O\n\n# id = 2\nHi O\n", "a.conll"))
    assert [data.at(0), data.at(0, 1), data.at(1)] == ["a.conll line 2", "a.conll line 3", "a.conll line 6"]
    assert read_tagged(csv(UNIVERSAL, "a.conllu")).at(0, 1) == "a.conllu line 5"


def test_columns_are_chosen_by_number(csv):
    path = csv("O PRP I\nB NNP Ann\n", "a.conll")
    data = read_tagged(path, token=3, tag=1)
    assert (data.tokens, data.tags) == ([["I", "Ann"]], [["O", "B"]])


@pytest.mark.parametrize("name", ["a.conllu", "a.txt"])
@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        (None, [["PRON", "AUX", "PART"], ["NUM"]]),
        ("xpos", [["PRP", "VBP", "RB"], ["CD"]]),
        ("DEPREL", [["nsubj", "aux", "root"], ["root"]]),
        ("feats", [["_", "_", "_"], ["NumType=Card"]]),
        (5, [["PRP", "VBP", "RB"], ["CD"]]),
    ],
)
def test_conllu_is_known_by_its_columns_and_ranges_and_empty_nodes_are_no_words(csv, name, tag, expected):
    data = read_tagged(csv(UNIVERSAL, name), tag=tag)
    assert data.tokens == [["They", "do", "n't"], ["10 000"]]
    assert data.tags == expected


def test_lemmas_may_be_the_tokens(csv):
    assert read_tagged(csv(UNIVERSAL, "a.conllu"), token="lemma").tokens == [["they", "do", "not"], ["10000"]]


def test_a_line_may_name_other_columns(csv):
    content = "# global.columns = ID FORM UPOS PARSEME:MWE\n1\tHe\tPRON\t*\n2\tgave\tVERB\t1:LVC\n"
    path = csv(content, "a.cupt")
    assert read_tagged(path).tags == [["PRON", "VERB"]]
    assert read_tagged(path, tag="parseme:mwe").tags == [["*", "1:LVC"]]


@pytest.mark.parametrize("gap", [" ", "\t"])
def test_words_that_begin_with_a_hash_are_no_comments(csv, gap):
    content = f"#rnn{gap}B\nis{gap}O\n#fun{gap}O\n\n#{gap}O\n"
    assert read_tagged(csv(content, "a.conll")).tokens == [["#rnn", "is", "#fun"], ["#"]]


def test_spaces_of_other_kinds_belong_to_tokens(csv):
    data = read_tagged(csv("a\u00a0b O\n\u3000 O\n", "a.conll"))
    assert data.tokens == [["a\u00a0b", "\u3000"]]


def test_tokens_alone_are_read_to_predict(csv):
    for content in ("I\nsaw\n\nHi\n", "I O\nsaw O\n\nHi O\n"):
        data = read_tagged(csv(content, "a.txt"), tagged=False)
        assert (data.tokens, data.tags) == ([["I", "saw"], ["Hi"]], None)
    bare = UNIVERSAL.replace("PRON", "_").replace("NUM", "_")
    assert read_tagged(csv(bare, "a.conllu"), tagged=False).tokens == [["They", "do", "n't"], ["10 000"]]


@pytest.mark.parametrize("gap", ["\t", " "])
@given(sentences=st.data())
def test_what_is_written_is_read(gap, sentences):
    word = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0\t "), min_size=1)
    pairs = st.lists(st.lists(st.tuples(word, word), min_size=1), min_size=1)
    drawn = sentences.draw(pairs)
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.conll")
        blocks = ["".join(f"{token}{gap}{tag}\n" for token, tag in sentence) for sentence in drawn]
        path.write_text("-DOCSTART- -X-\n\n" + "\n".join(blocks), encoding="utf-8", newline="\n")
        data = read_tagged(path)
    assert data.tokens == [[token for token, _ in sentence] for sentence in drawn]
    assert data.tags == [[tag for _, tag in sentence] for sentence in drawn]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            "I PRP O\nsaw VBD\n",
            "line 2: 2 columns where the lines before have 3: 'saw VBD'. Mend the line; a blank one ends a sentence",
        ),
        (
            "I O\nsaw\n",
            "line 2: 1 column where the lines before have 2: 'saw'. Mend the line; a blank one ends a sentence",
        ),
        ("I\tO\n\tO\n", "line 2: the token in column 1 is empty; fill it or remove the line"),
        ("I\tO\nsaw\t \n", "line 2: the tag in column 2 is empty; fill it or remove the line"),
        ("\nI\nsaw\n", "line 2: one column only, 'I'; a token and its tag, a tab or space between"),
    ],
)
def test_faults_of_columns_name_the_line(csv, content, expected):
    assert message(csv(content, "a.conll")) == f"a.conll {expected}"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("AUX", "_", "line 5: column 'upos' is '_', which says that nobody has annotated 'do'; tag it, or choose "),
        ("3.1\t", "x\t", "line 7: 'x' is no number of a word; 3, a range 3-4 or an empty node 3.1 is one"),
        ("\n\n# text = 10 000", "", "line 8: word 1 where 4 is expected; a blank line ends a sentence"),
        ("2\tdo\t", "2\t\t", "line 5: the token in column 2 is empty; fill it or remove the line"),
        ("2\tdo\tdo\t", "2\tdo\t", "line 5: 9 columns where the lines before have 10: '2\\tdo\\tAUX\\tVBP"),
    ],
)
def test_faults_of_conllu_name_the_line(csv, old, new, expected):
    assert message(csv(UNIVERSAL.replace(old, new), "a.conllu")).startswith(f"a.conllu {expected}")


def test_plain_text_in_place_of_columns_is_shown_the_way(csv):
    path = csv("Ann went home\nBo stayed\n", "a.txt")
    assert message(path, tagged=False).endswith(
        "Mend the line; a blank one ends a sentence, and lines of plain text go to the standard input"
    )
    assert message(path).endswith("a blank one ends a sentence")


def test_a_file_that_is_not_what_its_name_says_is_refused(csv):
    assert message(csv("I O\n", "a.conllu")) == (
        "a.conllu line 1: 2 columns between tabs where CoNLL-U has ten, a number first; mend the file or call it .conll"
    )


def test_a_column_that_is_not_there_is_refused(csv):
    assert message(csv(UNIVERSAL, "a.conllu"), tag="xops") == (
        "a.conllu line 3: there is no column 'xops' for the tag; did you mean 'xpos'?"
    )
    path = csv("I O\n", "a.conll")
    assert message(path, tag="ner") == (
        "a.conll line 1: there is no column 'ner' for the tag; its columns have numbers only, 1 to 2"
    )
    assert message(path, tag=3) == "a.conll line 1: there is no column 3 for the tag; there are 2"
    with pytest.raises(ArgumentError, match=r"^tag is 0; columns are counted from 1$"):
        read_tagged(path, tag=0)
    with pytest.raises(ArgumentError, match=r"^column 2 is both token and tag; give each its own$"):
        read_tagged(path, token=2)


def test_files_without_tokens_are_refused(csv):
    assert message(csv("\n\n", "a.conll")) == "a.conll is empty; a token on each line is needed"
    assert message(csv("-DOCSTART- O\n\n", "a.conll")) == "a.conll holds no tokens; a token on each line is needed"


def test_a_line_without_end_is_refused(csv):
    assert message(csv(b"I O\n" + b"x" * 10_000_001, "a.conll")) == (
        "a.conll line 2: longer than 10,000,000 characters; break it into lines, one text each"
    )


# --- other tags in the same lines


def written(path, **options):
    """The text with tags A, B, C ... in place of those that are there."""
    data = read_tagged(path, tagged=False, token=options.get("token"))
    letters = iter("ABCDEFG")
    return tagged_lines(path, data.places, [[next(letters) for _ in row] for row in data.tokens], **options)


@pytest.mark.parametrize("name", ["a.conllu", "a.txt"])
def test_tags_go_into_their_column_of_conllu_and_nothing_else_changes(csv, name):
    upos = UNIVERSAL.replace("\tPRON\t", "\tA\t").replace("\tAUX\t", "\tB\t").replace("\tPART\t", "\tC\t")
    first, second = upos.replace("\tNUM\t", "\tD\t").split("\n\n")
    assert written(csv(UNIVERSAL, name)) == [f"{first}\n", second]
    assert written(csv(UNIVERSAL, name), tag="XPOS")[1] == second.replace("\tD\tCD\t", "\tNUM\tD\t")
    assert written(csv(UNIVERSAL, name), tag=4) == written(csv(UNIVERSAL, name))
    assert written(csv(UNIVERSAL, name), tag="ner") is None


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        ("I\n\nwe\n", {}, ["I\tA\n", "we\tB\n"]),
        ("I  PRP\nsaw VBD \n", {}, ["I  PRP A\nsaw VBD B\n"]),
        ("I\tPRP\n\n\nsaw\tVBD\n", {}, ["I\tPRP\tA\n", "saw\tVBD\tB\n"]),
        (" I  PRP x\nsaw VBD\ty\n", {"tag": 2}, [" I  A x\nsaw B\ty\n"]),
        ("O I\nB Ann\n", {"token": 2, "tag": 1}, ["A I\nB Ann\n"]),
        ("I PRP\n", {"tag": 3}, ["I PRP A\n"]),
        ("I PRP\n", {"tag": 1}, ["I PRP A\n"]),
        ("I PRP\n", {"tag": "ner"}, ["I PRP A\n"]),
        ("-DOCSTART- O\n\n# id = 1\nI O\n\n# end = 1\n", {}, ["-DOCSTART- O\n\n# id = 1\nI O A\n\n# end = 1\n"]),
        ("# global.columns = FORM NER\nI\tO\n", {"tag": "ner"}, ["# global.columns = FORM NER\nI\tA\n"]),
        ("\n\nI O\r\nsaw O", {}, ["I O A\nsaw O B\n"]),
    ],
)
def test_tags_go_into_the_column_chosen_or_behind_the_last(csv, content, options, expected):
    path = csv(content, "a.conll")
    assert written(path, **options) == expected


def test_what_is_written_with_tags_is_read_with_them(csv, tmp_path):
    path = csv("# id = 1\nI PRP\nsaw VBD\n\n#tag NN\n", "a.conll")
    (tmp_path / "b.conll").write_text("\n".join(written(path)))
    data = read_tagged(tmp_path / "b.conll")
    assert (data.tokens, data.tags) == ([["I", "saw"], ["#tag"]], [["A", "B"], ["C"]])


# --- lists


@pytest.mark.parametrize("kind", ["a.parquet", "a.jsonl"])
def test_lists_of_a_table_are_sentences(csv, tmp_path, kind):
    frame = pl.DataFrame({"tokens": [["I", "saw"], ["#", "\u00a0"]], "ner": [["O", "B"], ["O", "O"]]})
    frame.write_parquet(tmp_path / kind) if kind == "a.parquet" else frame.write_ndjson(tmp_path / kind)
    data = read_tagged(tmp_path / kind)
    assert data.tokens == frame["tokens"].to_list()
    assert data.tags == frame["ner"].to_list()
    assert data.at(1, 1) == ("a.parquet row 1: token 2" if kind == "a.parquet" else "a.jsonl line 2: token 2")


def test_the_column_of_tags_is_chosen(csv):
    path = lists(csv, {"id": 1, "words": ["I"], "tags": ["O"], "upos": ["PRON"], "codes": [7]})
    assert read_tagged(path, token="words").tags == [["O"]]
    assert read_tagged(path, token="words", tag="upos").tags == [["PRON"]]
    assert read_tagged(path, token="words", tag="codes").tags == [["7"]]
    assert read_tagged(path, token="words", tagged=False).tags is None


def test_arrays_of_one_length_and_categories_are_lists(tmp_path):
    frame = pl.DataFrame(
        {"tokens": [["I", "am"], ["a", "b"]], "codes": [[1, 2], [3, 1]], "id": [7, 8]},
        schema={"tokens": pl.Array(pl.Enum(["I", "am", "a", "b"]), 2), "codes": pl.Array(pl.Int8, 2), "id": pl.Int8},
    )
    frame.write_parquet(tmp_path / "a.parquet")
    data = read_tagged(tmp_path / "a.parquet")
    assert (data.tokens, data.tags) == ([["I", "am"], ["a", "b"]], [["1", "2"], ["3", "1"]])


def test_rows_without_tokens_stay_and_are_told_of(csv):
    path = lists(csv, {"tokens": ["I"], "tags": ["O"]}, {"tags": []}, {"tokens": [], "tags": None}, {"tokens": None})
    with pytest.warns(Notice) as caught:
        data = read_tagged(path)
    assert (data.tokens, data.tags) == ([["I"], [], [], []], [["O"], [], [], []])
    assert [str(one.message) for one in caught] == [
        "a.jsonl line 2: column 'tokens' is empty; 1 row like it. Kept as sentences of no tokens"
    ]
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (
            {"tokens": ["a", "b"], "tags": ["O"]},
            "a.jsonl line 2: 2 tokens in column 'tokens' and 1 tags in 'tags'; 1 row like it. Give each token one tag",
        ),
        (
            {"tokens": ["a", ""], "tags": ["O", "O"]},
            "a.jsonl line 2: token 2 in column 'tokens' is empty; mend the list",
        ),
        ({"tokens": ["a"], "tags": [None]}, "a.jsonl line 2: tag 1 in column 'tags' is empty; mend the list"),
        (
            {"tokens": ["a\0"], "tags": ["O"]},
            "a.jsonl line 2: token 1 in column 'tokens' holds a NUL character, 'a\\x00'; mend the list",
        ),
        (
            {"tokens": "a b", "tags": ["O"]},
            "a.jsonl: column 'tokens' is of type String; a list of strings a row is needed",
        ),
    ],
)
def test_faults_of_lists_name_the_row(csv, second, expected):
    path = lists(csv, {"tokens": ["I"], "tags": ["O"]}, second, {"tokens": ["x"], "tags": []})
    assert message(path) == expected


def test_lists_that_are_no_tokens_are_refused(csv):
    assert message(lists(csv, {"tokens": [1, 2], "tags": ["a", "b"]})) == (
        "a.jsonl: column 'tokens' is of type List(Int64); tokens are strings"
    )


def test_columns_of_lists_that_are_missing_are_named(csv):
    assert message(lists(csv, {"token": ["a"], "tags": ["b"]})) == (
        "a.jsonl has no column 'tokens' for the token; did you mean 'token'? Choose one with token=..."
    )
    assert message(lists(csv, {"tokens": ["a"], "upos": ["b"], "xpos": ["c"]})) == (
        "a.jsonl has no column 'tags', and lists in 'upos', 'xpos'; choose one with tag=..."
    )
    assert message(lists(csv, {"tokens": ["a"]})) == (
        "a.jsonl has no column 'tags' for the tag; there are: 'tokens'. Choose one with tag=..."
    )
    path = lists(csv, {"tokens": ["a"], "tags": ["b"]})
    with pytest.raises(ArgumentError, match=r"^the columns of a.jsonl have names; pass them for token and tag, not"):
        read_tagged(path, tag=2)
    with pytest.raises(ArgumentError, match=r"^column 'tokens' is both token and tag; give each its own$"):
        read_tagged(path, tag="tokens")
