"""The text of a language model in codes that lie in a file, and what can be told of it before training."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recurra.data.corpus import Corpus, encode_texts
from recurra.data.plain_text import PlainText
from recurra.data.tokenizer import Tokenizer
from recurra.errors import DataError
from recurra.tasks.language_parameters import LanguageParameters

__all__ = ["check_short", "encode_learned", "encode_text", "learn_tokenizer", "room"]

_SHORT = 100_000  # characters: a longer text has words that occur twice, and tokens for all rows


@contextmanager
def room(run: Path | None) -> Iterator[Path]:
    """A folder for codes, removed at the end; what a killed process leaves in a run folder is swept when it goes on.

    run: the run folder it lies in; None: the system's folder for temporary files.
    """
    with tempfile.TemporaryDirectory(prefix=".codes.", dir=run) as folder:
        yield Path(folder)


def learn_tokenizer(task: LanguageParameters, text: PlainText) -> Tokenizer:
    """The tokenizer of the text that a task learns from.

    Raises ArgumentError if no token of it occurs often enough.
    """
    return Tokenizer.train(
        text.pieces(),
        task.tokenizer,  # type: ignore[arg-type]  # checked by train
        vocabulary_size=task.vocabulary_size,
        min_count=task.min_count,
        lowercase=task.lowercase,
    )


def encode_text(task: LanguageParameters, text: PlainText, tokenizer: Tokenizer, path: Path) -> Corpus:
    """The codes of a text, in the file `path`."""
    return encode_texts(text.texts(), tokenizer, path, lines=task.line_by_line)


def encode_learned(task: LanguageParameters, text: PlainText, tokenizer: Tokenizer, path: Path) -> Corpus:
    """The codes of the text that a task learns from, in the file `path`.

    Raises DataError if they are too few for its rows.
    """
    learned = encode_text(task, text, tokenizer, path)
    rows = task.settings(tokens=len(learned)).batch_size
    if len(learned) <= 2 * rows:
        raise DataError(
            f"{text.name} has {len(learned):,} tokens to learn from, too few for {rows} rows; pass more text, "
            "or a smaller batch_size"
        )
    return learned


def check_short(task: LanguageParameters, learned: PlainText, *held: PlainText) -> None:
    """Raise what training on a short text would raise at its beginning; a longer one is not looked at.

    held: the texts that training is stopped by and measured on.
    """
    if len(learned) > _SHORT:
        return
    tokenizer = learn_tokenizer(task, learned)
    with room(None) as folder:
        encode_learned(task, learned, tokenizer, folder / "learned.npy")
        for text in held:
            if len(text) <= _SHORT:
                encode_text(task, text, tokenizer, folder / "held.npy")
