"""Run folders as a finished forecasting job leaves them."""

from __future__ import annotations

import csv
import datetime
import html.parser
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SCRIPT = "</script><img src=x onerror=alert(1)>"
HORIZON, WINDOWS, SEASON = 26, 3, 52
FORECASTERS = {"LSTM": 0.7, "SeasonalNaive": 1.3, "Naive": 3.2, "ARIMA": 1.0, "Dense": 0.85}


def write_run(
    folder: Path,
    *,
    target: str = "sales",
    series: str | None = None,
    names: Sequence[str] = ("",),
    backtest: bool = True,
    noise: dict[str, float] | None = None,
    data: str = "sales.csv",
) -> Path:
    """A run on weekly series with a trend and a yearly season; `noise` is each forecaster's error."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = FORECASTERS if noise is None else noise
    rng = np.random.default_rng(3)
    start = datetime.date(2017, 1, 2)
    week = datetime.timedelta(weeks=1)
    history: list[dict[str, Any]] = []
    forecast: list[dict[str, Any]] = []
    held_out: list[dict[str, Any]] = []
    for k, name in enumerate(names):
        key = {} if series is None else {series: name}
        t = np.arange(5 * SEASON + HORIZON)
        signal = (40 + 3 * k) + 0.045 * t + (6 + k) * np.sin(2 * np.pi * (t / SEASON - 0.2 * k))
        signal = signal + 2.2 * np.sin(4 * np.pi * t / SEASON)
        truth = signal + rng.normal(0, 0.9, len(t))
        known = len(t) - HORIZON
        history += [
            key | {"week": start + i * week, target: None if i in (150, 151) else truth[i]} for i in range(known)
        ]
        spread = 0.9 + 0.06 * np.arange(HORIZON)
        for i in range(HORIZON):
            row = key | {"week": start + (known + i) * week, "LSTM": signal[known + i]}
            row |= {f"LSTM-lo-{level}": row["LSTM"] - z * spread[i] for level, z in ((95, 1.96), (80, 1.28))}
            row |= {f"LSTM-hi-{level}": row["LSTM"] + z * spread[i] for level, z in ((80, 1.28), (95, 1.96))}
            forecast.append(row)
        for window in range(WINDOWS):
            cutoff = known - (WINDOWS - window) * HORIZON
            for i in range(cutoff, cutoff + HORIZON):
                row = key | {"cutoff": start + (cutoff - 1) * week, "week": start + i * week, target: truth[i]}
                for forecaster, size in noise.items():
                    point = signal[i] + size * np.sin(i / 5 + window) + rng.normal(0, size / 3)
                    half = 1.1 + 1.5 * size
                    row |= {forecaster: point, f"{forecaster}-lo-90": point - half, f"{forecaster}-hi-90": point + half}
                held_out.append(row)
    _write_csv(folder / "history.csv", history)
    _write_csv(folder / "forecast.csv", forecast)
    if backtest:
        _write_csv(folder / "backtest.csv", held_out)
        scores = {forecaster: _scores(held_out, target, forecaster) for forecaster in noise}
        windows = {"horizon": HORIZON, "windows": WINDOWS * len(names), "level": 90, "scores": scores}
        (folder / "scores.json").write_text(json.dumps(windows))
    parameters = {"horizon": HORIZON, "cell": "lstm", "hidden_size": 128, "series": series, "time": "week"}
    parameters |= {"target": target, "missing": "interpolate", "transform": None, "training": {"steps": 400}}
    config = {"task": "forecast", "data": data, "parameters": parameters}
    (folder / "config.json").write_text(json.dumps(config))
    summary = {
        "model": "LSTM",
        "horizon": HORIZON,
        "series": len(names),
        "steps_total": len(history),
        "frequency": "1w",
        "plan": {
            "horizon": HORIZON,
            "lookback": 104,
            "season": 1,
            "periods": [52],
            "skips": [52],
            "scaling": "standard",
        },
        "training_steps": 350,
        "weights": 216_322,
        "levels": [80, 95],
        "seconds": {"backtest": 12.34, "fit": 140.1},
        "machine": {
            "cpu": "A processor @ 2.60GHz",
            "threads": 2,
            "torch": "2.13.0",
            "recurra": "0.1.0",
            "python": "3.11.7",
        },
        "explain": "layer 0: lstm by compiled (gcc, 8 wide)\nlayer 1: lstm by compiled (gcc, 8 wide)",
        "notices": ["2 gaps of column 'sales' were interpolated"],
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    with (folder / "metrics.jsonl").open("w") as file:
        for stage, steps in (("backtest-select", 400), ("select", 400), ("fit", 350)):
            for step in range(1, steps + 1):
                line = {"stage": stage, "step": step, "learning_rate": 0.002 * (1 - step / steps)}
                line["loss"] = 0.12 + 0.8 * np.exp(-step / 60) + 0.02 * rng.normal()
                line["gradient_norm"] = float(0.3 + 4 * np.exp(-step / 40) + 0.1 * abs(rng.normal()))
                line["validation"] = 0.15 + 0.7 * np.exp(-step / 70) if step % 25 == 0 and stage != "fit" else None
                file.write(json.dumps(line) + "\n")
    return folder


def write_text_run(folder: Path, *, task: str = "classify", mark: str = "") -> Path:
    """A run of a text task; `mark` is put into every name that comes from a user's data."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"ham{mark}", f"spam{mark}", f"news{mark}"]
    confusion = [[80, 15, 5], [10, 85, 5], [2, 8, 90]]
    keys = {"classify": "accuracy", "tag": "accuracy", "language": "perplexity", "translate": "bleu"}
    measures = [{"key": keys[task], "title": keys[task], "higher_is_better": task != "language", "share": False}]
    measures[0]["share"] = keys[task] == "accuracy"
    own, rival = {"accuracy": (0.85, 0.7), "perplexity": (90.5, 141.2), "bleu": (31.25, 14.0)}[keys[task]]
    classes = [
        {"name": name, "precision": 0.8, "recall": 0.9, "f1": 0.847, "support": 100, "predicted": 110} for name in names
    ]
    bins = [{"low": 0.5 * i, "high": 0.5 * i + 0.5, "confidence": None, "right": None, "rows": 0} for i in range(2)]
    bins[1] |= {"confidence": 0.8, "right": 0.85, "rows": 300}
    details = {"classes": classes, "confusion": confusion, "bins": bins} if task in ("classify", "tag") else {}
    scores = {
        "measured_on": f"300 rows of mails{mark}.csv",
        "measures": measures,
        "scores": {"LSTM": {keys[task]: own}, "NaiveBayes": {keys[task]: rival}, "MajorityClass": {keys[task]: None}},
        "details": details,
    }
    examples = {
        "explanations": [
            {"text": f"buy pills{mark}", "answer": names[1], "probability": 0.93, "base": -0.1, "gap": 0.0,
             "tokens": [["buy", 0.5], [f"pills{mark}", 2.25]], "truth": names[0]},
            {"text": "", "answer": names[0], "probability": 0.6, "base": 0.4, "gap": 0.0, "tokens": []},
        ],
        "alignments": [
            {"text": f"ein{mark} Haus", "translation": f"a house{mark}", "source": [f"ein{mark}", "Haus"],
             "target": ["a", "house"], "weights": [[0.9, 0.1], [0.25, 0.75]], "reference": f"a building{mark}"}
        ],
        "translations": [{"text": f"zwei{mark}", "translation": "", "reference": f"two{mark}"}],
        "sentences": [
            {"words": [f"Ann{mark}", "left"], "tags": [f"B-place{mark}", "O"], "truth": [f"B-name{mark}", "O"],
             "confidences": [0.625, 0.99], "spans": []},
            {"words": [], "tags": [], "truth": [], "confidences": []},
        ],
        "samples": [{"prompt": f"To be{mark}", "text": " or not", "temperature": 0.7}],
        "mistakes": [{"text": f"hello{mark}", "true": names[0], "taken for": names[1], "confidence": 0.875}],
    }  # fmt: skip
    summary = {
        "model": "LSTM", "rows": 2700, "rows_measured": 300, "classes": names, "tokens": 812, "members": 2,
        "weights": 12_345, "temperature": 1.25, "padding_share": 0.0388, "seconds": {"fit": 61.25, "evaluate": 1.5},
        "explain": f"layer 0: lstm by compiled{mark}", "machine": {"cpu": "A processor", "threads": 1},
        "notices": [f"2 texts are empty{mark}"],
    }  # fmt: skip
    parameters = {"cell": "lstm", "label": f"kind{mark}", "training": {"seed": 3}}
    config = {"task": task, "data": f"mails{mark}.csv", "parameters": parameters}
    for name, value in (("config", config), ("summary", summary), ("scores", scores), ("examples", examples)):
        (folder / f"{name}.json").write_text(json.dumps(value))
    _write_csv(folder / "predictions.csv", [{"text": f"a{mark}", "predicted": names[0]}])
    with (folder / "metrics.jsonl").open("w") as file:
        for stage in ("member-0", "member-1"):
            for step in range(1, 61):
                line = {"stage": stage, "step": step, "loss": 1.1 * 0.97**step, "gradient_norm": 1.0}
                line["validation"] = 0.5 - step / 200 if step % 20 == 0 else None
                file.write(json.dumps(line) + "\n")
    return folder


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def _scores(rows: list[dict[str, Any]], target: str, name: str) -> dict[str, float]:
    truth, point, low, high = (
        np.array([row[column] for row in rows], float) for column in (target, name, f"{name}-lo-90", f"{name}-hi-90")
    )
    error = np.abs(truth - point)
    return {
        "mae": error.mean(),
        "rmse": np.sqrt((error**2).mean()),
        "r2": 1 - (error**2).sum() / ((truth - truth.mean()) ** 2).sum(),
        "mase": error.mean() / 2.1,
        "smape": (200 * error / (np.abs(truth) + np.abs(point))).mean(),
        "coverage": ((truth >= low) & (truth <= high)).mean(),
        "width": (high - low).mean(),
    }


class Page(html.parser.HTMLParser):
    """Elements, scripts and visible text of a page, as a browser parses them."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._within = ""
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._within = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._within = ""

    def handle_data(self, data):
        if self._within == "script":
            self.scripts[-1] += data
        elif self._within != "style":
            self.text += data

    def count(self, tag):
        return sum(name == tag for name, _ in self.tags)

    @property
    def policy(self):
        return next(a["content"] for _, a in self.tags if a.get("http-equiv") == "Content-Security-Policy")


@pytest.fixture(scope="session")
def page_of() -> type[Page]:
    """Parses the source of a page."""
    return Page


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Path]:
    """`write_run`, for runs that no fixture below is."""
    return write_run


@pytest.fixture(scope="session")
def make_text_run() -> Callable[..., Path]:
    """`write_text_run`, for runs that no fixture below is."""
    return write_text_run


@pytest.fixture
def text_run(tmp_path: Path) -> Path:
    """A classifier of three classes with two members."""
    return write_text_run(tmp_path / "texts")


@pytest.fixture
def weekly_run(tmp_path: Path) -> Path:
    """One series, five forecasters, three windows."""
    return write_run(tmp_path / "weekly")


@pytest.fixture
def hostile_run(tmp_path: Path) -> Path:
    """Four series whose names, target and file name are markup."""
    names = (SCRIPT, "<b>bold</b> $x_1$", 'O\'Brien & Söhne "north"', "店舗 {{ 7 * 7 }}")
    return write_run(tmp_path / "hostile", target=SCRIPT, series="<i>store</i>", names=names, data="<b>a</b>.csv")


@pytest.fixture
def bare_run(tmp_path: Path) -> Path:
    """A run without a backtest."""
    return write_run(tmp_path / "bare", backtest=False)
