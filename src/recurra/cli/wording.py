"""Messages of the library in the words of the command line: options in place of arguments."""

from __future__ import annotations

import re

from recurra.cli.changing import option_name

__all__ = ["as_options"]

_ARGUMENT = re.compile(r"(?<![^\s;,])([a-z][a-z_]*)=\.\.\.(?![\w'])")
_NONE = re.compile(r",? or None for [^;.]+")


def as_options(message: str) -> str:
    """What a message says of arguments, said of options: `text=...` is `--text`, and None is what is left out.

    >>> as_options("there is no column 'text'. Choose one with text=...")
    "there is no column 'text'. Choose one with --text"
    >>> as_options("top_p is 0; expected a probability above 0, up to 1, or None for all tokens")
    'top_p is 0; expected a probability above 0, up to 1, or leave it out'
    """
    return _NONE.sub(", or leave it out", _ARGUMENT.sub(lambda found: option_name(found[1]), message))
