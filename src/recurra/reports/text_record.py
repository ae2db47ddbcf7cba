"""The run folder of a text task read back: what was asked, decided, measured and exemplified."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import polars as pl

from recurra.errors import RunError
from recurra.reports.reading import damaged, number, read_metrics, read_object

__all__ = [
    "TEXT_TASKS",
    "Alignment",
    "Compared",
    "Examples",
    "Explained",
    "Sample",
    "Sentence",
    "TextMeasure",
    "TextRecord",
    "Translation",
]

TEXT_TASKS = ("classify", "tag", "language", "translate")
_BIN = ("low", "high", "confidence", "right", "rows")


class TextMeasure(NamedTuple):
    """One column of a comparison: its key in the scores, its title, which way is better, whether it is a share."""

    key: str
    title: str
    higher_is_better: bool = True
    share: bool = False


@dataclass(frozen=True)
class Compared:
    """What was measured.

    measured_on: what of, in words.
    measures: in the order in which they are shown; the first is what models are judged by.
    values: by model, then by measure, None where undefined; the first is the run's own.
    details: more of the run's model, as plain data.
    """

    measured_on: str
    measures: tuple[TextMeasure, ...]
    values: Mapping[str, Mapping[str, float | None]]
    details: Mapping[str, Any]


class Explained(NamedTuple):
    """A text and what each of its tokens said for an answer."""

    text: str
    answer: str
    probability: float
    tokens: tuple[str, ...]
    contributions: tuple[float, ...]
    truth: str | None = None
    """What was right, if it is known."""


class Translation(NamedTuple):
    """A text, what was written for it, and what is right; None where the record does not say."""

    text: str | None
    translation: str | None
    reference: str | None


class Alignment(NamedTuple):
    """What each target token was made of, and the texts."""

    source: tuple[str, ...]
    target: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]
    texts: Translation


class Sentence(NamedTuple):
    """Words with the tags that were said, how sure each is, and the true ones."""

    words: tuple[str, ...]
    said: tuple[str, ...]
    truth: tuple[str, ...]
    confidences: tuple[float, ...] | None = None


class Sample(NamedTuple):
    """A text that a model wrote."""

    prompt: str
    text: str
    temperature: float | None = None


class Examples(NamedTuple):
    """What a task showed of itself; any part may be empty."""

    explanations: tuple[Explained, ...] = ()
    alignments: tuple[Alignment, ...] = ()
    samples: tuple[Sample, ...] = ()
    mistakes: tuple[Mapping[str, Any], ...] = ()
    sentences: tuple[Sentence, ...] = ()
    translations: tuple[Translation, ...] = ()


@dataclass(frozen=True)
class TextRecord:
    """The records of one run of a text task; `TextRecord.read(path)` loads them, nothing is trained or computed again.

    config, summary: what was asked for; what was decided and used.
    compared: the measures.
    predictions: one row each of what was measured on, as text; None if none were written.
    metrics: one row a training step: stage, step, loss, validation, gradient_norm.
    examples: what the task showed of itself.
    """

    path: Path
    config: Mapping[str, Any]
    summary: Mapping[str, Any]
    compared: Compared
    predictions: pl.DataFrame | None
    metrics: pl.DataFrame
    examples: Examples

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """The records in the run folder `path`.

        Raises:
            RunError: there is no run there, it is not finished, or it is no text task's.
            ArtifactError: a file is damaged; its name and the remedy are in the message.
        """
        path = Path(path)
        if not (path / "config.json").is_file():
            raise RunError(f"{path} is no run folder (no config.json); `recurra fit ... --out {path}` makes one")
        config = read_object(path / "config.json")
        if config.get("task") not in TEXT_TASKS:
            raise RunError(
                f"{path} is a run of task {config.get('task')!r}; "
                f"reports of texts are drawn for {', '.join(map(repr, TEXT_TASKS))}"
            )
        if not isinstance(config.get("parameters"), dict):
            raise damaged(path / "config.json", "it holds no parameters")
        for name in ("summary.json", "scores.json"):
            if not (path / name).is_file():
                raise RunError(f"{path} is not finished (no {name}); `recurra resume {path}` goes on")
        summary = read_object(path / "summary.json")
        if not isinstance(summary.get("model"), str):
            raise damaged(path / "summary.json", "it names no model")
        return cls(
            path=path,
            config=config,
            summary=summary,
            compared=_read_compared(path / "scores.json", summary["model"]),
            predictions=_read_predictions(path / "predictions.csv"),
            metrics=read_metrics(path / "metrics.jsonl"),
            examples=_read_examples(path / "examples.json"),
        )

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.summary["model"])

    @property
    def task(self) -> str:
        """One of `TEXT_TASKS`."""
        return str(self.config["task"])


def _read_compared(file: Path, model: str) -> Compared:
    value = read_object(file)
    try:
        found = Compared(
            measured_on=str(value["measured_on"]),
            measures=tuple(
                TextMeasure(str(m["key"]), str(m["title"]), bool(m["higher_is_better"]), bool(m["share"]))
                for m in value["measures"]
            ),
            values={
                str(name): {str(measure): number(x) for measure, x in row.items()}
                for name, row in value["scores"].items()
            },
            details=_check_details(value["details"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(file, f"{type(error).__name__} at {error}") from None
    if model not in found.values or not found.measures:
        raise damaged(file, f"it holds no scores of {model}")
    return found


def _check_details(details: Mapping[str, Any]) -> Mapping[str, Any]:
    """The details as they are; what the report draws of them fits together."""
    classes = details.get("classes", [])
    names = [row["name"] for row in classes]
    for row in details.get("confusion", []):
        if len(row) != len(names) or not all(isinstance(count, int) and count >= 0 for count in row):
            raise ValueError("the confusion matrix")
    if len(details.get("confusion", names)) != len(names):
        raise ValueError("the confusion matrix")
    for each in details.get("bins", []):
        if not isinstance(each["rows"], int) or (each["rows"] and None in [number(each[key]) for key in _BIN]):
            raise ValueError("the bins of confidence")
    return details


def _read_predictions(file: Path) -> pl.DataFrame | None:
    if not file.is_file():
        return None
    try:
        return pl.read_csv(file, infer_schema=False)
    except pl.exceptions.NoDataError:
        raise damaged(file, "it is empty") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        raise damaged(file, str(error).splitlines()[0]) from None


def _read_examples(file: Path) -> Examples:
    if not file.is_file():
        return Examples()
    value = read_object(file)
    try:
        return Examples(
            tuple(map(_explained, value.get("explanations", []))),
            tuple(map(_alignment, value.get("alignments", []))),
            tuple(
                Sample(str(each["prompt"]), str(each["text"]), number(each.get("temperature")))
                for each in value.get("samples", [])
            ),
            tuple(dict(each) for each in value.get("mistakes", [])),
            tuple(map(_sentence, value.get("sentences", []))),
            tuple(map(_translation, value.get("translations", []))),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(file, f"{type(error).__name__} at {error}") from None


def _explained(value: Mapping[str, Any]) -> Explained:
    tokens = [(str(token), number(share)) for token, share in value["tokens"]]
    shares = [share for _, share in tokens if share is not None]
    probability = number(value["probability"])
    if len(shares) != len(tokens) or probability is None:
        raise ValueError("a contribution that is no number")
    truth = value.get("truth")
    return Explained(
        str(value["text"]),
        str(value["answer"]),
        probability,
        tuple(token for token, _ in tokens),
        tuple(shares),
        None if truth is None else str(truth),
    )


def _alignment(value: Mapping[str, Any]) -> Alignment:
    source, target = (tuple(map(str, value[side])) for side in ("source", "target"))
    weights = tuple(tuple(float(share) for share in row) for row in value["weights"])
    if len(weights) != len(target) or any(len(row) != len(source) for row in weights):
        raise ValueError("an alignment whose weights do not fit its tokens")
    if not all(0 <= share <= 1.001 for row in weights for share in row):
        raise ValueError("an alignment's weight that is no share")
    return Alignment(source, target, weights, _translation(value))


def _translation(value: Mapping[str, Any]) -> Translation:
    found = [value.get(name) for name in Translation._fields]
    return Translation(*[None if text is None else str(text) for text in found])


def _sentence(value: Mapping[str, Any]) -> Sentence:
    words, said, truth = (tuple(map(str, value[name])) for name in ("words", "tags", "truth"))
    sure = [number(share) for share in value.get("confidences", [])]
    shares = tuple(share for share in sure if share is not None)
    if not len(words) == len(said) == len(truth) or len(shares) not in (len(words), 0) or len(sure) != len(shares):
        raise ValueError("a sentence whose tags do not fit its words")
    return Sentence(words, said, truth, shares or None)
