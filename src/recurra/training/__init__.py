"""The loop and what surrounds it: settings, losses, measures, intervals, run folders, stored models."""

from recurra.training.loop import Outcome, StepRecord, train
from recurra.training.run import RunFolder
from recurra.training.settings import TrainingSettings

__all__ = ["Outcome", "RunFolder", "StepRecord", "TrainingSettings", "train"]
