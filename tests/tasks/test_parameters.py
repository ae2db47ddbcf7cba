"""Training settings of the tasks: epochs that become steps, and what was given over them."""

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
