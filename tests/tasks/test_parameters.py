"""Parameters that tasks share: epochs that become steps, what was given over them, and what is refused by all."""

import math

import pytest

from recurra import LanguageModel, SequenceTagger, TextClassifier, Translator
from recurra.errors import ArgumentError
from recurra.tasks.parameters import paced_settings
from recurra.training.settings import TrainingSettings

DEFAULTS = {"batch_size": 10, "learning_rate": 0.5}


def test_epochs_become_steps_and_what_is_given_by_name_stays():
    found = paced_settings({"batch_size": 20, "patience": None}, DEFAULTS, rows=20_000, epochs=3)
    assert (found.steps, found.validate_every, found.checkpoint_every) == (3000, 500, 500)
    assert (found.batch_size, found.learning_rate, found.patience) == (20, 0.5, None)
    assert paced_settings({"steps": 7}, DEFAULTS, rows=20_000, epochs=3).steps == 7
    assert paced_settings(None, DEFAULTS, rows=1, epochs=3).steps == 200


def test_settings_as_an_object_stay_as_they_are():
    given = TrainingSettings(steps=11, batch_size=3)
    assert paced_settings(given, DEFAULTS, rows=20_000, epochs=3) == given


def test_averaged_sgd_trains_at_a_constant_rate_unless_a_schedule_is_given():
    for given, schedule in (
        ({}, "cosine"),
        ({"optimizer": "asgd"}, "constant"),
        ({"optimizer": "asgd", "schedule": "cosine"}, "cosine"),
    ):
        assert paced_settings(given, DEFAULTS, rows=100, epochs=3).schedule == schedule


@pytest.mark.parametrize("task", [TextClassifier, SequenceTagger, LanguageModel, Translator])
@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"valid": 0}, "valid is 0; it is a share above 0 and below 1, such as 0.1"),
        ({"valid": 1.0}, "valid is 1.0; it is a share above 0 and below 1, such as 0.1"),
        ({"valid": True}, "valid is True; it is a share above 0 and below 1, such as 0.1"),
        ({"epochs": 0}, "epochs is 0; it is a number above 0, such as "),
        ({"epochs": math.inf}, "epochs is inf; it is a number above 0, such as "),
        ({"epochs": "6"}, "epochs is '6'; it is a number above 0, such as "),
    ],
)
def test_every_task_on_text_refuses_what_is_no_share_and_no_number_of_epochs(task, parameters, expected):
    with pytest.raises(ArgumentError) as caught:
        task(**parameters).check_parameters()
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize("task", [TextClassifier, SequenceTagger, LanguageModel, Translator])
@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"vocabulary_size": 0}, "vocabulary_size is 0; "),
        ({"vocabulary_size": 4}, "vocabulary_size is 4; "),
        ({"vocabulary_size": 300.5}, "vocabulary_size is 300.5; "),
        ({"min_count": -1}, "min_count is -1; "),
        ({"min_count": True}, "min_count is True; "),
        ({"lowercase": 1}, "lowercase is 1; expected True or False"),
    ],
)
def test_every_task_on_text_refuses_what_no_vocabulary_is_learnt_with(task, parameters, expected):
    with pytest.raises(ArgumentError) as caught:
        task(**parameters).check_parameters()
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize(
    "network",
    [
        TextClassifier(num_layers=2, dropout=0.4).network(10, 2),
        SequenceTagger(num_layers=2, dropout=0.4).network(10, 10, 2),
        LanguageModel(num_layers=2, dropout=0.4).network(10),
    ],
    ids=["classify", "tag", "language"],
)
def test_what_stands_between_two_layers_is_dropped_once(network):
    assert (network.body.input_dropout, network.body.dropout) == (0.4, 0.0)
