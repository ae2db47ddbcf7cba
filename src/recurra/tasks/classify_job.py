"""The job behind `recurra fit classify`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from recurra.data.labelled import Labelled, check_classes, list_classes
from recurra.tasks.classification import TextClassifier
from recurra.tasks.parameters import is_tried
from recurra.tasks.source import Source
from recurra.tasks.text_job import TextData, TextJob

__all__ = ["ClassifyJob"]


@dataclass
class ClassifyJob(TextJob):
    """Texts of a table, each with its label."""

    task: ClassVar[str] = "classify"
    unit: ClassVar[str] = "texts"
    kind: ClassVar[type[Any]] = TextClassifier

    def read_rows(self, task: Any, source: Source) -> Labelled:
        """The labelled texts of a table."""
        rows: Labelled = task.read(source.read())
        return rows

    def _check(self, data: TextData) -> None:
        super()._check(data)
        classes = list_classes(data.train)
        for rows in (data.valid, data.test):
            if rows is not None:
                check_classes(rows, classes)
        task, (learned, _) = self.fresh(), self._parts(data)
        if is_tried(sum(map(len, learned.texts)), task.min_count):
            task.learn_tokenizer(learned)
