"""The job behind `recurra fit tag`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from recurra.data.tagged import Tagged
from recurra.tasks.source import Source
from recurra.tasks.tagging import SequenceTagger
from recurra.tasks.tagging_data import find_tagset
from recurra.tasks.text_job import TextData, TextJob

__all__ = ["TagJob"]


@dataclass
class TagJob(TextJob):
    """Sentences of a file, each token with its tag."""

    task: ClassVar[str] = "tag"
    unit: ClassVar[str] = "sentences"
    kind: ClassVar[type[Any]] = SequenceTagger

    def read_rows(self, task: Any, source: Source) -> Tagged:
        """The tagged sentences of a file."""
        rows: Tagged = task.read(source.path, encoding=source.encoding)
        source.verify()
        return rows

    def _check(self, data: TextData) -> None:
        super()._check(data)
        tags = find_tagset(data.train, self.fresh().scheme, quiet=True)
        for rows in (data.valid, data.test):
            if rows is not None:
                tags.check(rows)
