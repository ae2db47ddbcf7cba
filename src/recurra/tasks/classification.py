"""Classifying texts: the class behind `recurra fit classify`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import softmax

from recurra.baselines.texts import MajorityClass, NaiveBayes
from recurra.cells import Cell
from recurra.data.batching import LengthBatches
from recurra.data.frames import add_columns, check_free, to_table
from recurra.data.labelled import (
    Labelled,
    check_classes,
    check_repeated,
    class_places,
    list_classes,
    note_unique,
    read_labelled,
)
from recurra.data.splitting import split_rows
from recurra.data.texts import check_path, given_texts
from recurra.data.tokenizer import Tokenizer
from recurra.errors import ArgumentError, DataError, nearest
from recurra.models import Seq2Vec
from recurra.tasks.classification_codes import cut_middle, note_cut, usual_length
from recurra.tasks.classification_parameters import ClassificationParameters
from recurra.tasks.classification_scores import ANSWERS, MEASURES, beside, row_of_scores
from recurra.tasks.comparison import Comparison
from recurra.tasks.examples import classified_examples
from recurra.tasks.explanation import Explanation, Line
from recurra.tasks.parameters import read_word_vectors
from recurra.tasks.text_artifact import SavedTask, load_text_task, save_text_task
from recurra.training.classification import ClassScores, fit_temperature, score_classes
from recurra.training.classifier import (
    CodedTexts,
    balanced_weights,
    contributions,
    log_probabilities,
    train_classifier,
)
from recurra.training.recorder import Recorder
from recurra.training.rows import seeded

__all__ = ["TextClassifier"]


class TextClassifier(ClassificationParameters):
    """A recurrent classifier of texts: sentiment, topic, language, origin of a name.

        v_t = E[token_t],   h = pool(recurrence(v_1 .. v_T)),   p = softmax((V h + c) / temperature)

    The temperature is fitted after training on rows held back, so that probabilities can be believed (Guo et al. 2017).
    With class_weights they are as of classes equally frequent, and too high for rare ones. Its parameters are those of
    `ClassificationParameters`, all by keyword.

    After `fit`: `classes_`, `tokenizer_`, `networks_`, `temperature_`; of the training `padding_share_`, `cut_`, and
    `vectors_share_`, the share of the vocabulary that the file of vectors has.

    >>> TextClassifier(cell="gru").get_params()["pooling"]
    'max'
    """

    task: ClassVar[str] = "classify"

    def read(self, data: Any, *, labelled: bool = True) -> Labelled:
        """The table's texts, and their labels where they are wanted.

        data: a path (CSV, Parquet or JSON lines), or a polars, pandas or pyarrow frame.

        Raises:
            DataError: the table is faulty, named by row, column and remedy.
        """
        if isinstance(data, Labelled):
            return data
        return read_labelled(to_table(data), text=self.text, label=self.label if labelled else None)

    def texts_of(self, data: Any) -> list[str]:
        """The texts of a table, which needs no labels; "" where there is none.

        data: a path, or a frame.

        Raises:
            DataError: the column of the texts is missing.
        """
        return self.read(data, labelled=False).texts

    def check(self, data: Labelled) -> None:
        """Raise what `fit` would raise for these texts or parameters, without training."""
        list_classes(data)
        if not any(data.texts):
            raise DataError(f"{data.table.name}: column {self.text!r} is empty in all {len(data)} rows; name another")
        self.check_parameters()

    def split(self, data: Labelled, share: float, *, seed: int) -> tuple[Labelled, Labelled]:
        """What is left and what is held back of each class.

        Raises:
            DataError: every row has a label of its own; ArgumentError: the share is none, or the rows are too few.
        """
        if share:
            check_repeated(data)
        kept, held = split_rows(len(data), share, seed=seed, groups=data.labels, name=data.table.name)
        return data.take(kept), data.take(held)

    def learn_tokenizer(self, data: Labelled) -> Tokenizer:
        """The tokenizer of texts to learn from.

        Raises:
            ArgumentError: no token of them occurs often enough.
        """
        return Tokenizer.train(
            data.texts,
            self.tokenizer,  # type: ignore[arg-type]  # checked by train
            vocabulary_size=self.vocabulary_size,
            min_count=self.min_count,
            lowercase=self.lowercase,
        )

    def fit(self, data: Any, *, valid: Any = None, recorder: Recorder | None = None) -> Self:
        """Train on labelled texts.

        Args:
            data: what `read` takes, or what it returned.
            valid: labelled texts to stop by and to fit the temperature to; None holds a share of data back.
            recorder: a run folder and a progress callback to report to.

        Raises:
            DataError: the table is faulty, or has one class only; ArgumentError: a parameter is wrong.
        """
        rows = self.read(data)
        self.check(rows)
        note_unique(rows)
        held = None if valid is None else self.read(valid)
        if held is None:
            rows, held = self.split(rows, self.valid, seed=0)
        self.classes_ = list_classes(rows)
        check_classes(held, self.classes_)
        self.tokenizer_ = self.learn_tokenizer(rows)
        vectors = read_word_vectors(self.vectors, self.tokenizer_.vocabulary)
        self.vectors_share_ = None if vectors is None else vectors.share
        learned, kept = self._learnable(rows, held)
        balanced = self.class_weights == "balanced"
        weights = balanced_weights(learned.target, len(self.classes_)) if balanced else None
        settings = self.settings(rows=len(rows))
        self.networks_: list[Seq2Vec] = []
        for member in range(self.members):
            own = settings.replaced(seed=(settings.seed + 7919 * member) % 2**32)
            network = seeded(own.seed, lambda: self.network(len(self.tokenizer_), len(self.classes_), vectors))
            name = f"member-{member}"
            train_classifier(network, learned, kept, own, recorder or Recorder(), name, weights=weights)
            self.networks_.append(network)
        lengths = [len(row) for row in learned.codes]
        self.padding_share_: float | None = LengthBatches(lengths, settings.batch_size).padding_share()
        self.temperature_ = fit_temperature(self._logits(kept.codes), kept.target)
        return self

    def predict(self, data: Any) -> Any:
        """The likeliest class of each text.

        data: a list of texts or a Series of them, which gives a list; or a table, which comes back with the columns
            `predicted` and `confidence`; a path comes back as a polars frame.

        Raises:
            ArgumentError: one of the texts is none; DataError: a table has no column of the texts, or has one of these
                two already.
        """
        texts = given_texts(data)
        if texts is not None:
            return self._answers(texts)[0]
        check_path(data)
        table = to_table(data)
        check_free(table.name, table.frame.columns, *ANSWERS)
        labels, confidences = self._answers(self.texts_of(table))
        columns = [pl.Series("predicted", labels, pl.String), pl.Series("confidence", confidences)]
        return add_columns(table, columns, data)

    def predict_lines(self, lines: list[str]) -> list[Line]:
        """What is said of each text, for a pipe: its class, and as JSON the probability of each."""
        probabilities = self.predict_proba(lines)
        best = probabilities.argmax(1)
        return [
            Line(
                self.classes_[place],
                {
                    "label": self.classes_[place],
                    "confidence": float(row[place]),
                    "probabilities": dict(zip(self.classes_, row.tolist(), strict=True)),
                },
            )
            for place, row in zip(best, probabilities, strict=True)
        ]

    def summary(self) -> dict[str, Any]:
        """What was decided and made, for a run's record; cut: texts of the training that lost their middle."""
        self._check_fitted()
        return {
            "classes": self.classes_,
            "tokens": len(self.tokenizer_),
            "members": len(self.networks_),
            "weights": sum(part.numel() for part in self.networks_[0].parameters()),
            "temperature": self.temperature_,
            "padding_share": self.padding_share_,
            "cut": self.cut_,
            "vectors_share": self.vectors_share_,
            "explain": self.networks_[0].body.explain(),
        }

    def predict_proba(self, data: Any) -> NDArray[np.float64]:
        """The probability of each class, (text, class), in the order of `classes_`. data: as `predict` takes it."""
        self._check_fitted()
        return self._probabilities(self._encode(self._texts(data)))

    def evaluate(self, data: Any) -> ClassScores:
        """Measures on labelled texts that training has not seen.

        Raises:
            DataError: a label is none that training saw.
        """
        rows = self.read(data)
        self._check_fitted()
        check_classes(rows, self.classes_)
        return score_classes(self._targets(rows), self._probabilities(self._encode(rows.texts)), self.classes_)

    def score(self, data: Any) -> float:
        """The accuracy on labelled texts."""
        return self.evaluate(data).accuracy

    def compare(self, data: Any, history: Labelled | None = None, *, measured_on: str = "the texts") -> Comparison:
        """`evaluate`, with baselines that learn from `history` beside it: the largest class, naive Bayes."""
        rows = self.read(data)
        scores = {self.name: self.evaluate(rows)}
        target = self._targets(rows)
        if history is not None and history.labels is not None:
            for rival in (NaiveBayes(), MajorityClass()):
                rival.fit(history.texts, history.labels)
                columns = [rival.classes.index(label) for label in self.classes_]
                scores[rival.name] = score_classes(target, rival.probabilities(rows.texts)[:, columns], self.classes_)
        probabilities = self._probabilities(self._encode(rows.texts))
        answers = [self.classes_[place] for place in probabilities.argmax(1)], probabilities.max(1)
        truth = [self.classes_[place] for place in target]
        return Comparison(
            measured_on=f"{len(rows):,} text{'' if len(rows) == 1 else 's'} of {measured_on}",
            measures=MEASURES,
            scores={name: row_of_scores(found) for name, found in scores.items()},
            details=scores[self.name].to_json(),
            predictions=beside({self.text: rows.texts, self.label: truth}, answers),
        )

    def explain(self, text: str, answer: str | None = None, *, steps: int = 32) -> Explanation:
        """What each token of a text contributes to the log-odds of a class, by integrated gradients.

        answer: the class; None: the likeliest.
        steps: of the integral's sum.
        """
        self._check_fitted()
        (codes,) = self._encode([text])
        probabilities = self._probabilities([codes])[0]
        place = int(probabilities.argmax()) if answer is None else self._place(answer)
        spans = cut_middle(self.tokenizer_.spans(text), self.most_tokens)
        found = contributions(self.networks_, codes, place, temperature=self.temperature_, steps=steps)
        return Explanation(
            text=text,
            answer=self.classes_[place],
            probability=float(probabilities[place]),
            spans=tuple(spans),
            contributions=found.contributions,
            base=found.base,
            gap=found.gap,
        )

    def examples(self, data: Any) -> dict[str, Any]:
        """For a report: explanations of the answers that are right or wrong and surest, and more of those wrong."""
        self._check_fitted()
        rows = self.read(data)
        codes, target = self._encode(rows.texts), self._targets(rows)
        return classified_examples(
            rows.texts,
            target,
            self._probabilities(codes),
            self.classes_,
            [len(row) for row in codes],
            self.explain,
            longest=usual_length(self.tokenizer),
        )

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the fitted classifier as a folder of JSON and safetensors with checksums.

        Raises:
            ArtifactError: `path` exists and `overwrite` is not given.
        """
        self._check_fitted()
        fitted = {
            "classes": self.classes_,
            "temperature": self.temperature_,
            "padding_share": self.padding_share_,
            "cut": self.cut_,
            "vectors_share": self.vectors_share_,
        }
        networks = {f"member-{place}": network for place, network in enumerate(self.networks_)}
        save_text_task(self, fitted, networks, {"tokenizer": self.tokenizer_}, Path(path), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path, *, cell: type[Cell] | Cell | None = None) -> TextClassifier:
        """Read a saved classifier; nothing in the folder is executed.

        path: of its folder, or of the run that made it. cell: the recurrence, if it was not one of recurra's own.

        Raises:
            ArtifactError: the folder is damaged, foreign or from a newer version.
        """
        with load_text_task(cls, Path(path), cell=cell, tokenizers=("tokenizer",)) as saved:
            self = saved.task
            self.classes_ = [str(name) for name in saved.fitted["classes"]]
            self.temperature_ = float(saved.fitted["temperature"])
            self.padding_share_ = saved.fitted.get("padding_share")  # older ones have none of these
            self.cut_, self.vectors_share_ = saved.fitted.get("cut"), saved.fitted.get("vectors_share")
            self.tokenizer_ = saved.tokenizers["tokenizer"]
            self.networks_ = [
                saved.network(f"member-{place}", lambda: self._stored(saved)) for place in range(self.members)
            ]
        return self

    def _stored(self, saved: SavedTask[TextClassifier]) -> Seq2Vec:
        """A network for what was saved, whose vectors may have come from a file with a size of its own."""
        size = saved.tensors["member-0.input.weight"].shape[1]
        like = TextClassifier(**{**self.get_params(), "embedding_size": size})
        return like.network(len(self.tokenizer_), len(self.classes_))

    def _texts(self, data: Any) -> list[str]:
        texts = given_texts(data)
        if texts is not None:
            return texts
        check_path(data)
        return self.read(data, labelled=False).texts

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [cut_middle(codes, self.most_tokens) for codes in self.tokenizer_.encode_all(texts)]

    def _learnable(self, *parts: Labelled) -> list[CodedTexts]:
        """What is learned and what it is stopped by, in codes; a Notice tells of texts that are cut."""
        whole = [self.tokenizer_.encode_all(part.texts) for part in parts]
        self.cut_: int | None = note_cut(parts, whole, self.most_tokens)
        cut = [[cut_middle(codes, self.most_tokens) for codes in texts] for texts in whole]
        return [CodedTexts(codes, self._targets(part)) for codes, part in zip(cut, parts, strict=True)]

    def _targets(self, rows: Labelled) -> NDArray[np.int64]:
        """The class of each row, all of which are known."""
        return np.array(class_places(rows.labels or [], self.classes_), np.int64)

    def _answers(self, texts: list[str]) -> tuple[list[str], NDArray[np.float64]]:
        """The likeliest class of each text, and its probability."""
        probabilities = self.predict_proba(texts)
        return [self.classes_[place] for place in probabilities.argmax(1)], probabilities.max(1)

    def _place(self, answer: str) -> int:
        if answer not in self.classes_:
            raise ArgumentError(f"answer is {answer!r}; {nearest(answer, self.classes_)}")
        return self.classes_.index(answer)

    def _logits(self, codes: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """Log probabilities before the temperature, (row, class), averaged over members as probabilities."""
        return np.asarray(np.log(np.mean([np.exp(log_probabilities(network, codes)) for network in self.networks_], 0)))

    def _probabilities(self, codes: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        self._check_fitted()
        found: NDArray[np.float64] = softmax(self._logits(codes) / self.temperature_, 1)
        return found

    def _check_fitted(self) -> None:
        if not hasattr(self, "temperature_"):
            raise ArgumentError("this TextClassifier is not fitted; call fit first")
