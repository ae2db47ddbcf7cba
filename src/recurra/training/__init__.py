"""The loop and what surrounds it: settings, losses, truncation, measures, intervals, run folders, stored models."""

from recurra.training.loop import Carrying, Outcome, StepRecord, train
from recurra.training.run import RunFolder
from recurra.training.settings import TrainingSettings
from recurra.training.truncated import TruncatedLoss

__all__ = ["Carrying", "Outcome", "RunFolder", "StepRecord", "TrainingSettings", "TruncatedLoss", "train"]
