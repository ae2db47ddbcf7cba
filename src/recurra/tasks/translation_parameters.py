"""What a translator is asked to be: its parameters, stored as given and checked when used."""

from __future__ import annotations

from typing import Any

import torch

from recurra.cells import Cell, get_cell
from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count, check_flag, check_not_negative
from recurra.layers.heads import Softmax
from recurra.layers.inputs import Embedding
from recurra.models import EncoderDecoder
from recurra.models.beam import Penalties
from recurra.tasks.parameters import (
    Parameters,
    check_choice,
    check_epochs,
    check_held_back,
    check_tokenizer,
    paced_settings,
)
from recurra.training.embeddings import begin_embedding
from recurra.training.settings import TrainingSettings
from recurra.training.translation_scores import TOKENIZERS

__all__ = ["TranslationParameters"]

_DEFAULTS = {"batch_size": 64, "learning_rate": 2e-3, "patience": 8}


class TranslationParameters(Parameters):
    """The parameters of a `Translator`, and the untrained network they describe.

    Args:
        cell: the recurrence of encoder and decoder, by name ("lstm", "gru", ...), class or instance.
        hidden_size: units of the decoder's layers, and of the encoder's in each direction.
        num_layers, bidirectional: of the encoder; the decoder has as many layers.
        attention: "additive", "dot", "general", "local" or "multihead"; None: none; as `EncoderDecoder` has it.
        input_feeding: whether each step reads what the one before attended to; slower, for it goes step by step.
        embedding_size: features of a token's vector.
        tied: whether the vectors of target tokens are the weights of the output, too (Press & Wolf 2017).
        dropout: of vectors, between layers and before the output.
        embedding_dropout: whole tokens dropped, each at all its places in a batch.
        recurrent_dropout, weight_dropout: of the recurrences; see `recurra.nn.Recurrent`.
        label_smoothing: share of each target that goes to all tokens alike.
        scheduled_sampling: how often, at the end of training, the decoder reads a token of its own instead of the
            target's; it rises to that from 0. Slower, for it goes step by step.
        tokenizer: "subword", "word", "character", "whitespace" (for texts that are tokenised already) or "byte".
        shared: whether both sides have one vocabulary, and one table of vectors.
        vocabulary_size, min_count, lowercase: of the tokenizers; see `recurra.data.Tokenizer`.
        max_tokens: pairs with a longer side are left out of training, validation and perplexity, longer sources are
            cut; None: neither.
        beam_size: sequences kept side by side when writing; 1: the likeliest token at each step.
        length_penalty, coverage_penalty: of what was found; see `recurra.models.EncoderDecoder.generate`.
        bleu_tokenizer: of BLEU: "13a", "intl", "zh", "char" or "none".
        epochs: how often each pair is read.
        valid: share of the pairs held back to stop the training.
        training: a `TrainingSettings`, or a dict of those of its fields that are to differ.
        source, target: columns of a table by name, or of TSV without a header by number, from 1; None: the only two,
            or the first two.
    """

    def __init__(
        self,
        *,
        cell: str | type[Cell] | Cell = "lstm",
        hidden_size: int = 256,
        num_layers: int = 1,
        bidirectional: bool = True,
        attention: str | None = "general",
        input_feeding: bool = False,
        embedding_size: int = 256,
        tied: bool = True,
        dropout: float = 0.3,
        embedding_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        label_smoothing: float = 0.1,
        scheduled_sampling: float = 0.0,
        tokenizer: str = "subword",
        shared: bool = True,
        vocabulary_size: int | None = 8000,
        min_count: int | None = None,
        lowercase: bool = False,
        max_tokens: int | None = 256,
        beam_size: int = 5,
        length_penalty: float = 0.6,
        coverage_penalty: float = 0.0,
        bleu_tokenizer: str = "13a",
        epochs: float = 15,
        valid: float = 0.1,
        training: TrainingSettings | dict[str, Any] | None = None,
        source: str | int | None = None,
        target: str | int | None = None,
    ) -> None:
        self.cell, self.hidden_size, self.num_layers, self.bidirectional = cell, hidden_size, num_layers, bidirectional
        self.attention, self.input_feeding = attention, input_feeding
        self.embedding_size, self.tied = embedding_size, tied
        self.dropout, self.embedding_dropout = dropout, embedding_dropout
        self.recurrent_dropout, self.weight_dropout = recurrent_dropout, weight_dropout
        self.label_smoothing, self.scheduled_sampling = label_smoothing, scheduled_sampling
        self.tokenizer, self.shared = tokenizer, shared
        self.vocabulary_size, self.min_count, self.lowercase = vocabulary_size, min_count, lowercase
        self.max_tokens, self.beam_size = max_tokens, beam_size
        self.length_penalty, self.coverage_penalty = length_penalty, coverage_penalty
        self.bleu_tokenizer, self.epochs = bleu_tokenizer, epochs
        self.valid, self.training, self.source, self.target = valid, training, source, target

    @property
    def name(self) -> str:
        """What tables call this translator: its cell's class."""
        return type(get_cell(self.cell)).__name__

    @property
    def penalties(self) -> Penalties:
        """How sequences of different lengths are compared."""
        return Penalties(self.length_penalty, self.coverage_penalty)

    def check_parameters(self) -> None:
        """Raise `ArgumentError` for a parameter that is none, before anything is read or trained."""
        for name in ("beam_size", *(["max_tokens"] if self.max_tokens is not None else [])):
            check_count(name, getattr(self, name))
        for name in ("shared", "tied"):
            check_flag(name, getattr(self, name))
        check_tokenizer(
            self.tokenizer,
            vocabulary_size=self.vocabulary_size,
            min_count=self.min_count,
            lowercase=self.lowercase,
        )
        check_choice("bleu_tokenizer", self.bleu_tokenizer, TOKENIZERS)
        for name in ("length_penalty", "coverage_penalty"):
            check_not_negative(name, getattr(self, name))
        if self.coverage_penalty and self.attention is None:
            raise ArgumentError(
                f"coverage_penalty is {self.coverage_penalty} and attention None; it needs weights: pass 0, or "
                "attention='general'"
            )
        check_epochs(self.epochs, 15)
        check_held_back(self.valid)
        self.settings(rows=1)
        with torch.device("meta"):
            self.network(10, 10)

    def settings(self, *, rows: int) -> TrainingSettings:
        """The training settings for so many pairs."""
        return paced_settings(self.training, _DEFAULTS, rows=rows, epochs=self.epochs)

    def network(self, sources: int, targets: int) -> EncoderDecoder:
        """An untrained network, drawn from torch's global generator.

        sources, targets: codes of the tokenizers.
        """
        source = self._embedding(sources)
        target = source if self.shared else self._embedding(targets)
        # Vectors begin with a length of about 1, so that a tied head needs no factor.
        tied = target if self.tied else None
        head = Softmax(self.hidden_size, targets, tied=tied, scale=1.0, label_smoothing=self.label_smoothing)
        network = EncoderDecoder(
            source,
            target,
            head,
            cell=self.cell,
            hidden_size=self.hidden_size,
            num_layers=self.num_layers,
            attention=self.attention,
            bidirectional=self.bidirectional,
            input_feeding=self.input_feeding,
            dropout=self.dropout,
            recurrent_dropout=self.recurrent_dropout,
            scheduled_sampling=self.scheduled_sampling,
        )
        for layer in (network.encoder, network.decoder.recurrent):
            layer.weight_dropout = self.weight_dropout
            layer.initializer = "orthogonal"
            layer.forget_bias = 1.0 if layer.cell.forget_gate == "f" else None
            layer.reset_parameters()
        return network

    def _embedding(self, codes: int) -> Embedding:
        embedding = Embedding(codes, self.embedding_size, padding=0, dropout=self.embedding_dropout)
        begin_embedding(embedding, None, deviation=self.embedding_size**-0.5)
        return embedding

    def share(self, network: EncoderDecoder) -> EncoderDecoder:
        """The network with one table of vectors wherever `network` had built one, after weights were put in."""
        decoder = network.decoder
        if self.shared:
            decoder.target = network.source
        if self.tied:
            decoder.head.tied = decoder.target
        return network
