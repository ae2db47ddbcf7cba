"""`recurra evaluate`: scores of a finished run on rows that came later."""

import pytest


def test_later_rows_are_scored_beside_baselines(shell, trained, daily):
    shell.write(daily(110), "later.csv")
    said = shell.does("evaluate", "run", "later.csv", "--baselines", "naive,drift")
    assert said.out.startswith("3 windows of 3 steps, none seen in training")
    assert all(name in said.out for name in ("GRU", "Naive", "Drift"))
    assert said.err == ""


def test_json_holds_the_same_and_null_for_what_is_undefined(shell, trained, daily):
    shell.write(daily(106, lambda i: 7), "later.csv")
    found = shell.does("evaluate", "run", "later.csv", "--baselines", "none", "--json").json
    assert (found["windows"], found["horizon"], found["level"]) == (2, 3, 90.0)
    assert found["scores"]["GRU"]["mase"] is None
    assert found["scores"]["GRU"]["mae"] >= 0


def test_step_and_start_choose_the_windows(shell, trained, daily):
    shell.write(daily(110), "later.csv")
    options = ("evaluate", "run", "later.csv", "--baselines", "none", "--json")
    assert shell.does(*options, "--step", 1).json["windows"] == 8
    assert shell.does(*options, "--start", "2024-04-15").json["windows"] == 1


def test_a_target_of_another_name_is_named(shell, trained, daily):
    shell.write(daily(110), "later.csv")
    expected = shell.does("evaluate", "run", "later.csv", "--baselines", "none", "--json").json["scores"]
    shell.write(daily(110).replace("ds,y", "ds,units"), "other.csv")
    options = ("evaluate", "run", "other.csv", "--baselines", "none", "--json")
    assert shell.refuses(*options).endswith("Choose one with --target")
    assert shell.does(*options, "--target", "units").json["scores"] == expected
    assert shell.refuses(*options, "--text", "units") == "--text is not there for Forecaster; there are --target"


def test_a_table_without_later_rows_is_refused(shell, trained, daily):
    shell.write(daily(102))
    line = shell.refuses("evaluate", "run", "sales.csv")
    assert line.startswith("no horizon of 3 steps lies after the training table's end, 2024-04-09")
    assert "2024-04-11" in line
    assert line.endswith("give later rows")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--baselines", "niave"), "baseline is 'niave'; did you mean 'naive'?"),
        (("--start", "soon"), "start is 'soon'; write a time such as 2024-04-19"),
        (("--step", "0"), "step is 0; it is 1 or more steps between cutoffs"),
        (("--level", "97"), "level 97 is outside what the model was trained for (up to 95)"),
        (("--missing", "guess"), "missing is 'guess'; pass --missing interpolate|mask|drop"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_wrong_options_are_named(shell, trained, daily, options, line):
    shell.write(daily(110), "later.csv")
    assert shell.refuses("evaluate", "run", "later.csv", *options).startswith(line)


def test_files_that_are_not_there(shell, trained, daily):
    shell.write(daily(110), "later.csv")
    assert shell.refuses("evaluate", "run", "latr.csv").endswith("latr.csv does not exist; did you mean 'later.csv'?")
    assert shell.refuses("evaluate", "ran", "later.csv").startswith("ran is no run folder")
