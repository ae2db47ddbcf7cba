"""Classifying texts: the class behind `recurra fit classify`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import softmax

from recurra.baselines.texts import MajorityClass, NaiveBayes
from recurra.cells import Cell
from recurra.data.batching import LengthBatches
from recurra.data.frames import like, to_table
from recurra.data.labelled import Labelled, check_classes, list_classes, read_labelled
from recurra.data.splitting import split_rows
from recurra.data.tokenizer import Tokenizer
from recurra.data.vectors import read_vectors
from recurra.errors import ArgumentError, DataError, nearest
from recurra.models import Seq2Vec
from recurra.tasks.classification_parameters import ClassificationParameters
from recurra.tasks.comparison import Comparison, Measure
from recurra.tasks.examples import classified_examples
from recurra.tasks.explanation import Explanation, Line
from recurra.tasks.text_artifact import SavedTask, load_text_task, save_text_task
from recurra.training.classification import ClassScores, fit_temperature, score_classes
from recurra.training.classifier import CodedTexts, contributions, log_probabilities, train_classifier
from recurra.training.recorder import Recorder
from recurra.training.rows import seeded

__all__ = ["TextClassifier"]

T = TypeVar("T")
_MEASURES = (
    Measure("accuracy", "accuracy", share=True),
    Measure("precision", "precision", share=True),
    Measure("recall", "recall", share=True),
    Measure("f1", "F1", share=True),
    Measure("log_loss", "log loss", higher_is_better=False),
    Measure("calibration_error", "calibration error", higher_is_better=False, share=True),
)


class TextClassifier(ClassificationParameters):
    """A recurrent classifier of texts: sentiment, topic, language, origin of a name.

        v_t = E[token_t],   h = pool(recurrence(v_1 .. v_T)),   p = softmax((V h + c) / temperature)

    The temperature is fitted after training on rows held back, so that probabilities can be believed (Guo et al. 2017).
    Its parameters are those of `ClassificationParameters`, all by keyword.

    After `fit`: `classes_`, `tokenizer_`, `networks_`, `temperature_`.

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

    def check(self, data: Labelled) -> None:
        """Raise what `fit` would raise for these texts or parameters, without training."""
        list_classes(data)
        if not any(data.texts):
            raise DataError(f"{data.table.name}: column {self.text!r} is empty in all {len(data)} rows; name another")
        self.check_parameters()

    def split(self, data: Labelled, share: float, *, seed: int) -> tuple[Labelled, Labelled]:
        """What is left and what is held back of each class."""
        kept, held = split_rows(len(data), share, seed=seed, groups=data.labels)
        return data.take(kept), data.take(held)

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
        held = None if valid is None else self.read(valid)
        if held is None:
            rows, held = self.split(rows, self.valid, seed=0)
        self.classes_ = list_classes(rows)
        check_classes(held, self.classes_)
        self.tokenizer_ = Tokenizer.train(
            rows.texts,
            self.tokenizer,  # type: ignore[arg-type]  # checked by train
            vocabulary_size=self.vocabulary_size,
            min_count=self.min_count,
            lowercase=self.lowercase,
        )
        vectors = None if self.vectors is None else read_vectors(self.vectors, self.tokenizer_.vocabulary)
        learned = CodedTexts(self._encode(rows.texts), self._targets(rows))
        kept = CodedTexts(self._encode(held.texts), self._targets(held))
        settings = self.settings(rows=len(rows))
        self.networks_: list[Seq2Vec] = []
        for member in range(self.members):
            own = settings.replaced(seed=(settings.seed + 7919 * member) % 2**32)
            network = seeded(own.seed, lambda: self.network(len(self.tokenizer_), len(self.classes_), vectors))
            train_classifier(network, learned, kept, own, recorder or Recorder(), f"member-{member}")
            self.networks_.append(network)
        self.padding_share_ = LengthBatches([len(row) for row in learned.codes], settings.batch_size).padding_share()
        self.temperature_ = fit_temperature(self._logits(kept.codes), kept.target)
        return self

    def predict(self, data: Any) -> Any:
        """The likeliest class of each text.

        data: a list of texts, which gives a list; or a table, which comes back with the columns `predicted` and
            `confidence`; a path comes back as a polars frame.
        """
        texts = self._texts(data)
        probabilities = self.predict_proba(texts)
        best = probabilities.argmax(1)
        labels = [self.classes_[place] for place in best]
        if isinstance(data, list):
            return labels
        columns = [pl.Series("predicted", labels), pl.Series("confidence", probabilities.max(1))]
        return like(to_table(data).frame.with_columns(columns), data)

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
        """What was decided and made, for a run's record."""
        return {
            "classes": self.classes_,
            "tokens": len(self.tokenizer_),
            "members": len(self.networks_),
            "weights": sum(part.numel() for part in self.networks_[0].parameters()),
            "temperature": self.temperature_,
            "padding_share": self.padding_share_,
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
        best = probabilities.argmax(1)
        frame = pl.DataFrame(
            {
                self.text: rows.texts,
                self.label: rows.labels,
                "predicted": [self.classes_[place] for place in best],
                "confidence": probabilities.max(1),
            }
        )
        return Comparison(
            measured_on=f"{len(rows):,} text{'' if len(rows) == 1 else 's'} of {measured_on}",
            measures=_MEASURES,
            scores={name: _row(found) for name, found in scores.items()},
            details=scores[self.name].to_json(),
            predictions=frame,
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
        spans = self._cut(self.tokenizer_.spans(text))
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
            rows.texts, target, self._probabilities(codes), self.classes_, [len(row) for row in codes], self.explain
        )

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the fitted classifier as a folder of JSON and safetensors with checksums.

        Raises:
            ArtifactError: `path` exists and `overwrite` is not given.
        """
        self._check_fitted()
        fitted = {"classes": self.classes_, "temperature": self.temperature_}
        networks = {f"member-{place}": network for place, network in enumerate(self.networks_)}
        save_text_task(self, fitted, networks, {"tokenizer": self.tokenizer_}, Path(path), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path, *, cell: type[Cell] | Cell | None = None) -> TextClassifier:
        """Read a saved classifier; nothing in the folder is executed.

        cell: the recurrence, if it was not one of recurra's own.

        Raises:
            ArtifactError: the folder is damaged, foreign or from a newer version.
        """
        with load_text_task(cls, Path(path), cell=cell, tokenizers=("tokenizer",)) as saved:
            self = saved.task
            self.classes_ = [str(name) for name in saved.fitted["classes"]]
            self.temperature_ = float(saved.fitted["temperature"])
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
        if isinstance(data, list):
            return data
        return self.read(data, labelled=False).texts

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [self._cut(codes) for codes in self.tokenizer_.encode_all(texts)]

    def _cut(self, row: list[T]) -> list[T]:
        """A row without its middle if it is longer than max_tokens."""
        most = self.max_tokens
        if most is None or len(row) <= most:
            return row
        return row[: most - most // 2] + row[len(row) - most // 2 :]

    def _targets(self, rows: Labelled) -> NDArray[np.int64]:
        places = {name: place for place, name in enumerate(self.classes_)}
        return np.array([places[label] for label in rows.labels or []], np.int64)

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


def _row(found: ClassScores) -> dict[str, float | None]:
    return {
        "accuracy": found.accuracy,
        **found.macro._asdict(),
        "log_loss": found.log_loss,
        "calibration_error": found.calibration_error,
    }
