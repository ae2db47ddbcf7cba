"""What is printed, and in what form."""

import json

import pytest

from recurra.cli import console

SCORES = {
    "windows": 4,
    "horizon": 7,
    "level": 90.0,
    "scores": {
        "GRU": {
            "mae": 1.5,
            "rmse": 12_345.6,
            "r2": 0.9,
            "mase": None,
            "smape": 3.14159,
            "coverage": 0.9312,
            "width": 4.0,
        },
        "Naive": {"mae": 2.5, "rmse": 2.0, "r2": -1.0, "mase": None, "smape": 9.0, "coverage": None, "width": None},
    },
}


def test_an_error_is_one_line_whatever_it_says(capsys):
    assert console.fail("two\nlines of [bold]text[/bold] and a :key:\t.", 2) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "error: two lines of [bold]text[/bold] and a :key: .\n")


def test_a_long_line_is_not_broken(capsys):
    console.fail("x" * 500, 1)
    assert capsys.readouterr().err == f"error: {'x' * 500}\n"


def test_scores_as_a_table(capsys):
    console.print_scores(SCORES)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "4 windows of 7 steps, none seen in training"
    assert [cell.strip() for cell in lines[4].strip("│").split("│")] == [
        *("GRU", "1.5", "12,346", "0.9", "-", "3.142", "93.1%", "4"),
    ]
    assert [cell.strip() for cell in lines[5].strip("│").split("│")] == [
        *("Naive", "2.5", "2", "-1", "-", "9.000", "-", "-"),
    ]


@pytest.mark.parametrize("value", [{"a": "ü"}, {"path": console.__name__}, [1.5, None]])
def test_json_reads_back(capsys, value):
    console.print_json(value)
    assert json.loads(capsys.readouterr().out) == value
