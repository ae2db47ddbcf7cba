"""Classifying texts as a user meets it: fit, predict from tables and pipes, explain, evaluate, report, resume."""

import gzip
import io
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

SHELL = [sys.executable, "-c", "import sys; from recurra.cli.main import main; sys.exit(main(sys.argv[1:]))"]


@pytest.fixture
def piped(monkeypatch):
    """Puts bytes on standard input."""

    def put(content):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))

    return put


# --- fit


def test_a_run_is_measured_beside_baselines_and_reported(shell, mails):
    said = shell.classify(mails(40))
    assert said.code == 0
    assert said.out.splitlines()[0].strip() == "measured on 4 texts of a part of mails.csv held back"
    assert all(name in said.out for name in ("LSTM", "NaiveBayes", "MajorityClass", "calibration error"))
    assert said.out.splitlines()[-1].endswith("Next: recurra predict run")
    names = {path.name for path in (shell.folder / "run").iterdir()}
    assert names >= {
        "config.json", "summary.json", "scores.json", "examples.json", "predictions.csv", "metrics.jsonl", "model",
        "report.html", "confusion.png", "reliability.png", "training.png",
    }  # fmt: skip


def test_json_tells_the_run_the_scores_and_the_report(shell, mails):
    found = shell.classify(mails(40), "--json", "--test", shell.write(mails(20), "more.csv")).json
    assert (found["run"], found["report"]) == ("run", "run/report.html")
    assert found["scores"]["measured_on"] == "20 texts of more.csv"
    assert set(found["scores"]["scores"]) == {"LSTM", "NaiveBayes", "MajorityClass"}
    assert found["scores"]["scores"]["NaiveBayes"]["accuracy"] == 1.0
    assert sum(map(sum, found["scores"]["details"]["confusion"])) == 20


@pytest.mark.parametrize("name", ["mails.jsonl", "mails.parquet", "mails.tsv"])
def test_tables_of_other_kinds_give_the_same_model(shell, classified, mails, name):
    table = pl.read_csv(mails(40).encode())
    if name.endswith("parquet"):
        table.write_parquet(name)
    elif name.endswith("tsv"):
        table.write_csv(name, separator="\t")
    else:
        table.write_ndjson(name)
    shell.does("fit", "classify", name, *_settings(), "--out", "other")
    for member in ("model.safetensors", "tokenizer.json"):
        assert (shell.folder / "other" / "model" / member).read_bytes() == (classified / "model" / member).read_bytes()


# --- predict


def test_a_table_comes_back_with_what_is_predicted(shell, classified, mails):
    rows = shell.does("predict", "run", shell.write(mails(12), "new.csv")).rows
    assert [row["text"] for row in rows] == [line.split(",")[0] for line in mails(12).splitlines()[1:]]
    assert {row["predicted"] for row in rows} <= {"ham", "spam"}
    assert all(0.5 <= float(row["confidence"]) <= 1 for row in rows)
    assert shell.does("predict", "run", "new.csv", "--out", "said.parquet").out == "12 rows in said.parquet\n"
    assert pl.read_parquet("said.parquet")["predicted"].to_list() == [row["predicted"] for row in rows]


def test_a_table_without_labels_is_enough_to_predict(shell, classified):
    shell.write("id,text\n7,about the pills\n", "new.csv")
    (row,) = shell.does("predict", "run", "new.csv").rows
    assert (row["id"], list(row)) == ("7", ["id", "text", "predicted", "confidence"])


def test_lines_of_a_file_and_of_a_pipe_are_answered_in_their_order(shell, classified, piped):
    lines = [f"about the {word}" for word in ("meeting", "pills", "", "lottery", "report", "\u202bשלום\u202c 🎉") * 200]
    path = shell.write("\n".join(lines) + "\n", "lines.txt")
    told = [json.loads(line) for line in shell.does("predict", "run", path, "--json").out.splitlines()]
    assert len(told) == 1200
    assert told[:6] * 200 == [*told[:6], *told[6:]]
    for row in told[:6]:
        assert row["confidence"] == pytest.approx(max(row["probabilities"].values()))
        assert row["probabilities"][row["label"]] == row["confidence"]
    piped(path.read_bytes())
    assert shell.does("predict", "run").out.splitlines() == [row["label"] for row in told]


def test_a_line_is_answered_before_the_input_ends(classified):
    with subprocess.Popen(
        [*SHELL, "predict", str(classified)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        answers = []
        for line in (b"about the pills\n", "🎉 שלום\n".encode(), b"no line break at the end"):
            process.stdin.write(line)
            if line.endswith(b"\n"):
                answers.append(process.stdout.readline())
        assert process.poll() is None
        process.stdin.close()
        answers.append(process.stdout.readline())
        assert process.wait() == 0
    assert {answer.strip() for answer in answers} <= {b"ham", b"spam"}


def test_explanations_add_up_to_the_log_odds(shell, classified, piped):
    piped(b"about the pills 3\n\n")
    said = shell.does("predict", "run", "--explain")
    first, tokens, legend, second, nothing = said.out.splitlines()
    assert first.split(" (")[0] in ("ham", "spam")
    assert "pills[" in tokens
    assert legend.startswith(f"[+] for and [−] against {first.split(' (')[0]}; the strongest token counts")
    assert " in log-odds; " in legend
    assert "; a text that says nothing has " in legend
    assert second.endswith("%)")
    assert nothing == "no token speaks for or against it"
    piped(b"about the pills 3\n")
    found = shell.does("predict", "run", "--explain", "--json").json
    assert [token for token, _ in found["tokens"]] == ["about", "the", "pills", "3"]
    total = found["base"] + sum(share for _, share in found["tokens"]) - found["gap"]
    assert 1 / (1 + math.exp(-total)) == pytest.approx(found["probability"], abs=1e-6)
    assert abs(found["gap"]) < 0.01


def test_explanations_as_json_are_one_a_line(shell, classified, mails, piped):
    piped(b"about the pills\n\nabout the meeting\n")
    found = [json.loads(line) for line in shell.does("predict", "run", "--explain", "--json").out.splitlines()]
    assert [row["text"] for row in found] == ["about the pills", "", "about the meeting"]
    shell.write(mails(3), "new.csv")
    assert shell.does("predict", "run", "new.csv", "--explain", "--json").out.count("\n") == 3


def test_columns_of_other_files_are_named_when_a_run_is_used(shell, classified, mails, piped):
    shell.write(mails(12), "mails.csv")
    shell.write(mails(12).replace("text,label", "body,kind"), "new.csv")
    said = shell.refuses("predict", "run", "new.csv")
    assert said.endswith("Choose one with --text")
    expected = [row["predicted"] for row in shell.does("predict", "run", "mails.csv").rows]
    assert [row["predicted"] for row in shell.does("predict", "run", "new.csv", "--text", "body").rows] == expected
    assert shell.refuses("evaluate", "run", "new.csv", "--text", "body").endswith("Choose one with --label")
    found = shell.does("evaluate", "run", "new.csv", "--text", "body", "--label", "kind", "--json").json["scores"]
    assert found == shell.does("evaluate", "run", "mails.csv", "--json").json["scores"]
    said = shell.refuses("evaluate", "run", "new.csv", "--tag", "kind")
    assert said == "--tag is not there for TextClassifier; there are --text, --label"
    said = shell.refuses("predict", "run", "new.csv", "--beam-size", 3)
    assert said == "--beam-size is not there for TextClassifier"
    piped(b"about\n")
    assert shell.refuses("predict", "run", "--text", "body") == (
        "--text names a column, and lines have none; leave it out"
    )


def test_lines_in_another_encoding_and_packed_ones_are_answered(shell, classified, piped):
    lines = "about the pills\ncaf\u00e9\n"
    expected = shell.does("predict", "run", shell.write(lines, "lines.txt"), "--json").out
    piped(lines.encode("latin-1"))
    assert shell.does("predict", "run", "--encoding", "latin-1", "--json").out == expected
    piped(lines.encode("utf-16"))
    assert shell.does("predict", "run", "--encoding", "utf-16", "--json").out == expected
    shell.write(gzip.compress(lines.encode()), "lines.txt.gz")
    assert shell.does("predict", "run", "lines.txt.gz", "--json").out == expected
    piped(b"a\n")
    assert shell.refuses("predict", "run", "--encoding", "utf9").startswith("encoding 'utf9' is not known")


def test_a_reader_that_leaves_early_ends_the_command_quietly(classified):
    with subprocess.Popen(
        [*SHELL, "predict", str(classified)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdin.write(b"about the pills\n")
        process.stdin.flush()
        assert process.stdout.readline().strip() in (b"ham", b"spam")
        process.stdout.close()
        process.stdin.write(b"about the pills\n")
        process.stdin.close()
        assert (process.wait(), process.stderr.read()) == (141, b"")


def test_a_table_is_explained_by_its_texts(shell, classified, mails):
    shell.write(mails(2), "new.csv")
    said = shell.does("predict", "run", "new.csv", "--explain").out
    assert said.count("the strongest token counts") == 2
    assert "label" not in said


# --- evaluate, report, resume


def test_evaluate_scores_rows_without_training(shell, classified, mails, checksums):
    before = checksums(classified)
    shell.write(mails(30), "new.csv")
    found = shell.does("evaluate", "run", "new.csv", "--json").json
    assert found["measured_on"] == "30 texts of new.csv"
    assert list(found["scores"]) == ["LSTM"]
    assert "30 texts of new.csv" in shell.does("evaluate", "run", "new.csv").out
    assert checksums(classified) == before


def test_the_report_is_drawn_again_from_the_records(shell, classified):
    page = (classified / "report.html").read_bytes()
    for name in ("report.html", "confusion.png", "training.png"):
        (classified / name).unlink()
    assert shell.does("report", "run").out == "report     run/report.html\n"
    assert (classified / "report.html").read_bytes() == page
    assert (classified / "confusion.png").is_file()


@pytest.mark.parametrize("name", ["scores.json", "examples.json", "summary.json"])
def test_a_damaged_record_is_named_and_written_again_by_resume(shell, classified, mails, checksums, name):
    shell.write(mails(40), "mails.csv")
    config = json.loads((classified / "config.json").read_text())
    config["source"]["path"] = str(shell.folder / "mails.csv")
    (classified / "config.json").write_text(json.dumps(config))
    model = checksums(classified / "model")
    record = (classified / name).read_bytes()
    (classified / name).write_text("{")
    assert shell.refuses("report", "run").endswith("; `recurra resume run` writes it again")
    shell.does("resume", "run")
    assert checksums(classified / "model") == model
    assert name == "summary.json" or (classified / name).read_bytes() == record
    (classified / "scores.json").unlink()
    assert shell.refuses("report", "run") == "run is not finished (no scores.json); `recurra resume run` goes on"
    shell.does("resume", "run")
    shell.does("report", "run")


def test_a_killed_run_is_resumed(shell, mails):
    shell.write(mails(40), "mails.csv")
    options = [*_settings(), "--steps", "900", "--out", "run"]
    with subprocess.Popen([*SHELL, "fit", "classify", "mails.csv", *options], stderr=subprocess.DEVNULL) as process:
        metrics = Path("run/metrics.jsonl")
        while process.poll() is None and not (metrics.is_file() and metrics.read_bytes().count(b"\n") > 60):
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    assert shell.refuses("report", "run") == "run is not finished (no summary.json); `recurra resume run` goes on"
    said = shell.refuses("predict", "run", "mails.csv")
    assert said == "run is a run without a model yet; `recurra resume run` goes on with it"
    said = shell.does("resume", "run", "--quiet").out.strip()
    assert said.startswith("measured on 4 texts of a part of mails.csv held back")
    assert shell.does("resume", "run").out.startswith("this run is complete")


# --- bad input


def test_empty_texts_are_kept_and_counted(shell, mails):
    said = shell.classify(mails(40, changed={3: ",spam", 8: "  ,ham"}))
    assert said.code == 0
    assert said.notes == ["mails.csv line 3: column 'text' is empty; 1 row like it. Kept as texts without a word"]
    assert json.loads(Path("run/summary.json").read_text())["notices"] == said.notes
    shell.write('text\n\n" "\nabout the pills\n', "new.csv")
    assert len(shell.does("predict", "run", "new.csv").rows) == 2  # a line of nothing is no row


FAULTS = {
    "one class": (
        "text,label\na,x\nb,x\n",
        "mails.csv: column 'label' holds one class only, 'x', in all 2 rows; two at least are needed.",
    ),
    "no text at all": ("text,label\n,x\n,y\n", "mails.csv: column 'text' is empty in all 2 rows"),
    "no text column": ("texts,label\na,x\n", "mails.csv has no column 'text' for the text; did you mean 'texts'?"),
    "no label column": ("text,lable\na,x\n", "mails.csv has no column 'label' for the label; did you mean 'lable'?"),
    "no label": ("text,label\na,x\nb,\n", "mails.csv line 3: column 'label' has no label. Label or remove them"),
    "NUL": (b"text,label\n" + b"a,x\n" * 2000 + b"a\0b,y\n", "mails.csv line 2002: column 'text' holds a NUL"),
    "NUL at once": (b"text,label\na\0b,y\n", "mails.csv line 2: holds a NUL character, which no text has; remove"),
    "a spreadsheet": (b"PK\x03\x04\x14\0\x06\0", "mails.csv holds bytes that no text has; save it as CSV or Parquet"),
    "not UTF-8": (b"text,label\ncaf\xe9,x\n", "mails.csv line 2: the byte 0xe9 at byte offset 14 is not utf-8; pass"),
    "two rows": (
        "text,label\na,x\nb,y\n",
        "mails.csv: 0.1 of 2 rows cannot be held back; give more rows, or files of their own",
    ),
    "nothing": ("", "mails.csv is empty; a header line and rows are needed"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_table_is_one_line_and_makes_no_run(shell, fault):
    content, line = FAULTS[fault]
    shell.write(content, "mails.csv")
    told = shell("fit", "classify", "mails.csv", *_settings(), "--out", "run")
    *notes, error = told.err.splitlines()
    assert (told.code, told.out) == (2, "")
    assert all(note.startswith("note: ") for note in notes)
    assert error.startswith(f"error: {line}")
    assert not Path("run").exists()


def test_long_texts_are_told_once_and_may_be_read_whole(shell, mails):
    table = mails(40, changed={3: f"{'the pills ' * 250},spam", 8: f"{'the report ' * 201},ham"})
    note = (
        "mails.csv line 3: the text has 500 tokens, of which max_tokens=400 are read; 1 row like it. "
        "Their middle is left out; give a larger max_tokens, or none"
    )
    shell.write("text,label\na,ham\nb,spam\n", "test.csv")
    said = shell.classify(table, "--test", "test.csv")
    assert (said.code, said.notes) == (0, [note])
    assert json.loads(Path("run/summary.json").read_text())["cut"] == 2
    said = shell.classify(
        table, "--test", "test.csv", "--max-tokens", "none", "--class-weights", "balanced", out="whole"
    )
    assert (said.code, said.notes) == (0, [])
    assert json.loads(Path("whole/summary.json").read_text())["cut"] == 0
    parameters = json.loads(Path("whole/config.json").read_text())["parameters"]
    assert (parameters["max_tokens"], parameters["class_weights"]) == (None, "balanced")


def test_columns_of_answers_in_a_table_are_not_lost(shell, mails):
    table = mails(40).replace("text,label", "text,predicted")
    assert shell.classify(table, "--label", "predicted").code == 0
    assert pl.read_csv("run/predictions.csv").columns == ["text", "predicted", "model_predicted", "confidence"]
    assert shell.refuses("predict", "run", "mails.csv") == (
        "mails.csv: what is predicted would replace its column 'predicted'; rename or drop the column"
    )
    shell.does("evaluate", "run", "mails.csv")


def test_a_column_of_ids_taken_for_labels_is_told(shell):
    rows = [f"the pills {row},{row if row < 36 else row % 4 + 50}" for row in range(60)]
    said = shell.classify("text,label\n" + "\n".join(rows) + "\n")
    assert said.code == 0
    assert not [note for note in said.notes if "once" in note]
    rows = [f"the pills {row},{row if row < 54 else 99}" for row in range(60)]
    shell.write("text,label\nthe pills,99\nthe pills,1\n", "test.csv")
    said = shell.classify("text,label\n" + "\n".join(rows) + "\n", "--test", "test.csv", out="ids")
    assert said.code == 0
    assert [note for note in said.notes if "once" in note] == [
        "mails.csv: column 'label' holds 55 labels in 60 rows, 54 of them once, as ids and measurements do. "
        "If they are no classes, name another column as label"
    ]
    shell.write("text,label\n" + "".join(f"the pills {row},{row}\n" for row in range(60)), "mails.csv")
    assert shell.refuses("fit", "classify", "mails.csv", *_settings(), "--out", "none") == (
        "mails.csv: column 'label' holds another label in each of 60 rows, as ids do, and none can be held back; "
        "name the column of the classes as label"
    )


def test_texts_in_any_script_just_work(shell, mails):
    table = mails(40).replace("pills", "شراء 💊").replace("meeting", "פגישה").replace("spam", "ספאם 😡")
    assert shell.classify(table).code == 0
    rows = shell.does("predict", "run", "mails.csv").rows
    assert {row["predicted"] for row in rows} <= {"ham", "ספאם 😡"}
    assert "ספאם 😡" in Path("run/report.html").read_text()


def test_a_label_never_seen_is_named_at_evaluation(shell, classified, mails):
    shell.write(mails(10, changed={5: "about,scam"}), "new.csv")
    assert shell.refuses("evaluate", "run", "new.csv") == (
        "new.csv line 5: column 'label' holds 'scam', which training did not see; did you mean 'spam'? "
        "Mend the label, remove the row, or train with it"
    )


def test_a_line_of_100_megabytes_is_refused_wherever_it_stands(shell, classified, mails):
    start = time.perf_counter()
    huge = b"x" * 100_000_000
    (shell.folder / "huge.txt").write_bytes(b"a\n" + huge)
    (shell.folder / "huge.csv").write_bytes(mails(4).encode() + huge + b",ham\n")
    said = shell("predict", "run", "huge.txt")
    assert (said.code, said.out.splitlines()[1:]) == (2, [""])
    remedy = "longer than 10,000,000 characters; break it into lines, one text each\n"
    assert said.err == f"warning: huge.txt line 2: {remedy}"
    line = "huge.csv line 6: column 'text' is longer than 10,000,000 characters. Break it into texts"
    assert shell.refuses("predict", "run", "huge.csv") == line
    assert shell.refuses("evaluate", "run", "huge.csv") == line
    with (shell.folder / "huge.txt").open("rb") as file:
        told = subprocess.run([*SHELL, "predict", "run"], stdin=file, capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert told.stdout.rstrip("\n") in ("ham", "spam")  # of the line before it
    assert told.stderr == f"warning: standard input line 2: {remedy}"
    assert time.perf_counter() - start < 20


@pytest.mark.parametrize(
    ("bad", "line"),
    [
        (b"caf\xe9", "line 2: the byte 0xe9 at byte 3 of the line is not utf-8; pass --encoding latin-1"),
        (b"\0", "line 2: holds a NUL character, which no text has; remove it, or pass --encoding utf-16 if it is that"),
    ],
    ids=["not UTF-8", "NUL"],
)
@pytest.mark.parametrize("name", [None, "lines.txt"])
def test_a_bad_line_is_answered_by_an_empty_one_and_does_not_end_the_rest(shell, classified, piped, bad, line, name):
    content = b"about the pills\n" + bad + b"\nabout the meeting\n"
    call = ("predict", "run") if name is None else ("predict", "run", shell.write(content, name))
    at = f"{name or 'standard input'} {line}"
    piped(b"about the pills\nabout the meeting\n")
    first, last = shell.does("predict", "run").out.splitlines()
    piped(content)
    said = shell(*call)
    assert (said.code, said.out.splitlines(), said.err) == (2, [first, "", last], f"warning: {at}\n")
    piped(content)
    said = shell(*call, "--json")
    rows = [json.loads(row) for row in said.out.splitlines()]
    assert (said.code, rows[1], said.err) == (2, {"error": at}, f"warning: {at}\n")
    assert [rows[0]["label"], rows[2]["label"]] == [first, last]
    piped(content)
    said = shell(*call, "--explain", "--json")
    rows = [json.loads(row) for row in said.out.splitlines()]
    assert (said.code, rows[1], said.err) == (2, {"error": at}, f"warning: {at}\n")
    assert [rows[0]["answer"], rows[2]["answer"]] == [first, last]


def test_utf_16_in_a_pipe_is_told_once(shell, classified, piped):
    piped("about\nthe pills\n".encode("utf-16"))
    assert shell.refuses("predict", "run").endswith("opens UTF-16 text; pass --encoding utf-16")


@pytest.mark.parametrize("content", ["about the pills\nabout, the meeting\n", "about the pills\nabout the meeting\n"])
def test_a_file_whose_name_says_nothing_tells_how_lines_are_read(shell, classified, content):
    shell.write(content, "mails.log")
    said = shell.refuses("predict", "run", "mails.log")
    assert said.startswith("mails.log ")
    assert said.endswith(
        "; mails.log was read as CSV because of its name, lines of text are read from a .txt file or the standard input"
    )
    shell.write(content, "mails.csv")
    assert "because of its name" not in shell.refuses("predict", "run", "mails.csv")
    assert len(shell.does("predict", "run", shell.write(f"text\n{content}".replace(",", ""), "mails.log")).rows) == 2


def test_json_of_a_table_has_the_probabilities_and_csv_has_not(shell, classified, mails):
    shell.write(mails(3, changed={3: ",ham"}), "new.csv")
    told = shell.does("predict", "run", "new.csv", "--json", "--out", "said.csv")
    assert told.notes == ["new.csv line 3: column 'text' is empty. Kept as texts without a word"]
    for row in told.json["rows"]:
        assert list(row) == ["text", "label", "predicted", "confidence", "probabilities"]
        assert sum(row["probabilities"].values()) == pytest.approx(1)
        assert row["probabilities"][row["predicted"]] == row["confidence"] == max(row["probabilities"].values())
    assert Path("said.csv").read_text() == shell.does("predict", "run", "new.csv").out
    assert pl.read_csv("said.csv").columns == ["text", "label", "predicted", "confidence"]
    shell.write("text,probabilities\nabout,1\n", "new.csv")
    assert "replace its column 'probabilities'" in shell.refuses("predict", "run", "new.csv", "--json")
    assert shell.does("predict", "run", "new.csv").rows[0]["probabilities"] == "1"


def test_columns_of_any_type_are_written_or_named(shell, classified):
    rows = '{"text": "about the pills", "tags": ["a", "b"]}\n{"text": "about", "tags": null}\n'
    shell.write(rows, "new.jsonl")
    assert [row["tags"] for row in shell.does("predict", "run", "new.jsonl").rows] == ['["a", "b"]', ""]
    frame = pl.DataFrame({"text": ["about"], "from": [{"name": "Ann"}], "weight": [float("nan")]})
    frame.write_parquet("new.parquet")
    assert shell.does("predict", "run", "new.parquet").rows[0]["from"] == '{"name": "Ann"}'
    (row,) = shell.does("predict", "run", "new.parquet", "--json").json["rows"]
    assert (row["from"], row["weight"]) == ({"name": "Ann"}, None)
    frame.with_columns(pl.Series("from", [b"\xff"])).write_parquet("new.parquet")
    for options in ((), ("--json",), ("--out", "said.csv")):
        said = shell.refuses("predict", "run", "new.parquet", *options)
        assert said.startswith("new.parquet row 0: column 'from' holds bytes that are no UTF-8 text, 0xff at byte 0, ")
    shell.does("predict", "run", "new.parquet", "--out", "said.parquet")


def test_classes_that_are_negative_numbers_stay_as_they_are(shell, mails):
    table = mails(40).replace("ham", "-1").replace("spam", "+1")
    assert shell.classify(table).code == 0
    assert {row["predicted"] for row in shell.does("predict", "run", "mails.csv").rows} <= {"-1", "+1"}
    assert set(pl.read_csv("run/predictions.csv", infer_schema=False)["label"]) <= {"-1", "+1"}


def test_a_wrong_separator_is_told_with_the_right_one(shell, mails):
    shell.write(mails(40), "mails.csv")
    said = shell.refuses("fit", "classify", "mails.csv", *_settings(), "--out", "run", "--separator", ";")
    assert said == (
        "mails.csv line 1: one field with the separator ';'; pass --separator ',', which the header seems to have, or "
        "leave it out"
    )
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--tokenizer", "wrd"), "tokenizer is 'wrd'; did you mean 'word' or 'subword'?"),
        (("--pooling", "sum"), "pooling is 'sum'"),
        (("--dropout", "1.5"), "dropout is 1.5"),
        (("--cell", "lstmm"), "cell"),
        (("--epochs", "0"), "epochs is 0.0; it is a number above 0, such as 6"),
        (("--members", "0"), "members is 0; it is a whole number, 1 or more"),
        (
            ("--max-tokens", "few"),
            "max_tokens is 'few'; it is a whole number, 1 or more, 'auto', or none for whole texts",
        ),
        (("--max-tokens", "0"), "max_tokens is 0; it is a whole number, 1 or more"),
        (("--vocabulary-size", "0"), "vocabulary_size is 0; expected an int of at least 1"),
        (("--vocabulary-size", "4"), "vocabulary_size is 4; kind 'word' needs 5 codes at least, 4 of them special"),
        (("--min-count", "-1"), "min_count is -1; expected an int of at least 1"),
        (("--min-count", "41"), "texts hold no word token that occurs 41 times; pass texts, or a smaller min_count"),
        (("--class-weights", "even"), "class_weights is 'even'; it is 'balanced', or none"),
        (("--tokenizer", "byte", "--vectors", "v.txt"), "vectors are of words, the tokenizer is 'byte'; use 'word' or"),
        (("--held-back", "0"), "held_back is 0.0, which leaves nothing to measure on; pass a test file"),
        (("--held-back", "1.5"), "the share held back is 1.5; it lies between 0 and 1, such as 0.1"),
        (("--vectors", "none.txt"), "NONE.txt"),
        (("--valid", "none.csv"), "NONE.csv"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_wrong_options_are_named_before_a_run_is_made(shell, mails, options, line):
    shell.write(mails(40), "mails.csv")
    told = shell.refuses("fit", "classify", "mails.csv", *_settings(), "--out", "run", *options)
    assert told.startswith(line.replace("NONE", f"{shell.folder}/none"))
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("predict", "run", "t.txt", "--out", "x.csv"), "--out takes tables; of lines and explanations, redirect"),
        (("predict", "run", "t.txt", "--level", "90"), "--level is for forecasts; this run is a TextClassifier's"),
        (("evaluate", "run", "t.txt", "--start", "1"), "--start is for forecasts; this run is a TextClassifier's"),
        (("predict", "run", "none.txt"), "none.txt does not exist"),
    ],
    ids=lambda value: " ".join(value[0::3]) if isinstance(value, tuple) else "",
)
def test_what_is_not_for_texts_is_refused(shell, classified, arguments, line):
    shell.write("a\n", "t.txt")
    assert shell.refuses(*arguments).startswith(line)


def _settings():
    return ("--hidden-size", "6", "--embedding-size", "6", "--steps", "30", "--batch-size", "8")
