"""The pairs of a translator in codes, none of them too long, and what can be told of them before training."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from recurra.data.pairs import Pairs
from recurra.data.tokenizer import Tokenizer
from recurra.data.values import likes
from recurra.errors import DataError, Notice
from recurra.tasks.parameters import is_tried
from recurra.tasks.translation_parameters import TranslationParameters
from recurra.training.translator import CodedPairs

__all__ = ["check_pairs", "encode_pairs", "learn_tokenizer", "learn_tokenizers", "short_pairs"]


def learn_tokenizer(task: TranslationParameters, texts: Sequence[str], *, min_count: int | None) -> Tokenizer:
    """A tokenizer of some texts.

    Raises ArgumentError if no token of them occurs often enough.
    """
    return Tokenizer.train(
        texts,
        task.tokenizer,  # type: ignore[arg-type]  # checked by train
        vocabulary_size=task.vocabulary_size,
        min_count=min_count,
        lowercase=task.lowercase,
    )


def learn_tokenizers(task: TranslationParameters, rows: Pairs) -> tuple[Tokenizer, Tokenizer]:
    """The tokenizers of sources and of targets; the same one twice if they share it."""
    sides = [rows.sources + rows.targets] if task.shared else [rows.sources, rows.targets]
    trained = [learn_tokenizer(task, texts, min_count=task.min_count) for texts in sides]
    return trained[0], trained[-1]


def encode_pairs(tokenizers: tuple[Tokenizer, Tokenizer], rows: Pairs) -> CodedPairs:
    """The codes of both sides."""
    return CodedPairs(tokenizers[0].encode_all(rows.sources), tokenizers[1].encode_all(rows.targets))


def short_pairs(rows: Pairs, coded: CodedPairs, most: int | None, use: str, *, needed: bool = True) -> CodedPairs:
    """The pairs with so many tokens at most on both sides; a Notice counts the others.

    most: tokens; None: any. use: what the others are left out of.

    Raises DataError if no pair is left and one is needed.
    """
    sizes = [max(len(source), len(target)) for source, target in zip(*coded, strict=True)]
    kept = [row for row, size in enumerate(sizes) if most is None or size <= most]
    if most is None or len(kept) == len(rows):
        return coded
    first = next(row for row, size in enumerate(sizes) if size > most)
    found = f"{rows.at(first)}: a side has {sizes[first]} tokens and max_tokens is {most}"
    if needed and not kept:
        raise _none_is_left(found, use)
    warnings.warn(f"{found}{likes(len(rows) - len(kept) - 1)}. Left out of {use}", Notice, stacklevel=3)
    return CodedPairs([coded.sources[row] for row in kept], [coded.targets[row] for row in kept])


def check_pairs(task: TranslationParameters, learned: Pairs, held: Pairs) -> None:
    """Raise what training on few pairs would raise at its beginning; of many, what can be told without their tokens.

    held: the pairs that training is stopped by.
    """
    parts = (("training", learned), ("validation", held))
    if is_tried(sum(map(len, learned.sources)) + sum(map(len, learned.targets)), task.min_count):
        tokenizers = learn_tokenizers(task, learned)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Notice)  # training will tell
            for use, rows in parts:
                short_pairs(rows, encode_pairs(tokenizers, rows), task.max_tokens, use)
    elif task.max_tokens is not None:
        for use, rows in parts:
            sizes = (_least(task, pair) for pair in zip(rows.sources, rows.targets, strict=True))
            if len(rows) and all(size > task.max_tokens for size in sizes):
                least = _least(task, (rows.sources[0], rows.targets[0]))
                found = f"{rows.at(0)}: a side has {least} tokens at least and max_tokens is {task.max_tokens}"
                raise _none_is_left(found, use)


def _least(task: TranslationParameters, pair: tuple[str, str]) -> int:
    """Tokens that the longer side has at least, whatever the vocabulary: no token is of two words."""
    if task.tokenizer in ("character", "byte"):
        return max(map(len, pair))
    return max(len(text.split()) for text in pair)


def _none_is_left(found: str, use: str) -> DataError:
    return DataError(
        f"{found}, as in all other pairs, and none is left for {use}; raise max_tokens, or break them into sentences"
    )
