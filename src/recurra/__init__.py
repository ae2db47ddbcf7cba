"""Recurrent networks, from equations to the edge."""

from recurra.cells import Cell, State
from recurra.engines import engine
from recurra.errors import Notice, RecurraError, UserError
from recurra.reports import diagnose
from recurra.tasks import Forecaster, LanguageModel, SequenceTagger, TextClassifier, Translator
from recurra.training.settings import TrainingSettings
from recurra.version import __version__

__all__ = [
    "Cell",
    "Forecaster",
    "LanguageModel",
    "Notice",
    "RecurraError",
    "SequenceTagger",
    "State",
    "TextClassifier",
    "TrainingSettings",
    "Translator",
    "UserError",
    "__version__",
    "diagnose",
    "engine",
]
