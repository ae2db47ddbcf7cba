"""`recurra fit translate` and what follows it: pairs in tables and beside each other, a pipe, and what is refused."""

import gzip
import io
import json
import shutil
import sys

import polars as pl
import pytest

WORDS = {"ein": "a", "Hund": "dog", "Mann": "man", "Kind": "child", "rennt": "runs", "lacht": "laughs"}
SOURCES = [f"ein {who} {does}" for who in ("Hund", "Mann", "Kind") for does in ("rennt", "lacht")] * 5
TARGETS = [" ".join(WORDS[word] for word in source.split()) for source in SOURCES]
PAIRS = "".join(f"{source}\t{target}\n" for source, target in zip(SOURCES, TARGETS, strict=True))
OPTIONS = (
    *("--steps", 200, "--batch-size", 8, "--learning-rate", 0.03, "--hidden-size", 16, "--embedding-size", 8),
    *("--dropout", 0.1, "--tokenizer", "word", "--min-count", 1, "--out", "run"),
)
FEW = (*OPTIONS, "--steps", 2)


def lines(texts):
    return "".join(f"{text}\n" for text in texts)


@pytest.fixture(scope="module")
def _trained(tmp_path_factory):
    """A run on TSV without a header, in the folder `run`."""
    from recurra.cli.main import main

    folder = tmp_path_factory.mktemp("translated")
    (folder / "pairs.tsv").write_text(PAIRS)
    options = [str(folder / "run") if option == "run" else str(option) for option in OPTIONS]
    assert main(["fit", "translate", str(folder / "pairs.tsv"), *options, "--quiet"]) == 0
    return folder


@pytest.fixture
def trained(_trained, shell):
    """The shell in a folder with that run."""
    shutil.copytree(_trained / "run", shell.folder / "run")
    shutil.copy(_trained / "pairs.tsv", shell.folder)
    return shell


@pytest.fixture
def typed(monkeypatch):
    """Types lines into the command."""

    def type_lines(text):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return type_lines


def test_a_run_records_its_measures_and_examples(trained):
    scores = json.loads((trained.folder / "run/scores.json").read_text())
    assert scores["scores"]["LSTM"]["exact"] == 1.0
    assert list(scores["scores"]) == ["LSTM", "NearestSource", "CopySource"]
    assert scores["details"]["chrf_signature"].startswith("nrefs:1|case:mixed")
    examples = json.loads((trained.folder / "run/examples.json").read_text())
    assert len(examples["alignments"]) == 3
    summary = json.loads((trained.folder / "run/summary.json").read_text())
    assert summary["tokens_per_second"] > 0
    assert summary["valid"]["bleu"] is None  # sentences of three words
    assert summary["valid"]["chrf"] > 90
    assert "the whole target in one call" in summary["explain"]


def test_a_pipe_is_translated_line_by_line_in_order(trained, typed):
    typed("ein Hund rennt\n\nein Kind lacht\n")
    assert trained.does("predict", "run").out == "a dog runs\n\na child laughs\n"
    typed("ein Mann rennt\n")
    found = json.loads(trained.does("predict", "run", "--json").out)
    assert found["translation"] == "a man runs"
    assert -1 < found["score"] < 0


def test_a_text_file_is_translated_and_a_table_of_pairs_is_measured(trained):
    trained.write("ein Hund rennt\n", "new.txt")
    assert trained.does("predict", "run", "new.txt").out == "a dog runs\n"
    assert "LSTM" in trained.does("evaluate", "run", "pairs.tsv").out
    found = trained.does("evaluate", "run", "pairs.tsv", "--json").json
    assert found["scores"]["LSTM"]["exact"] == 1.0


def test_two_files_are_measured_side_by_side(trained):
    trained.write(lines(SOURCES), "new.de")
    trained.write(lines(TARGETS), "new.en")
    found = trained.does("evaluate", "run", "new.de", "--target-file", "new.en", "--json").json
    assert found["scores"]["LSTM"]["exact"] == 1.0
    assert found["measured_on"] == "30 pairs of new.de"
    trained.write(lines(TARGETS[:-1]), "new.en")
    said = trained.refuses("evaluate", "run", "new.de", "--target-file", "new.en")
    assert said.startswith("new.de has 30 lines and new.en 29")


@pytest.mark.parametrize("name", ["new.tsv", "new.tsv.gz", "new.txt", "new.pairs"])
def test_lines_without_a_header_are_read_as_in_training(trained, name):
    content = "".join(f"{line}\n" for line in ("ein Hund rennt\t?", "ein Kind lacht", "", "ein Mann rennt\ta\tb"))
    trained.write(gzip.compress(content.encode()) if name.endswith("gz") else content, name)
    assert trained.does("predict", "run", name).out == "a dog runs\na child laughs\n\na man runs\n"
    trained.write(PAIRS, "pairs.tsv")
    assert trained.does("predict", "run", "pairs.tsv").out.splitlines() == TARGETS
    found = trained.does("predict", "run", "pairs.tsv", "--json").out.splitlines()
    assert [json.loads(row)["translation"] for row in found] == TARGETS
    found = trained.does("predict", "run", "pairs.tsv", "--explain", "--json").out.splitlines()
    assert json.loads(found[0])["source"] == ["ein", "Hund", "rennt"]


def test_the_source_is_the_field_that_is_numbered(trained):
    trained.write("1\tein Hund rennt\n2\tein Kind lacht\n", "new.tsv")
    assert trained.does("predict", "run", "new.tsv", "--source", 2).out == "a dog runs\na child laughs\n"
    trained.write("1\tein Hund rennt\nein Kind lacht\n", "new.tsv")
    said = trained("predict", "run", "new.tsv", "--source", 2)
    remedy = "1 field between tabs, 2 are needed; choose another with --source"
    assert (said.code, said.out, said.err) == (2, "a dog runs\n\n", f"warning: new.tsv line 2: {remedy}\n")
    said = trained("predict", "run", "new.tsv", "--source", 2, "--json")
    assert json.loads(said.out.splitlines()[1]) == {"error": f"new.tsv line 2: {remedy}"}
    assert trained.refuses("predict", "run", "new.tsv", "--source", 0) == "--source is 0; columns are counted from 1"
    trained.write("de\nein Hund rennt\n", "new.csv")
    said = trained.refuses("predict", "run", "new.csv", "--source", 1)
    assert said == "--source is 1; the columns of new.csv have names, pass one of them"


def test_a_table_whose_columns_training_had_not_asks_for_one(trained):
    said = trained.refuses("predict", "run", trained.write("de,en\nein Hund,a dog\n", "new.csv"))
    assert said == (
        "new.csv: training had lines without a header, so that none of its columns is known; name that of the sources "
        "with --source, or pass them as lines"
    )


def test_a_bad_line_does_not_end_the_rest(trained, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"ein Hund rennt\nbad\xff x\nein Kind lacht\n")))
    said = trained("predict", "run")
    assert (said.code, said.out) == (2, "a dog runs\n\na child laughs\n")
    assert said.err.startswith("warning: standard input line 2: the byte 0xff at byte 3 of the line is not utf-8")


def test_columns_by_name_and_a_table_back(shell):
    frame = pl.DataFrame({"n": range(30), "en": TARGETS, "de": SOURCES})
    frame.write_parquet("pairs.parquet")
    shell.does("fit", "translate", "pairs.parquet", "--source", "de", "--target", "en", *FEW)
    frame.select("de").write_csv("new.csv")
    rows = shell.does("predict", "run", "new.csv").rows
    assert list(rows[0]) == ["de", "predicted"]
    assert len(rows) == 30


def test_columns_by_number_of_lines_without_a_header(shell):
    shell.write("".join(f"{row}\t{t}\t{s}\n" for row, (s, t) in enumerate(zip(SOURCES, TARGETS, strict=True))), "p.tsv")
    shell.does("fit", "translate", "p.tsv", "--source", 3, "--target", 2, *FEW)
    assert json.loads((shell.folder / "run/config.json").read_text())["parameters"]["source"] == 3


def test_two_files_side_by_side(shell):
    for part in ("train", "test"):
        shell.write(lines(SOURCES), f"{part}.de")
        shell.write(lines(TARGETS), f"{part}.en")
    both = ("--test", "test.de", "--test-target-file", "test.en")
    shell.does("fit", "translate", "train.de", "--target-file", "train.en", *both, *FEW)
    scores = json.loads((shell.folder / "run/scores.json").read_text())
    assert scores["measured_on"] == "30 pairs of test.de"
    shell.write("ein Hund, der rennt\nein\tKind\n", "letter.de")
    for name in ("letter.de", "letter"):
        (shell.folder / "letter.de").rename(shell.folder / name)
        assert len(shell.does("predict", "run", name).out.splitlines()) == 2
        (shell.folder / name).rename(shell.folder / "letter.de")
    found = shell.does("predict", "run", "letter.de", "--explain", "--json").out.splitlines()
    assert json.loads(found[1])["source"] == ["ein", "Kind"]  # a line is whole, as in training
    shell.write("ein Hund\ta dog\n", "letter.tsv")
    assert json.loads(shell.does("predict", "run", "letter.tsv", "--explain", "--json").out)["text"] == "ein Hund"
    shell.write(lines(TARGETS[:-1]), "train.en")
    (shell.folder / "run/summary.json").unlink()  # as if it had been stopped
    assert "train.de has 30 lines and train.en 29" in shell.refuses("resume", "run")
    shell.write(lines(TARGETS[::-1]), "train.en")
    assert "train.en has changed since the run began" in shell.refuses("resume", "run")


def test_files_of_targets_that_are_missing_are_asked_for(shell):
    shell.write(lines(SOURCES), "train.de")
    shell.write(lines(TARGETS), "train.en")
    call = ("fit", "translate", "train.de", "--target-file", "train.en", *FEW)
    assert shell.refuses(*call, "--test", "train.de").startswith("--target-file was passed and no --test-target-file")
    said = shell.refuses(*call, "--valid-target-file", "train.en")
    assert said == "--valid-target-file is train.en and --valid is missing; pass the sources, too"
    assert "two files have no columns, omit them" in shell.refuses(*call, "--source", "de", "--target", "en")
    assert not (shell.folder / "run").exists()


def test_a_missing_column_is_named_with_its_neighbours(shell):
    shell.write("de,en\nein,a\nzwei,two\n", "pairs.csv")
    said = shell.refuses("fit", "translate", "pairs.csv", "--source", "dee", "--target", "en", *FEW)
    assert said == "pairs.csv has no column 'dee' for the source; did you mean 'de'? Choose one with --source"
    said = shell.refuses("fit", "translate", "pairs.csv", "--source", "de", *FEW)
    assert said == "source is 'de' and target is None; pass --target, too; columns: 'de', 'en'"
    assert "one at least is needed" in shell.refuses("fit", "translate", shell.write("a\t\n", "x.tsv"), *FEW)
    said = shell.refuses("fit", "translate", shell.write("\na\tb\n", "x.tsv"), *FEW)
    assert said == "x.tsv line 2: 0.1 of 1 rows cannot be held back; give more rows, or files of their own"
    assert not (shell.folder / "run").exists()


def test_a_blank_side_is_left_out_and_counted(shell):
    said = shell.does("fit", "translate", shell.write(PAIRS + "x\t\n", "p.tsv"), *FEW)
    assert said.notes[0] == "p.tsv line 31: source or target is empty. Left out, since they teach nothing"


def test_a_table_is_explained_by_its_sources(shell):
    shell.write("de,en\n" + PAIRS.replace("\t", ","), "pairs.csv")
    shell.does("fit", "translate", "pairs.csv", "--source", "de", "--target", "en", *FEW)
    new = shell.write("de\nein Hund rennt\nein Kind lacht\n", "new.csv")
    found = shell.does("predict", "run", new, "--explain", "--json").out.splitlines()
    assert [json.loads(line)["source"] for line in found] == [["ein", "Hund", "rennt"], ["ein", "Kind", "lacht"]]


def test_a_column_called_predicted_is_not_overwritten(shell):
    shell.write("de,en\n" + PAIRS.replace("\t", ","), "pairs.csv")
    shell.does("fit", "translate", "pairs.csv", "--source", "de", "--target", "en", *FEW)
    said = shell.refuses("predict", "run", shell.write("de,predicted\nein Hund,mine\n", "new.csv"))
    assert said == "new.csv: what is predicted would replace its column 'predicted'; rename or drop the column"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--max-tokens", 2), ": a side has 3 tokens and max_tokens is 2, as in all other pairs, and none is left for"),
        (("--min-count", 500), "texts hold no word token that occurs 500 times"),
        (("--min-count", -1), "min_count is -1; expected an int of at least 1"),
        (("--vocabulary-size", 0), "vocabulary_size is 0; expected an int of at least 1"),
        (("--held-back", 2), "the share held back is 2.0"),
    ],
)
def test_what_cannot_be_learned_is_told_before_a_run_is_made(shell, options, said):
    assert said in shell.refuses("fit", "translate", shell.write(PAIRS, "pairs.tsv"), *OPTIONS, *options)
    two = shell.write("a\tb\nc\td\n", "two.tsv")
    assert "0.1 of 1 rows cannot be held back" in shell.refuses("fit", "translate", two, *OPTIONS)
    assert not (shell.folder / "run").exists()


def test_columns_of_other_files_are_named_when_a_run_is_used(shell, typed):
    shell.write("de,en\n" + PAIRS.replace("\t", ","), "pairs.csv")
    shell.does("fit", "translate", "pairs.csv", "--source", "de", "--target", "en", *FEW)
    expected = [row["predicted"] for row in shell.does("predict", "run", "pairs.csv").rows]
    shell.write(
        "n,deutsch,english\n" + "".join(f"1,{line}\n" for line in PAIRS.replace("\t", ",").splitlines()), "new.csv"
    )
    said = shell.refuses("predict", "run", "new.csv")
    assert said.startswith("new.csv has no column 'de' for the source;")
    assert said.endswith("Choose one with --source")
    rows = shell.does("predict", "run", "new.csv", "--source", "deutsch").rows
    assert [row["predicted"] for row in rows] == expected
    names = ("--source", "deutsch", "--target", "english")
    assert "LSTM" in shell.does("evaluate", "run", "new.csv", *names).out
    assert "LSTM" in shell.does("evaluate", "run", shell.write(PAIRS, "p.tsv"), "--source", 1, "--target", 2).out
    assert "two files have no columns" in shell.refuses("evaluate", "run", "p.tsv", "--target-file", "p.tsv", *names)
    typed("ein Hund\n")
    said = shell.refuses("predict", "run", "--source", "de")
    assert said == "--source names a column, and lines have none; leave it out"
    said = shell.refuses("predict", "run", shell.write("ein Hund\n", "letter.de"))
    assert said.endswith(
        "; letter.de was read as CSV because of its name, lines of text are read from a .txt file or the standard input"
    )
    said = shell.refuses("predict", "run", "new.csv", "--text", "deutsch")
    assert said == "--text is not there for Translator; there are --source"


def test_a_run_on_lines_reads_a_column_that_is_named(trained):
    trained.write(lines(["de", *SOURCES]), "new.csv")
    rows = trained.does("predict", "run", "new.csv", "--source", "de").rows
    assert [row["predicted"] for row in rows] == TARGETS


def test_the_search_is_changed_when_a_run_is_used(trained, typed, monkeypatch):
    from recurra.tasks import translation

    searched, write = [], translation.write_texts

    def note(network, texts, tokenizers, search, **options):
        searched.append((search.size, search.penalties.length))
        return write(network, texts, tokenizers, search, **options)

    monkeypatch.setattr(translation, "write_texts", note)
    for options in ((), ("--beam-size", 2), ("--length-penalty", 0)):
        typed("ein Hund rennt\n")
        assert trained.does("predict", "run", *options).out == "a dog runs\n"
    assert searched == [(5, 0.6), (2, 0.6), (5, 0.0)]
    for options, said in (
        (("--beam-size", 0), "beam_size is 0; expected an int of at least 1"),
        (("--length-penalty", -1), "length_penalty is -1.0; expected a number of at least 0"),
    ):
        typed("ein Hund rennt\n")
        assert trained.refuses("predict", "run", *options).startswith(said)


def test_explanations_as_json_are_one_a_line(trained, typed):
    typed("ein Hund rennt\n\nein Kind lacht\n")
    found = [json.loads(line) for line in trained.does("predict", "run", "--explain", "--json").out.splitlines()]
    assert [row["translation"] for row in found] == ["a dog runs", "", "a child laughs"]


def test_no_attention_by_name(shell):
    shell.does("fit", "translate", shell.write(PAIRS, "p.tsv"), "--attention", "none", *FEW)
    assert "attention is None" in shell.refuses("predict", "run", shell.write("ein Hund\n", "x.txt"), "--explain")
