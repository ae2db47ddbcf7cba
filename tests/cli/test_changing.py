"""Options that change what a fitted task reads and how it writes."""

import pytest

from recurra.cli.changing import change_parameters, column_of
from recurra.errors import ArgumentError
from recurra.tasks.parameters import Parameters


class Task(Parameters):
    """A task with two parameters."""

    def __init__(self, beam_size=5, source=None):
        self.beam_size, self.source = beam_size, source


def test_what_was_given_is_set_and_what_was_not_stays():
    task = Task(beam_size=3)
    change_parameters(task, {"source": "de", "beam_size": None, "text": None})
    assert task.get_params() == {"beam_size": 3, "source": "de"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"length_penalty": 0.0}, "--length-penalty is not there for Task"),
        (
            {"source": None, "beam_size": None, "text": "t"},
            "--text is not there for Task; there are --source, --beam-size",
        ),
    ],
)
def test_what_a_task_has_not_is_refused_with_what_it_has(given, message):
    with pytest.raises(ArgumentError) as error:
        change_parameters(Task(), given)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("name", "column"), [(None, None), ("3", 3), ("form", "form"), ("3a", "3a"), ("\u0663", "\u0663")]
)
def test_a_column_is_a_number_or_a_name(name, column):
    assert column_of(name) == column
