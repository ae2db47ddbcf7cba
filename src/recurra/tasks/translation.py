"""Translating, and writing any text for another: the class behind `recurra fit translate`."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl

from recurra.baselines.translation import CopySource, NearestSource
from recurra.cells import Cell
from recurra.data.files import read_table
from recurra.data.frames import add_columns, check_free, to_table
from recurra.data.pairs import Pairs, read_pairs
from recurra.data.splitting import split_rows
from recurra.data.texts import check_path, given_texts
from recurra.data.tokenizer import Tokenizer
from recurra.errors import ArgumentError, DataError
from recurra.models import EncoderDecoder
from recurra.tasks.alignment import Alignment
from recurra.tasks.comparison import Comparison, Measure
from recurra.tasks.explanation import Line
from recurra.tasks.pair_columns import (
    check_both_named,
    pairs_of_lists,
    pairs_of_table,
    source_column,
    source_texts,
)
from recurra.tasks.text_artifact import load_text_task, save_text_task
from recurra.tasks.translation_data import encode_pairs, learn_tokenizer, learn_tokenizers, short_pairs
from recurra.tasks.translation_parameters import TranslationParameters
from recurra.tasks.wording import write_texts
from recurra.training.recorder import Recorder
from recurra.training.rows import seeded
from recurra.training.translation_scores import TranslationScores, score_translations
from recurra.training.translator import CodedPairs, Search, Written, padding_share, token_losses, train_translator

__all__ = ["Translator"]

_VALID_BLEU = 200  # pairs of those held back that are written at the end of training
_EXAMPLES, _EXAMPLE_TOKENS = 6, 40
_MEASURES = (
    Measure("bleu", "BLEU"),
    Measure("chrf", "chrF"),
    Measure("exact", "exact", share=True),
    Measure("perplexity", "perplexity", higher_is_better=False),
)


class Translator(TranslationParameters):
    """A recurrent encoder-decoder with attention, for any text that follows from another: its translation, summary,
    right spelling, a date in another form.

        m_1 .. m_S = encoder(E source),   p(y_t | y_<t, source) = softmax(V h~_t + c),   h~_t = decoder and attention

    What is written is the best that beam search finds. Its parameters are those of `TranslationParameters`, all by
    keyword.

    After `fit`: `source_tokenizer_`, `target_tokenizer_` (the same if shared), `network_`, `ratio_`.

    >>> Translator(cell="gru").get_params()["beam_size"]
    5
    """

    task: ClassVar[str] = "translate"

    def read(self, data: Any) -> Pairs:
        """The pairs of texts.

        data: a path (TSV, CSV, JSON lines or Parquet); a polars, pandas or pyarrow frame; or a tuple of sources and
            targets, as two lists of texts or as two paths of files with a text a line.

        Raises:
            DataError: a column or a side is missing, or lines do not match, named by file, line and remedy.
        """
        if isinstance(data, Pairs):
            return data
        if isinstance(data, str | os.PathLike):
            check_both_named(self.source, self.target, lambda: read_table(data).frame.columns)
            return read_pairs(data, source=self.source, target=self.target)
        if isinstance(data, tuple) and len(data) == 2:
            if isinstance(data[0], list) and isinstance(data[1], list):
                return pairs_of_lists(*data)
            return read_pairs(data[0], target_path=data[1], source=self.source, target=self.target)
        return pairs_of_table(to_table(data), self.source, self.target)

    def check(self, data: Pairs) -> None:
        """Raise what `fit` would raise for these pairs or parameters, without training."""
        self.check_parameters()
        if not len(data):
            raise DataError(f"{data.name} holds no pair; one at least is needed")
        learn_tokenizer(self, data.sources[:1], min_count=1)

    def split(self, data: Pairs, share: float, *, seed: int) -> tuple[Pairs, Pairs]:
        """What is left and what is held back."""
        name = data.at(0) if len(data) == 1 else data.name
        kept, held = split_rows(len(data), share, seed=seed, name=name)
        return data.take(kept), data.take(held)

    def fit(self, data: Any, *, valid: Any = None, recorder: Recorder | None = None) -> Self:
        """Train on pairs of texts.

        Args:
            data: what `read` takes, or what it returned.
            valid: pairs to stop by; None holds a share of data back.
            recorder: a run folder and a progress callback to report to.

        Raises:
            DataError: the pairs are faulty; ArgumentError: a parameter is wrong, or there is one pair only and none
                to stop by.
        """
        rows = self.read(data)
        self.check(rows)
        held = None if valid is None else self.read(valid)
        if held is None:
            rows, held = self.split(rows, self.valid, seed=0)
        self.column_ = source_column(rows, self.source)
        self.source_tokenizer_, self.target_tokenizer_ = learn_tokenizers(self, rows)
        learned = short_pairs(rows, self._encode_pairs(rows), self.max_tokens, "training")
        kept = short_pairs(held, self._encode_pairs(held), self.max_tokens, "validation")
        self.ratio_ = 1.5 * sum(len(row) + 1 for row in learned.targets) / max(1, sum(map(len, learned.sources)))
        settings = self.settings(rows=len(learned.sources))
        self.network_ = seeded(settings.seed, self._untrained)
        pace = train_translator(self.network_, learned, kept, settings, recorder or Recorder(), "network")
        self.tokens_per_second_: float | None = pace.tokens_per_second
        self.padding_share_: float | None = padding_share(learned, settings)
        some = held.take(range(min(len(held), _VALID_BLEU)))
        found = self._score(some, self.predict(some.sources))
        self.valid_: dict[str, Any] | None = {"pairs": found.rows, "bleu": found.bleu, "chrf": found.chrf}
        return self

    def texts_of(self, data: Any) -> list[str]:
        """The sources of a table, which needs no targets; "" where there is none.

        data: a path, or a frame.

        Raises:
            DataError: the column of the sources is missing.
        """
        self._check_fitted()
        return source_texts(to_table(data), self.column_)

    def predict(self, data: Any) -> Any:
        """What is written for each text; nothing for a blank one.

        data: a list of texts or a Series of them, which gives a list; or a table with the column of the sources, which
            comes back with the column `predicted`; a path comes back as a polars frame.

        Raises:
            ArgumentError: one of the texts is none; DataError: a table has no column of sources, or has one called
                `predicted`.
        """
        self._check_fitted()
        texts = given_texts(data)
        if texts is not None:
            return [text for text, _ in self._written(texts)]
        check_path(data)
        table = to_table(data)
        check_free(table.name, table.frame.columns, "predicted")
        found = [text for text, _ in self._written(self.texts_of(table))]
        return add_columns(table, [pl.Series("predicted", found, pl.String)], data)

    def predict_lines(self, lines: list[str]) -> list[Line]:
        """What is written for each line of a pipe, on one line; as JSON with its score."""
        return [
            Line(" ".join(text.splitlines()), {"translation": text, "score": None if found is None else found.score})
            for text, found in self._written(lines)
        ]

    def evaluate(self, data: Any) -> TranslationScores:
        """Measures on pairs that training has not seen."""
        rows = self.read(data)
        return self._score(rows, self.predict(rows.sources))

    def score(self, data: Any) -> float:
        """chrF on pairs of texts, 0 to 100; unlike BLEU it is there for texts of any length."""
        return self.evaluate(data).chrf

    def perplexity(self, data: Any) -> float:
        """exp of the mean loss of the targets' tokens, the end tokens among them; it depends on the tokenizer.

        Pairs with a side beyond max_tokens are left out; a Notice counts them.

        Raises:
            DataError: all are.
        """
        self._check_fitted()
        rows = self.read(data)
        found, _ = self._likely(rows)
        if found is None:
            raise DataError(f"{rows.name}: every pair has a side beyond max_tokens={self.max_tokens}; raise it")
        return found

    def compare(self, data: Any, history: Pairs | None = None, *, measured_on: str = "the texts") -> Comparison:
        """`evaluate`, with rivals beside it that learn from `history`: the source as it is, the most similar one's
        target."""
        rows = self.read(data)
        begun = time.perf_counter()
        written = self.predict(rows.sources)
        seconds = time.perf_counter() - begun
        own, (perplexity, long) = self._score(rows, written), self._likely(rows)
        scores = {self.name: _row(own, perplexity)}
        if history is not None:
            for rival in (NearestSource(), CopySource()):
                rival.fit(history.sources, history.targets)
                scores[rival.name] = _row(self._score(rows, rival.predict(rows.sources)), None)
        tokens = sum(map(len, self.target_tokenizer_.encode_all(rows.targets))) + len(rows)
        return Comparison(
            measured_on=f"{len(rows):,} pairs of {measured_on}",
            measures=_MEASURES,
            scores=scores,
            details={
                **own.to_json(),
                "perplexity": perplexity,
                "pairs_too_long_for_perplexity": long,
                "tokens": tokens,
                "texts_written_per_second": round(len(rows) / seconds, 1),
            },
            predictions=pl.DataFrame({"source": rows.sources, "target": rows.targets, "predicted": written}),
        )

    def explain(self, text: str) -> Alignment:
        """What is written for a text, and how much of each of its tokens went into each token written.

        Raises:
            ArgumentError: the network has no attention.
        """
        self._check_fitted()
        if self.attention is None:
            raise ArgumentError("attention is None, and only attention says what was looked at; train with one")
        (written, found), *_ = self._written([text])
        if found is None or found.alignment is None:
            return Alignment(text, written, 0.0, (), (), np.zeros((0, 0), np.float32))
        codes = self.source_tokenizer_.encode(text)[: self.max_tokens]
        ended = len(found.alignment) > len(found.codes)
        target = self.target_tokenizer_.tokens([*found.codes, *[Tokenizer.end] * ended])
        names, spans = self.source_tokenizer_.tokens(codes), self.source_tokenizer_.spans(text)
        source = [
            text[start:end] if code == Tokenizer.unknown else name
            for code, name, (start, end) in zip(codes, names, spans, strict=False)  # more spans where it was cut
        ]
        return Alignment(text, written, found.score, tuple(source), tuple(target), found.alignment)

    def examples(self, data: Any) -> dict[str, Any]:
        """Some sentences for a report: reference and translation, and with attention what each token was made of."""
        self._check_fitted()
        rows = self.read(data)
        lengths = [len(codes) for codes in self.source_tokenizer_.encode_all(rows.sources)]
        some = [row for row, length in enumerate(lengths) if 0 < length <= _EXAMPLE_TOKENS][:_EXAMPLES]
        shown = [(rows.sources[row], {"reference": rows.targets[row]}) for row in some]
        if self.attention is None:
            return {"translations": [{"text": text, "translation": self.predict([text])[0], **r} for text, r in shown]}
        return {"alignments": [{**self.explain(text).to_json(), **reference} for text, reference in shown]}

    def summary(self) -> dict[str, Any]:
        """What was decided and made, for a run's record."""
        return {
            "source_tokens": len(self.source_tokenizer_),
            "target_tokens": len(self.target_tokenizer_),
            "weights": sum(part.numel() for part in self.network_.parameters()),
            "padding_share": self.padding_share_,
            "tokens_per_second": self.tokens_per_second_,
            "valid": self.valid_,
            "explain": self.network_.explain(),
        }

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the fitted translator as a folder of JSON and safetensors with checksums.

        Raises:
            ArtifactError: `path` exists and `overwrite` is not given.
        """
        self._check_fitted()
        fitted = {
            "ratio": self.ratio_,
            "column": self.column_,
            "padding_share": self.padding_share_,
            "tokens_per_second": self.tokens_per_second_,
            "valid": self.valid_,
        }
        tokenizers = {"tokenizer": self.source_tokenizer_, "target_tokenizer": self.target_tokenizer_}
        save_text_task(self, fitted, {"network": self.network_}, tokenizers, Path(path), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path, *, cell: type[Cell] | Cell | None = None) -> Translator:
        """Read a saved translator; nothing in the folder is executed.

        path: of its folder, or of the run that made it. cell: the recurrence, if it was not one of recurra's own.

        Raises:
            ArtifactError: the folder is damaged, foreign or from a newer version.
        """
        with load_text_task(cls, Path(path), cell=cell, tokenizers=("tokenizer", "target_tokenizer")) as saved:
            self = saved.task
            self.ratio_, self.column_ = float(saved.fitted["ratio"]), saved.fitted["column"]
            self.padding_share_ = saved.fitted.get("padding_share")  # older ones have none of these
            self.tokens_per_second_, self.valid_ = saved.fitted.get("tokens_per_second"), saved.fitted.get("valid")
            self.source_tokenizer_ = saved.tokenizers["tokenizer"]
            self.target_tokenizer_ = saved.tokenizers["target_tokenizer"]
            self.network_ = self.share(saved.network("network", self._untrained))
        return self

    def _untrained(self) -> EncoderDecoder:
        return self.network(len(self.source_tokenizer_), len(self.target_tokenizer_))

    def _encode_pairs(self, rows: Pairs) -> CodedPairs:
        return encode_pairs((self.source_tokenizer_, self.target_tokenizer_), rows)

    def _likely(self, rows: Pairs) -> tuple[float | None, int]:
        """The perplexity of pairs, None if none is short enough, and how many are too long to be read."""
        short = short_pairs(rows, self._encode_pairs(rows), self.max_tokens, "the perplexity", needed=False)
        if not short.sources:
            return None, len(rows)
        return float(np.exp(token_losses(self.network_, short).mean())), len(rows) - len(short.sources)

    def _written(self, texts: Sequence[str]) -> list[tuple[str, Written | None]]:
        self._check_fitted()
        return write_texts(
            self.network_,
            texts,
            (self.source_tokenizer_, self.target_tokenizer_),
            Search(self.beam_size, self.penalties, self.ratio_),
            max_tokens=self.max_tokens,
        )

    def _score(self, rows: Pairs, written: Sequence[str]) -> TranslationScores:
        return score_translations(written, rows.targets, lowercase=self.lowercase, tokenize=self.bleu_tokenizer)

    def _check_fitted(self) -> None:
        if not hasattr(self, "network_"):
            raise ArgumentError("this Translator is not fitted; call fit first")


def _row(found: TranslationScores, perplexity: float | None) -> dict[str, float | None]:
    return {"bleu": found.bleu, "chrf": found.chrf, "exact": found.exact, "perplexity": perplexity}
