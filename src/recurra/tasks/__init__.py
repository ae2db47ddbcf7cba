"""One class a task: from a table, text or sound to a measured model."""

from recurra.tasks.backtest import Backtest
from recurra.tasks.classification import TextClassifier
from recurra.tasks.forecasting import Forecaster
from recurra.tasks.language import LanguageModel
from recurra.tasks.tagging import SequenceTagger
from recurra.tasks.translation import Translator

__all__ = ["Backtest", "Forecaster", "LanguageModel", "SequenceTagger", "TextClassifier", "Translator"]
