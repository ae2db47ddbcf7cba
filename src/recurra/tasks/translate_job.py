"""The job behind `recurra fit translate`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from recurra.data.pairs import Pairs, read_pairs
from recurra.errors import DataError
from recurra.tasks.pair_columns import check_both_named
from recurra.tasks.source import Source
from recurra.tasks.text_job import TextData, TextJob
from recurra.tasks.translation import Translator
from recurra.tasks.translation_data import check_pairs

__all__ = ["TranslateJob"]


@dataclass
class TranslateJob(TextJob):
    """Pairs of texts, of a table or of two files with a text a line.

    target_file, valid_target_file, test_target_file: the targets, where `source`, `valid` and `test` hold sources
        alone.
    """

    task: ClassVar[str] = "translate"
    unit: ClassVar[str] = "pairs"
    kind: ClassVar[type[Any]] = Translator
    target_file: Source | None = None
    valid_target_file: Source | None = None
    test_target_file: Source | None = None

    @classmethod
    def _of(cls, config: dict[str, Any]) -> Self:
        self = super()._of(config)
        for name in _TARGETS:
            setattr(self, name, Source(**config[name]) if config[name] else None)
        return self

    def _config(self) -> dict[str, Any]:
        beside = {name: getattr(self, name) for name in _TARGETS}
        return {**super()._config(), **{name: vars(file) if file else None for name, file in beside.items()}}

    def _read(self) -> TextData:
        for name, target in (("valid", self.valid_target_file), ("test", self.test_target_file)):
            given: Source | None = getattr(self, name)
            if target is not None and given is None:
                raise DataError(f"--{name}-target-file is {target.name} and --{name} is missing; pass the sources, too")
            if target is None and given is not None and self.target_file is not None and not self._is_table(given):
                raise DataError(
                    f"--target-file was passed and no --{name}-target-file for {given.name}; pass its targets, too, or "
                    "a table of pairs"
                )
        return super()._read()

    def _check(self, data: TextData) -> None:
        super()._check(data)
        check_pairs(self.fresh(), *self._parts(data))

    def read_rows(self, task: Any, source: Source) -> Pairs:
        """The pairs of one file, or of one with the file of targets that belongs to it."""
        beside = next(
            (
                target
                for file, target in (
                    (self.source, self.target_file),
                    (self.valid, self.valid_target_file),
                    (self.test, self.test_target_file),
                )
                if file is source
            ),
            None,
        )
        if beside is None:
            check_both_named(task.source, task.target, lambda: source.read().frame.columns)
        pairs = read_pairs(
            source.path,
            source=task.source,
            target=task.target,
            target_path=beside.path if beside else None,
            encoding=source.encoding,
            separator=source.separator,
        )
        for file in (source, *([beside] if beside else [])):
            file.verify()
        return pairs

    @staticmethod
    def _is_table(source: Source) -> bool:
        name = source.name.lower().removesuffix(".gz")
        return name.endswith((".tsv", ".csv", ".parquet", ".jsonl", ".ndjson", ".json"))


_TARGETS = ("target_file", "valid_target_file", "test_target_file")
