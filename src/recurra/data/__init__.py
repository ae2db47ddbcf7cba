"""Tables of many series to flat arrays, and long sequences to the rows of a batch."""

from recurra.data.build import build_series
from recurra.data.calendar import calendar_features, calendar_names
from recurra.data.columns import Columns
from recurra.data.covariates import CovariateEncoder
from recurra.data.files import Table, read_table
from recurra.data.frames import like, to_table
from recurra.data.frequency import Frequency
from recurra.data.future import future_values
from recurra.data.series import SeriesSet
from recurra.data.streams import Chunk, SequenceStream

__all__ = [
    "Chunk",
    "Columns",
    "CovariateEncoder",
    "Frequency",
    "SequenceStream",
    "SeriesSet",
    "Table",
    "build_series",
    "calendar_features",
    "calendar_names",
    "future_values",
    "like",
    "read_table",
    "to_table",
]
