"""What a tagger is asked to be: its parameters, stored as given and checked when used."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from recurra.cells import Cell, get_cell, list_cells
from recurra.data.vectors import Vectors
from recurra.errors import ArgumentError, nearest
from recurra.layers import Recurrent
from recurra.layers.arguments import check_probability
from recurra.layers.crf import Allowed, ConditionalRandomField
from recurra.layers.heads import Softmax
from recurra.layers.inputs import Embedding
from recurra.layers.words import WordInput
from recurra.models import Seq2Seq
from recurra.tasks.parameters import (
    Parameters,
    check_choice,
    check_epochs,
    check_held_back,
    check_word_vectors,
    paced_settings,
)
from recurra.training.embeddings import begin_embedding
from recurra.training.settings import TrainingSettings

__all__ = ["HEADS", "TaggingParameters"]

HEADS = ("softmax", "crf")
_SCHEMES = ("auto", "none", "bio", "bioes")
_DEFAULTS = {"batch_size": 16, "learning_rate": 4e-3, "patience": 8}
_WORD_DROPOUT = 0.2


class TaggingParameters(Parameters):
    """The parameters of a `SequenceTagger`, and the untrained network they describe.

    Args:
        cell: the recurrence over words, by name ("lstm", "gru", ...), class or instance; it reads from both ends.
        hidden_size, num_layers: of the recurrence, in each direction.
        embedding_size: features of a word's own vector.
        characters: what reads a word's letters: "gru", "lstm" or another cell, or "convolution"; None: nothing does.
        character_size, character_hidden: features of a letter's vector; units of what reads them, in each direction.
        head: "softmax" decides each tag by itself; "crf", a conditional random field, all of a sentence together.
        scheme: how tags say spans, as names and places. "auto": as they are, B- and I- or also E- and S- (L- and U- of
            BILUO, and M- of BMES, are read too); where spans begin with I- they are rewritten as "bio"; other tags say
            none. "bio", "bioes": rewritten as that one; what is predicted is in it too. "none": tags are tags, whatever
            they look like.
        dropout: of vectors, between layers and before the head.
        word_dropout: words taken for unknown ones at their place, so that spellings are relied on; None: 0.2, or 0
            without letters.
        embedding_dropout: words' vectors dropped, each at all its places in a batch.
        recurrent_dropout, weight_dropout: of the recurrence over words; see `recurra.nn.Recurrent`.
        min_count: rarer words are unknown, but for their letters; None: 2, or 1 with pretrained vectors.
        vocabulary_size: words known at most.
        lowercase: know words in lower case; letters are read as they are.
        vectors: a file of pretrained word vectors (word2vec's or GloVe's text format), which sets embedding_size.
        members: networks whose scores are averaged.
        epochs: how often each sentence is read.
        valid: share of the sentences held back to stop the training by.
        training: a `TrainingSettings`, or a dict of those of its fields that are to differ.
        token, tag: columns, by name or by number from 1; None: see `recurra.data.tagged.read_tagged`.
    """

    def __init__(
        self,
        *,
        cell: str | type[Cell] | Cell = "lstm",
        hidden_size: int = 128,
        num_layers: int = 1,
        embedding_size: int = 100,
        characters: str | None = "lstm",
        character_size: int = 25,
        character_hidden: int = 50,
        head: str = "softmax",
        scheme: str = "auto",
        dropout: float = 0.4,
        word_dropout: float | None = None,
        embedding_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        min_count: int | None = None,
        vocabulary_size: int | None = None,
        lowercase: bool = True,
        vectors: str | None = None,
        members: int = 1,
        epochs: float = 8,
        valid: float = 0.1,
        training: TrainingSettings | dict[str, Any] | None = None,
        token: str | int | None = None,
        tag: str | int | None = None,
    ) -> None:
        self.cell, self.hidden_size, self.num_layers, self.embedding_size = (
            cell,
            hidden_size,
            num_layers,
            embedding_size,
        )
        self.characters, self.character_size, self.character_hidden = characters, character_size, character_hidden
        self.head, self.scheme, self.dropout, self.word_dropout = head, scheme, dropout, word_dropout
        self.embedding_dropout, self.recurrent_dropout = embedding_dropout, recurrent_dropout
        self.weight_dropout, self.min_count, self.vocabulary_size = weight_dropout, min_count, vocabulary_size
        self.lowercase, self.vectors, self.members, self.epochs = lowercase, vectors, members, epochs
        self.valid, self.training, self.token, self.tag = valid, training, token, tag

    @property
    def name(self) -> str:
        """What tables call this tagger: its cell's class, and its head if that is a conditional random field."""
        return type(get_cell(self.cell)).__name__ + ("-CRF" if self.head == "crf" else "")

    def check_parameters(self) -> None:
        """Raise `ArgumentError` for a parameter that is none, before anything is read or trained."""
        for name, known in (("head", HEADS), ("scheme", _SCHEMES)):
            check_choice(name, getattr(self, name), known)
        for name in ("members", "min_count", "vocabulary_size"):
            value, least = getattr(self, name), 5 if name == "vocabulary_size" else 1
            optional = value is None and name != "members"
            if not optional and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise ArgumentError(f"{name} is {value!r}; it is a whole number, {least} or more")
        readers = ["convolution", *list_cells()]
        if isinstance(self.characters, str) and self.characters not in readers:
            hint = "pass None" if self.characters == "none" else nearest(self.characters, ["none", *readers])
            raise ArgumentError(f"characters is {self.characters!r}; {hint}")
        check_epochs(self.epochs, 8)
        check_held_back(self.valid)
        if self.characters is None and self.word_dropout:
            raise ArgumentError(
                f"word_dropout is {self.word_dropout!r}, and characters None: nothing would tell a word that is taken "
                "for an unknown one; leave one of them out"
            )
        if not isinstance(self.lowercase, bool):
            raise ArgumentError(f"lowercase is {self.lowercase!r}; expected True or False")
        check_word_vectors(self.vectors, "word")
        self.settings(rows=1)
        with torch.device("meta"):
            self.network(10, 10, 2)

    def settings(self, *, rows: int) -> TrainingSettings:
        """The training settings for so many sentences."""
        return paced_settings(self.training, _DEFAULTS, rows=rows, epochs=self.epochs)

    def network(
        self, words: int, letters: int, tags: int, *, vectors: Vectors | None = None, allowed: Allowed | None = None
    ) -> Seq2Seq:
        """An untrained network, drawn from torch's global generator.

        words, letters, tags: codes of each. vectors: pretrained ones, for the words that are their places.
        allowed: which tags may follow which; read by a conditional random field.
        """
        size = self.embedding_size if vectors is None else vectors.matrix.shape[1]
        check_probability("embedding_dropout", self.embedding_dropout)
        source: nn.Module
        if self.characters is None:
            source = known = Embedding(words, size, padding=0)
        else:
            source = WordInput(
                words,
                size,
                letters,
                character_size=self.character_size,
                character_hidden=self.character_hidden,
                kind=self.characters,
                word_dropout=_WORD_DROPOUT if self.word_dropout is None else self.word_dropout,
            )
            known = source.words
        known.dropout = self.embedding_dropout
        begin_embedding(known, vectors, deviation=1.0)
        body = Recurrent(
            self.cell,
            int(source.output_size),
            self.hidden_size,
            self.num_layers,
            bidirectional=True,
            input_dropout=self.dropout,  # of what each layer reads, so of what stands between two
            recurrent_dropout=self.recurrent_dropout,
            weight_dropout=self.weight_dropout,
            initializer="orthogonal",
            forget_bias=1.0 if get_cell(self.cell).forget_gate == "f" else None,
        )
        head: nn.Module = Softmax(body.output_size, tags)
        if self.head == "crf":
            head = ConditionalRandomField(body.output_size, tags, constraints=allowed)
        return Seq2Seq(source, body, head, dropout=self.dropout)
