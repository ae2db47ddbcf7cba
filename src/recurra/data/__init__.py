"""Files to batches of sequences: tables of series, texts with labels, tags or translations, and long sequences."""

from recurra.data.batching import LengthBatches, padded
from recurra.data.build import build_series
from recurra.data.calendar import calendar_features, calendar_names
from recurra.data.columns import Columns
from recurra.data.corpus import Corpus, encode_corpus
from recurra.data.covariates import CovariateEncoder
from recurra.data.files import Table, read_table
from recurra.data.frames import like, to_table
from recurra.data.frequency import Frequency
from recurra.data.future import future_values
from recurra.data.labelled import Labelled, read_labelled
from recurra.data.lines import read_lines
from recurra.data.pairs import Pairs, read_pairs
from recurra.data.series import SeriesSet
from recurra.data.streams import Chunk, SequenceStream
from recurra.data.tagged import Tagged, read_tagged
from recurra.data.tokenizer import Tokenizer
from recurra.data.vectors import Vectors, read_vectors

__all__ = [
    "Chunk",
    "Columns",
    "Corpus",
    "CovariateEncoder",
    "Frequency",
    "Labelled",
    "LengthBatches",
    "Pairs",
    "SequenceStream",
    "SeriesSet",
    "Table",
    "Tagged",
    "Tokenizer",
    "Vectors",
    "build_series",
    "calendar_features",
    "calendar_names",
    "encode_corpus",
    "future_values",
    "like",
    "padded",
    "read_labelled",
    "read_lines",
    "read_pairs",
    "read_table",
    "read_tagged",
    "read_vectors",
    "to_table",
]
