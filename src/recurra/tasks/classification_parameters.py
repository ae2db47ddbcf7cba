"""What a text classifier is asked to be: its parameters, stored as given and checked when used."""

from __future__ import annotations

from typing import Any

import torch

from recurra.cells import Cell, get_cell
from recurra.data.vectors import Vectors
from recurra.errors import ArgumentError
from recurra.layers import Recurrent
from recurra.layers.heads import Softmax
from recurra.layers.inputs import Embedding
from recurra.models import Seq2Vec
from recurra.tasks.classification_codes import usual_length
from recurra.tasks.parameters import (
    Parameters,
    check_epochs,
    check_held_back,
    check_tokenizer,
    check_word_vectors,
    paced_settings,
)
from recurra.training.embeddings import SMALL, begin_embedding
from recurra.training.settings import TrainingSettings

__all__ = ["ClassificationParameters"]

_DEFAULTS = {"batch_size": 32, "learning_rate": 2e-3, "patience": 8}


class ClassificationParameters(Parameters):
    """The parameters of a `TextClassifier`, and the untrained network they describe.

    Args:
        cell: the recurrence, by name ("lstm", "gru", ...), class or instance.
        hidden_size, num_layers, bidirectional: of the recurrence.
        embedding_size: features of a token's vector.
        pooling: how the outputs become one vector: "max", "mean", "attention" or "last".
        dropout: of vectors, between layers and before the head.
        embedding_dropout: whole tokens dropped, each at all its places in a text.
        recurrent_dropout, weight_dropout: of the recurrence; see `recurra.nn.Recurrent`.
        label_smoothing: share of each target that goes to all classes alike.
        class_weights: "balanced": each class counts alike in the loss, however few its texts, so that rare ones are
            found more often; a text counts inversely to how frequent its class is, 1 in the mean. The network then
            answers as if all classes were equally frequent, and overrates rare ones. The temperature, fitted to rows
            held back as frequent as they are, takes back how sure it is in all, not this. None: each text counts alike.
        tokenizer: "word", "whitespace" (for texts that are tokenised already), "subword", "character" or "byte".
        vocabulary_size, min_count, lowercase: of the tokenizer; see `recurra.data.Tokenizer`.
        max_tokens: longer texts lose their middle, and a Notice counts those of the training; "auto": 400, or 2,000 for
            the tokenizers "character" and "byte"; None: whole texts.
        vectors: a file of pretrained word vectors (word2vec's or GloVe's text format), which sets embedding_size; for
            the tokenizers "word" and "whitespace".
        members: networks whose probabilities are averaged.
        epochs: how often each text is read; of few texts as often as makes 200 steps.
        valid: share of the texts held back to stop the training and to fit the temperature.
        training: a `TrainingSettings`, or a dict of those of its fields that are to differ.
        text, label: names of the table's columns.
    """

    def __init__(
        self,
        *,
        cell: str | type[Cell] | Cell = "lstm",
        hidden_size: int = 128,
        num_layers: int = 1,
        bidirectional: bool = True,
        embedding_size: int = 128,
        pooling: str = "max",
        dropout: float = 0.4,
        embedding_dropout: float = 0.1,
        recurrent_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        label_smoothing: float = 0.0,
        class_weights: str | None = None,
        tokenizer: str = "word",
        vocabulary_size: int | None = 30_000,
        min_count: int | None = None,
        lowercase: bool = True,
        max_tokens: int | str | None = "auto",
        vectors: str | None = None,
        members: int = 1,
        epochs: float = 6,
        valid: float = 0.1,
        training: TrainingSettings | dict[str, Any] | None = None,
        text: str = "text",
        label: str = "label",
    ) -> None:
        self.cell, self.hidden_size, self.num_layers, self.bidirectional = cell, hidden_size, num_layers, bidirectional
        self.embedding_size, self.pooling = embedding_size, pooling
        self.dropout, self.embedding_dropout = dropout, embedding_dropout
        self.recurrent_dropout, self.weight_dropout = recurrent_dropout, weight_dropout
        self.label_smoothing, self.class_weights = label_smoothing, class_weights
        self.tokenizer, self.vocabulary_size, self.min_count = tokenizer, vocabulary_size, min_count
        self.lowercase, self.max_tokens, self.vectors = lowercase, max_tokens, vectors
        self.members, self.epochs, self.valid, self.training = members, epochs, valid, training
        self.text, self.label = text, label

    @property
    def name(self) -> str:
        """What tables call this classifier: its cell's class."""
        return type(get_cell(self.cell)).__name__

    @property
    def most_tokens(self) -> int | None:
        """Tokens of a text that are read; None: all."""
        return usual_length(self.tokenizer) if isinstance(self.max_tokens, str) else self.max_tokens

    def check_parameters(self) -> None:
        """Raise `ArgumentError` for a parameter that is none, before anything is read or trained."""
        if not _is_count(self.members):
            raise ArgumentError(f"members is {self.members!r}; it is a whole number, 1 or more")
        if self.max_tokens not in (None, "auto") and not _is_count(self.max_tokens):
            raise ArgumentError(
                f"max_tokens is {self.max_tokens!r}; it is a whole number, 1 or more, 'auto', or none for whole texts"
            )
        if self.class_weights not in (None, "balanced"):
            raise ArgumentError(f"class_weights is {self.class_weights!r}; it is 'balanced', or none")
        for name in ("dropout", "embedding_dropout", "recurrent_dropout", "weight_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ArgumentError(f"{name} is {getattr(self, name)!r}; it is a probability from 0 to below 1")
        check_tokenizer(
            self.tokenizer,
            vocabulary_size=self.vocabulary_size,
            min_count=self.min_count,
            lowercase=self.lowercase,
        )
        check_word_vectors(self.vectors, self.tokenizer)
        check_epochs(self.epochs, 6)
        check_held_back(self.valid)
        self.settings(rows=1)
        with torch.device("meta"):
            self.network(10, 2)

    def settings(self, *, rows: int) -> TrainingSettings:
        """The training settings for so many texts."""
        return paced_settings(self.training, _DEFAULTS, rows=rows, epochs=self.epochs)

    def network(self, codes: int, classes: int, vectors: Vectors | None = None) -> Seq2Vec:
        """An untrained network, drawn from torch's global generator.

        codes: of the tokenizer. classes: to tell apart. vectors: pretrained ones, for the codes that are their places.
        """
        size = self.embedding_size if vectors is None else vectors.matrix.shape[1]
        embedding = Embedding(codes, size, padding=0, dropout=self.embedding_dropout)
        begin_embedding(embedding, vectors, deviation=SMALL)
        body = Recurrent(
            self.cell,
            size,
            self.hidden_size,
            self.num_layers,
            bidirectional=self.bidirectional,
            input_dropout=self.dropout,  # of what each layer reads, so of what stands between two
            recurrent_dropout=self.recurrent_dropout,
            weight_dropout=self.weight_dropout,
            initializer="orthogonal",
            forget_bias=1.0 if get_cell(self.cell).forget_gate == "f" else None,
        )
        head = Softmax(body.output_size, classes, label_smoothing=self.label_smoothing)
        return Seq2Vec(embedding, body, head, pooling=self.pooling, dropout=self.dropout)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
