"""`recurra fit language` and `recurra generate`: from a text to a model that goes on with it, as a user meets them."""

import gzip
import json
import re
import sys

import pytest

pytest.importorskip("tokenizers")

LINES = ["the cat sat on the mat", "the dog sat on the cat", "a dog ran to the mat"]
TEXT = "\n".join(LINES[(7 * i) % 3] for i in range(90)) + "\n"
TINY = (
    *("--hidden-size", 12, "--num-layers", 1, "--embedding-size", 8, "--chunk", 16),
    *("--steps", 25, "--batch-size", 4, "--learning-rate", 0.02, "--seed", 3),
)


@pytest.fixture
def trained(shell):
    """A finished run of characters called `run`."""
    shell.write(TEXT, "cats.txt")
    return shell.does("fit", "language", "cats.txt", "--tokenizer", "character", *TINY, "--out", "run", "--json")


def test_a_text_becomes_a_measured_model_and_a_report(shell, trained):
    found = trained.json["scores"]
    assert list(found["scores"]) == ["LSTM", "KneserNey", "Unigram"]
    assert found["measured_on"] == "a part of cats.txt held back"
    assert found["details"]["characters"] == round(0.05 * len(TEXT))
    assert (shell.folder / "run" / "report.html").is_file()


def test_generate_writes_the_prompt_and_what_follows_by_the_seed(shell, trained):
    options = ("--prompt", "the ", "--tokens", 20, "--seed", 1, "--temperature", 0.7, "--top-k", 5, "--top-p", 0.9)
    text = shell.does("generate", "run", *options).out
    assert text.startswith("the ")
    assert len(text) == 4 + 20 + 1
    assert shell.does("generate", "run", *options).out == text
    said = shell.does("generate", "run", *options, "--json").json
    assert said == {"prompt": "the ", "text": text[4:-1], "tokens": 20, "seed": 1}
    assert shell.does("generate", "run", "--tokens", 3, "--temperature", 0).out != ""


def test_pieces_are_printed_as_they_come(shell, trained, monkeypatch):
    printed = []

    def stream(self, prompt, **options):
        for piece in "abc":
            printed.append(sys.stdout.getvalue())
            yield piece

    monkeypatch.setattr("recurra.tasks.language.LanguageModel.stream", stream)
    assert shell.does("generate", "run", "--prompt", "the").out == "theabc\n"
    assert printed == ["the", "thea", "theab"]


def test_evaluate_rates_a_copy_that_adapts_where_it_is_asked_to(shell, trained):
    shell.write(TEXT[:400], "part.txt")
    found = shell.does("evaluate", "run", "part.txt", "--adapt", "--json").json
    assert list(found["scores"]) == ["LSTM", "LSTM, adapting"]
    assert list(shell.does("evaluate", "run", "part.txt", "--json").json["scores"]) == ["LSTM"]


def test_predict_rates_each_line_in_a_pipe_and_evaluate_another_text(shell, trained):
    shell.write("the cat sat on the mat\n\nxqz\n", "lines.txt")
    rows = [line.split("\t") for line in shell.does("predict", "run", "lines.txt").out.splitlines()]
    assert [row[2] for row in rows] == ["the cat sat on the mat", "", "xqz"]
    assert float(rows[0][0]) < float(rows[2][0])
    fields = [json.loads(line) for line in shell.does("predict", "run", "lines.txt", "--json").out.splitlines()]
    assert [each["tokens"] for each in fields] == [23, 1, 4]
    scores = shell.does("evaluate", "run", "cats.txt", "--json").json
    assert scores["details"]["tokens"] == len(TEXT)


@pytest.mark.parametrize("name", ["lines.txt.gz", "lines.log", "lines.csv", "lines"])
def test_every_text_file_is_lines(shell, trained, name):
    content = b"text,label\nthe cat\n"
    shell.write(gzip.compress(content) if name.endswith("gz") else content, name)
    rows = [line.split("\t") for line in shell.does("predict", "run", name).out.splitlines()]
    assert [row[2] for row in rows] == ["text,label", "the cat"]


def test_a_table_is_nothing_to_rate(shell, trained):
    for name in ("new.jsonl", "new.parquet"):
        said = shell.refuses("predict", "run", shell.write("{}\n", name))
        assert said == f"{name} is a table, and a language model rates lines of text; pass a text file"
    assert shell.refuses("predict", "run", "none.parquet").startswith("none.parquet does not exist")
    said = shell.refuses("predict", "run", "cats.txt", "--text", "text")
    assert said == "--text is not there for LanguageModel"
    assert shell.refuses("predict", "run", "cats.txt", "--explain") == (
        "--explain shows what each token contributes to a classifier's answer and what a translator looked at; "
        "this run is a LanguageModel's, leave it out"
    )
    said = shell("predict", "run", shell.write(b"the cat\na\0b\nthe dog\n", "bad.txt"))
    first, second, third = said.out.splitlines()
    assert (said.code, first.split("\t")[2], second, third.split("\t")[2]) == (2, "the cat", "", "the dog")
    assert said.err.startswith("warning: bad.txt line 2: holds a NUL character")


def test_several_files_their_own_for_measuring_and_packed_ones(shell):
    shell.write(TEXT, "a.txt")
    shell.write(gzip.compress(TEXT.encode()), "b.txt.gz")
    shell.write(LINES[0] + "\n", "test.txt")
    said = shell.does(
        *("fit", "language", "a.txt", "b.txt.gz", "--valid", "a.txt", "--test", "test.txt", "--tokenizer", "word"),
        *("--hidden-size", 10, "--hidden-size", 9, "--embedding-size", 8, "--steps", 4, "--batch-size", 4),
        *("--chunk", 16, "--out", "run", "--json"),
    ).json
    assert said["scores"]["details"]["tokens"] == 7
    config = json.loads((shell.folder / "run" / "config.json").read_text())
    assert config["parameters"]["hidden_size"] == [10, 9]
    assert [source["path"].endswith("b.txt.gz") for source in config["more"]] == [True]
    assert json.loads((shell.folder / "run" / "summary.json").read_text())["rows"] == 2 * len(TEXT)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "bad.txt is empty; a text is needed"),
        (b"fine\nno\xe9", "bad.txt line 2: the byte 0xe9 at byte offset 7 is not utf-8"),
        (b"a\0b", "bad.txt line 1: holds a NUL character"),
        (b"\x1f\x8bno", "bad.txt is a damaged gzip file"),
        (b"PAR1\x15\x04\xd4PAR1", "bad.txt is Parquet; a language model reads plain text: write its column of texts"),
    ],
)
def test_a_faulty_text_is_one_line_and_makes_no_run(shell, content, said):
    shell.write(content, "bad.txt")
    assert shell.refuses("fit", "language", "bad.txt", "--out", "run").startswith(said)
    assert not (shell.folder / "run").exists()


def test_wrong_options_are_named_and_make_no_run(shell):
    shell.write(TEXT, "cats.txt")
    assert shell.refuses("fit", "language", "cats.txt", "--tokenizer", "words").startswith("tokenizer is 'words'")
    assert shell.refuses("fit", "language", "cats.txt", "--held-back", 2).startswith("the share held back is 2.0")
    shell.write(TEXT * 60, "many.txt")
    for option, name in (("--vocabulary-size", "vocabulary_size"), ("--min-count", "min_count")):
        said = shell.refuses("fit", "language", "many.txt", option, "-1")
        assert said == f"{name} is -1; expected an int of at least 1"
    assert not (shell.folder / "runs").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--batch-size", 2000), "too few for 2000 rows; pass more text, or a smaller batch_size"),
        (("--tokenizer", "word", "--min-count", 500), "texts hold no word token that occurs 500 times"),
        (("--tokenizer", "word", "--vectors", "none.txt"), "none.txt does not exist"),
        (("--tokenizer", "word", "--vectors", "bad.vec"), "bad.vec line 2: 1 number after the word where 2"),
        (("--valid-share", 0.001, "--tokenizer", "word"), "leaves a part empty"),
    ],
)
def test_what_cannot_be_learned_is_told_before_a_run_is_made(shell, options, said):
    shell.write(TEXT, "cats.txt")
    shell.write("cat 1 2\ndog 3\n", "bad.vec")
    assert said in shell.refuses("fit", "language", "cats.txt", *options, "--out", "run")
    assert not (shell.folder / "run").exists()


def test_generate_refuses_other_runs_and_wrong_options(shell, trained):
    assert shell.refuses("generate", "nothing").startswith("nothing is no run folder")
    assert shell.refuses("generate", "run", "--tokens", 0).startswith("tokens is 0")
    said = shell.refuses("generate", "run", "--top-k", 1000)
    assert re.fullmatch(r"top_k is 1000, there are \d+ tokens; expected at most so many", said)
    said = shell.refuses("generate", "run", "--top-p", 0)
    assert said == "top_p is 0.0; expected a probability above 0, up to 1, or leave it out"
    said = shell.refuses("generate", "run", "--seed", -5)
    assert said == "seed is -5; expected an int of at least 0, or leave it out"
    shell.fit("ds,y\n" + "".join(f"2024-01-{day:02},{day % 7}\n" for day in range(1, 31)), out="other")
    line = shell.refuses("generate", "other")
    assert line == "other is a Forecaster's run; one of `recurra fit language` writes text"
