"""Bad settings are refused by name."""

import pytest

from recurra.errors import ArgumentError
from recurra.training.settings import TrainingSettings, learning_rate


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


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_what_is_not_finite_is_refused(value):
    with pytest.raises(ArgumentError, match=r"^training setting learning_rate is (inf|nan): input should be a fini"):
        TrainingSettings(learning_rate=value)


def test_the_average_of_asgd_is_taken_at_a_constant_rate_unless_a_schedule_is_given():
    assert TrainingSettings().schedule == "cosine"
    assert TrainingSettings(optimizer="asgd").schedule == "constant"
    assert TrainingSettings(optimizer="asgd", schedule="plateau").schedule == "plateau"
    settings = TrainingSettings(optimizer="asgd", warmup=0.0, steps=100)
    assert [learning_rate(settings, step) for step in (0, 99)] == [settings.learning_rate] * 2
    assert TrainingSettings(seed=3).replaced(optimizer="asgd").schedule == "constant"
    assert TrainingSettings(schedule="cosine").replaced(optimizer="asgd").schedule == "cosine"


def test_replaced_validates_again():
    assert TrainingSettings().replaced(steps=7).steps == 7
    with pytest.raises(ArgumentError, match="steps is 0"):
        TrainingSettings().replaced(steps=0)
