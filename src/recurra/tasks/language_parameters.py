"""What a language model is asked to be: its parameters, stored as given and checked when used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from recurra.cells import Cell, get_cell
from recurra.data.vectors import Vectors
from recurra.errors import ArgumentError
from recurra.layers import Recurrent
from recurra.layers.arguments import check_count, check_not_negative, check_probability
from recurra.layers.heads import Softmax
from recurra.layers.inputs import Embedding
from recurra.models import Seq2Seq
from recurra.tasks.parameters import (
    Parameters,
    check_epochs,
    check_held_back,
    check_tokenizer,
    check_word_vectors,
    paced_settings,
)
from recurra.training.embeddings import SMALL, begin_embedding
from recurra.training.language import Regularisation
from recurra.training.settings import TrainingSettings

__all__ = ["LanguageParameters"]

_DEFAULTS = {"batch_size": 32, "learning_rate": 2e-3}


class LanguageParameters(Parameters):
    """The parameters of a `LanguageModel`, and the untrained network they describe.

    Args:
        cell: the recurrence, by name ("lstm", "gru", ...), class or instance.
        hidden_size: units of every layer, or a sequence with one number each.
        num_layers: recurrences on top of each other.
        embedding_size: features of a token's vector.
        tied: whether the vectors read are those that foretell, too (Press & Wolf 2017).
        embedding_dropout: whole tokens dropped, each at all its places in a chunk.
        input_dropout: of the features of tokens' vectors; dropout: between layers; output_dropout: of the last layer's
            outputs; all at every step of a chunk alike (Gal & Ghahramani 2016).
        recurrent_dropout, weight_dropout: of the recurrence; see `recurra.nn.Recurrent`.
        alpha, beta: activation regularisation and its temporal kin (Merity et al. 2018), 2 and 1 in the paper.
        tokenizer: "subword", "word", "whitespace" (for text that is tokenised already), "character" or "byte".
        vocabulary_size, min_count, lowercase: of the tokenizer; see `recurra.data.Tokenizer`.
        lines: whether each line ends in a token of its own, as the Penn Treebank is read; None: for the kinds "word"
            and "whitespace", to which a line break is nothing else.
        vectors: a file of pretrained word vectors (word2vec's or GloVe's text format), which sets embedding_size.
        chunk: tokens of a row between two training steps; gradients go back as far, the state goes on.
        epochs: how often the text is read.
        valid: share of the text, its last part, held back to stop the training.
        training: a `TrainingSettings`, or a dict of those of its fields that are to differ; batch_size is the rows that
            the text is cut into.
    """

    def __init__(
        self,
        *,
        cell: str | type[Cell] | Cell = "lstm",
        hidden_size: int | Sequence[int] = 256,
        num_layers: int = 2,
        embedding_size: int = 256,
        tied: bool = True,
        embedding_dropout: float = 0.0,
        input_dropout: float = 0.2,
        dropout: float = 0.2,
        output_dropout: float = 0.2,
        recurrent_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        alpha: float = 0.0,
        beta: float = 0.0,
        tokenizer: str = "subword",
        vocabulary_size: int | None = None,
        min_count: int | None = None,
        lowercase: bool = False,
        lines: bool | None = None,
        vectors: str | None = None,
        chunk: int = 64,
        epochs: float = 10,
        valid: float = 0.05,
        training: TrainingSettings | dict[str, Any] | None = None,
    ) -> None:
        self.cell, self.hidden_size, self.num_layers = cell, hidden_size, num_layers
        self.embedding_size, self.tied, self.embedding_dropout = embedding_size, tied, embedding_dropout
        self.input_dropout, self.dropout, self.output_dropout = input_dropout, dropout, output_dropout
        self.recurrent_dropout, self.weight_dropout = recurrent_dropout, weight_dropout
        self.alpha, self.beta = alpha, beta
        self.tokenizer, self.vocabulary_size, self.min_count = tokenizer, vocabulary_size, min_count
        self.lowercase, self.lines, self.vectors = lowercase, lines, vectors
        self.chunk, self.epochs, self.valid, self.training = chunk, epochs, valid, training

    @property
    def name(self) -> str:
        """What tables call this model: its cell's class."""
        return type(get_cell(self.cell)).__name__

    @property
    def line_by_line(self) -> bool:
        """Whether an end token stands behind each line."""
        return self.tokenizer in ("word", "whitespace") if self.lines is None else self.lines

    def check_parameters(self) -> None:
        """Raise `ArgumentError` for a parameter that is none, before anything is read or trained."""
        check_tokenizer(
            self.tokenizer,
            vocabulary_size=self.vocabulary_size,
            min_count=self.min_count,
            lowercase=self.lowercase,
        )
        if self.lines is not None and not isinstance(self.lines, bool):
            raise ArgumentError(f"lines is {self.lines!r}; expected True, False, or None for what the tokenizer needs")
        check_word_vectors(self.vectors, self.tokenizer)
        check_count("chunk", self.chunk)
        for name in ("input_dropout", "output_dropout"):
            check_probability(name, getattr(self, name))
        for name in ("alpha", "beta"):
            check_not_negative(name, getattr(self, name))
        check_epochs(self.epochs, 10)
        check_held_back(self.valid)
        self.settings(tokens=1)
        with torch.device("meta"):
            self.network(10)

    def settings(self, *, tokens: int) -> TrainingSettings:
        """The training settings for a text of so many tokens."""
        chunks = -(-tokens // self.chunk)
        return paced_settings(self.training, _DEFAULTS, rows=chunks, epochs=self.epochs)

    @property
    def regularisation(self) -> Regularisation:
        """What is done in training beside what the layers do."""
        return Regularisation(self.input_dropout, self.output_dropout, self.alpha, self.beta)

    def network(self, codes: int, vectors: Vectors | None = None) -> Seq2Seq:
        """An untrained network, drawn from torch's global generator.

        codes: of the tokenizer. vectors: pretrained ones, for the codes that are their places.
        """
        size = self.embedding_size if vectors is None else vectors.matrix.shape[1]
        embedding = Embedding(codes, size, padding=0, dropout=self.embedding_dropout)
        begin_embedding(embedding, vectors, deviation=SMALL)
        body = Recurrent(
            self.cell,
            size,
            self.hidden_size,
            self.num_layers,
            input_dropout=self.dropout,  # of the lowest layer, input_dropout stands in its place in training
            recurrent_dropout=self.recurrent_dropout,
            weight_dropout=self.weight_dropout,
            forget_bias=1.0 if get_cell(self.cell).forget_gate == "f" else None,
        )
        # Vectors begin small, so that a tied head needs no factor; one of N(0, 1) learns more slowly with it.
        head = Softmax(body.output_size, codes, tied=embedding if self.tied else None, scale=1.0)
        return Seq2Seq(embedding, body, head)
