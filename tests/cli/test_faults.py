"""Tables with faults, given to `recurra fit`: refused in one line that says where and what next, or trained on."""

import gzip
import math
import re

import polars as pl
import pytest


@pytest.fixture
def refusal(shell, trained, checksums):
    """Fits a faulty table over a finished run with --force: the run must survive, and the line is returned."""

    def fit(content, *options, name="sales.csv"):
        before = checksums(trained)
        line = shell.refuses(
            *("fit", "forecast", shell.write(content, name), "--horizon", 3, "--backtest", 0),
            *("--out", trained, "--force", *options),
        )
        assert checksums(trained) == before
        return line

    return fit


@pytest.fixture
def accepted(shell):
    """Trains on a table and gives its forecasts."""

    def fit(content, *options, name="sales.csv"):
        said = shell.fit(content, *options, "--force", name=name)
        assert (said.code, "error" in said.err) == (0, False)
        assert (shell.folder / "run" / "forecast.csv").is_file()
        return said, shell.forecasts("run")

    return fit


# --- gaps and empty cells


@pytest.mark.parametrize("cell", ["", "NaN", "n/a"])
def test_an_empty_cell_is_named_and_counted(refusal, daily, cell):
    line = refusal(daily(80, changed={10: f"2024-01-09,{cell}", 40: f"2024-02-08,{cell}"}))
    held = f"holds '{cell}'" if cell else "is empty"
    assert line.startswith(f"sales.csv line 10: column 'y' {held}; 1 row like it.")
    assert line.endswith("pass --missing interpolate|mask|drop")


def test_a_gap_is_named_with_its_ends_and_counted(refusal, daily):
    lines = daily(80).splitlines()
    line = refusal("\n".join(lines[:9] + lines[11:]) + "\n")
    assert line.startswith("sales.csv line 10: series 'series' jumps from 2024-01-08 to 2024-01-11; 2 steps of 1d are")
    assert "missing in 1 of 1 series" in line
    assert line.endswith("pass --missing interpolate|mask|drop")


@pytest.mark.parametrize("policy", ["interpolate", "mask", "drop"])
def test_each_policy_reports_what_it_treated_and_trains(accepted, daily, policy):
    said, _ = accepted(daily(80, changed={10: "2024-01-09,", 40: "2024-02-08,NaN"}), "--missing", policy)
    assert said.notes == [f"sales.csv line 10: column 'y' is empty; 1 row like it. Treated by --missing {policy}"]


def test_a_misspelt_policy_lists_them(refusal, daily):
    assert "--missing interpolate|mask|drop" in refusal(daily(80), "--missing", "intrpolate")


# --- extreme values


@pytest.mark.parametrize("value", ["inf", "-inf", "Infinity"])
def test_infinity_is_refused_with_its_line(refusal, daily, value):
    line = refusal(daily(80, changed={10: f"2024-01-09,{value}", 20: f"2024-01-19,{value}"}))
    shown = "-inf" if value.startswith("-") else "inf"
    assert line.startswith(f"sales.csv line 10: column 'y' is {shown}; 1 row like it. Replace it by a number")


@pytest.mark.parametrize("value", ["-3", "0"])
def test_values_without_a_logarithm_are_refused_with_their_line(refusal, daily, value):
    line = refusal(daily(80, changed={10: f"2024-01-09,{value}"}), "--transform", "log")
    assert line.startswith(f"sales.csv line 10: column 'y' is {value}; --transform log needs values above 0")


@pytest.mark.parametrize("size", [1e30, 1e-30, 1e200])
def test_series_of_any_size_are_forecast_at_their_size(accepted, daily, size):
    _, values = accepted(daily(80, lambda i: size * (10 + math.sin(i))), "--backtest", 1, "--baselines", "naive")
    assert all(5 * size < value < 15 * size for value in values)


@pytest.mark.parametrize("outlier", ["1e30", "1e300"])
def test_one_wild_value_among_small_ones_ruins_nothing(accepted, daily, outlier):
    table = daily(80, changed={10: f"2024-01-09,{outlier}"})
    _, values = accepted(table, "--backtest", 1, "--baselines", "naive,seasonal_naive,drift,dense,cnn")
    assert all(0 < value < 100 for value in values)


@pytest.mark.parametrize("constant", [0, 7, -1e9])
def test_constant_series_train_without_a_division_by_zero(accepted, daily, constant):
    said, values = accepted(daily(80, lambda i: constant), "--backtest", 1)
    assert "nan" not in said.out.lower()
    assert values == pytest.approx([constant] * len(values), abs=max(1, abs(constant) / 10))


# --- the order and the step of the stamps


def test_duplicates_name_both_lines(refusal, daily):
    line = refusal(daily(80, changed={10: "2024-01-08,5"}))
    assert line.startswith("sales.csv line 9 and line 10: series 'series' has 'ds' 2024-01-08 twice.")
    assert "Remove one of them" in line
    assert "--series COLUMN" in line


def test_unsorted_rows_are_sorted_with_a_notice(accepted, daily):
    _, expected = accepted(daily(80))
    lines = daily(80).splitlines()
    lines[5], lines[50] = lines[50], lines[5]
    said, values = accepted("\n".join(lines) + "\n")
    assert said.notes == ["sales.csv line 7: the time goes back here; 2 rows were out of order and are now sorted"]
    assert values == expected


def test_a_stamp_off_the_grid_names_both_steps(refusal, daily):
    line = refusal(daily(80, changed={60: "2024-02-28 12:00,5"}))
    assert line.startswith("sales.csv line 60: mixed frequency: series 'series' steps by 36h from 2024-02-27 to")
    assert "the data by 1d" in line
    assert line.endswith("pass --freq")


def test_series_of_two_frequencies_are_named(refusal, shops):
    weekly = "".join(f"slow,2024-{month:02}-{day:02},1,1\n" for month in range(1, 5) for day in (1, 8, 15, 22))
    line = refusal(shops(90) + weekly, "--series", "store")
    assert re.match(r"sales.csv line 182: mixed frequency: series 'slow' steps by 1w, most of the data by 1d", line)


def test_stamps_of_which_some_carry_an_offset_are_named(refusal, hourly, hours):
    stamps = hours("2024-05-01 00:00", 80)
    line = refusal(hourly([f"{stamp}+02:00" for stamp in stamps[:50]] + stamps[50:]))
    assert line.startswith("sales.csv line 2: '2024-05-01 00:00+02:00' in column 'ds' carries an offset, line 52 ")
    assert line.endswith("write all stamps with one, or none")


@pytest.mark.parametrize(("first", "what"), [("2024-10-26", "comes twice"), ("2024-03-30", "is skipped")])
def test_an_hour_that_the_clock_change_makes_unclear_is_refused(refusal, hourly, hours, first, what):
    line = refusal(hourly(hours(f"{first} 00:00", 80)), "--timezone", "Europe/Paris")
    assert re.match(rf"sales.csv line 28: 2024-\d\d-\d\d 02:00:00 {what} in Europe/Paris as the clocks change", line)
    assert "Write column 'ds' with offsets" in line


def test_a_repeated_clock_hour_without_a_zone_says_what_to_write(refusal, hourly, hours):
    stamps = hours("2024-10-26 00:00", 80)
    line = refusal(hourly(stamps[:27] + stamps[26:]))
    assert line.startswith("sales.csv line 28 and line 29: series 'series' has 'ds' 2024-10-27 02:00 twice")
    assert "write UTC or offsets" in line


def test_offsets_across_the_clock_change_are_hours_in_utc(shell, accepted, hourly, hours):
    stamps = hours("2024-10-26 00:00", 80)
    summer = [f"{stamp}+02:00" for stamp in stamps[:27]]
    winter = [f"{stamp}+01:00" for stamp in stamps[26:]]
    accepted(hourly(summer + winter), "--timezone", "Europe/Paris")
    assert [row["ds"] for row in shell.does("predict", "run").rows] == [
        "2024-10-29T08:00:00.000000+0100",
        "2024-10-29T09:00:00.000000+0100",
        "2024-10-29T10:00:00.000000+0100",
    ]


def test_daily_stamps_by_a_local_clock_ask_for_the_zone(refusal, shell):
    rows = "".join(f"2024-01-{day:02}T00:00:00+01:00,{day}\n" for day in range(1, 32))
    line = refusal("ds,y\n" + rows)
    assert line.startswith("sales.csv line 2: column 'ds' holds daily stamps by a local clock (+01:00)")
    assert "--timezone Europe/Paris" in line


def test_a_misspelt_zone_gets_its_nearest_name(refusal, daily):
    assert "did you mean 'Europe/Paris'" in refusal(daily(80), "--timezone", "Europe/Pris")


# --- the form of the file


def test_dialects_give_the_same_forecast(accepted, daily):
    plain = daily(80)
    _, expected = accepted(plain)
    dialects = {
        "BOM": b"\xef\xbb\xbf" + plain.encode(),
        "CRLF": plain.replace("\n", "\r\n").encode(),
        "semicolons": plain.replace(",", ";").encode(),
        "tabs": plain.replace(",", "\t").encode(),
        "all": b"\xef\xbb\xbf" + plain.replace(",", ";").replace("\n", "\r\n").encode(),
        "gzip": gzip.compress(plain.encode()),
    }
    assert {name: accepted(content)[1] == expected for name, content in dialects.items()} == dict.fromkeys(
        dialects, True
    )


def test_decimal_commas_name_the_option_that_reads_them(refusal, accepted, daily):
    table = daily(80).replace(",", ";").replace(".", ",")
    line = refusal(table)
    assert line.startswith("sales.csv line 3: column 'y' writes decimals with a comma, '10,8415'; ")
    assert "Pass --decimal ," in line
    _, expected = accepted(daily(80))
    assert accepted(table, "--decimal", ",")[1] == expected


def test_latin_1_names_the_byte_and_the_option(refusal, shell, accepted):
    rows = "".join(f"2024-01-{day:02},{day},café\n" for day in range(1, 32))
    table = f"ds,y,store\n{rows}".encode("latin-1")
    line = refusal(table, "--series", "store")
    assert line == "sales.csv line 2: the byte 0xe9 at byte offset 27 is not utf-8; pass --encoding latin-1"
    accepted(table, "--series", "store", "--encoding", "latin-1")
    assert {row["store"] for row in shell.does("predict", "run").rows} == {"café"}


def test_an_unknown_encoding_is_refused_whatever_the_bytes(refusal, daily):
    assert refusal(daily(80), "--encoding", "utf9").startswith("encoding 'utf9' is not known; try utf-8")


def test_files_that_hold_no_table(refusal, shell, daily, tmp_path):
    assert refusal("") == "sales.csv is empty; a header line and rows are needed"
    assert refusal("ds,y\n") == "sales.csv has a header and no rows"
    assert refusal(b"PK\x03\x04\0\0", name="sales.xlsx").startswith("sales.xlsx holds bytes that no text has")
    assert refusal(gzip.compress(daily(80).encode())[:-9], name="sales.csv.gz").startswith(
        "sales.csv.gz is a damaged gzip"
    )
    pl.DataFrame({"y": [1.0] * 50}).write_parquet(tmp_path / "whole.parquet")
    cut = (tmp_path / "whole.parquet").read_bytes()[:-20]
    assert refusal(cut, name="cut.parquet").startswith("cut.parquet is not a whole Parquet file")


def test_ragged_lines_are_named(refusal, daily):
    line = refusal(daily(80, changed={10: "2024-01-09,5,6"}))
    assert line.startswith("sales.csv line 10: 3 fields where the header has 2.")


def test_a_file_that_is_not_there_gets_its_nearest_name(shell, daily):
    shell.write(daily(80))
    line = shell.refuses("fit", "forecast", "slaes.csv", "--horizon", 3)
    assert line.endswith("slaes.csv does not exist; did you mean 'sales.csv'?")
    assert [path.name for path in shell.folder.iterdir()] == ["sales.csv"]


# --- too little


def test_one_row_has_no_frequency(refusal):
    line = refusal("ds,y\n2024-01-01,3\n")
    assert line.startswith("sales.csv line 2: the longest series has 1 row; 2 are needed to find the frequency")
    assert line.endswith("Pass --freq, such as --freq 1d")


def test_short_series_give_the_counts_needed_and_found(refusal, daily):
    line = refusal(daily(11))
    assert "has 11 steps; 12 are needed: at least 3 of past + horizon 3 + 6 held back" in line
    assert line.endswith("Give more history or a shorter horizon")
    line = refusal(daily(30), "--lookback", 40)
    assert "has 30 steps; 55 are needed: lookback 40 + horizon 3 + 12 held back" in line
    assert line.endswith("a shorter lookback or horizon")


def test_a_backtest_longer_than_the_series_is_refused_before_training(refusal, daily):
    line = refusal(daily(100), "--backtest", 60)
    assert "has 100 steps; 181 are needed" in line
    assert line.endswith("pass a smaller --backtest or 0")


# --- columns and cells


def test_text_in_a_number_column_lists_the_first_five(refusal, daily):
    line = refusal(daily(80, changed={n: f"2024-01-{n - 1:02},n.k." for n in range(20, 28)}))
    listed = ", ".join(f"line {n} 'n.k.'" for n in range(20, 25))
    assert line == (
        f"sales.csv line 20: column 'y' holds text where numbers are needed: {listed}; 3 rows like them. "
        "Clean them; an empty cell counts as missing"
    )


def test_text_in_the_time_column_lists_the_first_five(refusal, daily):
    line = refusal(daily(80, changed=dict.fromkeys(range(20, 28), "soon,5")))
    assert line.startswith("sales.csv line 20: column 'ds' holds text where dates are needed: line 20 'soon', line 21")
    assert "line 24 'soon'; 3 rows like them" in line


def test_days_and_months_that_cannot_be_told_apart_ask_for_the_form(refusal):
    rows = "".join(f"{1 + i % 12}/{1 + i // 12}/2024,{i}\n" for i in range(100))
    line = refusal("ds,y\n" + rows)
    assert re.match(r"sales.csv line \d+: '\d+/\d+/2024' in column 'ds' may be day or month first", line)
    assert line.endswith("pass --time-format %d/%m/%Y or %m/%d/%Y")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--target", "yy"), "no column 'yy' for the target; did you mean 'y'? Choose one with --target"),
        (("--time", "dss"), "no column 'dss' for the time; did you mean 'ds'? Choose one with --time"),
        (("--past", "visits"), "no column 'visits' for the past; there are: 'ds', 'y'. Choose one with --past"),
    ],
)
def test_missing_columns_get_their_nearest_names(refusal, daily, options, line):
    assert refusal(daily(80), *options) == f"sales.csv has {line}"


def test_a_column_of_two_roles_is_refused(refusal, daily):
    assert refusal(daily(80), "--past", "y") == "column 'y' is both target and past; give it one role"


# --- covariates known in advance


def test_a_future_table_with_holes_is_refused_before_training(refusal, shell, shops):
    shell.write("store,ds,price\nnorth,2024-04-10,1\nnorth,2024-04-11,2\nsouth,2024-04-10,1\n", "next.csv")
    options = ("--series", "store", "--future", "price", "--future-table")
    line = refusal(shops(100), *options, "next.csv")
    assert line.startswith(
        "next.csv lacks 3 rows of future covariates: series 'north' 2024-04-12, series 'south' 2024-04-11, "
        "series 'south' 2024-04-12."
    )
    assert refusal(shops(100), *options, "nxt.csv").endswith("nxt.csv does not exist; did you mean 'next.csv'?")


# --- names that would be code


def test_a_column_named_as_a_script_is_text_in_the_report(shell, accepted, daily):
    name = "</script><img onerror=alert(1)>"
    accepted(daily(80).replace("ds,y", f"ds,{name}"), "--target", name)
    report = (shell.folder / "run" / "report.html").read_text()
    assert "onerror" in report
    assert "<img onerror" not in report
