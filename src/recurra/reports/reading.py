"""What all records of runs share: JSON that is whole, the metrics of training, and how damage is named."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from recurra.errors import ArtifactError

__all__ = ["Recorded", "damaged", "number", "read_metrics", "read_object"]

_METRICS = {
    "stage": pl.String,
    "step": pl.Int64,
    "loss": pl.Float64,
    "validation": pl.Float64,
    "gradient_norm": pl.Float64,
}


class Recorded(Protocol):
    """The records of a run of any task.

    config, summary: what was asked for; what was decided and used.
    metrics: one row a training step: stage, step, loss, validation, gradient_norm.
    """

    @property
    def config(self) -> Mapping[str, Any]: ...

    @property
    def summary(self) -> Mapping[str, Any]: ...

    @property
    def metrics(self) -> pl.DataFrame: ...

    @property
    def model(self) -> str: ...


def read_object(file: Path) -> dict[str, Any]:
    """The object of a JSON file; ArtifactError if it is none."""
    try:
        value = json.loads(file.read_bytes())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise damaged(file, f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise damaged(file, "no JSON object")
    return value


def read_metrics(file: Path) -> pl.DataFrame:
    """Every whole line; one cut off by a kill ends the record."""
    rows: list[dict[str, Any]] = []
    if file.is_file():
        for text in file.read_text(errors="replace").splitlines():
            try:
                line = json.loads(text)
                rows.append(
                    {"stage": str(line["stage"]), "step": int(line["step"])}
                    | {name: number(line.get(name)) for name in ("loss", "validation", "gradient_norm")}
                )
            except (ValueError, TypeError, KeyError):
                break
    return pl.DataFrame(rows, schema=_METRICS)


def number(value: Any) -> float | None:
    """A finite number, else None; ValueError or TypeError for what is none."""
    if value is None:
        return None
    found = float(value)
    return found if math.isfinite(found) else None


def damaged(file: Path, reason: str) -> ArtifactError:
    """The error that names a damaged file, and what writes it again."""
    if file.name == "config.json":  # what a run is resumed from
        remedy = f"begin the run again with `recurra fit ... --out {file.parent} --force`"
    else:
        remedy = f"`recurra resume {file.parent}` writes it again"
    return ArtifactError(f"{file} is damaged: {reason}; {remedy}")
