"""The file that a run learns from: where it lies, how it is read, and whether it is still the same."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recurra.data.files import Table, read_table
from recurra.errors import DataError

__all__ = ["Source"]


@dataclass(frozen=True)
class Source:
    """A file as it was when the run began.

    path: absolute.
    encoding, separator, decimal: of a text file; see `recurra.data.files.read_table`.
    sha256: of the file, None if it was not there.
    """

    path: str
    encoding: str = "utf-8"
    separator: str | None = None
    decimal: str = "."
    sha256: str | None = None

    @classmethod
    def of(cls, path: str | Path, **form: Any) -> Source:
        """The source at `path`, with its checksum if it is there; `form` as the fields have it."""
        file = Path(path)
        return cls(str(file.resolve()), **form, sha256=_digest(file) if file.is_file() else None)

    def read(self) -> Table:
        """The table.

        Raises:
            DataError: the file is missing or faulty, or not the one that the run began with.
        """
        table = read_table(self.path, encoding=self.encoding, separator=self.separator, decimal=self.decimal)
        self.verify()
        return table

    def verify(self) -> None:
        """Raise `DataError` if the file is not the one that the run began with."""
        if self.sha256 and (not Path(self.path).is_file() or _digest(Path(self.path)) != self.sha256):
            raise DataError(f"{self.path} has changed since the run began; start a new run with `recurra fit`")

    @property
    def name(self) -> str:
        """What reports call the file."""
        return Path(self.path).name


def _digest(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()
