import ast
import base64
import hashlib
import json
import re
from pathlib import Path

import pytest

import recurra.reports
from recurra.errors import RecurraError
from recurra.reports import RunRecord, write_report
from recurra.reports.html import render

LOWER = {  # what files of the report's take from below, besides
    "diagnosis.py": {"recurra.layers"},  # a layer's, not a run's
    "reliability.py": {"recurra.training.classification"},  # the form of its bins
    "runs.py": {"recurra.training.run"},  # to find out whose run it is
    "text_drawings.py": {"recurra.training.classification"},
}
SCRIPT = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, make_run):
    names = (SCRIPT, "<b>bold</b> $x_1$", "{{ 7 * 7 }}", "%{x} & \u2028")
    folder = tmp_path_factory.mktemp("run")
    return make_run(folder, target=SCRIPT, series="<i>store</i>", names=names, data="<b>a</b>.csv")


@pytest.fixture(scope="module")
def hostile_page(hostile, page_of):
    summary = json.loads((hostile / "summary.json").read_text())
    summary |= {"notices": [f"notice {SCRIPT}"], "explain": SCRIPT, "machine": {SCRIPT: SCRIPT}}
    (hostile / "summary.json").write_text(json.dumps(summary))
    return page_of(write_report(hostile).read_text())


def test_names_from_the_file_are_text_wherever_they_stand(hostile_page):
    assert hostile_page.count("img") == hostile_page.count("b") == hostile_page.count("i") == 0
    assert hostile_page.count("script") == 3
    assert f"{SCRIPT}: the next 26 steps" in hostile_page.text
    assert "<b>bold</b> $x_1$" in hostile_page.text
    assert "{{ 7 * 7 }}" in hostile_page.text
    assert "<b>a</b>.csv" in hostile_page.text
    assert not any(name.startswith("on") for _, attributes in hostile_page.tags for name in attributes)


def test_no_data_can_end_a_script(hostile_page):
    data = hostile_page.scripts[0]
    assert not set("<>&\u2028") & set(data)
    charts = json.loads(data)
    assert charts["forecast"][0]["label"] == SCRIPT
    assert all("</script" not in script.lower() for script in hostile_page.scripts)


def test_only_the_two_known_scripts_may_run_and_nothing_may_load(hostile_page):
    hashes = set(re.findall(r"'sha256-([^']+)'", hostile_page.policy))
    code = hostile_page.scripts[1:]
    assert hashes == {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in code}
    assert hostile_page.policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in hostile_page.policy.replace("style-src 'unsafe-inline'", "")
    assert not any({"src", "href"} & set(a) for tag, a in hostile_page.tags if tag not in {"a"})
    assert {a["href"] for tag, a in hostile_page.tags if tag == "a"} == {"#notices"}


def test_the_parts_stand_in_their_order(weekly_run, page_of):
    page = page_of(write_report(weekly_run).read_text())
    order = [
        "sales: the next 26 steps",
        "LSTM's mean absolute error is",
        "Forecast",
        "Backtest beside the baselines",
        "this model",
        "Below 1: better than repeating the last season",
        "What was forecast from each cutoff",
        "Training",
        "What was decided from the data",
        "104 past steps the model sees",
        "Machine",
        "layer 0: lstm by compiled",
        "Settings",
        "training.steps",
        "Notices",
        "2 gaps of column 'sales' were interpolated",
    ]
    text = page.text[page.text.index("recurra forecast report") :]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_tables_and_charts_can_be_read_aloud(weekly_run, page_of):
    page = page_of(write_report(weekly_run).read_text())
    scopes = [attributes.get("scope") for tag, attributes in page.tags if tag == "th"]
    assert scopes == ["col"] * 8 + ["row"] * 5
    charts = [a for _, a in page.tags if a.get("role") == "img"]
    assert len(charts) == 3
    assert charts[0]["aria-label"].startswith(
        "Line chart of 156 past steps of sales, then the forecast up to 2022-06-20"
    )
    assert ("html", {"lang": "en"}) in page.tags


def test_a_run_without_a_backtest_has_no_table(bare_run, page_of):
    page = page_of(write_report(bare_run).read_text())
    assert page.count("table") == 0
    assert "No backtest was made" in page.text
    assert page.count("figure") == 2


def test_the_least_that_a_run_records_is_enough(bare_run, page_of):
    (bare_run / "summary.json").write_text('{"model": "LSTM"}')
    for name in ("forecast.csv", "metrics.jsonl"):
        (bare_run / name).unlink()
    config = json.loads((bare_run / "config.json").read_text())
    del config["data"]
    (bare_run / "config.json").write_text(json.dumps(config))
    page = page_of(write_report(bare_run).read_text())
    assert "This run holds no forecast." in page.text
    assert page.count("figure") == 1


def test_equal_records_give_equal_bytes(weekly_run):
    record = RunRecord.read(weekly_run)
    assert render(record) == render(record)


def test_the_report_replaces_an_old_one_whole(weekly_run, monkeypatch):
    path = write_report(weekly_run)
    assert path == weekly_run / "report.html"
    before = path.read_bytes()
    files = set(weekly_run.iterdir())

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("recurra.atomic.os.fsync", full)
    with pytest.raises(RecurraError, match=r"No space left on device"):
        write_report(weekly_run)
    assert path.read_bytes() == before
    assert set(weekly_run.iterdir()) == files


def test_reports_import_nothing_that_trains():
    for file in Path(recurra.reports.__file__).parent.glob("*.py"):
        allowed = {"recurra.atomic", "recurra.errors", "recurra.reports"} | LOWER.get(file.name, set())
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] != "torch"
                assert not name.startswith("recurra") or {".".join(name.split(".")[:2]), name} & allowed


def test_the_public_surface_is_what_is_named():
    assert recurra.reports.__all__ == [
        "Diagnosis",
        "RunRecord",
        "diagnose",
        "write_figures",
        "write_gradients",
        "write_report",
    ]
