"""The library's messages in the words of the command line."""

import pytest

from recurra.cli import console
from recurra.cli.wording import as_options
from recurra.errors import Notice


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("no column 'x'. Choose one with text=...", "no column 'x'. Choose one with --text"),
        ("pass target=..., too; columns: 'a'", "pass --target, too; columns: 'a'"),
        ("raise max_tokens=... or leave", "raise --max-tokens or leave"),
        (
            "seed is -1; expected an int, or None for torch's global generator",
            "seed is -1; expected an int, or leave it out",
        ),
        ("max_tokens=400 are read", "max_tokens=400 are read"),
        ("the column 'text=...' is empty", "the column 'text=...' is empty"),
        ("return State(h=...)", "return State(h=...)"),
        ("pass an Attention, or None", "pass an Attention, or None"),
    ],
)
def test_arguments_are_options_and_none_is_what_is_left_out(message, said):
    assert as_options(message) == said


def test_notices_are_said_so_too(capsys):
    console.show_notice("Choose others with source=... and target=...", Notice, "", 0)
    assert capsys.readouterr().err == "note: Choose others with --source and --target\n"
