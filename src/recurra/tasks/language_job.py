"""The job behind `recurra fit language`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from recurra.data.plain_text import PlainText
from recurra.tasks.comparison import Comparison
from recurra.tasks.language import LanguageModel
from recurra.tasks.language_data import check_short
from recurra.tasks.source import Source
from recurra.tasks.text_job import TextData, TextJob
from recurra.training.run import RunFolder

__all__ = ["LanguageJob"]


@dataclass
class LanguageJob(TextJob):
    """A text, in one file or several.

    more: the files that go on where `source` ends.
    """

    task: ClassVar[str] = "language"
    unit: ClassVar[str] = "characters"
    kind: ClassVar[type[Any]] = LanguageModel
    more: tuple[Source, ...] = ()

    @classmethod
    def _of(cls, config: dict[str, Any]) -> Self:
        job = super()._of(config)
        job.more = tuple(Source(**fields) for fields in config["more"])
        return job

    def _config(self) -> dict[str, Any]:
        return {**super()._config(), "more": [vars(source) for source in self.more]}

    def read_rows(self, task: Any, source: Source) -> PlainText:
        """The text of a file; of the one learned from, with those that go on."""
        sources = [source, *self.more] if source is self.source else [source]
        for each in sources:
            each.verify()
        text: PlainText = task.read([each.path for each in sources], encoding=source.encoding)
        return text

    def _check(self, data: TextData) -> None:
        super()._check(data)
        check_short(self.fresh(), *self._parts(data), data.test)

    def _compare(self, run: RunFolder, task: Any, data: TextData, name: str) -> Comparison:
        found: Comparison = task.compare(data.test, data.train, measured_on=name, folder=run.path)
        return found

    def next_step(self, run: RunFolder) -> str:
        """What a user may call next."""
        return f"recurra generate {run.path}"
