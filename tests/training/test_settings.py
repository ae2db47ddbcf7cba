"""Bad settings are refused by name."""

import pytest

from recurra.errors import ArgumentError
from recurra.training.settings import TrainingSettings


def test_bad_values_and_unknown_names_are_refused():
    with pytest.raises(ArgumentError, match="training setting learning_rate is -1: "):
        TrainingSettings(learning_rate=-1)
    with pytest.raises(ArgumentError, match="'lr' is no training setting; there are: steps"):
        TrainingSettings(lr=0.1)
    with pytest.raises(ArgumentError, match="optimizer is 'lion'"):
        TrainingSettings(optimizer="lion")


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ArgumentError, match=r"^averaging is 0\.9, and optimizer 'asgd' averages by itself; leave one"):
        TrainingSettings(optimizer="asgd", averaging=0.9)
    with pytest.raises(ArgumentError, match=r"^patience is 4, and the average of 'asgd' would begin at trigger 5 only"):
        TrainingSettings(optimizer="asgd", patience=4)
    assert TrainingSettings(optimizer="asgd", patience=None).trigger == 5


def test_replaced_validates_again():
    assert TrainingSettings().replaced(steps=7).steps == 7
    with pytest.raises(ArgumentError, match="steps is 0"):
        TrainingSettings().replaced(steps=0)
