"""`recurra predict`: forecasts from a finished run, its table or another; and models that are not whole."""

import json

import polars as pl
import pytest


def test_without_data_the_training_table_goes_on(shell, trained):
    rows = shell.does("predict", "run").rows
    assert [row["ds"] for row in rows] == ["2024-04-10", "2024-04-11", "2024-04-12"]
    assert list(rows[0]) == ["ds", "GRU", "GRU-lo-95", "GRU-lo-80", "GRU-hi-80", "GRU-hi-95"]
    for row in rows:
        values = [float(row[f"GRU{end}"]) for end in ("-lo-95", "-lo-80", "", "-hi-80", "-hi-95")]
        assert values == sorted(values)
    assert shell.does("predict", "run").out == (trained / "forecast.csv").read_text()


def test_the_same_table_gives_the_same_forecast_and_a_longer_one_goes_on_from_its_end(shell, trained, daily):
    shell.write(daily(100))
    assert shell.forecasts("run", "sales.csv") == shell.forecasts("run")
    shell.write(daily(105), "longer.csv")
    assert [row["ds"] for row in shell.does("predict", "run", "longer.csv").rows] == [
        "2024-04-15",
        "2024-04-16",
        "2024-04-17",
    ]


def test_levels_choose_the_columns(shell, trained):
    rows = shell.does("predict", "run", "--level", 90, "--level", 50).rows
    assert list(rows[0]) == ["ds", "GRU", "GRU-lo-90", "GRU-lo-50", "GRU-hi-50", "GRU-hi-90"]


@pytest.mark.parametrize("level", ["99", "0", "-3", "100"])
def test_levels_outside_the_trained_range_are_refused(shell, trained, level):
    line = shell.refuses("predict", "run", "--level", level)
    assert line.startswith(f"level {level} is outside what the model was trained for (up to 95)")


def test_a_series_never_seen_is_forecast_from_its_own_past(shell, shops):
    assert shell.fit(shops(80), "--series", "store", "--past", "price").code == 0
    shell.write(shops(60, ("new",)).replace(",10,", ",1010,"), "new.csv")
    values = shell.forecasts("run", shell.write(shops(60, ("east", "new")), "new.csv"))
    assert all(5 < value < 40 for value in values)
    ids = [row["store"] for row in shell.does("predict", "run", "new.csv").rows]
    assert ids == ["east"] * 3 + ["new"] * 3


def test_a_table_with_a_gap_is_refused_or_treated_as_asked(shell, trained, daily):
    lines = daily(60).splitlines()
    shell.write("\n".join(lines[:30] + lines[31:]) + "\n", "gap.csv")
    line = shell.refuses("predict", "run", "gap.csv")
    assert line.startswith("gap.csv line 31: series 'series' jumps from 2024-01-29 to 2024-01-31")
    assert line.endswith("pass --missing interpolate|mask|drop")
    said = shell.does("predict", "run", "gap.csv", "--missing", "interpolate")
    assert said.notes[0].endswith("Treated by --missing interpolate")
    assert len(said.rows) == 3


def test_a_table_of_other_columns_names_the_option(shell, trained):
    shell.write("date,units\n2024-01-01,5\n2024-01-02,7\n", "other.csv")
    line = shell.refuses("predict", "run", "other.csv")
    assert line.startswith("other.csv has no column 'ds' for the time; there are: 'date', 'units'.")


# --- covariates known in advance


@pytest.fixture
def priced(shell, shops):
    """A run that knows prices in advance."""
    assert shell.fit(shops(100), "--series", "store", "--future", "price").code == 0


def _prices(cells):
    return "store,ds,price\n" + "".join(f"{store},2024-04-{day},{price}\n" for store, day, price in cells)


GIVEN = [(store, day, 2) for store in ("north", "south") for day in (10, 11, 12)]


def test_future_covariates_are_asked_for(shell, priced):
    line = shell.refuses("predict", "run")
    assert line.startswith("the model knows the covariates price in advance: pass their next 3 steps")
    assert "--future-table FILE" in line


def test_future_covariates_that_miss_dates_list_them(shell, priced):
    shell.write(_prices(GIVEN[:2] + GIVEN[3:4]), "next.csv")
    assert shell.refuses("predict", "run", "--future-table", "next.csv") == (
        "next.csv lacks 3 rows of future covariates: series 'north' 2024-04-12, series 'south' 2024-04-11, "
        "series 'south' 2024-04-12. Add one row for every series and step of the horizon"
    )


def test_future_covariates_with_faults_name_the_line(shell, priced):
    shell.write(_prices([*GIVEN[:4], ("south", 11, ""), GIVEN[5]]), "next.csv")
    line = shell.refuses("predict", "run", "--future-table", "next.csv")
    assert line == "next.csv line 6: the future covariate 'price' is empty. Fill it"
    shell.write(_prices([*GIVEN, ("nort", 10, 1)]), "next.csv")
    line = shell.refuses("predict", "run", "--future-table", "next.csv")
    assert line.startswith("next.csv line 8: series 'nort' is unknown to the model; did you mean 'north'?")
    shell.write(_prices([*GIVEN, GIVEN[0]]), "next.csv")
    line = shell.refuses("predict", "run", "--future-table", "next.csv")
    assert line == "next.csv line 2 and line 8 hold the same series and 'ds'; remove one"


def test_with_the_future_the_forecast_is_made(shell, priced):
    shell.write(_prices(GIVEN), "next.csv")
    assert len(shell.forecasts("run", "--future-table", "next.csv")) == 2 * 3 * 5


# --- where the forecast goes


def test_out_is_never_overwritten_without_force(shell, trained):
    said = shell.does("predict", "run", "--out", "next.csv")
    assert (said.out, said.err) == ("3 rows in next.csv\n", "")
    (shell.folder / "next.csv").write_text("mine")
    line = shell.refuses("predict", "run", "--out", "next.csv")
    assert line == "next.csv exists already; pass --force to replace it, or another --out"
    assert (shell.folder / "next.csv").read_text() == "mine"
    shell.does("predict", "run", "--out", "next.csv", "--force", "--quiet")
    assert (shell.folder / "next.csv").read_text() == (trained / "forecast.csv").read_text()


def test_json_tells_the_file_and_the_rows(shell, trained):
    said = shell.does("predict", "run", "--out", "deep/next.csv", "--json")
    assert said.err == ""
    assert said.json["out"] == "deep/next.csv"
    assert [row["ds"] for row in said.json["rows"]] == ["2024-04-10", "2024-04-11", "2024-04-12"]


def test_parquet_out_keeps_types(shell, trained):
    shell.does("predict", "run", "--out", "next.parquet")
    frame = pl.read_parquet("next.parquet")
    assert frame.schema["ds"] == pl.Date
    assert frame["GRU"].to_list() == [float(row["GRU"]) for row in shell.does("predict", "run").rows]


def test_a_place_that_takes_no_file_is_named_and_leaves_nothing(shell, trained):
    shell.write("text", "file")
    assert shell.refuses("predict", "run", "--out", "file/next.csv", code=1).startswith("cannot write file/next.csv: ")
    (shell.folder / "next.csv").mkdir()
    line = shell.refuses("predict", "run", "--out", "next.csv", "--force", code=1)
    assert line == "cannot write next.csv: Is a directory"
    assert sorted(path.name for path in shell.folder.iterdir()) == ["file", "next.csv", "run"]


@pytest.mark.parametrize("name", ["-1", "+1.5"])
def test_names_that_are_numbers_stay_as_they_are(shell, shops, name):
    assert shell.fit(shops(60, (name,)), "--series", "store").code == 0
    assert {row["store"] for row in shell.does("predict", "run").rows} == {name}


@pytest.mark.parametrize("name", ["=1+1", "+1+1", "-1-1", "@SUM(A1)", "\tx"])
def test_text_that_a_spreadsheet_would_run_is_quoted_and_numbers_are_not(shell, shops, name):
    table = shops(60, (name,)).replace(",1", ",-1")
    assert shell.fit(table, "--series", "store").code == 0
    said = shell.does("predict", "run")
    shell.does("predict", "run", "--out", "next.csv")
    assert said.out == (shell.folder / "next.csv").read_text() == (shell.folder / "run" / "forecast.csv").read_text()
    assert {row["store"] for row in said.rows} == {"'" + name}
    assert all(float(row["GRU"]) < 0 for row in said.rows)


# --- models that are not whole


@pytest.mark.parametrize("member", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("position", [0.0, 0.5, 0.999])
def test_one_flipped_bit_names_the_member(shell, trained, member, position):
    path = trained / "model" / member
    data = bytearray(path.read_bytes())
    data[int(position * len(data))] ^= 4
    path.write_bytes(data)
    line = shell.refuses("predict", "run")
    assert line.startswith(f"run/model/{member}: its SHA-256 differs from the manifest's")


@pytest.mark.parametrize("member", ["config.json", "model.safetensors"])
def test_a_truncated_member_gives_both_sizes(shell, trained, member):
    path = trained / "model" / member
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[: size // 2])
    line = shell.refuses("predict", "run")
    assert line == f"run/model/{member}: {size // 2} bytes found, {size} recorded; it was cut off or changed"
    path.unlink()
    assert shell.refuses("predict", "run") == f"{member} is missing from run/model; save the model again"


def test_a_newer_version_is_refused_with_both(shell, trained):
    path = trained / "model" / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "format_version": 99, "recurra": "7.1"}))
    line = shell.refuses("predict", "run")
    assert line.startswith("run/model has format version 99 (written by recurra 7.1); this is recurra")
    assert line.endswith("which reads up to 1; upgrade recurra")


@pytest.mark.parametrize(
    ("manifest", "line"),
    [
        ("{", "run/model/manifest.json is not JSON"),
        ("[]", "run/model/manifest.json is no manifest of recurra's"),
        ('{"format": "recurra", "format_version": 1, "kind": "checkpoint"}', "run/model holds a checkpoint, not a"),
        ('{"format": "recurra", "format_version": 1, "kind": "forecaster"}', "run/model/manifest.json does not list"),
    ],
)
def test_a_damaged_manifest_is_refused(shell, trained, manifest, line):
    (trained / "model" / "manifest.json").write_text(manifest)
    assert shell.refuses("predict", "run").startswith(line)


def test_an_unfinished_or_missing_run_is_refused(shell, trained):
    assert shell.refuses("predict", "ran") == (
        "ran is no run folder (no config.json); `recurra fit ... --out ran` makes one"
    )
    (trained / "model").rename(shell.folder / "elsewhere")
    assert shell.refuses("predict", "run").startswith("run is a run whose model is missing; put run/model back")
