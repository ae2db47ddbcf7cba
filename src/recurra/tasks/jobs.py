"""Which job a run folder belongs to, and the fitted task in it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from recurra.errors import RunError
from recurra.tasks.job import Job
from recurra.training.run import RunFolder

__all__ = ["job_of", "load_fitted"]

_JOBS = {
    "forecast": ("forecast_job", "ForecastJob"),
    "classify": ("classify_job", "ClassifyJob"),
    "language": ("language_job", "LanguageJob"),
    "tag": ("tag_job", "TagJob"),
    "translate": ("translate_job", "TranslateJob"),
}


def job_of(run: RunFolder) -> Job:
    """The job that a run folder was made for.

    Raises:
        RunError: its task is none of recurra's; ArtifactError: its config.json is damaged.
    """
    return _kind(run).of(run)


def load_fitted(run: RunFolder) -> Any:
    """The fitted task that a run ended with: a `Forecaster`, a `TextClassifier`, ...

    Raises:
        RunError: its task is none of recurra's; ArtifactError: the model is missing or damaged.
    """
    return _kind(run).kind.load(run.path)


def _kind(run: RunFolder) -> type[Job]:
    task = run.config.get("task")
    if task not in _JOBS:
        raise RunError(f"{run.path} is a run of task {task!r}; this recurra knows {', '.join(_JOBS)}")
    module, name = _JOBS[str(task)]
    kind: type[Job] = getattr(import_module(f"recurra.tasks.{module}"), name)
    return kind
