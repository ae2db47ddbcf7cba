"""`recurra fit tag` and what follows it: sentences in files and in a pipe, and what is refused."""

import gzip
import io
import json
import sys

import polars as pl
import pytest

TRAIN = "".join(
    f"{first}\tB-person\n{second}went\tO\nto\tO\n{place}\tB-place\n\n"
    for first in ("Ann", "Bo", "Cem")
    for second in ("", "Dora\tI-person\n")
    for place in ("Rome", "Oslo", "Lima")
)
OPTIONS = (
    *("--steps", 60, "--batch-size", 4, "--learning-rate", 0.03, "--hidden-size", 6, "--embedding-size", 5),
    *("--character-size", 4, "--character-hidden", 3, "--dropout", 0.1, "--out", "run"),
)


@pytest.fixture
def tag(shell):
    """`fit tag` on a file of this content."""

    def call(*options, content=TRAIN, name="train.conll"):
        return shell("fit", "tag", shell.write(content, name), *OPTIONS, *options)

    return call


@pytest.fixture
def typed(monkeypatch):
    """Types lines into the command."""

    def lines(text):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return lines


def test_a_run_is_measured_beside_the_baseline_and_tags_a_pipe(shell, tag, typed):
    said = tag("--head", "crf", "--held-back", 0.3)
    assert (said.code, [line for line in said.err.splitlines() if line.startswith("error")]) == (0, [])
    assert "LSTM-CRF" in said.out
    assert "MostFrequentTag" in said.out
    assert "Next: recurra predict run" in said.out
    typed("Ann went to Lima\n\nCem Dora went to Oslo\n")
    assert shell.does("predict", "run").out.splitlines() == [
        "Ann/B-person went/O to/O Lima/B-place",
        "",
        "Cem/B-person Dora/I-person went/O to/O Oslo/B-place",
    ]
    typed("Bo went\n")
    found = json.loads(shell.does("predict", "run", "--json").out)
    assert found["tags"] == ["B-person", "O"]
    assert found["spans"] == [{"type": "person", "begin": 0, "end": 1, "text": "Bo"}]
    assert all(0.3 < sure <= 1 for sure in found["confidences"])
    typed("Ann\0\nBo went\n")
    said = shell("predict", "run")
    assert (said.code, said.out) == (2, "\nBo/B-person went/O\n")
    assert said.err.startswith("warning: standard input line 1: holds a NUL character")
    assert shell.refuses("predict", "run", "--explain").endswith("this run is a SequenceTagger's, leave it out")


def test_a_file_of_sentences_comes_back_in_columns(shell, tag):
    assert tag().code == 0
    shell.write("Ann\nwent\n\nOslo\n", "new.conll")
    said = shell.does("predict", "run", "new.conll")
    assert said.out == "Ann\tB-person\nwent\tO\n\nOslo\tB-place\n\n"
    shell.does("predict", "run", "new.conll", "--out", "tagged.conll")
    assert (shell.folder / "tagged.conll").read_text() == said.out
    rows = shell.does("predict", "run", "new.conll", "--json").json["rows"]
    assert [row["tags"] for row in rows] == [["B-person", "O"], ["B-place"]]
    scores = shell.does("evaluate", "run", "tagged.conll", "--json").json["scores"]
    assert scores["LSTM"]["accuracy"] == 1.0


@pytest.mark.parametrize("name", ["new.txt", "new", "new.txt.gz"])
def test_a_file_is_sentences_whatever_it_is_called(shell, tag, typed, name):
    assert tag().code == 0
    content = "Ann\nwent\n\nOslo\n"
    shell.write(gzip.compress(content.encode()) if name.endswith("gz") else content, name)
    assert shell.does("predict", "run", name).out == "Ann\tB-person\nwent\tO\n\nOslo\tB-place\n\n"
    typed("Ann went\n")
    assert shell.does("predict", "run").out == "Ann/B-person went/O\n"


def test_columns_of_other_files_are_named_when_a_run_is_used(shell, tag, typed):
    assert tag().code == 0
    swapped = "".join("\t".join(line.split("\t")[::-1]) + "\n" for line in TRAIN.splitlines())
    shell.write(swapped, "swapped.conll")
    shell.write("".join(f"?\t{line.split()[0]}\n" if line else "\n" for line in TRAIN.splitlines()), "plain.conll")
    assert shell.does("predict", "run", "plain.conll", "--token", 2, "--tag", 1).out == swapped
    scores = shell.does("evaluate", "run", "swapped.conll", "--token", 2, "--tag", 1, "--json").json["scores"]
    assert scores["LSTM"]["accuracy"] == 1.0
    pl.DataFrame({"words": [["Ann", "went"]], "a": [["B-person", "O"]], "b": [["X", "Y"]]}).write_parquet("new.parquet")
    said = shell.refuses("evaluate", "run", "new.parquet", "--token", "words")
    assert said == "new.parquet has no column 'tags', and lists in 'a', 'b'; choose one with --tag"
    assert shell.does("evaluate", "run", "new.parquet", "--token", "words", "--tag", "a").code == 0
    assert "there is no column 'ner' for the tag" in shell.refuses("evaluate", "run", "swapped.conll", "--tag", "ner")
    assert "--adapt is for language models; this run is a SequenceTagger's, leave it out" in shell.refuses(
        "evaluate", "run", "swapped.conll", "--adapt"
    )
    said = shell.refuses("evaluate", "run", "swapped.conll", "--label", "x")
    assert said == "--label is not there for SequenceTagger; there are --token, --tag"
    typed("Ann went\n")
    assert shell.refuses("predict", "run", "--token", 2) == "--token names a column, and lines have none; leave it out"


def test_columns_are_named_or_numbered(shell, tag):
    content = "".join(f"{line.split()[0]} x {line.split()[1]} y\n" if line else "\n" for line in TRAIN.splitlines())
    assert tag("--tag", "3", content=content).code == 0
    assert json.loads((shell.folder / "run" / "summary.json").read_text())["scheme"] == "bio"
    config = json.loads((shell.folder / "run" / "config.json").read_text())
    assert (config["task"], config["parameters"]["tag"]) == ("tag", 3)


def test_lists_in_parquet_are_sentences(shell, tag):
    sentences = [[line.split("\t") for line in part.splitlines()] for part in TRAIN.strip().split("\n\n")]
    frame = pl.DataFrame(
        {"tokens": [[t for t, _ in row] for row in sentences], "ner": [[t for _, t in row] for row in sentences]}
    )
    frame.write_parquet(shell.folder / "train.parquet")
    shell.does("fit", "tag", "train.parquet", *OPTIONS, "--tag", "ner", "--characters", "none")
    assert shell.does("predict", "run", "train.parquet").out.startswith(
        "Ann\tB-person\nwent\tO\nto\tO\nRome\tB-place\n\n"
    )


def test_a_run_that_was_cut_off_ends_as_the_whole_one_did(shell, tag, checksums):
    assert tag("--head", "crf").code == 0
    run = shell.folder / "run"
    model = checksums(run / "model")
    (run / "summary.json").unlink()
    for path in sorted((run / "model").iterdir()):
        path.unlink()
    (run / "model").rmdir()
    newest = max((run / "checkpoints" / "member-0").glob("step-*"))
    for path in newest.iterdir():
        path.unlink()
    newest.rmdir()
    shell.does("resume", "run")
    assert checksums(run / "model") == model


# --- what is refused, before anything is trained


def test_a_test_file_with_an_unseen_tag_is_refused_before_training(shell, tag):
    shell.write("Ann\tB-person\nUN\tB-group\n", "test.conll")
    said = tag("--test", "test.conll")
    assert (said.code, (shell.folder / "run").exists()) == (2, False)
    assert said.err.startswith(
        "error: test.conll line 2: 'UN' has the tag 'B-group', which training did not see; there "
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "train.conll is empty; a token on each line is needed"),
        ("Ann\n", "train.conll line 1: one column only, 'Ann'; a token and its tag, a tab or space between"),
        ("Ann O\nwent O O\n", "train.conll line 2: 3 columns where the lines before have 2: 'went O O'. Mend the line"),
        ("Ann O\n\nwent O\n", "train.conll holds one tag only, 'O', in 2 tokens; two are needed at least"),
        ("Ann X\nwe\0nt O\n", "train.conll line 2: holds a NUL character, which no text has; remove it"),
        (
            b"Ann X\nB\xf6 O\n",
            "train.conll line 2: the byte 0xf6 at byte offset 7 is not utf-8; pass --encoding latin-1",
        ),
        (
            "Ann X\nBo O\n",
            "train.conll: 0.1 of 1 rows cannot be held back; give more rows, or files of their own",
        ),
    ],
)
def test_what_is_faulty_is_named_in_one_line(shell, tag, content, message):
    said = tag(content=content)
    assert (said.code, said.out, (shell.folder / "run").exists()) == (2, "", False)
    assert said.err.startswith(f"error: {message}")
    assert len(said.err.splitlines()) == 1


def test_options_that_are_none_are_refused(shell, tag):
    assert tag("--head", "crv").err == "error: head is 'crv'; did you mean 'crf'?\n"
    assert tag("--characters", "foo").err.startswith("error: characters is 'foo'; there are: 'none', 'convolution', ")
    assert tag("--vocabulary-size", "0").err == "error: vocabulary_size is 0; it is a whole number, 5 or more\n"
    assert tag("--min-count", "-1").err == "error: min_count is -1; it is a whole number, 1 or more\n"
    assert not (shell.folder / "run").exists()
    assert "there is no column 'ner' for the tag" in tag("--tag", "ner").err
    assert tag("--token", "2", "--tag", "2").err == "error: column 2 is both token and tag; give each its own\n"
