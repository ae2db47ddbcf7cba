"""Tagging sentences: the class behind `recurra fit tag`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np
import polars as pl

from recurra.baselines.taggers import MostFrequentTag
from recurra.cells import Cell
from recurra.data.batching import LengthBatches
from recurra.data.files import Table
from recurra.data.frames import check_free, to_table
from recurra.data.tagged import Tagged, read_tagged, tagged_lines
from recurra.data.texts import check_path
from recurra.data.token_lists import read_token_lists
from recurra.data.vectors import Vectors
from recurra.errors import ArgumentError
from recurra.layers.crf import Allowed, ConditionalRandomField
from recurra.models import Seq2Seq
from recurra.tasks.comparison import Comparison
from recurra.tasks.explanation import Line
from recurra.tasks.parameters import read_word_vectors
from recurra.tasks.tagging_codes import Vocabulary
from recurra.tasks.tagging_data import (
    Tagset,
    as_columns,
    check_tokens,
    find_tagset,
    of_lists,
    read_lists,
    split_tagged,
)
from recurra.tasks.tagging_parameters import TaggingParameters
from recurra.tasks.tagging_scores import TagScores, measures, row_of_scores, score_tags
from recurra.tasks.text_artifact import SavedTask, load_text_task, save_text_task
from recurra.training.recorder import Recorder
from recurra.training.rows import seeded
from recurra.training.spans import bio_transitions, score_spans, spans_of_tags, token_accuracy
from recurra.training.tagger import Said, TaggedCodes, tag_sentences, train_tagger

__all__ = ["SequenceTagger"]

_EXAMPLES, _EXAMPLE_TOKENS = 12, 60
_ANSWERS = ("predicted", "confidence")  # columns of a frame


class SequenceTagger(TaggingParameters):
    """A recurrent tagger of words: parts of speech, names in a text.

        v_t = [E[word_t], spelling(letters of word_t)],   h_t = recurrence(v_1 .. v_T), from both ends
        p(tag_t) = softmax(V h_t + c),  or with head="crf" p(tags) over whole sentences

    After Huang et al. (2015) and Lample et al. (2016). Its parameters are those of `TaggingParameters`, all by keyword.

    After `fit`: `tags_` (names and scheme), `vocabulary_`, `networks_`.

    >>> tagger = SequenceTagger(hidden_size=8, characters="gru", epochs=30, valid=0.2, training={"batch_size": 2})
    >>> sentences = [["dogs", "bark"], ["cats", "sleep"], ["dogs", "sleep"], ["cats", "bark"], ["birds", "sing"]]
    >>> tagger.fit((sentences, [["NOUN", "VERB"]] * 5)).predict([["dogs", "sing"]])
    [['NOUN', 'VERB']]
    """

    task: ClassVar[str] = "tag"
    tokens_per_second_: float | None
    padding_share_: float | None

    def read(self, data: Any, *, tagged: bool = True, encoding: str = "utf-8") -> Tagged:
        """Sentences, and their tags where they are wanted.

        data: a path (CoNLL columns, JSON lines or Parquet); a polars, pandas or pyarrow frame with columns of lists;
            or (tokens, tags), a list for each sentence; or tokens alone.

        Raises:
            DataError: the data are faulty, named by line or row, column and remedy.
        """
        if isinstance(data, Tagged):
            return data
        if isinstance(data, str | os.PathLike):
            return read_tagged(data, token=self.token, tag=self.tag, tagged=tagged, encoding=encoding)
        if isinstance(data, list | tuple):
            return read_lists(data, tagged=tagged)
        table = to_table(data)
        lists = read_token_lists(table, token=self.token, tag=self.tag, tagged=tagged)
        return Tagged(*lists, table.name, table)

    def check(self, data: Tagged) -> None:
        """Raise what `fit` would raise for these sentences or parameters, without training."""
        self.check_parameters()
        find_tagset(data, self.scheme, quiet=True)

    def split(self, data: Tagged, share: float, *, seed: int) -> tuple[Tagged, Tagged]:
        """What is left and what is held back of the sentences."""
        return split_tagged(data, share, seed=seed)

    def fit(self, data: Any, *, valid: Any = None, recorder: Recorder | None = None) -> Self:
        """Train on tagged sentences.

        Args:
            data: what `read` takes, or what it returned.
            valid: tagged sentences to stop by; None holds a share of data back.
            recorder: a run folder and a progress callback to report to.

        Raises:
            DataError: the data are faulty, or have one tag only; ArgumentError: a parameter is wrong.
        """
        rows = self.read(data)
        self.check_parameters()
        self.tags_ = find_tagset(rows, self.scheme)
        held = None if valid is None else self.read(valid)
        if held is None:
            rows, held = self.split(rows, self.valid, seed=0)
        self.tags_.check(held)
        check_tokens(held)
        self.vocabulary_ = Vocabulary.learn(
            rows.tokens,
            min_count=self.min_count or (1 if self.vectors else 2),
            vocabulary_size=self.vocabulary_size,
            lowercase=self.lowercase,
        )
        words = self.vocabulary_.words.vocabulary[: self.vocabulary_.known]
        vectors = read_word_vectors(self.vectors, words)
        self.vectors_share_ = None if vectors is None else vectors.share
        learned, kept = self._codes(rows), self._codes(held)
        truth = self.tags_.decode(kept.tags)
        settings = self.settings(rows=len(learned.tags))
        networks: list[Seq2Seq] = []
        for member in range(self.members):
            own = settings.replaced(seed=(settings.seed + 7919 * member) % 2**32)
            network = seeded(own.seed, lambda: self._build(self, vectors, self._allowed()))
            self.tokens_per_second_ = train_tagger(
                network,
                learned,
                kept,
                own,
                recorder or Recorder(),
                f"member-{member}",
                error=lambda found: self._error(truth, self.tags_.decode(found)),
            )
            networks.append(network)
        self.networks_ = networks
        self.padding_share_ = LengthBatches(learned.sentences.lengths, settings.batch_size).padding_share()
        return self

    def predict(self, data: Any) -> Any:
        """The tags of words.

        data: a list of sentences, each a list of words, which gives a list of tags for each; a frame, which comes back
            with the columns `predicted` and `confidence`; or what `read` takes besides, which comes back as `Tagged`.

        Raises:
            DataError: what `read` raises; or the frame has a column of one of these names already.
        """
        data = data.collect() if isinstance(data, pl.LazyFrame) else data
        check_path(data, example='[["...", "..."]]')
        rows = self._untagged(data)
        is_frame = not isinstance(data, list | tuple | str | os.PathLike | Tagged)
        frame = nw.from_native(data, eager_only=True) if is_frame else None
        if frame is not None:
            check_free("frame", frame.columns, *_ANSWERS)
        said = self._say(rows.tokens)
        tags = self.tags_.decode(said.tags)
        if isinstance(data, list):
            return tags
        if frame is None:
            return replace(rows, tags=tags)
        columns = dict(zip(_ANSWERS, (tags, _confidences(said)), strict=True))
        kind = frame.implementation
        return frame.with_columns(
            *(nw.new_series(name, values, backend=kind) for name, values in columns.items())
        ).to_native()

    def predict_lines(self, lines: list[str]) -> list[Line]:
        """What is said of each line, for a pipe: `word/TAG word/TAG`; as JSON also how sure each tag is, and the spans.

        lines: words with blanks between, punctuation too.
        """
        sentences = [line.split() for line in lines]
        return self._lines(sentences, lambda words, tags: " ".join(map("/".join, zip(words, tags, strict=True))))

    def predict_file(self, path: str | Path, *, encoding: str = "utf-8") -> list[Line]:
        """What is said of each sentence of a file, and as JSON what a line has.

        The text is CoNLL's: of a file of columns its own lines, with the tags where `recurra.data.tagged.tagged_lines`
        puts them; of lists token and tag.
        """
        rows = self.read(path, tagged=False, encoding=encoding)
        found = self._lines(rows.tokens, as_columns)
        if isinstance(rows.places, Table):
            return found
        tags = [line.fields["tags"] for line in found]
        texts = tagged_lines(path, rows.places, tags, token=self.token, tag=self.tag, encoding=encoding)
        if texts is None:
            return found
        return [Line(text, line.fields) for text, line in zip(texts, found, strict=True)]

    def evaluate(self, data: Any) -> TagScores:
        """Measures on tagged sentences that training has not seen.

        Raises:
            DataError: a tag is none that training saw, or there is no token.
        """
        return self._measure(self.read(data), set())[0]

    def score(self, data: Any) -> float:
        """The share of tags that are right, on tagged sentences."""
        return self.evaluate(data).accuracy

    def compare(self, data: Any, history: Tagged | None = None, *, measured_on: str = "the sentences") -> Comparison:
        """`evaluate`, with the most frequent tag of each word beside it, learnt from `history`."""
        rows = self.read(data)
        seen = set() if history is None else {word for sentence in history.tokens for word in sentence}
        found, truth, said, new = self._measure(rows, seen)
        tags, spans = self.tags_.decode(said.tags), self.tags_.says_spans
        scores = {self.name: row_of_scores(truth, tags, new, spans=spans)}
        if history is not None and history.tags is not None:
            rival = MostFrequentTag()
            rival.fit(history.tokens, self.tags_.rewrite(history.tags))
            scores[rival.name] = row_of_scores(truth, rival.predict(rows.tokens), new, spans=spans)
        columns = {
            "sentence": [place for place, row in enumerate(rows.tokens, 1) for _ in row],
            "token": list(chain.from_iterable(rows.tokens)),
            "tag": list(chain.from_iterable(truth)),
            "predicted": list(chain.from_iterable(tags)),
            "confidence": list(chain.from_iterable(_confidences(said))),
        }
        return Comparison(
            measured_on=f"{found.tokens:,} tokens in {len(rows):,} sentences of {measured_on}",
            measures=measures(spans=spans),
            scores=scores,
            details=found.to_json(),
            predictions=pl.DataFrame(columns),
        )

    def examples(self, data: Any) -> dict[str, Any]:
        """Some sentences with the tags that they have and that are said, for a report."""
        rows = self.read(data)
        some = [row for row, words in enumerate(rows.tokens) if 0 < len(words) <= _EXAMPLE_TOKENS][:_EXAMPLES]
        said = self._lines([rows.tokens[row] for row in some], as_columns)
        truth = self.tags_.rewrite([rows.tags[row] for row in some] if rows.tags else [])
        return {"sentences": [{**line.fields, "truth": tags} for line, tags in zip(said, truth, strict=True)]}

    def summary(self) -> dict[str, Any]:
        """What was decided and made, for a run's record.

        The speed is None after `load`: it is no part of a model, which two equal trainings save alike.
        """
        self._check_fitted()
        speed = self.tokens_per_second_
        return {
            "tags": list(self.tags_.names),
            "scheme": self.tags_.scheme,
            "words": self.vocabulary_.known,
            "letters": len(self.vocabulary_.letters),
            "members": len(self.networks_),
            "weights": sum(part.numel() for part in self.networks_[0].parameters()),
            "padding_share": self.padding_share_,
            "vectors_share": self.vectors_share_,
            "tokens_per_second": None if speed is None or np.isnan(speed) else round(speed),
            "explain": self.networks_[0].explain(),
        }

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the fitted tagger as a folder of JSON and safetensors with checksums.

        Raises:
            ArtifactError: `path` exists and `overwrite` is not given.
        """
        self._check_fitted()
        fitted = {
            "tags": self.tags_.names,
            "scheme": self.tags_.scheme,
            "known": self.vocabulary_.known,
            "padding_share": self.padding_share_,
            "vectors_share": self.vectors_share_,
        }
        networks = {f"member-{place}": network for place, network in enumerate(self.networks_)}
        tokenizers = {"words": self.vocabulary_.words, "letters": self.vocabulary_.letters}
        save_text_task(self, fitted, networks, tokenizers, Path(path), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path, *, cell: type[Cell] | Cell | None = None) -> SequenceTagger:
        """Read a saved tagger; nothing in the folder is executed.

        path: of its folder, or of the run that made it. cell: the recurrence, if it was not one of recurra's own.

        Raises:
            ArtifactError: the folder is damaged, foreign or from a newer version.
        """
        with load_text_task(cls, Path(path), cell=cell, tokenizers=("words", "letters")) as saved:
            self = saved.task
            self.tags_ = Tagset(tuple(map(str, saved.fitted["tags"])), str(saved.fitted["scheme"]))
            tokenizers = saved.tokenizers
            self.vocabulary_ = Vocabulary(tokenizers["words"], tokenizers["letters"], int(saved.fitted["known"]))
            share = saved.fitted.get("padding_share")  # not in folders of older versions
            self.padding_share_, self.tokens_per_second_ = None if share is None else float(share), None
            self.vectors_share_ = saved.fitted.get("vectors_share")
            self.networks_ = [self._stored(saved, f"member-{place}") for place in range(self.members)]
        return self

    def _stored(self, saved: SavedTask[SequenceTagger], name: str) -> Seq2Seq:
        """A network as it was saved; its vectors may have come from a file with a size of its own."""
        table = "input.weight" if self.characters is None else "input.words.weight"
        size = saved.tensors[f"{name}.{table}"].shape[1]
        like_saved = SequenceTagger(**{**self.get_params(), "embedding_size": size})
        allowed = self._allowed()
        network = saved.network(name, lambda: self._build(like_saved, None, allowed))
        if self.head == "crf":  # what is allowed is no weight, so it was not saved
            head = ConditionalRandomField(network.body.output_size, len(self.tags_.names), constraints=allowed)
            head.load_state_dict(network.head.state_dict())
            network.head = head.eval()
        return network

    def _build(self, asked: TaggingParameters, vectors: Vectors | None, allowed: Allowed | None) -> Seq2Seq:
        """A network as asked for, for what is known here."""
        letters, tags = len(self.vocabulary_.letters), len(self.tags_.names)
        return asked.network(self.vocabulary_.known, letters, tags, vectors=vectors, allowed=allowed)

    def _allowed(self) -> Allowed | None:
        return bio_transitions(self.tags_.names) if self.tags_.says_spans else None

    def _error(self, truth: list[list[str]], found: list[list[str]]) -> float:
        """What training is stopped by: the spans that are missed and made up, or the wrong tags."""
        right = score_spans(truth, found).micro.f1 if self.tags_.says_spans else token_accuracy(truth, found)
        return 1 - right

    def _codes(self, data: Tagged) -> TaggedCodes:
        """The sentences that have tokens, for training."""
        rows = [row for row, words in enumerate(data.tokens) if words]
        tags = self.tags_.encode([(data.tags or [])[row] for row in rows])
        sentences = self.vocabulary_.encode([data.tokens[row] for row in rows], spell=self.characters is not None)
        return TaggedCodes(sentences, tags)

    def _say(self, tokens: Sequence[Sequence[str]]) -> Said:
        self._check_fitted()
        return tag_sentences(self.networks_, self.vocabulary_.encode(tokens, spell=self.characters is not None))

    def _lines(
        self, sentences: Sequence[Sequence[str]], write: Callable[[Sequence[str], Sequence[str]], str]
    ) -> list[Line]:
        """What is said of each sentence, written so."""
        said = self._say(sentences)
        lines = []
        for words, tags, sure in zip(sentences, self.tags_.decode(said.tags), _confidences(said), strict=True):
            fields: dict[str, Any] = {"words": list(words), "tags": tags, "confidences": sure}
            if self.tags_.says_spans:
                fields["spans"] = [
                    {**span._asdict(), "text": " ".join(words[span.begin : span.end])} for span in spans_of_tags(tags)
                ]
            lines.append(Line(write(words, tags), fields))
        return lines

    def _measure(self, rows: Tagged, seen: set[str]) -> tuple[TagScores, list[list[str]], Said, list[list[bool]]]:
        """The scores; the true tags, what is said, and whether each word is new.

        seen: words that are not new, besides those of the vocabulary.
        """
        self._check_fitted()
        self.tags_.check(rows)
        check_tokens(rows)
        truth, said, new = self.tags_.rewrite(rows.tags or []), self._say(rows.tokens), self._new(rows.tokens, seen)
        tags, spans = self.tags_.decode(said.tags), self.tags_.says_spans
        return score_tags(self.tags_.names, truth, tags, said.probabilities, new, spans=spans), truth, said, new

    def _new(self, tokens: Sequence[Sequence[str]], seen: set[str]) -> list[list[bool]]:
        """Whether each word is in neither the vocabulary nor what was seen besides."""
        return [
            [not (known or word in seen) for word, known in zip(words, self.vocabulary_.saw(words), strict=True)]
            for words in tokens
        ]

    def _untagged(self, data: Any) -> Tagged:
        return of_lists(data) if isinstance(data, list) else self.read(data, tagged=False)

    def _check_fitted(self) -> None:
        if not hasattr(self, "networks_"):
            raise ArgumentError("this SequenceTagger is not fitted; call fit first")


def _confidences(said: Said) -> list[list[float]]:
    """The probability of each tag that was chosen."""
    return [
        likely[np.arange(len(tags)), tags].tolist() for tags, likely in zip(said.tags, said.probabilities, strict=True)
    ]
